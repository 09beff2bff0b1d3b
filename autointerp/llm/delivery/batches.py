"""`run --batch`: OpenAI's and Anthropic's batch APIs. Submit now; the same command, run again, collects.

    begin   every batch that is out is asked about; one that has ended is downloaded whole, into the folder of batches
    reply   what was downloaded, found by custom id: results come in any order
    take    a request that is in no batch goes into the next
    end     batches are entered in the store with their requests, then sent, then entered again with the provider's id

Killed between the second and the third, a batch is out whose id is not known: it is looked for among the provider's
batches (OpenAI's by a label; Anthropic's by time and number of requests) before anything is sent again. A line that
expired, was cancelled or failed on their side is filed again, a bounded number of times (`session/stream.py`).
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from autointerp.errors import ProviderError
from autointerp.hashing import bytes_hash
from autointerp.llm.delivery.batch_jsonl import ReplyFiles, RequestFiles, custom_id
from autointerp.llm.session.attempt import Errand, Route
from autointerp.llm.wire.connection import Connection, Sent
from autointerp.llm.wire.render import canonical
from autointerp.reply_log import Batch, BatchBook

BATCH_LIMITS = {"anthropic": (20_000, 90_000_000), "openai": (20_000, 90_000_000)}
"""Well under the providers' own (`batch_jsonl.LIMITS`): a download is held in memory once."""
_OVER = ("completed", "expired", "cancelled", "failed")
_TRIES = 5
_TRANSFER_S = 900.0
_LABEL = "autointerp"
_COLLECT = "in batches under way: run the same command again to collect them (without --refresh)"


