"""Models and dictionaries whose JSON begins with a byte order mark."""

from __future__ import annotations

import codecs
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from autointerp.resources import BUNDLED
from autointerp.subject.formats import load_dictionary
from autointerp.subject.loading import load_tokenizer
from autointerp.subject.unmarked import unmarked


def mark(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n"))


def test_a_model(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BUNDLED / "subject", tmp_path / "subject"))
    with unmarked(str(folder)) as path:
        assert path == str(folder), "where there is no mark nothing is copied"
    for file in folder.glob("*.json"):
        mark(file)
    text = (folder / "config.json").read_text(encoding="utf-8-sig")
    (folder / "config.json").write_bytes(text.encode("utf-16"))
    with unmarked(str(folder)) as path:
        assert {file.name for file in Path(path).iterdir()} == {file.name for file in folder.iterdir()}
        assert json.loads((Path(path) / "config.json").read_text(encoding="utf-8")) == json.loads(text)
        assert (Path(path) / "model.safetensors").samefile(folder / "model.safetensors")
    assert not Path(path).exists()
    tokenizer, config = load_tokenizer(str(folder), None)
    assert tokenizer is not None
    assert (len(tokenizer), config.vocab_size) == (4096, 4096)


def test_a_chat_template_and_merges(tmp_path: Path) -> None:
    """Else each conversation would begin with the mark."""
    for name in ("chat_template.jinja", "merges.txt"):
        (tmp_path / name).write_text("{{ x }}")
        mark(tmp_path / name)
    with unmarked(str(tmp_path)) as path:
        assert [file.read_text() for file in Path(path).iterdir()] == ["{{ x }}"] * 2


def test_a_dictionary(write_sae: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    mark(folder / "cfg.json")
    assert load_dictionary(str(folder)).n_features == 48
