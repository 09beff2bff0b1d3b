"""`autointerp init`: a run file from a dictionary of every format, what it guesses and what it leaves to a person."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.cli import main
from autointerp.config.loading import load_run
from autointerp.errors import InputError
from autointerp.pipeline.dry_run.report import plan_of
from autointerp.pipeline.init_run import name_of, write_run_file
from autointerp.pipeline.plan.prepare import check_paths
from autointerp.subject.dictionary_facts import facts_of, hub_name, run_path_of
from autointerp.subject.formats.registry import BY_NAME


def writer() -> Any:
    """The tests of the readers: `write` makes a dictionary of each format, WEIGHTS names its file."""
    path = Path(__file__).parent.parent / "subject" / "test_format_detection.py"
    spec = importlib.util.spec_from_file_location("format_writer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UNSAID: dict[str, Any] = {"hook": "blocks.1.hook_resid_post", "activation": "relu", "k": 5}


def fill_in(file: Path, **values: Any) -> None:
    """What a person does: takes the mark off a line and gives the value; or gives another one."""
    text = file.read_text()
    for key, value in values.items():
        text, n = re.subn(rf"(?m)^(# )?{key} = .*$", f"{key} = {json.dumps(value)}", text, count=1)
        assert n == 1, (key, text)
    file.write_text(text)


@pytest.mark.parametrize("format", BY_NAME)
def test_a_dictionary_of_every_format(
    format: str, tiny_model: Path, tokens_npy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = writer()
    folder = files.write(tmp_path / "some" / "resid_post_layer_1" / "layers.1", format)
    path = folder if BY_NAME[format].one_of is None else folder / files.WEIGHTS[format]
    written = write_run_file(str(path), Path("mine.toml"))
    text = Path("mine.toml").read_text()
    assert f"format {format}" in text
    held = tomllib.loads(text)
    assert held["dictionary"][0]["path"] == str(path)
    assert "context_length" not in held["tokens"], "no file says it"
    assert [line.partition(":")[0] for line in written.missing][:2] == ["model", "source"]
    assert "processing" in held["subject"]
    assert written.next_command == "edit mine.toml, then: autointerp run mine.toml --dry-run"
    missing = {line.partition(":")[0] for line in written.missing}
    fill_in(Path("mine.toml"), model=str(tiny_model), source=f"npy:{tokens_npy}")
    fill_in(Path("mine.toml"), **{key: value for key, value in UNSAID.items() if key in missing})
    config = load_run("mine.toml")
    check_paths(config)
    assert plan_of(config) is not None
    assert {path.name for path in tmp_path.iterdir()} == {"some", "mine.toml"}


def test_what_the_files_say_is_filled_in(
    write_sae: Callable[..., Path], tiny_model: Path, tokens_npy: Path, tmp_path: Path
) -> None:
    metadata = {
        "hook_name": "blocks.1.hook_resid_post",
        "model_name": str(tiny_model),
        "context_size": 24,
        "prepend_bos": False,
        "dataset_path": "some/data",
        "model_from_pretrained_kwargs": {"center_writing_weights": False},
    }
    folder = write_sae(tmp_path / "sae", "topk", metadata=metadata)
    file = tmp_path / "sae.toml"
    written = write_run_file(str(folder), file)
    config = load_run(file)
    assert (config.subject.model, config.subject.processing) == (str(tiny_model), "raw")
    assert (config.tokens.context_length, config.tokens.prepend_bos) == (24, False)
    assert config.tokens.source == "hf:some/data"
    assert written.missing == []
    assert [line.partition(" = ")[0] for line in written.guessed] == ["source"]
    assert 'source = "hf:some/data"  # guessed: the data that it was trained on' in file.read_text()
    assert written.next_command == f"autointerp run {file} --dry-run"
    assert "48 features of 32 dimensions, topk (k = 5), format saelens" in written.read
    fill_in(file, source=f"npy:{tokens_npy}")
    assert plan_of(load_run(file)) is not None


def test_the_settings_of_a_run_one_folder_up(tmp_path: Path) -> None:
    folder = writer().write(tmp_path / "run" / "layers.1", "sparsify")
    (tmp_path / "run" / "config.json").write_text(json.dumps({"model": "owner/model", "ctx_len": 64}))
    facts = facts_of(str(folder))
    assert (facts.model.value, facts.model.guessed) == ("owner/model", None)
    assert facts.context_length.value == 64


def test_folders_that_tell_the_model_are_a_guess(tmp_path: Path) -> None:
    place = tmp_path / "google" / "gemma-scope-2b-pt-res" / "layer_1" / "width_16k" / "average_l0_9"
    folder = writer().write(place, "gemma_scope")
    file = tmp_path / "scope.toml"
    written = write_run_file(str(folder), file)
    assert tomllib.loads(file.read_text())["subject"]["model"] == "google/gemma-2-2b"
    assert any('a folder is called "gemma-scope-2b-pt-res"' in line for line in written.guessed)
    assert "# its files say: reads blocks.1.hook_resid_post" in file.read_text()
    assert tomllib.loads(file.read_text())["name"] == "width_16k-average_l0_9"


def test_a_bundled_dictionary_needs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["init", "bundled:resid-1k"])
    shown = capsys.readouterr().out
    assert shown.startswith("wrote resid-1k.toml\n")
    assert shown.endswith("next: autointerp run resid-1k.toml --dry-run\n")
    assert "  guessed: processing = " in shown
    fill_in(Path("resid-1k.toml"), source="bundled:corpus")
    main(["run", "resid-1k.toml", "--dry-run"])
    assert "resid-1k" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["resid-1k.toml"]


def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text("precious")
    with pytest.raises(SystemExit) as stop:
        main(["init", "bundled:resid-1k", "-o", "mine.toml"])
    assert stop.value.code == 2
    assert (
        capsys.readouterr().err == 'error: "mine.toml" is there already; give -o ANOTHER, or --force to write over it\n'
    )
    assert Path("mine.toml").read_text() == "precious"
    main(["init", "bundled:resid-1k", "-o", "mine.toml", "--force"])
    assert tomllib.loads(Path("mine.toml").read_text())["name"] == "resid-1k"
    with pytest.raises(InputError, match=r"cannot be written: there is no such folder"):
        write_run_file("bundled:resid-1k", Path("none/mine.toml"))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere", 'there is no folder "nowhere" to read a dictionary from'),
        ("bundled:resid-9k", 'there is no bundled dictionary "resid-9k"'),
        ("hf:owner", "a hub path is hf://owner/repository/folder"),
        ("sae-lens:one", "a name of SAELens's registry is sae-lens:RELEASE/ID"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_no_file(
    what: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["init", what])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_hostile_settings_stay_inside_strings_and_comments(write_sae: Callable[..., Path], tmp_path: Path) -> None:
    evil = 'x"\n[budget]\nmax_usd = 1e9 \x7f\u2028'
    metadata = {"hook_name": "blocks.1.hook_resid_post", "model_name": evil, "dataset_path": evil}
    folder = write_sae(tmp_path / "sae", metadata=metadata)
    write_run_file(str(folder), tmp_path / "x.toml")
    held: dict[str, Any] = tomllib.loads((tmp_path / "x.toml").read_text(encoding="utf-8"))
    assert held["subject"]["model"] == evil
    assert "budget" not in held
    assert "source" not in held["tokens"]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt2-small", "openai-community/gpt2"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
        ("pythia-70m-deduped", "EleutherAI/pythia-70m-deduped"),
        ("gemma-2-2b", "google/gemma-2-2b"),
        ("gemma-2b-it", "google/gemma-2b-it"),
        ("gemma-scope-9b-it-res", "google/gemma-2-9b-it"),
        ("gemma-scope-2-1b-pt", "google/gemma-3-1b-pt"),
        ("gemma-scope-2-270m-pt", "google/gemma-3-270m"),
        ("Llama-3.2-1B", "meta-llama/Llama-3.2-1B"),
        ("Llama3_1-8B-Base-LXR-8x", "meta-llama/Llama-3.1-8B"),
        ("Qwen3-1.7B-Base", "Qwen/Qwen3-1.7B-Base"),
        ("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("my-model", None),
    ],
)
def test_names_that_libraries_give(name: str, model: str | None) -> None:
    assert hub_name(name) == model


def test_names_of_runs_and_paths() -> None:
    assert name_of("hf://owner/repository/layer_12/width_16k@main") == "width_16k"
    assert name_of("sae-lens:release/blocks.8.hook_resid_pre") == "blocks.8.hook_resid_pre"
    assert name_of("/a/b/ae.pt") == "b-ae"
    assert name_of("bundled:mlp-1k") == "mlp-1k"
    assert name_of("strange dir/näme é") == "n-me-"
    assert run_path_of("hf:owner/repository/x") == "hf://owner/repository/x"
    assert run_path_of("hf://owner/repository/x") == "hf://owner/repository/x"
