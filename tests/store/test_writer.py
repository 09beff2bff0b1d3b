"""The writer: whole stages or nothing, one process at a time, nothing committed is ever lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from written import child, failures, says

from autointerp.errors import StoreError
from autointerp.store.columns import csr_list
from autointerp.store.opening import StoreHeld, open_for_writing
from autointerp.store.schema import SCHEMA_VERSION
from autointerp.store.writer import ROW_GROUP, StoreWriter

HOLD = """
import sys
from autointerp.store.writer import StoreWriter
with StoreWriter.open(sys.argv[1]) as writer:
    print("open", flush=True)
    sys.stdin.read()
"""


# --- the file


def test_a_new_store_has_the_schema_and_the_old_storage_format(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    StoreWriter.open(path).close()
    assert [file.name for file in tmp_path.iterdir()] == ["new.duckdb"]
    with duckdb.connect(str(path), read_only=True) as connection:
        meta = dict(connection.execute("SELECT * FROM meta").fetchall())
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'new'").fetchall()
    assert meta["schema_version"] == str(SCHEMA_VERSION)
    assert meta["created_by"].startswith("autointerp ")
    assert tags[0][0]["storage_version"].startswith("v1.5.0")


def test_opening_again_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    with StoreWriter.open(path) as writer, writer.transaction() as t:
        t.append("failures", failures(3, "x"))
    with StoreWriter.open(path) as writer:
        assert len(writer.query("SELECT * FROM failures")) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"hello" * 1000), "not a DuckDB file"),
        (lambda path: path.write_bytes(b""), "not a DuckDB file"),
        (lambda path: path.mkdir(), "not a DuckDB file"),
        (lambda path: duckdb.connect(str(path)).close(), "not an autointerp store"),
    ],
)
def test_what_is_no_store_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "x.duckdb"
    make(path)
    with pytest.raises(StoreError, match=message) as caught:
        StoreWriter.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r'folder ".*nowhere"'):
        StoreWriter.open(tmp_path / "nowhere" / "x.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    StoreWriter.open(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match=f"schema version 99.*up to {SCHEMA_VERSION}; upgrade autointerp") as caught:
        StoreWriter.open(path)
    assert str(path) in str(caught.value)


def test_another_process_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert says(holder) == "open"
    with pytest.raises(StoreHeld, match=rf"PID {holder.pid}.*kill {holder.pid}") as caught:
        StoreWriter.open(path)
    assert caught.value.pid == holder.pid
    assert caught.value.exit_status == 2
    holder.communicate("")
    StoreWriter.open(path).close()


# --- transactions


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with pytest.raises(KeyboardInterrupt), writer.transaction() as t:  # noqa: PT012
            t.append("failures", failures(3, "x"))
            t.mark_done("explain", "w", None, 3, 1.0)
            raise KeyboardInterrupt
        assert not writer.done("explain", "w")
        assert len(writer.query("SELECT * FROM failures")) == 0
        with writer.transaction() as t:
            t.append("failures", failures(2, "y"))
            t.mark_done("explain", "w", "sae", 2, 1.0)
        assert writer.done("explain", "w")
        assert not writer.done("score", "w")
        assert writer.rows("SELECT dictionary, n_rows FROM stages") == [{"dictionary": "sae", "n_rows": 2}]


def test_a_wrong_append_takes_the_whole_transaction_with_it(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with pytest.raises(ValueError, match=r"failures\.stage"), writer.transaction() as t:  # noqa: PT012
            t.append("failures", failures(3, "x"))
            t.append("failures", failures(3, "x") | {"stage": None})
        assert len(writer.query("SELECT * FROM failures")) == 0


def test_work_is_done_once(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            t.mark_done("score", "w", None, 0, 1.0)
        with pytest.raises(ValueError, match="done already"), writer.transaction() as t:
            t.mark_done("score", "w", None, 0, 1.0)


def test_the_latest_is_the_last_finished_whatever_the_clock_says(tmp_path: Path) -> None:
    tomorrow = datetime.now() + timedelta(days=1)
    with StoreWriter.open(tmp_path / "x.duckdb") as writer, writer.transaction() as t:
        stage: dict[str, Any] = {
            "stage": "score",
            "work": "old",
            "dictionary": "sae",
            "explainer": None,
            "scorer": None,
        }
        stage |= {"n_rows": 0, "seconds": 0.0}
        t.append("stages", stage | {"finished_at": tomorrow})
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            t.mark_done("score", "new", "sae", 0, 1.0)
        assert writer.rows("SELECT arg_max(work, finished_at) AS w FROM stages") == [{"w": "new"}]


def test_transactions_do_not_nest(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        for what in (writer.checkpoint, writer.publish_snapshot, writer.transaction().__enter__):
            with pytest.raises(RuntimeError, match="a transaction is open"), writer.transaction():
                what()


def test_threads_take_turns(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        errors: list[BaseException] = []

        def work(name: str) -> None:
            try:
                for number in range(5):
                    with writer.transaction() as t:
                        t.append("failures", failures(50, name))
                        t.mark_done("explain", f"{name}-{number}", None, 50, 0.0)
                    assert writer.done("explain", f"{name}-{number}")
                    writer.checkpoint()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(writer.query("SELECT * FROM failures")) == 750


def test_rows_are_let_go_of_before_the_commit(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "a.store") as writer:
        before = pa.total_allocated_bytes()
        with writer.transaction() as transaction:
            for _ in range(4):
                transaction.append("failures", failures(1 << 15, "no reason"))
            assert pa.total_allocated_bytes() - before < 1 << 15  # bytes: less than one of the columns
        assert writer.rows("SELECT count(*) AS n FROM failures") == [{"n": 4 << 15}]


def test_exemplars_go_in_at_150_000_rows_a_cpu_second(tmp_path: Path) -> None:
    n = 60_000
    start = np.arange(n + 1) * 3
    columns = {
        "dictionary": "sae",
        "feature": np.repeat(np.arange(n // 50), 50),
        "split": "explain",
        "stratum": np.array(["top", "random"])[np.arange(n) % 2],
        "rank": np.arange(n) % 50,
        "context": np.arange(n) % 999,
        "window_start": np.zeros(n, np.int32),
        "n_tokens": 32,
        "peak": np.zeros(n, np.int32),
        "stratum_low": None,
        "stratum_high": None,
        "probability": 1.0,
        "u": 0.5,
        "positions": csr_list(start, np.zeros(3 * n, np.uint8)),
        "activations": csr_list(start, np.random.default_rng(0).random(3 * n, dtype=np.float32)),
    }
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        before = time.process_time()
        with writer.transaction() as t:
            t.append("exemplars", columns)
        writer.checkpoint()
        seconds = time.process_time() - before
    assert n / seconds > 150_000


# --- snapshots


def test_a_snapshot_is_whole_and_goes_with_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    (tmp_path / "x.duckdb.snapshot.part-1").write_bytes(b"of a killed copy")
    with StoreWriter.open(path) as writer:
        with writer.transaction() as t:
            t.append("failures", failures(3, "x"))
        published = writer.publish_snapshot()
        with writer.transaction() as t:
            t.append("failures", failures(4, "y"))
        with duckdb.connect(str(published), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM failures").fetchall() == [(3,)]
        assert writer.publish_snapshot() == published == tmp_path / "x.duckdb.snapshot"
        with duckdb.connect(str(published), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM failures").fetchall() == [(7,)]
    assert [file.name for file in tmp_path.iterdir()] == ["x.duckdb"]


def test_publishing_does_not_let_a_second_writer_in(tmp_path: Path) -> None:
    """A copy made in the writer's own process would drop its POSIX lock."""
    path = tmp_path / "x.duckdb"
    with StoreWriter.open(path) as writer:
        writer.publish_snapshot()
        other = child(
            """
            import sys
            from autointerp.errors import StoreError
            from autointerp.store.writer import StoreWriter
            try:
                StoreWriter.open(sys.argv[1])
                print("opened")
            except StoreError as error:
                print(error)
            """,
            path,
        )
        assert f"PID {os.getpid()}" in says(other)
        other.communicate()


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    from autointerp.errors import AutointerpError

    path = tmp_path / "x.duckdb"
    real = open_for_writing(path, print)

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def execute(self, sql: str, *arguments: object) -> object:
            if sql == "COMMIT":
                raise duckdb.IOException("IO Error: No space left on device")
            return real.execute(sql, *arguments)

    full: Any = Full()
    writer = StoreWriter(path, full)
    with pytest.raises(AutointerpError, match=r"could not be written: .*No space") as caught, writer.transaction() as t:
        t.mark_done("explain", "w", None, 0, 0.0)
    assert caught.value.exit_status == 1
    assert not writer.done("explain", "w")
    writer.close()
    writer.close()


