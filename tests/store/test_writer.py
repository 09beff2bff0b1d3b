"""The writer: whole stages or nothing, one process at a time, nothing committed is ever lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
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
from hypothesis import given
from hypothesis import strategies as st

from autointerp.errors import StoreError
from autointerp.store.columns import TableColumn, csr_list, to_csr, to_table
from autointerp.store.opening import StoreHeld, open_for_writing
from autointerp.store.reader import open_reader
from autointerp.store.schema import SCHEMA_VERSION
from autointerp.store.writer import ROW_GROUP, StoreWriter


def failures(n: int, reason: str) -> dict[str, object]:
    """Columns of `failures`: the plainest table there is."""
    return {
        "stage": "explain",
        "dictionary": None,
        "feature": np.arange(n),
        "explainer": None,
        "scorer": None,
        "status": "failed",
        "reason": reason,
        "again": 0,
    }


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process; its code finds the arguments in `sys.argv`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


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
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            stage: dict[str, Any] = {
                "stage": "score",
                "work": "old",
                "dictionary": "sae",
                "explainer": None,
                "scorer": None,
            }
            stage |= {"n_rows": 0, "seconds": 0.0}
            t.append("stages", stage | {"finished_at": tomorrow})
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


# --- columns


def test_every_form_of_a_column_comes_back(tmp_path: Path) -> None:
    start, values = np.array([0, 2, 2, 3]), np.array([4, 5, 6], np.uint32)
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            for pools in (csr_list(start, values), [[4, 5], [], [6]], [np.array([4, 5]), np.array([]), [6]]):
                n = t.append(
                    "pool_firing", {"dictionary": "sae", "feature": np.arange(3), "split": "score", "pools": pools}
                )
                assert n == 3
            two = {"dictionary": "two", "feature": pa.array([0, 1]), "split": "score"}
            t.append("pool_firing", two | {"pools": np.eye(2, dtype=int)})
        rows = writer.rows("SELECT feature, pools FROM pool_firing WHERE dictionary = 'sae' ORDER BY feature")
        assert [row["pools"] for row in rows] == [[4, 5]] * 3 + [[]] * 3 + [[6]] * 3
        assert writer.rows("SELECT pools FROM pool_firing WHERE dictionary = 'two'") == [
            {"pools": [1, 0]},
            {"pools": [0, 1]},
        ]


def test_nan_is_no_value_where_there_may_be_none_and_refused_elsewhere(tmp_path: Path) -> None:
    score = {
        "run": "r",
        "dictionary": "d",
        "feature": [0, 1, 2],
        "explainer": "e",
        "scorer": "s",
        "metric": "m",
        "design": "census",
        "value": np.array([1.0, np.nan, 0.0]),
        "ci_low": [0.5, float("nan"), None],
        "ci_high": np.float64("nan"),
        "n": 1,
        "n_failed": 0,
        "status": "ok",
    }
    with StoreWriter.open(tmp_path / "x.duckdb") as writer:
        with writer.transaction() as t:
            t.append("scores", score)
        assert writer.query("SELECT value, ci_low, ci_high FROM scores").to_pydict() == {
            "value": [1.0, None, 0.0],
            "ci_low": [0.5, None, None],
            "ci_high": [None, None, None],
        }
        with pytest.raises(ValueError, match=r"stages\.seconds: 1 rows have no value"), writer.transaction() as t:
            t.mark_done("score", "w", None, 0, float("nan"))


SCHEMA = (TableColumn("number", pa.int32(), False), TableColumn("share", pa.float64(), True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"number": [1], "shrae": [1.0]},
            r"t: columns that it does not have: \['shrae'\]; columns not given: \['share'\]",
        ),
        ({"number": [1, 2], "share": [1.0]}, "different lengths"),
        ({"number": np.array([1.5]), "share": None}, r"t\.number"),
        ({"number": np.array([2**40]), "share": None}, r"t\.number"),
        ({"number": ["a"], "share": None}, r"t\.number"),
        ({"number": [None], "share": None}, r"t\.number: 1 rows have no value"),
    ],
)
def test_wrong_columns_are_named(columns: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_table("t", SCHEMA, columns)


def test_an_unknown_table_is_named(tmp_path: Path) -> None:
    with (
        StoreWriter.open(tmp_path / "x.duckdb") as writer,
        pytest.raises(ValueError, match=r"no table 'scoers'.*scores"),
        writer.transaction() as t,
    ):
        t.append("scoers", {})


@given(st.lists(st.lists(st.integers(0, 255), max_size=4), max_size=20))
def test_csr_survives_the_way_there_and_back(lists: list[list[int]]) -> None:
    start = np.cumsum([0, *map(len, lists)])
    values = np.array([value for one in lists for value in one], dtype=np.uint8)
    column = csr_list(start, values)
    assert [item.as_py() for item in column] == lists
    back, flat = to_csr(pa.chunked_array([column[:3], column[3:]]))
    assert back.tolist() == start.tolist()
    assert flat.tolist() == values.tolist()


def test_csr_copies_nothing() -> None:
    values = np.arange(1000, dtype=np.float32)
    column = csr_list(np.array([0, 1000]), values)
    held = column.values.buffers()[1]
    assert held is not None
    assert held.address == values.ctypes.data


@pytest.mark.parametrize("start", [[0, 5], [2, 1], [-1, 2], []])
def test_csr_checks_its_starts(start: list[int]) -> None:
    with pytest.raises(ValueError, match="start must rise"):
        csr_list(np.array(start, dtype=np.int64), np.arange(3))


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
        "max_activation": np.ones(n),
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


# --- kills and damage

COMMIT = """
import itertools, sys
import numpy as np
from autointerp.store.writer import StoreWriter
writer = StoreWriter.open(sys.argv[1])
first = writer.rows("SELECT count(*) AS n FROM stages")[0]["n"]
for number in itertools.count(first):
    rows = 200 + number % 5
    with writer.transaction() as t:
        for half in (0, 1):
            t.append("failures", {"stage": f"work-{number}", "dictionary": None, "feature": np.arange(rows),
                "explainer": None, "scorer": None, "status": "failed", "reason": "x" * 50, "again": 0})
        t.mark_done("explain", f"work-{number}", None, 2 * rows, 0.0)
    if number % 7 == 3:
        writer.checkpoint()
    if number % 11 == 5:
        writer.publish_snapshot()
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_whole_stages_only(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    moments = random.Random(0)
    for _ in range(4):
        process = child(COMMIT, path)
        reported = [says(process)]  # the first commit takes long; the kill comes among the later ones
        time.sleep(moments.uniform(0.0, 0.4))
        process.kill()
        reported += (process.communicate()[0] or "").split()
        with StoreWriter.open(path) as writer:
            stages = {row["work"]: row["n_rows"] for row in writer.rows("SELECT work, n_rows FROM stages")}
            counted = {
                row["stage"]: row["n"] for row in writer.rows("SELECT stage, count(*) AS n FROM failures GROUP BY ALL")
            }
        assert counted == stages
        assert {f"work-{number}" for number in reported if number} <= set(stages)
    assert len(stages) > 8


def test_a_kill_while_creating_leaves_no_half_made_store(tmp_path: Path) -> None:
    moments = random.Random(1)
    create = """
        import sys
        from autointerp.store.writer import StoreWriter
        print("ready", flush=True)
        StoreWriter.open(sys.argv[1])
        print("open", flush=True)
        sys.stdin.read()
    """
    for number in range(4):
        path = tmp_path / f"x{number}.duckdb"
        process = child(create, path)
        assert says(process) == "ready"
        time.sleep(moments.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        existed = path.exists()
        if existed:
            with duckdb.connect(str(path), read_only=True) as connection:
                assert connection.execute("SELECT count(*) FROM meta").fetchall() == [(2,)]
        StoreWriter.open(path).close()
        assert path.exists()
    assert all(".new-" not in file.name or file.name.startswith(".x") for file in tmp_path.iterdir())


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with one checkpointed stage, and one in the log of a killed writer."""
    folder = tmp_path_factory.mktemp("killed")
    process = child(
        """
        import os, sys
        import numpy as np
        from autointerp.store.writer import StoreWriter
        writer = StoreWriter.open(sys.argv[1])
        for number in (0, 1):
            with writer.transaction() as t:
                t.append("failures", {"stage": "s", "dictionary": None, "feature": np.arange(500), "explainer": None,
                    "scorer": None, "status": "failed", "reason": "x" * 50, "again": 0})
                t.mark_done("explain", f"work-{number}", None, 500, 0.0)
            if number == 0:
                writer.checkpoint()
        os.kill(os.getpid(), 9)
        """,
        folder / "x.duckdb",
    )
    process.communicate()
    assert (folder / "x.duckdb.wal").stat().st_size > 10_000
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to / "x.duckdb"


def test_the_log_of_a_killed_writer_is_replayed(killed: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with StoreWriter.open(copy_of(killed, tmp_path), say=said.append) as writer:
        assert writer.done("explain", "work-0")
        assert writer.done("explain", "work-1")
    assert said == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda log: log[:-300] + bytes(255 - byte for byte in log[-300:]),  # DuckDB refuses it
        lambda log: bytes(255 - byte for byte in log),  # DuckDB passes over it, and overwrites it
    ],
    ids=["refused", "passed over"],
)
def test_a_damaged_log_is_set_aside_and_said_so(killed: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = copy_of(killed, tmp_path)
    log = tmp_path / "x.duckdb.wal"
    damaged = damage(log.read_bytes())
    (tmp_path / "x.duckdb.wal.damaged-1").write_bytes(b"an older one")
    log.write_bytes(damaged)
    said: list[str] = []
    with StoreWriter.open(path, say=said.append) as writer:
        assert writer.done("explain", "work-0")
        assert not writer.done("explain", "work-1")
        with writer.transaction() as t:
            t.mark_done("explain", "work-1", None, 0, 0.0)
    assert (tmp_path / "x.duckdb.wal.damaged-2").read_bytes() == damaged
    assert (tmp_path / "x.duckdb.wal.damaged-1").read_bytes() == b"an older one"
    assert len(said) == 1
    assert "x.duckdb.wal.damaged-2" in said[0]


def test_a_reader_replays_the_log_too_and_touches_nothing(killed: Path, tmp_path: Path) -> None:
    path = copy_of(killed, tmp_path)
    log = tmp_path / "x.duckdb.wal"
    before = log.read_bytes()
    with open_reader(path) as reader:
        assert len(reader.query("SELECT * FROM stages")) == 2
    assert log.read_bytes() == before
    log.write_bytes(before[:-300] + bytes(300))
    with pytest.raises(StoreError, match="cannot be replayed; `autointerp run` sets it aside") as caught:
        open_reader(path)
    assert "\n" not in str(caught.value)
    assert log.read_bytes() == before[:-300] + bytes(300)


def test_the_log_of_a_store_that_is_gone_is_set_aside(killed: Path, tmp_path: Path) -> None:
    path = copy_of(killed, tmp_path)
    (tmp_path / "x.duckdb.snapshot").write_bytes(b"of the store that is gone")
    path.unlink()
    said: list[str] = []
    with StoreWriter.open(path, say=said.append) as writer:
        assert not writer.done("explain", "work-0")
        assert not (tmp_path / "x.duckdb.snapshot").exists()
    assert (tmp_path / "x.duckdb.wal.damaged-1").exists()
    assert len(said) == 1


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
