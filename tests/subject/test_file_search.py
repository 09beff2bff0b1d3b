"""Files of folders and patterns: each once, whatever links lead to it."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.errors import InputError
from autointerp.subject.file_search import in_folder, matching
from autointerp.subject.sources import open_source
from autointerp.subject.tokenise import open_tokens


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_linked_folder_is_read(here: Path) -> None:
    make(here, "data/b/1.txt", "disk/2.txt", "disk/deep/3.txt")
    os.symlink("../disk", "data/a")
    search = in_folder(Path("data"))
    assert [str(file) for file in search.files] == ["data/a/2.txt", "data/a/deep/3.txt", "data/b/1.txt"]
    assert search.remarks == ["1 link followed"]
    assert open_source("text:data").remarks == search.remarks


def test_a_name_without_links_is_preferred_and_loops_end(here: Path) -> None:
    make(here, "data/b/1.txt", "data/c/2.txt")
    plain = in_folder(Path("data"))
    os.symlink("b", "data/a")
    os.symlink(".", "data/self")
    os.symlink("../..", "data/b/up")
    os.symlink("c/2.txt", "data/0.txt")
    for search in (in_folder(Path("data")), matching("data/**/*.txt"), matching("./data/**")):
        assert search.files == plain.files
        assert search.again == 1
    assert plain.remarks == []


def test_two_folders_that_link_to_each_other_end_too(here: Path) -> None:
    make(here, "x/1.txt", "y/2.txt")
    for first, second in (("x", "y"), ("y", "x")):
        for name in ("to", "too"):  # each level has four ways on: a walk without memory would not end
            os.symlink(f"../{second}", f"{first}/{name}")
    assert [str(file) for file in matching("**/*.txt").files] == ["x/1.txt", "y/2.txt"]
    assert [str(file) for file in matching("x/**/2.txt").files] == ["x/to/2.txt"]


def test_hard_links_are_one_file(here: Path) -> None:
    make(here, "data/b.txt")
    os.link("data/b.txt", "data/a.txt")
    search = matching("data/*.txt")
    assert [str(file) for file in search.files] == ["data/a.txt"]
    assert search.remarks == ["1 name of the same files left out"]


def test_links_that_lead_nowhere_are_named(here: Path) -> None:
    make(here, "data/1.txt")
    os.symlink("nothing", "data/gone.txt")
    os.symlink("round", "data/round")
    assert in_folder(Path("data")).remarks == ['2 links lead nowhere and left out: "data/gone.txt", "data/round"']
    for i in range(5):
        os.symlink("nothing", f"data/gone-{i}.txt")
    assert in_folder(Path("data")).remarks[0].endswith(" and 4 more")


@pytest.mark.parametrize(
    "pattern",
    ["*", "*/*", "**", "**/*.txt", "a/**/*", "*/b/**/?.md", "[ab]/*.txt", "a/b/c.txt", "a/../a/*.txt", "**/.h*",
     "nothing/*", "a/1.txt/*", "{absolute}/**/*.txt", "{absolute}/a/*"],
)  # fmt: skip
def test_without_links_a_pattern_means_what_glob_says(pattern: str, here: Path) -> None:
    make(here, "1.txt", "a/1.txt", "a/b/c.txt", "a/b/d.md", "b/2.txt", ".hidden/x.txt", "a/.h.txt", "c/b/e/f.md")
    pattern = pattern.replace("{absolute}", str(here))
    expected = sorted(Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
    assert matching(pattern).files == expected


def test_the_order_is_that_of_names_however_the_folder_lists_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(here, *(f"data/{name}/{number}.txt" for name in "bac" for number in range(5)))
    os.symlink("../data", "data/b/up")
    search = in_folder(Path("data"))
    listed: Callable[[Path], list[str]] = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path), reverse=True))
    assert in_folder(Path("data")).files == search.files == sorted(search.files)


def test_a_folder_that_may_not_be_read_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(here, "data/1.txt")

    def denied(_: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(InputError, match='the folder "data" cannot be read: Permission denied'):
        in_folder(Path("data"))


def test_the_run_is_told_of_links(here: Path, plan: Any, encode: Any) -> None:
    make(here, *(f"disk/{number}.txt" for number in range(40)))
    os.mkdir("data")
    os.symlink("../disk", "data/there")
    assert open_tokens(here / "work", plan("text:data"), encode, lambda _: None).remarks == ["1 link followed"]
