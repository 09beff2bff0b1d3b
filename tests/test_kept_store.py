"""A kept store is made once, made again where anything that it is made from changes, and never the one that is read."""

from __future__ import annotations

from pathlib import Path

from kept_store import MADE_FROM, ROOT, copy_of, kept_store, key_of_sources


def written(path: Path) -> None:
    path.write_text(f"made as number {len(list(path.parents[1].glob('*/made')))}")
    (path.parent / "made").touch()
    Path(f"{path}.work").mkdir()


def test_it_is_made_once_for_a_key_and_older_ones_go(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        written(path)

    first = kept_store(tmp_path, "one", make)
    assert kept_store(tmp_path, "one", make) == first
    second = kept_store(tmp_path, "two", make)
    assert made == [first, second]
    assert not first.exists()
    kept_store(tmp_path, "one", make)
    assert len(made) == 3


def test_one_that_was_broken_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "kept.duckdb").write_text("half")
    assert kept_store(tmp_path, "one", written).read_text().startswith("made")


def test_a_copy_has_what_lies_beside_it(tmp_path: Path) -> None:
    kept = kept_store(tmp_path, "one", written)
    (tmp_path / "elsewhere").mkdir()
    copied = copy_of(kept, tmp_path / "elsewhere" / "mine.duckdb")
    copied.write_text("changed")
    assert kept.read_text().startswith("made")
    assert Path(f"{copied}.work").is_dir()


def test_the_key_changes_with_every_file(tmp_path: Path) -> None:
    for name in MADE_FROM:
        assert (ROOT / name).is_dir()
        (tmp_path / name).mkdir(parents=True)
    keys = {key_of_sources(tmp_path)}
    for name in MADE_FROM:
        (tmp_path / name / "a.txt").write_text("a")
        keys.add(key_of_sources(tmp_path))
    (tmp_path / "autointerp" / "a.txt").write_text("b")
    keys.add(key_of_sources(tmp_path))
    assert len(keys) == len(MADE_FROM) + 2
    (tmp_path / "autointerp" / "__pycache__").mkdir()
    (tmp_path / "autointerp" / "__pycache__" / "a.pyc").write_text("c")
    assert key_of_sources(tmp_path) in keys
