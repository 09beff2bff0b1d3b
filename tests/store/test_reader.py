"""The reader: opened per request, read-only, locked down; a run's snapshot while it holds the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from autointerp.errors import StoreError
from autointerp.store import reader as reader_module
from autointerp.store.opening import StoreHeld
from autointerp.store.reader import StoreReader, open_reader
from autointerp.store.writer import StoreWriter


@pytest.fixture
def opened(built: tuple[Path, object]) -> Iterator[StoreReader]:
    with open_reader(built[0]) as reader:
        yield reader


def test_values_are_bound_by_name(opened: StoreReader) -> None:
    table = opened.query("SELECT feature FROM features WHERE dictionary = $d AND status = $s", d="sae", s="dead")
    assert table.to_pydict() == {"feature": [4]}
    assert opened.rows("SELECT $x AS x, $y AS y", x="'; DROP TABLE meta; --", y=[1, 2]) == [
        {"x": "'; DROP TABLE meta; --", "y": [1, 2]}
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "FROM meta",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
        "VALUES (1)",
        "DESCRIBE meta",
        "SHOW TABLES",
        "SUMMARIZE features",
        "EXPLAIN SELECT 1",
        "SELECT 1; -- a comment",
        "TABLE meta",
        "PIVOT (SELECT dictionary, status FROM features) ON status USING count(*)",
    ],
)
def test_whatever_reads_is_run(opened: StoreReader, sql: str) -> None:
    assert len(opened.query(sql)) > 0


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO meta VALUES ('a', 'b')",
        "DELETE FROM meta",
        "UPDATE meta SET value = '2'",
        "DROP TABLE meta",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TEMP TABLE x AS SELECT 1",
        "ALTER TABLE meta RENAME TO x",
        "WITH x AS (INSERT INTO meta VALUES ('a', 'b') RETURNING *) SELECT * FROM x",
        "EXPLAIN ANALYZE DELETE FROM meta",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "COPY meta TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/out.duckdb'",
        "INSTALL fts",
        "LOAD fts",
        "SET memory_limit = '1GB'",
        "SET enable_external_access = true",
        "PRAGMA version",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "CALL enable_logging(storage := 'file', storage_path := '{folder}/log')",
        "SELECT * FROM enable_logging('QueryLog', storage := 'file', storage_path := '{folder}/log')",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE meta",
        "",
        "SELEC 1",
        "SELECT nothing FROM meta",
        "FROM nowhere",
        "SELECT $unbound",
        "SELECT 'x'::INTEGER",
        "SELECT error('two\nlines')",
    ],
)
def test_whatever_would_write_or_reach_out_or_is_wrong_is_one_line(
    built: tuple[Path, object], tmp_path: Path, sql: str
) -> None:
    before = built[0].stat()
    with open_reader(built[0]) as reader, pytest.raises(StoreError) as caught:
        reader.query(sql.replace("{folder}", str(tmp_path)))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2
    assert list(tmp_path.iterdir()) == []
    assert [file.name for file in built[0].parent.iterdir()] == ["demo.duckdb"]
    assert (built[0].stat().st_size, built[0].stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_brief_rows_are_the_rows(opened: StoreReader) -> None:
    brief = opened.brief()
    for sql in (
        "FROM features ORDER BY ALL",
        "FROM exemplars ORDER BY ALL",
        "FROM scores ORDER BY ALL",
        "SELECT NULL AS nothing, 'nan'::FLOAT AS none, 0.1::FLOAT AS some, [true, NULL] AS list, 3::UBIGINT AS n",
        "SELECT * FROM meta WHERE key = 'nothing'",
    ):
        expected = opened.rows(sql)
        assert repr(brief.rows(sql)) == repr(expected)  # nan is no nan
    assert brief.rows("SELECT $a AS a", a="x") == [{"a": "x"}]
    for sql in ("DELETE FROM meta", "SELECT 1; SELECT 2", "SELEC 1", "SELECT nothing FROM meta", "SELECT $unbound"):
        with pytest.raises(StoreError) as caught:
            brief.rows(sql)
        assert "\n" not in str(caught.value)


def test_a_python_variable_is_no_table(opened: StoreReader) -> None:
    mine = {"a": [1]}
    with pytest.raises(StoreError, match="mine"):
        opened.query("SELECT * FROM mine")
    assert mine


def test_a_missing_store_names_the_nearest(store: Path) -> None:
    with pytest.raises(StoreError, match=r'there is no store ".*dmeo\.duckdb".*"demo\.duckdb"') as caught:
        open_reader(store.parent / "dmeo.duckdb")
    assert caught.value.exit_status == 2
    with pytest.raises(StoreError, match="no folder"):
        open_reader(store.parent / "nowhere" / "demo.duckdb")


def test_an_empty_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="autointerp run"):
        open_reader(tmp_path / "x.duckdb")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"hello" * 1000), "not a DuckDB file"),
        (lambda path: path.mkdir(), "not a DuckDB file"),
        (lambda path: duckdb.connect(str(path)).close(), "not an autointerp store"),
    ],
)
def test_what_is_no_store_is_refused(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "x.duckdb")
    with pytest.raises(StoreError, match=message):
        open_reader(tmp_path / "x.duckdb")


def test_a_newer_schema_is_refused(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match="schema version 99"):
        open_reader(store)


def test_reading_leaves_nothing_beside_the_store(store: Path) -> None:
    store.parent.chmod(0o500)
    try:
        with open_reader(store) as reader:
            assert len(reader.query("SELECT * FROM features ORDER BY random()")) == 12
    finally:
        store.parent.chmod(0o700)
    assert [file.name for file in store.parent.iterdir()] == ["demo.duckdb"]


HOLD = """
import sys
from autointerp.store.writer import StoreWriter
with StoreWriter.open(sys.argv[1]) as writer:
    if "publish" in sys.argv:
        writer.publish_snapshot()
        with writer.transaction() as t:
            t.mark_done("score", "after the snapshot", None, 0, 0.0)
    print("open", flush=True)
    sys.stdin.read()
