"""Bad input through the command line: one clear line, exit status 2, and nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import Refused, entry, read_weights
from safetensors.torch import save_file

from autointerp.cli import main

BUNDLED: dict[str, Any] = {
    "subject": {"model": "bundled:subject"},
    "dictionary": [{"name": "resid", "path": "bundled:resid-1k"}],
}


def test_the_run_that_the_others_are_made_from_works(write_run: Callable[..., Path], tmp_path: Path) -> None:
    main(["run", str(write_run()), "--stage", "tokens"])
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.toml", "tiny.duckdb", "tiny.duckdb.work"}


# --- the run file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_misspelt_key(more: list[str], write_run: Callable[..., Path], refused: Refused) -> None:
    file = write_run(tokens={"contxt_length": 24})
    assert refused("run", file, *more).endswith('unknown key "tokens.contxt_length"; the nearest is "context_length"')


def test_ray_where_it_is_not_installed(
    write_run: Callable[..., Path], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    said = refused("run", write_run(engine={"kind": "ray"}))
    assert said == 'engine.kind = "ray": Ray is not installed; pip install "ray>=2.40,<3"'


def test_a_run_file_that_is_not_there_or_no_toml(write_run: Callable[..., Path], refused: Refused) -> None:
    file = write_run()
    assert 'there is no file "tyni.toml"' in refused("run", "tyni.toml")
    assert '"demmo"' in refused("run", "demmo")
    assert 'the nearest is "demo"' in refused("run", "demmo")
    file.write_text("name = tiny")
    assert f"{file}: not TOML" in refused("run", file)


def test_more_left_context_than_an_exemplar_has_tokens(write_run: Callable[..., Path], refused: Refused) -> None:
    file = write_run(tokens={"window": 8}, evidence={"left": 8})
    message = refused("run", file)
    assert message == "evidence.left = 8, but an exemplar shows 8 tokens, its peak among them; give at most 7"


# --- the corpus -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((40, 24), 61), "row 0: token id 61 is out of range; the subject's vocabulary has ids 0 to 60"),
        (np.full((40, 24), -3), "row 0: token id -3 is out of range"),
        (np.ones((40, 24)), "must hold integers [n, context_length]; it holds float64 (40, 24)"),
        (np.ones(40, int), "must hold integers [n, context_length]; it holds int64 (40,)"),
        (np.array([[1, None]] * 5), "is not a NumPy array of numbers (Array can't be memory-mapped"),
        (np.zeros((0, 24), int), "is empty: its shape is (0, 24)"),
        (np.zeros((40, 24), int), "none of them falls into the"),
        (np.full((1, 24), 7), "has 1 document(s), and none of them falls into the"),
        (np.full((40, 25), 7), "contexts of 25 tokens are longer than the 24"),
    ],
    ids=["above", "below", "floats", "1-D", "pickled", "empty", "one text", "one row", "too long"],
)
def test_token_arrays(
    array: np.ndarray, message: str, write_run: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert message in refused("run", write_run(tokens={"source": f"npy:{tmp_path / 'a.npy'}"}))


def test_the_last_row_counts_too(
    token_array: np.ndarray, write_run: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    array = token_array.copy()
    array[-1, -1] = 61
    np.save(tmp_path / "a.npy", array)
    assert "row 89: token id 61" in refused("run", write_run(tokens={"source": f"npy:{tmp_path / 'a.npy'}"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text"),
        (b" \n\n\t\n", "holds no text"),
        (b"One short document.\n", "has 1 document(s), and none of them falls into the"),
        (b"x" * 5000, "is one line of 5,000 characters"),
        (b"caf\xe9\n", "is not UTF-8: byte 3 is 0xe9"),
    ],
    ids=["empty", "whitespace", "one document", "one long line", "latin-1"],
)
def test_texts(content: bytes, message: str, write_run: Callable[..., Path], refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert message in refused("run", write_run(**BUNDLED, tokens={"source": f"text:{tmp_path / 'a.txt'}"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": \n', "line 2, is not JSON"),
        (b'{"body": "a"}\n', 'line 1, has no field "text"; its fields are body'),
        (b'{"text": ["a"]}\n', 'line 1: field "text" is not text but list'),
        (b'{"text": "\xff"}\n', "line 1, is not UTF-8"),
        (b'{"text": " "}\n\n', "holds no text"),
    ],
)
def test_json_lines(
    content: bytes, message: str, write_run: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert message in refused("run", write_run(**BUNDLED, tokens={"source": f"jsonl:{tmp_path / 'a.jsonl'}"}))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("npy:no.npy", 'there is no file "no.npy"'),
        ("text:no/*.txt", 'there is no text at "no/*.txt"'),
        ("jsonl:no.jsonl#text", 'there is no file "no.jsonl"'),
        ("bundled:corpora", 'the nearest is "corpus"'),
        (" npy:a.npy", 'the nearest is "npy"'),
        ("parquet:no/*.parquet", 'there is no Parquet file at "no/*.parquet"'),
        ("hf:monology/pile", '"hf:monology/pile": HF_HUB_OFFLINE is set'),
    ],
)
def test_sources_that_are_not_there(
    source: str, message: str, write_run: Callable[..., Path], refused: Refused
) -> None:
    assert message in refused("run", write_run(tokens={"source": source}))


def test_sources_that_do_not_go_with_the_subject(write_run: Callable[..., Path], refused: Refused) -> None:
    assert "has no tokenizer" in refused("run", write_run(tokens={"source": "python-stdlib"}))
    assert "but the rows of" in refused("run", write_run(tokens={"context_length": 12}))
    assert "rows of 24 tokens and a BOS are longer" in refused("run", write_run(tokens={"prepend_bos": True}))
    assert "fewer than n_tokens = 9,999" in refused("run", write_run(tokens={"n_tokens": 9999}))


# --- the subject ------------------------------------------------------------------------------------


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_subject_with_broken_weights(
    value: float, model_copy: Path, write_run: Callable[..., Path], refused: Refused
) -> None:
    weights = read_weights(model_copy / "model.safetensors")
    weights["transformer.h.2.mlp.c_fc.weight"][3, 4] = value
    save_file(weights, model_copy / "model.safetensors", {"format": "pt"})
    message = refused("run", write_run(subject={"model": str(model_copy)}))
    assert 'has NaN or infinite weights in "transformer.h.2.mlp.c_fc.weight"' in message


@pytest.mark.parametrize("damage", ["cut weights", "no weights", "no config", "config", "unknown kind"])
def test_a_damaged_subject(damage: str, model_copy: Path, write_run: Callable[..., Path], refused: Refused) -> None:
    weights, config = model_copy / "model.safetensors", model_copy / "config.json"
    if damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no config":
        config.unlink()
    elif damage == "config":
        config.write_text("{")
    else:
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "gpt17"}))
    message = refused("run", write_run(subject={"model": str(model_copy)}))
    assert message.startswith("subject.model: ")
    assert str(model_copy) in message


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ({"model": "/no/such/folder"}, 'subject.model: there is no folder "/no/such/folder"'),
        ({"model": "bundled:subjekt"}, 'there is no bundled model "subjekt"; the nearest is "subject"'),
        ({"model": "no-such-model-anywhere"}, '"no-such-model-anywhere" cannot be loaded'),
        ({"device": "cuda:9"}, 'subject.device: "cuda:9" cannot be used here'),
        ({"dtype": "int8"}, "subject.dtype: Input should be"),
    ],
)
def test_subjects_that_are_not_there(
    subject: dict[str, str], message: str, write_run: Callable[..., Path], refused: Refused
) -> None:
    assert message in refused("run", write_run(subject=subject))


# --- dictionaries -----------------------------------------------------------------------------------


def test_a_dictionary_that_does_not_fit(
    write_run: Callable[..., Path], write_sae: Callable[..., Path], refused: Refused, tmp_path: Path
) -> None:
    narrow = write_sae(tmp_path / "narrow", d_in=31)
    message = refused("run", write_run(dictionary=entry(narrow)))
    assert 'dictionary "sae": its d_in is 31, but "blocks.1.hook_resid_post" of' in message
    assert "is 32 wide" in message
    wide = write_run(dictionary=entry(narrow, hook="blocks.1.mlp.hook_post"))
    assert 'its d_in is 31, but "blocks.1.mlp.hook_post"' in refused("run", wide)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("blocks.1.hook_resid_pots", 'no hook point "blocks.1.hook_resid_pots"; the nearest is "blocks.1.hook_resid'),
        ("blocks.7.hook_resid_post", 'the nearest is "blocks.'),
        ("blocks.1.attn.hook_pattern", "has no vector for each token"),
        ("blocks.1.hook_q_input", "cannot be read"),
    ],
)
def test_a_hook_that_cannot_be_read(
    hook: str, message: str, write_run: Callable[..., Path], refused: Refused, sae_folder: Path
) -> None:
    assert message in refused("run", write_run(dictionary=entry(sae_folder, hook=hook)))
    neurons = [{"name": "n", "kind": "neurons", "hook": hook}]
    assert message in refused("run", write_run(dictionary=neurons))


def test_a_hook_named_by_the_files(write_run: Callable[..., Path], refused: Refused, sae: Path) -> None:
    config = json.loads((sae / "cfg.json").read_text())
    config["metadata"]["hook_name"] = "blocks.1.hook_resid_midd"
    (sae / "cfg.json").write_text(json.dumps(config))
    assert 'the nearest is "blocks.1.hook_resid_mid"' in refused("run", write_run(dictionary=entry(sae)))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_dec"])
def test_broken_weights(name: str, value: float, write_run: Callable[..., Path], refused: Refused, sae: Path) -> None:
    weights = read_weights(sae / "sae_weights.safetensors")
    weights[name].view(-1)[-1] = value
    save_file(weights, sae / "sae_weights.safetensors")
    assert f'"{name}" holds NaN or infinite weights' in refused("run", write_run(dictionary=entry(sae)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cfg", "cfg.json is not JSON"),
        ("list", "cfg.json does not hold a configuration"),
        ("cut", "sae_weights.safetensors is damaged"),
        ("gone", "has no sae_weights.safetensors"),
        ("no cfg", "has no cfg.json: not a dictionary in SAELens's format"),
        ("pickle", "sae_weights.safetensors is damaged"),
    ],
)
def test_damaged_dictionaries(
    damage: str, message: str, write_run: Callable[..., Path], refused: Refused, sae: Path
) -> None:
    cfg, weights = sae / "cfg.json", sae / "sae_weights.safetensors"
    if damage == "cfg":
        cfg.write_text("{'architecture': 'standard'}")
    elif damage == "list":
        cfg.write_text("[]")
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-7])
    elif damage == "gone":
        weights.unlink()
    elif damage == "no cfg":
        cfg.unlink()
    else:
        torch.save(read_weights(weights), weights)
    found = refused("run", write_run(dictionary=entry(sae)))
    assert message in found
    assert str(sae) in found


def test_dictionaries_that_are_not_there(write_run: Callable[..., Path], refused: Refused) -> None:
    assert 'there is no folder "no/sae"' in refused("run", write_run(dictionary=[{"name": "s", "path": "no/sae"}]))
    hub = [{"name": "s", "path": "hf://jbloom/GPT2"}]
    assert '"hf://jbloom/GPT2": ' in refused("run", write_run(dictionary=hub))  # out of reach while testing


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ([0, 48], "[0, 48]"),
        ("0:49", "0:49"),
        ("48:60", "48:60"),
        ("9:9", "9:9"),
        ([], "[]"),
        ("0:99999999999999", "0:99999999999999"),
        ([10**18], f"[{10**18}]"),
        (list(range(60)), "[... 59]"),
    ],
    ids=str,
)
def test_features_out_of_range(
    choice: Any, shown: str, write_run: Callable[..., Path], refused: Refused, sae_folder: Path
) -> None:
    message = refused("run", write_run(dictionary=entry(sae_folder, features=choice)))
    assert f'dictionary "sae": features = {shown}' in message
    assert message.endswith("but it has features 0 to 47")
    message = refused("run", write_run(score={"features": choice}))
    assert f'dictionary "sae": score.features = {shown}' in message


def test_features_to_be_scored_that_are_not_extracted(
    write_run: Callable[..., Path], refused: Refused, sae_folder: Path
) -> None:
    file = write_run(dictionary=entry(sae_folder, features="0:9"), score={"features": [9, 10]})
    assert "none of score.features is among the features that it extracts" in refused("run", file)
    for key in ("features", "geometry_features"):
        file = write_run(dictionary=entry(sae_folder, features="0:9"), effects={key: [9, 10]})
        assert f"none of effects.{key} is among the features that it extracts" in refused("run", file)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"kind": "neurons", "match": "sae", "n_features": 49}, 'n_features = 49, but "sae" has 48 features to match'),
        ({"kind": "neurons", "match": "sae", "features": "0:49"}, 'dictionary "b": features = 0:49, but it has'),
        ({"kind": "neurons", "hook": "blocks.1.mlp.hook_post", "n_features": 9}, "unmatched neurons are all 256"),
        ({"kind": "neurons", "hook": "blocks.1.mlp.hook_post", "features": [256]}, "it has features 0 to 255"),
        ({"kind": "random_isotropic", "hook": "hook_embed", "n_features": 9, "features": [9]}, "features 0 to 8"),
        (
            {"kind": "random_covariance", "match": "sae", "hook": "blocks.0.hook_resid_post"},
            'hook = "blocks.0.hook_resid_post", but it is matched to "sae" at "blocks.1.hook_resid_post"',
        ),
    ],
)
def test_baselines_that_cannot_be(
    baseline: dict[str, Any], message: str, write_run: Callable[..., Path], refused: Refused, sae_folder: Path
) -> None:
    file = write_run(dictionary=[*entry(sae_folder), {"name": "b", **baseline}], score={"features": "all"})
    assert message in refused("run", file)


# --- what nobody foresaw ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "No space left on device; make room"),
        (RuntimeError("two\nlines"), "unexpected RuntimeError: two lines; please report it with what"),
    ],
)
def test_an_unforeseen_error_is_one_line_too(
    error: Exception, message: str, write_run: Callable[..., Path], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("autointerp.pipeline.run_stages.prepare", fail)
    assert message in refused("run", write_run(), status=1)
    with pytest.raises(type(error)):
        main(["--debug", "run", str(write_run())])
