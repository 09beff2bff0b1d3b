"""One `ask_all`: a feeder reads asks and looks them up, workers send them, the consumer takes what has landed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, cast, get_args

from autointerp.config.llm_model import LLMModel
from autointerp.errors import ProviderError
from autointerp.llm.asks import Answer, Ask, Status
from autointerp.llm.session.attempt import Ended, Errand, Route, Stopped, call, filed
from autointerp.llm.session.courier import Courier
from autointerp.llm.session.server_checks import ServerWish, order_asks, order_fault, wishes_of
from autointerp.llm.session.state import Shared, answer_of
from autointerp.llm.session.whole_reading import WholeReading
from autointerp.llm.wire.capabilities import is_listed
from autointerp.llm.wire.outcome import Outcome, outcome_of
from autointerp.llm.wire.render import render
from autointerp.llm.wire.replies import ProviderReply, replay
from autointerp.reply_log import Call, CallKey, LoggedReply

CHUNK = 256
"""Asks that are rendered and looked up at a time."""
AT_A_TIME = 16
"""Asks that are rendered before the loop turns to what has come: a millisecond."""
DRAIN_S = 30.0
"""At a stop, what is out is waited for so long: it is paid for."""


def _again(status: str, filed: int, model: LLMModel) -> bool:
    """Whether what came back for the latest of so many filings is a reason to file it once more."""
    if status in ("empty", "unparseable", "invalid"):
        return filed < model.replies
    return status in ("server_error", "rate_limited", "broken_body") and filed < model.attempts


class Stream:
    """One `ask_all`: a feeder reads asks and looks them up, workers send them, the consumer takes what landed."""

    def __init__(self, shared: Shared, asks: Iterable[Ask], route: Route) -> None:
        self._shared, self.route = shared, route
        self._asks = iter(asks)
        self._errands: asyncio.Queue[Errand] = asyncio.Queue(route.model.concurrency)
        self._out: asyncio.Queue[Answer | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(max(4 * CHUNK, 8 * route.model.concurrency))  # asks taken, answers not
        self._n_asked: int | None = None  # known when there are no more
        self._n_delivered = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._landed: deque[tuple[Exception | None, Callable[[], None] | None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._ending = False

    def begin(self) -> None:
        self._start(self._feed())
        for _ in range(self.route.model.concurrency if self._shared.courier is None else 0):
            self._start(self._work())

    async def next_batch(self) -> list[Answer]:
        """What has landed, at least one answer; empty at the end."""
        batch: list[Answer] = []
        item = await self._out.get()
        while isinstance(item, Answer):
            batch.append(item)
            self._room.release()
            if len(batch) >= CHUNK or self._out.empty():
                return batch
            item = self._out.get_nowait()
        if batch:
            self._out.put_nowait(item)
        elif item is not None:
            raise item
        return batch

    async def end(self) -> None:
        """Stops; what is out is waited for and kept."""
        self._ending = True
        for task in self._tasks - self._sending:
            task.cancel()
        if self._sending:
            await asyncio.wait(self._sending, timeout=DRAIN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # what the log died of has been told
            await asyncio.to_thread(self._shared.log.flush)
        for key, askers in list(self._shared.pending.items()):
            left = [(stream, ask) for stream, ask in askers if stream is not self]
            if not left:
                del self._shared.pending[key]
            elif left != askers:
                self._shared.pending[key] = left
                if askers[0][0] is self:  # ours was the one that was to be sent
                    left[0][0].inherit(left[0][1])

    def inherit(self, ask: Ask) -> None:
        """Sends a request that its first asker has left behind."""
        self._start(self._errands.put(Errand(ask, render(ask, self.route.model, self.route.known), 0)))

    def raise_in_consumer(self, error: BaseException) -> None:
        self._out.put_nowait(error)

    def deliver(self, answer: Answer) -> None:
        self._n_delivered += 1
        self._shared.delivered(answer)
        self._out.put_nowait(answer)
        self._end_if_all()

    def _end_if_all(self) -> None:
        if self._n_asked == self._n_delivered:
            self._out.put_nowait(None)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Stopped):
            self._shared.stop(error)

    async def _feed(self) -> None:
        taken = 0
        courier = self._shared.courier
        if courier is not None:
            await courier.begin(self.route)
        while chunk := await asyncio.to_thread(lambda: list(itertools.islice(self._asks, CHUNK))):
            for ask in chunk:
                if not isinstance(ask, Ask):
                    raise TypeError(f"ask_all takes Ask objects, not {type(ask).__name__}")
                await self._room.acquire()
            taken += len(chunk)
            self._shared.progress.asked += len(chunk)
            await self._feed_chunk(chunk)
        if courier is not None:
            await courier.end(self.route)
        self._n_asked = taken
        self._end_if_all()

    async def _feed_chunk(self, chunk: list[Ask]) -> None:
        """Renders; joins asks to requests that are out; replays what the log has; queues the rest."""
        shared, model = self._shared, self.route.model
        mine: list[tuple[Ask, Any]] = []
        for number, ask in enumerate(chunk):
            if number % AT_A_TIME == AT_A_TIME - 1:
                await asyncio.sleep(0)  # replies do not wait for the whole chunk
            request = render(ask, model, self.route.known)
            askers = shared.pending.setdefault((request.hash, ask.sample), [])
            askers.append((self, ask))
            if len(askers) == 1:
                mine.append((ask, request))
        logged = await asyncio.to_thread(shared.log.look_up, [(request.hash, ask.sample) for ask, request in mine])
        for ask, request in mine:
            before = logged.get((request.hash, ask.sample))
            errand = Errand(ask, request, before.attempts if before else 0, before.filed if before else 0)
            anew = shared.refresh and errand.key not in shared.refreshed
            if (
                before is not None
                and before.good
                and not anew
                and not (shared.courier and shared.courier.holds(errand))
            ):
                reply = replay(before)
                outcome = outcome_of(ask, reply)
                if outcome.status == "ok":  # else what is asked of a reply has changed: it is asked again
                    self._replay(errand, outcome, reply)
                    continue
            if before is not None and not shared.refresh and (ended := self._over(errand, before)):
                self._replay(errand, ended, None)
            elif shared.courier is None:
                await self._errands.put(errand)
            else:
                self._by_courier(shared.courier, errand)

    def _over(self, errand: Errand, before: LoggedReply) -> Outcome | None:
        """A failure that stands. Batches are collected over several runs of one command: what ended in one of them
        without an answer is not filed, and paid, again by the next. (A live run asks it again; so does --refresh.)"""
        channel, status, reason = before.last
        if self._shared.courier is None or self._shared.courier.channel != "batch" or channel != "batch":
            return None
        if status == "ok" or _again(status, errand.filed, self.route.model):
            return None
        known = status if status in get_args(Status) else "api_error"
        return Outcome(cast(Status, known), reason)

    def _by_courier(self, courier: Courier, errand: Errand) -> None:
        """The reply, where one has come; else the request is taken along, again where the reply was none."""
        route = self.route
        sent = courier.reply(errand)
        if sent is not None:
            ended = filed(errand, route, sent, courier.channel)
            assert ended.call is not None
            route.budget.spent_usd += ended.cost_usd
            if courier.channel == "offline" or not _again(ended.call.status, errand.filed + 1, route.model):
                self._log(errand, ended.call, lambda: self._shared.ended(errand, replace(ended, call=None)))
                return
            self._log(errand, ended.call)
            errand = replace(errand, attempts=errand.attempts + 1, filed=errand.filed + 1)
        where = courier.take(errand, route)
        outcome = Outcome("over_budget", route.budget.line()) if where is None else Outcome("waiting", where)
        self._shared.ended(errand, Ended(outcome))

    def _replay(self, errand: Errand, outcome: Outcome, reply: ProviderReply | None) -> None:
        for number, (stream, ask) in enumerate(self._shared.pending.pop(errand.key, [])):
            own = outcome_of(ask, reply) if number and reply else outcome
            stream.deliver(answer_of(ask, errand.key[0], own, reply, True, 0.0))

    async def _work(self) -> None:
        while not self._has_stopped():
            errand = await self._errands.get()
            try:
                await self._checked(errand)
            except Exception as error:
                if not isinstance(error, Stopped):
                    self._shared.stop(error)  # now: who waits for a turn must not send any more
                raise
            self._sends(False)

    async def _checked(self, errand: Errand) -> None:
        """Sends the errand: alone, while it is not known that the server does what is asked for, or while the prefix
        that it shares is not in the provider's cache (sixty-four at once would all pay for writing it)."""
        checks, model = self._shared.checks, self.route.model
        wishes = wishes_of(errand.ask, model.server, model.model)
        warm = [(model.server, model.model, f"warm {errand.request.prefix}")] if errand.request.caches else []
        if not checks.open(wishes + warm):
            await self._call(errand)
            return
        async with contextlib.AsyncExitStack() as turns:
            for wish in sorted(checks.open(wishes + warm)):
                await turns.enter_async_context(checks.turn(wish))
            still_open = checks.open(wishes)
            if still_open or checks.open(warm):
                if any(what == "echo" for _, _, what in still_open):
                    await self._check_order()
                await self._first(errand, still_open)
                checks.fulfilled(warm)
                return
        await self._call(errand)

    async def _first(self, errand: Errand, wishes: list[ServerWish]) -> None:
        checks, model = self._shared.checks, self.route.model
        ended = await self._call(errand)
        if not wishes:
            return
        if ended.outcome.status == "ok":
            checks.fulfilled(wishes)
            for wish in wishes:
                await asyncio.to_thread(self._shared.log.keep_probe, *wish)
        elif ended.outcome.status == "unsupported":
            raise ProviderError(
                f'{model.server} does not give "{model.model}" what was asked for: {ended.outcome.reason}; '
                "use another server, or say in its capabilities that it has none"
            )
        elif ended.outcome.status in ("refused", "api_error", "over_budget", "prompt_cut"):
            checks.give_way(wishes)
        elif checks.missed(wishes):
            raise ProviderError(
                f'{model.server} with "{model.model}" has not once answered in the form asked for (the last: '
                f"{ended.outcome.status}: {ended.outcome.reason}); it may ignore schemas, the model may not follow "
                "them, or max_tokens is too small"
            )

    async def _check_order(self) -> None:
        replies = []
        for ask in order_asks():
            request = render(ask, self.route.model, self.route.known)
            logged = await asyncio.to_thread(self._shared.log.look_up, [(request.hash, ask.sample)])
            before = logged.get((request.hash, ask.sample))
            errand = Errand(ask, request, before.attempts if before else 0)
            ended = await call(errand, self.route, self._log, self._has_stopped, self._sends)
            if ended.call is not None:
                self._log(errand, ended.call)
            replies.append(ended.reply.tokens if ended.reply and ended.outcome.status == "ok" else None)
        if fault := order_fault(replies):
            model = self.route.model
            raise ProviderError(f'{model.server}, "{model.model}": {fault}; its prompt log probabilities are not used')

    async def _call(self, errand: Errand) -> Ended:
        shared = self._shared
        ended = await call(errand, self.route, self._log, self._has_stopped, self._sends)
        if errand.ask.form == "chat" and not is_listed(self.route.model):
            ended = await self._read_whole(errand, ended)
        row = ended.call
        if row is None:
            shared.ended(errand, ended)
            return ended
        self._log(errand, row, lambda: shared.ended(errand, replace(ended, call=None)))
        return ended

    async def _read_whole(self, errand: Errand, ended: Ended) -> Ended:
        """The same, or a failure where the server is known to have cut the prompt."""
        row = ended.call
        if row is None or row.usage is None or ended.reply is None:
            return ended
        reading = self._shared.readings.setdefault((row.server, row.model), WholeReading())
        why = await reading.why_cut(errand, row.usage, self.route, self._log, self._has_stopped, self._tried)
        if why is None or (not why and ended.outcome.status != "prompt_cut"):
            return ended
        outcome = Outcome("prompt_cut", why) if why else outcome_of(errand.ask, ended.reply)
        return replace(ended, outcome=outcome, call=replace(row, status=outcome.status, reason=outcome.reason))

    async def _tried(self, key: CallKey) -> int:
        """How often a request was tried in earlier runs."""
        before = (await asyncio.to_thread(self._shared.log.look_up, [key])).get(key)
        return before.attempts if before else 0

    def _log(self, errand: Errand, row: Call, then: Callable[[], None] | None = None) -> None:
        if row.usage is not None:
            self._shared.calibration.saw(row.server, row.model, row.usage.input_tokens, errand.request.chars)

        def landed(error: Exception | None) -> None:
            self._landed.append((error, then))
            if len(self._landed) == 1:  # else it has been told to look
                with contextlib.suppress(RuntimeError):  # the loop is gone: the row is there all the same
                    self._loop.call_soon_threadsafe(self._tell)

        self._shared.log.append(row, errand.request.prefix_text, landed)

    def _tell(self) -> None:
        """What has landed since the last time: a commit's rows together, not a wake-up each."""
        while self._landed:
            error, then = self._landed[0]
            try:
                if error is not None:
                    self._shared.stop(error)
                elif then is not None:
                    then()
            except Exception as mistake:  # in somebody's `parse`: nobody is left waiting
                self._shared.stop(mistake)
            self._landed.popleft()

    def _has_stopped(self) -> bool:
        return self._ending or self._shared.stopped is not None

    def _sends(self, yes: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        (self._sending.add if yes else self._sending.discard)(task)
