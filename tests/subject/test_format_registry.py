"""The registry of formats: its rows are the words of run files, and a row is all that a new format needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import InputError
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.formats import docs, load_dictionary
from autointerp.subject.formats.common import DictionarySource
from autointerp.subject.formats.hub import parse_hub
from autointerp.subject.formats.registry import BY_NAME, FORMATS, ROWS, file_names, suffixes
from autointerp.subject.formats.row import Format, Setting
from autointerp.words import FORMATS as WORDS

PAGE = Path(__file__).parents[2] / "docs" / "FORMATS.md"
WriteSae = Callable[..., Path]


def test_the_rows_are_the_words() -> None:
    assert tuple(row.name for row in ROWS) == tuple(BY_NAME) == tuple(FORMATS) == WORDS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_what_a_user_needs(row: Format) -> None:
    assert row.weights or row.suffixes or row.one_of, "something must tell it"
    assert row.title
    assert row.documented.startswith("https://")
    assert row.sentence.endswith(".")
    assert row.hook.endswith(".")
    assert row.architectures.reads
    for setting in (row.architectures, *row.settings):
        assert not set(setting.reads) & set(setting.refused)


def test_the_files_of_all_formats_are_fetched() -> None:
    assert set(file_names()) >= {
        "cfg.json", "config.json", "labels.json", "sae_weights.safetensors", "sae.safetensors", "ae.pt", "params.npz",
    }  # fmt: skip
    assert set(suffixes()) >= {".pt", ".pth", ".npz", ".safetensors"}
    named = {name for row in ROWS for name in (row.config, row.weights, *row.beside) if name is not None}
    assert set(file_names()) == named


# --- a new format -----------------------------------------------------------------------------------


def _read_ours(source: DictionarySource, hook: str | None, _kind: str) -> SparseAutoencoder:
    with np.load(source.named("ours.npy.npz")) as arrays:
        weights: dict[str, Any] = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return SparseAutoencoder(hook=hook or "hook_embed", architecture="standard", format="ours", **weights)


OURS = Format(
    name="ours",
    title="Ours",
    sentence="A format of this test.",
    documented="https://example.org",
    hook="None is named.",
    input="the activation",
    architectures=Setting("form", {"plain": "relu(x W_enc + b_enc)"}, {"odd": "it is odd"}),
    read=_read_ours,
    config="ours.json",
    needs_config=True,
    weights="ours.npy.npz",
    suffixes=(".ours",),
)


def test_a_row_is_all_that_a_format_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NAME, "ours", OURS)
    eye, zero = np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "ours.json").write_text("{}")
    np.savez(folder / "ours.npy.npz", W_enc=eye, b_enc=zero, W_dec=eye, b_dec=zero)
    for path in (folder, folder / "ours.npy.npz"):
        assert load_dictionary(str(path)).format == "ours"
    (folder / "ours.npy.npz").rename(folder / "step.ours")
    assert load_dictionary(str(folder / "step.ours")).format == "ours"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no cfg\.json or .*ours\.json, and none of .*ours\.npy\.npz"):
        load_dictionary(str(tmp_path / "empty"))
    with pytest.raises(InputError, match='there is no format "our"; the nearest is "ours"'):
        load_dictionary(str(folder), format="our")
    assert "a/ours.npy.npz" in parse_hub("hf://owner/repository/a").patterns()
    page = docs.formats_page()
    assert "## ours\n\nA format of this test." in page
    assert '| `form` is "odd" | it is odd |' in page


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", BY_NAME["saelens"].architectures.refused)
def test_an_architecture_refused_by_name_says_why(value: str, write_sae: WriteSae, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "sae")
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(config | {"architecture": value}))
    with pytest.raises(InputError) as caught:
        load_dictionary(str(folder))
    reason = BY_NAME["saelens"].architectures.refused[value]
    assert str(caught.value) == f'"{folder}": architecture "{value}" is not read: {reason}'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("c", 'key = "c" is not read: it is the third'),
        ("aa", 'key = "aa" is not read; the nearest is "a"'),
        (3, 'key = "3" is not read'),
        ([1], 'key = "[1]" is not read'),
    ],
)
def test_a_setting(value: object, said: str) -> None:
    setting = Setting("key", {"a": "first", "b": "second"}, {"c": "it is the third"})
    setting.check("a", "p")
    with pytest.raises(InputError) as caught:
        setting.check(value, "p")
    assert str(caught.value) == f'"p": {said}'
    with pytest.raises(InputError, match=r"is not read; a and b are$"):
        replace(setting, lists=True).check("z", "p")


# --- the page ---------------------------------------------------------------------------------------


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == docs.formats_page(), "run `make docs`"