"""


def hold(path: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_while_a_run_holds_the_store_its_snapshot_is_read(store: Path) -> None:
    process = hold(store, "publish")
    with open_reader(store) as reader:
        assert reader.snapshot
        assert reader.notice is not None
        assert f"PID {process.pid}" in reader.notice
        assert reader.rows("SELECT * FROM stages WHERE work = 'after the snapshot'") == []
    process.communicate("")
    with open_reader(store) as reader:
        assert not reader.snapshot
        assert reader.notice is None
        assert len(reader.rows("SELECT * FROM stages WHERE work = 'after the snapshot'")) == 1


def test_without_a_snapshot_the_holder_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_WAITS", (0.0,))
    process = hold(store)
    with pytest.raises(StoreHeld, match=rf"PID {process.pid}.*no snapshot yet"):
        open_reader(store)
    process.communicate("")


def test_a_writer_in_this_process_is_named_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_WAITS", (0.0,))
    with StoreWriter.open(store) as writer:
        with pytest.raises(StoreHeld, match=rf"this very process \(PID {os.getpid()}\)"):
            open_reader(store)
        writer.publish_snapshot()
        with open_reader(store) as reader:
            assert reader.snapshot


def test_many_readers_at_once(store: Path) -> None:
    with open_reader(store) as one, open_reader(store) as two:
        assert one.rows("SELECT count(*) AS n FROM vocab") == two.rows("SELECT count(*) AS n FROM vocab") == [{"n": 40}]


def test_the_writer_offers_the_same_questions(store: Path) -> None:
    with StoreWriter.open(store) as writer:
        assert writer.rows("SELECT count(*) AS n FROM vocab WHERE token < $t", t=3) == [{"n": 3}]
        with pytest.raises(StoreError, match="only read"):
            writer.query("DELETE FROM vocab")
