"""Readers that share one DuckDB: the same answers, locked down alike, and the file is free when nobody reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from autointerp.errors import StoreError
from autointerp.store import shared_reader
from autointerp.store.opening import snapshot_path
from autointerp.store.reader import SHARED, open_reader
from autointerp.store.shared_reader import SharedReader, share_readers
from autointerp.store.writer import StoreWriter

COUNTS = "SELECT dictionary, count(*) AS n FROM feature_cards GROUP BY dictionary ORDER BY dictionary"
SCHEMA = "SELECT count(*) AS n FROM duckdb_columns() WHERE NOT internal"


@pytest.fixture
def mine(built: tuple[Path, object], tmp_path: Path) -> Path:
    path = tmp_path / "it's.duckdb"
    shutil.copy(built[0], path)
    return path


@pytest.fixture
def shared(mine: Path) -> Iterator[SharedReader]:
    yield SharedReader(mine)
    SHARED.clear()


def writes(path: Path) -> str:
    """What a writer of another process comes to."""
    code = "import sys, duckdb\ntry: duckdb.connect(sys.argv[1])\nexcept duckdb.IOException: print('kept out')"
    return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout.strip()


def test_it_answers_as_a_reader_of_its_own(mine: Path, shared: SharedReader) -> None:
    with open_reader(mine) as alone:
        expected = [alone.rows(sql) for sql in (COUNTS, SCHEMA)]
    assert expected[0]
    for _ in range(2):
        with shared.open() as reader:
            assert [reader.rows(sql) for sql in (COUNTS, SCHEMA)] == expected
            assert reader.brief().rows(COUNTS) == expected[0]
            assert reader.notice is None
            assert len(reader.filtered("features", "density >= 0", "--where")) > 0


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "DELETE FROM meta",
        "ATTACH '/tmp/other.duckdb'",
        "SET enable_external_access = true",
        "COPY meta TO '/tmp/meta.csv'",
        "LOAD httpfs",
    ],
)
def test_it_is_locked_down(shared: SharedReader, sql: str) -> None:
    with shared.open() as reader, pytest.raises(StoreError):
        reader.query(sql)


def test_conditions_of_users_reach_no_file(shared: SharedReader) -> None:
    with shared.open() as reader, pytest.raises(StoreError, match="--where"):
        reader.filtered("features", "(SELECT count(*) FROM read_text('/etc/passwd')) > 0", "--where")


def test_a_writer_has_its_turn_when_nobody_reads(mine: Path, shared: SharedReader) -> None:
    first, second = shared.open(), shared.open()
    first.close()
    first.close()
    assert writes(mine) == "kept out"
    second.close()
    assert writes(mine) == ""
    StoreWriter.open(mine).close()  # of this very process
    with shared.open() as reader:
        assert reader.rows(COUNTS)


def test_a_snapshot_is_read_while_a_run_holds_the_store(mine: Path, shared: SharedReader) -> None:
    shutil.copy(mine, snapshot_path(mine))
    code = "import sys, duckdb\nc = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, mine], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with shared.open() as reader:
            assert "is being written by" in (reader.notice or "")
            assert reader.rows(COUNTS)
        snapshot_path(mine).unlink()
        with pytest.raises(StoreError, match="no snapshot yet"):
            shared.open()
        holder.communicate("")
    with shared.open() as reader:
        assert reader.notice is None


def test_open_reader_shares_where_it_was_asked_to(mine: Path, shared: SharedReader) -> None:
    share_readers(mine)
    share_readers(mine)
    with open_reader(mine) as outer, open_reader(str(mine)) as inner:
        assert inner.rows(COUNTS) == outer.rows(COUNTS)
    with shared.open() as other:  # a DuckDB of its own: the file is free
        assert other.rows(COUNTS)


def test_readers_that_overlap_for_long_wait_a_moment(shared: SharedReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_reader, "LONGEST", 0.0)
    monkeypatch.setattr(shared_reader, "MOMENT", 30.0)
    first = shared.open()
    threading.Timer(0.2, first.close).start()
    with shared.open() as second:  # not after 30 s, but as soon as the first is gone
        assert second.rows(COUNTS)
    monkeypatch.setattr(shared_reader, "MOMENT", 0.01)
    with shared.open() as outer, shared.open() as inner:  # nobody waits for ever for himself
        assert inner.rows(COUNTS) == outer.rows(COUNTS)


def test_what_is_no_store_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        SharedReader(tmp_path / "none.duckdb").open()
    duckdb.connect(tmp_path / "other.duckdb").close()
    other = SharedReader(tmp_path / "other.duckdb")
    for _ in range(2):
        with pytest.raises(StoreError, match="not an autointerp store"):
            other.open()
    (tmp_path / "text.duckdb").write_text("no database " * 1000)
    with pytest.raises(StoreError, match="not a DuckDB file"):
        SharedReader(tmp_path / "text.duckdb").open()
