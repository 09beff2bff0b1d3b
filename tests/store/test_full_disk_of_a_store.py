"""A new store on a disk without room, and one behind a link."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_disk import files_of_at_most

from autointerp.errors import AutointerpError
from autointerp.store.writer import StoreWriter


@pytest.mark.parametrize("n_bytes", [1 << 12, 1 << 16, 1 << 18])
def test_a_store_that_finds_no_room_is_not_made(n_bytes: int, tmp_path: Path) -> None:
    with files_of_at_most(n_bytes), pytest.raises(AutointerpError, match=r"could not be written|cannot be opened"):
        StoreWriter.open(tmp_path / "s.duckdb")
    assert list(tmp_path.iterdir()) == []
    StoreWriter.open(tmp_path / "s.duckdb").close()


def test_a_store_behind_a_link_that_leads_nowhere_yet(tmp_path: Path) -> None:
    """A link to another disk: the store is made there, and the link stays."""
    (tmp_path / "big").mkdir()
    (tmp_path / "s.duckdb").symlink_to("big/real.duckdb")
    StoreWriter.open(tmp_path / "s.duckdb").close()
    assert (tmp_path / "s.duckdb").is_symlink()
    assert [path.name for path in (tmp_path / "big").iterdir()] == ["real.duckdb"]
    (tmp_path / "t.duckdb").symlink_to("nothing/real.duckdb")
    with pytest.raises(
        AutointerpError, match=r't\.duckdb" is a link to ".*nothing/real\.duckdb", and there is no such'
    ):
        StoreWriter.open(tmp_path / "t.duckdb")