class BatchCourier:
    """A `Courier` over the batch API of each model that it meets."""

    channel = "batch"

    def __init__(
        self, book: BatchBook, folder: Path, *, limits: dict[str, tuple[int, int]] | None = None, pause_s: float = 1.0
    ) -> None:
        """`folder`: a folder beside the store for requests on their way and replies that have come."""
        self._book, self._folder = book, folder
        self._limits = limits or BATCH_LIMITS
        self._pause_s = pause_s
        self._files: RequestFiles | None = None
        self._replies: ReplyFiles | None = None
        self._out: set[str] = set()
        self._worst: dict[str, float] = {}  # dollars at most, of what was taken
        folder.mkdir(parents=True, exist_ok=True)

    async def begin(self, route: Route) -> None:
        """Asks about every batch of this server and downloads what has ended. Raises ProviderError where it cannot."""
        known = self._book.batches()
        mine = [one for one in known if (one.provider, one.server) == (route.model.provider, route.model.server)]
        for batch in mine:
            if batch.status == "submitting":
                await self._find_or_send(batch, route, {one.batch for one in known})
        for batch in self._book.batches():
            if batch.status == "submitted" and batch.server == route.model.server:
                await self._collect(batch, route)
        self._replies = ReplyFiles(self._folder)
        self._out = self._book.custom_ids([one.file for one in self._book.batches() if one.status == "submitted"])
        left = self._folder / "requests"
        for path in left.glob("*.jsonl"):  # written and never entered: we were killed, or a batch before was refused
            path.unlink()
        self._files = RequestFiles(left, limits=self._limits)

    def reply(self, errand: Errand) -> Sent | None:
        """What was downloaded."""
        assert self._replies is not None
        return self._replies.get(errand.key, errand.filed + 1, errand.request.provider)

    def holds(self, errand: Errand) -> bool:
        """Whether it is in a batch, or came with one and was not read yet."""
        return custom_id(errand.key, errand.filed + 1) in self._out or self.reply(errand) is not None

    def take(self, errand: Errand, route: Route) -> str | None:
        """Into the next batch, unless it is in one; None where that could pass the budget."""
        assert self._files is not None
        if custom_id(errand.key, errand.filed + 1) in self._out:
            return _COLLECT
        if not route.budget.take(route.worst(errand.request, "batch")):
            return None
        self._worst[custom_id(errand.key, errand.filed + 1)] = route.at_most(errand.request, "batch")
        self._files.add(errand)
        return _COLLECT

    async def end(self, route: Route) -> None:
        """Sends what was taken. Raises ProviderError where a batch is refused."""
        assert self._files is not None
        files, self._files = self._files.close(), None
        for path in files:
            content = await asyncio.to_thread(path.read_bytes)
            ids = [json.loads(row)["custom_id"] for row in content.splitlines()]
            url = (
                "/v1/messages" if route.model.provider == "anthropic" else json.loads(content.split(b"\n", 1)[0])["url"]
            )
            model = route.model
            batch = Batch(
                bytes_hash(content),
                model.provider,
                model.server,
                model.model,
                url,
                len(ids),
                "submitting",
                worst_usd=sum(self._worst.pop(one, 0.0) for one in ids),
            )
            path.rename(self._request_file(batch))
            self._book.enter(batch, ids)
            await self._send(batch, route.connect())

    def _request_file(self, batch: Batch) -> Path:
        return self._folder / "requests" / f"{batch.file}.batch"

    async def _send(self, batch: Batch, connection: Connection) -> None:
        path = self._request_file(batch)
        content = await asyncio.to_thread(path.read_bytes)
        if batch.provider == "anthropic":
            body = b'{"requests":[' + b",".join(content.splitlines()) + b"]}"
            made = await self._once(lambda: connection.post("/v1/messages/batches", body, _TRANSFER_S), batch)
        else:
            file = await self._insist(lambda: connection.upload(f"{batch.file}.jsonl", content, _TRANSFER_S))
            order = {
                "input_file_id": file["id"],
                "endpoint": batch.path,
                "completion_window": "24h",
                "metadata": {_LABEL: batch.file},
            }
            made = await self._once(lambda: connection.post("/batches", canonical(order).encode(), _TRANSFER_S), batch)
        self._book.enter(replace(batch, status="submitted", batch=str(made["id"])))
        path.unlink(missing_ok=True)

    async def _find_or_send(self, batch: Batch, route: Route, known: set[str]) -> None:
        """A batch that we may have sent before we were killed."""
        connection = route.connect()
        sent_before = None
        if batch.provider == "openai":
            listed = (await self._insist(lambda: connection.get("/batches?limit=100", 60.0)))["data"]
            sent_before = next((one for one in listed if (one.get("metadata") or {}).get(_LABEL) == batch.file), None)
        else:
            listed = (await self._insist(lambda: connection.get("/v1/messages/batches?limit=100", 60.0)))["data"]
            alike = [one for one in listed if one["id"] not in known and _alike(one, batch)]
            sent_before = alike[0] if len(alike) == 1 else None
        if sent_before is not None:
            self._book.enter(replace(batch, status="submitted", batch=str(sent_before["id"])))
        elif self._request_file(batch).exists():
            await self._send(batch, connection)
        else:
            self._book.enter(replace(batch, status="failed"))

    def tidy(self) -> None:
        """Deletes downloads of which every reply is in the reply log."""
        if any(self._folder.glob("replies-*.jsonl")):
            for file in self._book.read_through():
                (self._folder / f"replies-{file}.jsonl").unlink(missing_ok=True)

    async def _collect(self, batch: Batch, route: Route) -> None:
        """Downloads the replies of a batch that has ended; a download that was cut begins again."""
        connection = route.connect()
        if batch.provider == "anthropic":
            state = await self._insist(lambda: connection.get(f"/v1/messages/batches/{batch.batch}", 60.0))
            if state["processing_status"] != "ended":
                return
            sources = [f"/v1/messages/batches/{batch.batch}/results"]
        else:
            state = await self._insist(lambda: connection.get(f"/batches/{batch.batch}", 60.0))
            if state["status"] not in _OVER:
                return
            if state["status"] == "failed":
                self._book.enter(replace(batch, status="failed"))
                errors = ((state.get("errors") or {}).get("data") or [{}])[0]
                raise ProviderError(
                    f"OpenAI refused the batch {batch.batch}: {errors.get('message') or 'no reason given'}"
                )
            sources = [
                f"/files/{state[name]}/content" for name in ("output_file_id", "error_file_id") if state.get(name)
            ]
        whole = [
            await self._insist(functools.partial(connection.get, source, _TRANSFER_S), raw=True) for source in sources
        ]
        part = self._folder / f".replies-{batch.file}.part"
        part.write_text(
            "".join(text if text.endswith("\n") else text + "\n" for text in whole if text), encoding="utf-8"
        )
        part.rename(self._folder / f"replies-{batch.file}.jsonl")
        self._book.enter(replace(batch, status="ended"))
        route.budget.collected(batch.worst_usd)

    async def _once(self, send: Callable[[], Awaitable[Sent]], batch: Batch) -> Any:
        """Creates a batch; where it may have been created unseen, it is looked for in the next run, not sent twice."""
        for attempt in range(_TRIES):
            sent = await send()
            fault = sent.fault
            if fault is None:
                return json.loads(sent.body)
            if fault.meaning in ("stop", "give_up"):
                self._book.enter(replace(batch, status="failed"))
                raise ProviderError(f"the batch was refused: {fault.reason}")
            if fault.maybe_paid:
                raise ProviderError(f"sending a batch was cut off ({fault.reason}); run again: it is looked for first")
            await asyncio.sleep(fault.wait_s or self._pause_s * 2**attempt)
        raise ProviderError("a batch could not be sent; run again")

    async def _insist(self, send: Callable[[], Awaitable[Sent]], *, raw: bool = False) -> Any:
        reason = ""
        for attempt in range(_TRIES):
            sent = await send()
            if sent.fault is None:
                try:
                    return sent.body if raw else json.loads(sent.body)
                except ValueError:
                    reason = "a body that is no JSON"
            elif sent.fault.meaning in ("stop", "give_up"):
                raise ProviderError(f"batches: {sent.fault.reason}")
            else:
                reason = sent.fault.reason
            await asyncio.sleep((sent.fault and sent.fault.wait_s) or self._pause_s * 2**attempt)
        raise ProviderError(f"batches: {_TRIES} attempts failed, the last: {reason}")


def _alike(listed: dict[str, Any], batch: Batch) -> bool:
    created = datetime.fromisoformat(listed["created_at"])
    created = created if created.tzinfo else created.replace(tzinfo=UTC)
    begun = (batch.since or datetime.min).replace(tzinfo=UTC) - timedelta(minutes=5)
    return created >= begun and sum(listed["request_counts"].values()) == batch.n_requests
