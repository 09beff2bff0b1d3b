"""A writer killed at any moment, and a damaged log: whole stages or nothing, and no word of it lost."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from written import child, says

from autointerp.errors import StoreError
from autointerp.store.reader import open_reader
from autointerp.store.writer import StoreWriter

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
