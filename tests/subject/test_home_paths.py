"""`~` is the user's folder wherever a run file names a folder or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp.resources import BUNDLED
from autointerp.subject.formats import load_dictionary
from autointerp.subject.loading import resolve_model
from autointerp.subject.sources import open_source


def test_a_path_may_begin_with_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").symlink_to(BUNDLED / "subject")
    (tmp_path / "sae").symlink_to(BUNDLED / "dictionaries" / "resid-1k")
    (tmp_path / "a.txt").write_text("some text\n", encoding="utf-8")
    assert resolve_model("~/model") == str(tmp_path / "model")
    assert load_dictionary("~/sae").n_features == load_dictionary("bundled:resid-1k").n_features
    assert [document.text for document in open_source("text:~/a.txt").documents()] == ["some text\n"]
