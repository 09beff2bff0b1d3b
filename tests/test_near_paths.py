"""Hints for paths that lead nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autointerp.errors import InputError, UserError
from autointerp.near_paths import near_path
from autointerp.resources import run_path
from autointerp.subject.formats.loading import check_path
from autointerp.subject.loading import resolve_model
from autointerp.subject.sources import open_source


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/saes").mkdir(parents=True)
    for name in ("mine.toml", "data/corpus.jsonl", "data/.hidden.jsonl"):
        (tmp_path / name).write_text("")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("data/corpus.json", '; the nearest is "data/corpus.jsonl"'),
        ("dta/corpus.jsonl", '; the nearest is "data/corpus.jsonl"'),
        ("data/sae", '; the nearest is "data/saes"'),
        ("data/zzz", ""),
        ("elsewhere/zzz/x.txt", '; there is no "elsewhere"'),
        ("data/hidden.jsonl", ""),
    ],
)
def test_the_first_part_that_is_missing(path: str, said: str) -> None:
    assert near_path(path) == said


def test_what_stands_there_instead(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost").symlink_to("nowhere")
    for path, said in (
        ("data", "; it is a folder"),
        ("pipe", "; it is a pipe: write it to a file first"),
        ("/dev/null", "; it is a device: write it to a file first"),
        ("lost", "; it is a link that leads nowhere"),
    ):
        assert near_path(path) == said
        with pytest.raises(InputError) as caught:
            open_source(f"jsonl:{path}#text")
        assert str(caught.value).endswith(said)


def test_where_paths_are_given() -> None:
    for wrong, find, said in (
        ("./dta/saes", resolve_model, 'the nearest is "data/saes"'),
        ("subject", resolve_model, 'the bundled model is "bundled:subject"'),
        ("data/sea", check_path, 'the nearest is "data/saes"'),
        ("mlp-1k", check_path, 'the bundled one is "bundled:mlp-1k"'),
        ("gemma-scope-2b-pt-res/layer_3", check_path, "names of SAELens's registry begin with sae-lens:"),
        ("jsonl:data/corpus.jsn#text", open_source, 'the nearest is "data/corpus.jsonl"'),
        ("text:dta", open_source, 'the nearest is "data"'),
        ("mine", run_path, 'the nearest is "mine.toml"'),
        ("mine.tmol", run_path, 'the nearest is "mine.toml"'),
        ("data", run_path, '"data" is a folder'),
    ):
        with pytest.raises((InputError, UserError)) as caught:
            find(wrong)
        assert said in str(caught.value), wrong
