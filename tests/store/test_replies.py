"""The reply log on disk."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from autointerp.errors import AutointerpError
from autointerp.reply_log import Call, LoggedReply, Usage
from autointerp.store.opening import open_for_writing
from autointerp.store.reader import open_reader
from autointerp.store.replies import ReplyReader, StoreReplyLog
from autointerp.store.writer import StoreWriter

CALL = Call(
    request="r",
    sample=0,
    attempt=1,
    kind="explain",
    about=None,
    provider="openai",
    server="s",
    model="m",
    channel="live",
    status="ok",
    reason="",
    prefix="p",
    prompt="words",
    called_at=datetime(2026, 11, 20),
    latency_ms=1.5,
    http_status=200,
    returned_model="m-1",
    stop_reason="stop",
    reply="text",
    usage=Usage(7, 3, 2, 1),
    cost_usd=0.5,
)


def put(log: StoreReplyLog, *calls: Call) -> None:
    for call in calls:
        log.append(call, f"the prefix {call.prefix}")
    log.flush()


def test_the_latest_good_reply_counts_and_every_attempt_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    with StoreWriter.open(path) as store, StoreReplyLog(store) as log:
        put(
            log,
            CALL,
            replace(CALL, attempt=2, status="truncated", reply="te", stop_reason="length"),
            replace(CALL, attempt=3, reply="newer", tokens="[]"),
            replace(CALL, attempt=4, status="rate_limited", reply=None, usage=None, cost_usd=0.0, prefix="q"),
            replace(CALL, sample=1, status="refused", reply="no", cost_usd=None),
        )
        found = log.look_up([("r", 0), ("r", 1), ("r", 2), ("other", 0)])
        assert found == {
            ("r", 0): LoggedReply(4, 0, "newer", "[]", "m-1", "stop", ("live", "rate_limited", "")),
            ("r", 1): LoggedReply(1, last=("live", "refused", "")),
        }
        assert not found["r", 1].good
        assert store.rows("SELECT * FROM llm_prefixes ORDER BY prefix") == [
            {"prefix": "p", "text": "the prefix p"},
            {"prefix": "q", "text": "the prefix q"},
        ]
    with open_reader(path) as reader:
        [ledger] = ReplyReader(reader).ledger()
    assert (ledger.attempts, ledger.ok, ledger.unknown, ledger.cost_usd) == (5, 2, 1, 1.5)
    assert (ledger.input_tokens, ledger.output_tokens, ledger.cache_read_tokens) == (28, 12, 8)


def test_an_empty_reply_that_is_good_is_one(tmp_path: Path) -> None:
    """An echo writes nothing and is good all the same."""
    with StoreWriter.open(tmp_path / "s.duckdb") as store, StoreReplyLog(store) as log:
        put(log, replace(CALL, reply="", tokens='[["a",null,[]]]'))
        assert log.look_up([("r", 0)])["r", 0].good


def test_what_is_landed_is_on_disk(tmp_path: Path) -> None:
    """Told means committed: another connection to a copy of the files sees the row."""
    landed = threading.Event()
    with StoreWriter.open(tmp_path / "s.duckdb") as store, StoreReplyLog(store) as log:
        begun = time.perf_counter()
        log.append(CALL, "x", lambda error: landed.set() if error is None else None)
        assert landed.wait(5)
        assert time.perf_counter() - begun < 2
        for name in ("s.duckdb", "s.duckdb.wal"):
            (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
        (tmp_path / "copy-s.duckdb.wal").rename(tmp_path / "copy-s.duckdb.wal.tmp")
        (tmp_path / "copy-s.duckdb.wal.tmp").rename(tmp_path / "copy-s.duckdb.wal")
    with StoreWriter.open(tmp_path / "copy-s.duckdb") as copy:
        assert copy.rows("SELECT request FROM llm_calls") == [{"request": "r"}]


def test_many_writers_at_once_and_stages_between(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "s.duckdb") as store, StoreReplyLog(store) as log:

        def write(worker: int) -> None:
            for number in range(100):
                log.append(replace(CALL, request=f"{worker}-{number}"), "x")

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for number in range(5):
            with store.transaction() as transaction:
                transaction.append("meta", {"key": f"k{number}", "value": "v"})
        for thread in threads:
            thread.join()
        log.flush()
        assert store.rows("SELECT count(DISTINCT request) AS n FROM llm_calls") == [{"n": 800}]
        assert len(log.commit_s) < 400, "commits are grouped"


def test_a_log_that_cannot_be_written_says_so_to_everybody(tmp_path: Path) -> None:
    errors: list[Exception | None] = []
    path = tmp_path / "s.duckdb"
    connection = open_for_writing(path, print)
    with StoreWriter(path, connection) as store, StoreReplyLog(store) as log:
        put(log, CALL)
        connection.execute("DROP TABLE llm_calls")
        log.append(replace(CALL, attempt=2), "x", errors.append)
        with pytest.raises(AutointerpError, match="could not be written"):
            log.flush()
        with pytest.raises(AutointerpError, match="could not be written"):
            log.append(CALL, "x")
    assert len(errors) == 1
    assert isinstance(errors[0], AutointerpError)


def test_what_models_count_is_learned_from_ten_replies_on(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "s.duckdb") as store, StoreReplyLog(store) as log:
        put(log, *(replace(CALL, request=f"r{number}") for number in range(9)))
        assert log.tokens_per_char("s", "m") is None
        assert log.typical_output("s", "m") == {}
        put(log, replace(CALL, request="r9"))
        assert log.tokens_per_char("s", "m") == pytest.approx(7 / (len("the prefix p") + len("words")))
        assert log.typical_output("s", "m") == {"explain": 3.0}
        assert log.tokens_per_char("s", "other") is None
        log.keep_probe("s", "m", "schema")
        assert list(log.probed()) == [("s", "m", "schema")]
