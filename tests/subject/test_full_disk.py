"""Disks without room, and files cut short: a line, and never a bus error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_disk import files_of_at_most

import autointerp.subject.shared_windows
from autointerp.errors import AutointerpError, InputError
from autointerp.subject.baselines import array_on_disk
from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import TokenFile


def test_an_array_takes_its_room_before_it_is_mapped(tmp_path: Path) -> None:
    with files_of_at_most(1 << 16), pytest.raises(AutointerpError) as caught:
        array_on_disk(tmp_path, (1 << 14, 2))
    assert str(caught.value).startswith(f'"{tmp_path}" has no room for 131,072 bytes more (File too large); make room')
    assert list(tmp_path.iterdir()) == []
    array = array_on_disk(tmp_path, (300, 7))
    array[:] = 3
    assert array.sum() == 6300
    assert list(tmp_path.iterdir()) == [], "it has no name any more"


def test_the_room_is_really_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fallocate", lambda _, first, n: taken.append((first, n)))
    array_on_disk(tmp_path, (300, 7))
    assert taken == [(0, 8400)]
    monkeypatch.delattr(os, "posix_fallocate")  # a system that has no such call: zeros are written
    assert array_on_disk(tmp_path, (1 << 17, 3)).shape == (1 << 17, 3)


@pytest.fixture
def rows(token_array: np.ndarray, tmp_path: Path) -> str:
    np.save(tmp_path / "rows.npy", np.concatenate([token_array] * 4 + [token_array[:, ::-1]]))
    return f"npy:{tmp_path / 'rows.npy'}"


def plan_of(source: str) -> TokenPlan:
    return TokenPlan(
        source=source,
        context_length=24,
        n_tokens=None,
        allow_fewer=False,
        bos=None,
        special=(0, 1),
        d_vocab=61,
        window=7,
        shares=(0.5, 0.2, 0.3),
        tokenizer="",
    )


def test_a_full_disk_while_tokens_are_written(rows: str, tmp_path: Path) -> None:
    with files_of_at_most(1 << 12), pytest.raises(AutointerpError, match="has no room for what is written there"):
        open_tokens(tmp_path / "work", plan_of(rows), None, lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize("column", ["tokens", "marks", "document", "offset"])
def test_a_token_file_that_was_cut_is_written_again(column: str, rows: str, tmp_path: Path) -> None:
    whole = open_tokens(tmp_path / "work", plan_of(rows), None, lambda _: None)
    tokens, marks = np.array(whole.tokens), np.array(whole.marks)
    file = whole.folder / f"{column}.bin"
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(InputError, match="is damaged; remove this folder, and `run` makes it again"):
        TokenFile(whole.folder)
    again = open_tokens(tmp_path / "work", plan_of(rows), None, lambda _: None)
    assert np.array_equal(again.tokens, tokens)
    assert np.array_equal(again.marks, marks)
    (whole.folder / "tokens.json").write_text("{")
    assert np.array_equal(open_tokens(tmp_path / "work", plan_of(rows), None, lambda _: None).marks, marks)


def test_marks_are_the_same_in_whatever_portions(rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[Any] = []
    for n in (8192, 5, 1):
        monkeypatch.setattr(autointerp.subject.shared_windows, "CONTEXTS_AT_ONCE", n)
        marks.append(np.array(open_tokens(tmp_path / "work", plan_of(rows), None, lambda _: None).marks))
        shutil.rmtree(tmp_path / "work")
    assert (marks[0] & 4).any(), "windows are dropped"
    assert all(np.array_equal(marks[0], other) for other in marks)
