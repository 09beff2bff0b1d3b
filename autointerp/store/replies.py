"""The reply log on disk: `llm_calls`, with one writer thread.

Replies are committed in groups: the first row wakes the thread, which sleeps for GATHER_S and commits all that has come
by then, so that a reply is on disk within 50 ms and a thousand of them do not wait for the disk a thousand times. (A
thread that wakes for each row takes the interpreter from the event loop each time.) A caller is told when its row is
there; it shows a reply to nobody before.

It shares the store with stages that write, and takes turns with them: nobody may wait for a reply inside a transaction.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from autointerp.reply_log import Call, CallKey, Landed, LedgerRow, LoggedReply
from autointerp.store.columns import warm_up
from autointerp.store.query import Queryable
from autointerp.store.writer import StoreWriter

GATHER_S = 0.04
MOST_AT_ONCE = 1024
_KEEP_TIMES = 100_000
_PROBED = "SELECT server, model, wish FROM llm_probes GROUP BY ALL ORDER BY max(found_at), wish"


class ReplyReader:
    """What is in the reply log, read through anything that can query a store."""

    def __init__(self, store: Queryable) -> None:
        self._read = store

    def look_up(self, keys: Sequence[CallKey]) -> dict[CallKey, LoggedReply]:
        """The latest good reply for each key, and how often it was tried; keys without a row are absent."""
        rows = self._read.rows(_LOOK_UP, requests=[request for request, _ in keys])
        return {
            (row["request"], row["sample"]): LoggedReply(
                row["attempts"],
                row["filed"],
                (row["good"] or {}).get("reply"),
                (row["good"] or {}).get("tokens"),
                (row["good"] or {}).get("returned_model") or "",
                (row["good"] or {}).get("stop_reason") or "",
                (row["last"]["channel"], row["last"]["status"], row["last"]["reason"]),
            )
            for row in rows
        }

    def ledger(self) -> list[LedgerRow]:
        """What was spent so far."""
        return [
            LedgerRow(
                row["kind"],
                row["model"],
                row["channel"],
                row["attempts"],
                row["ok"],
                row["cost_unknown"],
                row["input_tokens"],
                row["output_tokens"],
                row["cache_read_tokens"],
                row["cache_write_tokens"],
                row["cost_usd"],
            )
            for row in self._read.rows("SELECT * FROM llm_costs")
        ]

    def tokens_per_char(self, server: str, model: str) -> float | None:
        """Prompt tokens a character over the calls that reported usage; none below ten of them."""
        [row] = self._read.rows(_CALIBRATION, server=server, model=model)
        return row["tokens"] / row["chars"] if row["n"] >= 10 and row["chars"] else None

    def probed(self) -> Iterable[tuple[str, str, str]]:
        """(server, model, wish) that is known to be fulfilled, what was found last at the end."""
        rows = self._read.rows(_PROBED)
        return [(row["server"], row["model"], row["wish"]) for row in rows]

    def typical_output(self, server: str, model: str) -> dict[str, float]:
        """Mean tokens written, by kind of call, over at least ten good replies."""
        return {row["kind"]: row["tokens"] for row in self._read.rows(_TYPICAL, server=server, model=model)}

    def n_good(self, server: str, model: str) -> int:
        """Good replies of a model."""
        sql = "SELECT count(*) AS n FROM llm_calls WHERE server = $server AND model = $model AND status = 'ok'"
        return int(self._read.rows(sql, server=server, model=model)[0]["n"])

    def latency_s(self, server: str, model: str) -> float | None:
        """Median time from sending to the last byte, over at least five good replies."""
        [row] = self._read.rows(_LATENCY, server=server, model=model)
        return row["ms"] / 1000 if row["n"] >= 5 else None


class StoreReplyLog(ReplyReader):
    """`reply_log.ReplyLog` over a store that is open for writing. Close it before the store."""

    def __init__(self, store: StoreWriter) -> None:
        super().__init__(store)
        self.store = store
        self._todo: deque[tuple[Call, str, Landed | None] | threading.Event] = deque()
        self._some, self._hurry = threading.Event(), threading.Event()
        self._closing = False
        self._prefixes = {row["prefix"] for row in store.rows("SELECT prefix FROM llm_prefixes")}
        self._died: Exception | None = None
        self.commit_s: deque[float] = deque(maxlen=_KEEP_TIMES)
        """Seconds that the latest commits took."""
        self._thread = threading.Thread(target=self._write, name="reply log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, call: Call, prefix_text: str, landed: Landed | None = None) -> None:
        """Queues a row. Raises what the writer died of."""
        if self._died is not None:
            raise self._died
        self._todo.append((call, prefix_text, landed))
        if not self._some.is_set():
            self._some.set()
        if len(self._todo) >= MOST_AT_ONCE:
            self._hurry.set()

    def flush(self) -> None:
        """Returns when everything queued so far is committed. Raises what the writer died of."""
        reached = threading.Event()
        self._todo.append(reached)
        self._hurry.set()
        self._some.set()
        while not reached.wait(0.1):
            if not self._thread.is_alive():
                break
        if self._died is not None:
            raise self._died

    def close(self) -> None:
        """Commits what is queued and ends the thread. May be called twice."""
        self._closing = True
        self._hurry.set()
        self._some.set()
        self._thread.join()

    def keep_probe(self, server: str, model: str, wish: str) -> None:
        """Remembers it."""
        now = datetime.now(UTC).replace(tzinfo=None)
        with self.store.transaction() as transaction:
            transaction.append("llm_probes", {"server": server, "model": model, "wish": wish, "found_at": now})

    def _write(self) -> None:
        warm_up()
        closing = False
        while not closing:
            self._some.wait()
            self._hurry.wait(GATHER_S)
            closing = self._closing  # before the last look at what there is
            self._some.clear()
            self._hurry.clear()
            while self._todo:
                self._commit_some()

    def _commit_some(self) -> None:
        rows: list[tuple[Call, str, Landed | None]] = []
        flushed: list[threading.Event] = []
        while self._todo and len(rows) < MOST_AT_ONCE:
            item = self._todo.popleft()
            if isinstance(item, threading.Event):
                flushed.append(item)
            else:
                rows.append(item)
        error = self._commit(rows)
        for _, _, landed in rows:
            if landed is not None:
                landed(error)
        for event in flushed:
            event.set()

    def _commit(self, rows: list[tuple[Call, str, Landed | None]]) -> Exception | None:
        if not rows or self._died is not None:
            return self._died
        new = {call.prefix: text for call, text, _ in rows if call.prefix not in self._prefixes}
        try:
            begun = time.perf_counter()
            columns = _columns([call for call, _, _ in rows])
            if new:
                with self.store.transaction() as transaction:
                    transaction.append("llm_prefixes", {"prefix": list(new), "text": list(new.values())})
                    transaction.append("llm_calls", columns)
            else:
                self.store.append("llm_calls", columns)
            self.commit_s.append(time.perf_counter() - begun)
        except Exception as error:  # whatever it is: those who wait must hear of it, and nothing more may be sent
            self._died = error
            return error
        self._prefixes.update(new)
        return None


_PLAIN = (
    "request", "sample", "attempt", "kind", "about", "provider", "server", "model", "returned_model", "channel",
    "status", "reason", "http_status", "stop_reason", "prefix", "prompt", "reply", "tokens", "cost_usd", "latency_ms",
    "called_at",
)  # fmt: skip
_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def _columns(calls: list[Call]) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [getattr(call, name) for call in calls] for name in _PLAIN}
    for name in _USAGE:
        columns[name] = [None if call.usage is None else getattr(call.usage, name) for call in calls]
    return columns


_LOOK_UP = """
SELECT request, sample, max(attempt)::INTEGER AS attempts, count(*) FILTER (WHERE channel <> 'live')::INTEGER AS filed,
       arg_max(
           {'reply': reply, 'tokens': tokens, 'returned_model': returned_model, 'stop_reason': stop_reason}, attempt
       ) FILTER (WHERE status = 'ok') AS good,
       arg_max({'channel': channel, 'status': status, 'reason': reason}, attempt) AS last
FROM llm_calls WHERE request IN (SELECT unnest($requests)) GROUP BY request, sample
"""

_CALIBRATION = """
SELECT count(*) AS n, sum(input_tokens)::DOUBLE AS tokens,
       sum(length(p.text) + length(c.prompt))::DOUBLE AS chars
FROM llm_calls c JOIN llm_prefixes p USING (prefix)
WHERE c.server = $server AND c.model = $model AND c.input_tokens IS NOT NULL AND c.prompt IS NOT NULL
"""

_LATENCY = """
SELECT count(*) AS n, median(latency_ms) AS ms FROM llm_calls
WHERE server = $server AND model = $model AND status = 'ok' AND channel = 'live'
"""

_TYPICAL = """
SELECT kind, avg(output_tokens) AS tokens FROM llm_calls
WHERE server = $server AND model = $model AND status = 'ok' AND output_tokens IS NOT NULL
GROUP BY kind HAVING count(*) >= 10
"""