def test_bulk_rows_come_in_whole_row_groups_with_little_memory(tmp_path: Path) -> None:
    """The limit holds in the transaction and no longer; the rows are the same."""
    with StoreWriter.open(tmp_path / "s.duckdb") as writer:
        before = writer.rows("SELECT current_setting('memory_limit') AS found")
        with writer.transaction() as transaction:
            transaction.in_bulk()
            assert writer.rows("SELECT current_setting('memory_limit') AS found") == [{"found": "128.0 MiB"}]
            for n in (100_000, 1, 150_000, 149_999):
                assert transaction.append("failures", failures(n, "x" * 20)) == n
            transaction.append("failures", failures(7, "y") | {"feature": [None] * 7})
            transaction.mark_done("extract", "one", None, 0, 1.0)
            with pytest.raises(ValueError, match="done already"):
                transaction.mark_done("extract", "one", None, 0, 1.0)
            counts = {"n_explain": 1, "n_select": 0, "n_score": 0}
            transaction.append("vocab", {"token": [0], "text": ["a"], "is_special": False, **counts})
        assert writer.rows("SELECT current_setting('memory_limit') AS found") == before
        found = writer.query("SELECT feature, reason FROM failures")
        expected = np.concatenate([np.arange(n) for n in (100_000, 1, 150_000, 149_999)])
        np.testing.assert_array_equal(found["feature"].to_numpy()[:400_000], expected)
        assert found["reason"].to_pylist()[-8:] == ["x" * 20] + ["y"] * 7
        assert found["feature"].to_pylist()[-7:] == [None] * 7
        assert len(writer.rows("SELECT * FROM vocab")) == 1
        sizes = "SELECT sum(count) AS n FROM pragma_storage_info('failures') WHERE column_name = 'reason' "
        groups = writer.rows(sizes + "AND segment_type = 'VARCHAR' GROUP BY row_group_id ORDER BY row_group_id")
        assert [int(group["n"]) for group in groups] == [ROW_GROUP] * 3 + [400_007 - 3 * ROW_GROUP]
