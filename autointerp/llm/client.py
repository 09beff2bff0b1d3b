"""The client: `Session.ask_all(asks, model)` gives an answer for every ask, in whatever order they come.

    asks -> render, hash -> same request already out? -> in the reply log? -> limiter -> provider -> reply log -> answer

Asks are read as they are needed and answers handed out as they land, so memory does not grow with their number. An
answer is shown only when its reply is committed: whatever a consumer saw is there after a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, cast, get_args

from autointerp.calls import Call, CallKey, LedgerRow, LoggedReply, ReplyLog
from autointerp.errors import ProviderError
from autointerp.llm.asks import Answer, Ask, Status
from autointerp.llm.budget import Budget
from autointerp.llm.calibration import Calibration
from autointerp.llm.calling import Ended, Job, Line, Stopped, call, filed
from autointerp.llm.capabilities import capabilities_of
from autointerp.llm.connection import Connection
from autointerp.llm.courier import Courier
from autointerp.llm.limiter import Limiter
from autointerp.llm.models import LLMModel, Price
from autointerp.llm.outcome import Outcome, outcome_of
from autointerp.llm.prices import Prices
from autointerp.llm.probe import Probe, Wish, order_asks, order_fault, wishes_of
from autointerp.llm.render import render
from autointerp.llm.replies import Reply, replay

CHUNK = 256
"""Asks that are rendered and looked up at a time."""
DRAIN_S = 30.0
"""At a stop, what is out is waited for so long: it is paid for."""


@dataclass
class Progress:
    """Where a session stands."""

    asked: int = 0
    done: int = 0
    cached: int = 0  # of the done, from the reply log
    failed: int = 0  # of the done, without an answer
    waiting: int = 0  # of the done, in a batch or a file: run again
    cost_usd: float = 0.0  # of this session


class Session:
    """What all calls of one run share: the reply log, the limiters, the budget, the connections.

    Belongs to one event loop: the one `ask_all` is first called in, or, through `answers`, one of its own.
    """

    def __init__(
        self,
        log: ReplyLog,
        *,
        max_usd: float | None = None,
        spent_usd: float = 0.0,
        refresh: bool = False,
        courier: Courier | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """`spent_usd` counts towards `max_usd`: pass what a resumed run has spent. `refresh` asks everything anew.

        With a `courier` nothing is sent one by one: requests travel in batches or files.
        """
        self.log = log
        self.budget = Budget(max_usd, spent_usd)
        self.refresh = refresh
        self.courier = courier
        self.progress = Progress()
        self._on_progress = on_progress
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._connections: dict[tuple[Any, ...], Connection] = {}
        self._probe = Probe(log.probed())
        self._calibration = Calibration(log.tokens_per_char)
        self._refreshed: set[CallKey] = set()
        self._pending: dict[CallKey, list[tuple[_Stream, Ask]]] = {}
        self._streams: set[_Stream] = set()
        self._stopped: BaseException | None = None
        self._thread: _LoopThread | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def check(model: LLMModel) -> None:
        """Everything about a model that can be refused before a call: settings, price. Raises ConfigError."""
        capabilities_of(model)
        Prices(model)

    async def ask_all(self, asks: Iterable[Ask], model: LLMModel) -> AsyncIterator[Answer]:
        """An answer for every ask, as they come.

        Raises ConfigError before the first call where the model does not take what is asked for, UserError where a
        key is needed and missing, ProviderError where the server ends the run.
        """
        async with contextlib.aclosing(self._batches(asks, model)) as batches:
            async for batch in batches:
                for answer in batch:
                    yield answer

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        """`ask_all` for code that is not asynchronous; requests go on while the caller works on an answer."""
        self._thread = self._thread or _LoopThread()
        batches = self._batches(asks, model)
        try:
            while batch := self._thread.run(anext(batches, [])):
                yield from batch
        finally:
            self._thread.run(batches.aclose())

    @property
    def over_budget(self) -> str | None:
        """The line for the user, where `max_usd` stopped calls; the run's exit status is then 1."""
        return self.budget.line() if self.budget.exhausted else None

    def ledger(self) -> list[LedgerRow]:
        """What all runs of this store have spent, by kind."""
        return self.log.ledger()

    async def aclose(self) -> None:
        """Closes the connections; in the loop they belong to."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.close()

    def close(self) -> None:
        """`aclose`, for `answers`."""
        if self._thread is not None:
            self._thread.run(self.aclose())
            self._thread.close()
            self._thread = None

    async def _batches(self, asks: Iterable[Ask], model: LLMModel) -> AsyncGenerator[list[Answer], None]:
        known = capabilities_of(model)
        offline = self.courier is not None and self.courier.channel == "offline"  # somebody else pays
        prices = Prices(model.model_copy(update={"price": Price(input=0, output=0)}) if offline else model)
        if self._stopped is not None:
            raise self._stopped
        limiter = self._limiters.setdefault((model.provider, model.server), Limiter(model.concurrency))
        limiter.most = max(limiter.most, model.concurrency)
        per_char = await asyncio.to_thread(self._calibration.of, model.server, model.model)
        line = Line(model, known, limiter, self.budget, prices, lambda: self._connection(model), per_char)
        stream = _Stream(self, asks, line)
        self._streams.add(stream)
        try:
            stream.begin()
            while batch := await stream.next_batch():
                yield batch
        finally:
            await stream.end()
            self._streams.discard(stream)

    def _connection(self, model: LLMModel) -> Connection:
        made_of = (model.provider, model.server, model.key_env, model.timeout_s, model.concurrency)
        if made_of not in self._connections:
            self._connections[made_of] = Connection(model)
        return self._connections[made_of]

    def _stop(self, error: BaseException) -> None:
        """Ends all streams, with the first cause."""
        if self._stopped is None:
            self._stopped = error
            for stream in self._streams:
                stream.raise_in_consumer(error)

    def _ended(self, job: Job, ended: Ended) -> None:
        """Tells everybody who asked this request; the first of them has paid."""
        if self.refresh:
            self._refreshed.add(job.key)
        for number, (stream, ask) in enumerate(self._pending.pop(job.key, [])):
            outcome = ended.outcome
            if number and ended.reply is not None:
                outcome = outcome_of(ask, ended.reply)  # what is read out of a reply is each asker's own
            stream.deliver(
                _answer(ask, job.key[0], outcome, ended.reply, bool(number), 0.0 if number else ended.cost_usd)
            )

    def _delivered(self, answer: Answer) -> None:
        self.progress.done += 1
        self.progress.cached += answer.cached
        self.progress.waiting += answer.status == "waiting"
        self.progress.failed += answer.status not in ("ok", "waiting")
        self.progress.cost_usd += answer.cost_usd
        if self._on_progress is not None:
            self._on_progress(self.progress)


def _answer(ask: Ask, request: str, outcome: Outcome, reply: Reply | None, cached: bool, cost_usd: float) -> Answer:
    return Answer(
        ask=ask,
        request=request,
        status=outcome.status,
        reason=outcome.reason,
        text=reply.text if reply else "",
        data=outcome.data,
        tokens=reply.tokens if reply else None,
        model=reply.model if reply else "",
        cached=cached,
        cost_usd=cost_usd,
    )


def _again(status: str, filed: int, model: LLMModel) -> bool:
    """Whether what came back for the latest of so many filings is a reason to file it once more."""
    if status in ("empty", "unparseable", "invalid"):
        return filed < model.replies
    return status in ("server_error", "rate_limited", "broken_body") and filed < model.attempts


class _Stream:
    """One `ask_all`: a feeder reads asks and looks them up, workers send them, the consumer takes what landed."""

    def __init__(self, session: Session, asks: Iterable[Ask], line: Line) -> None:
        self._session, self._line = session, line
        self._asks = iter(asks)
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(line.model.concurrency)
        self._out: asyncio.Queue[Answer | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(max(4 * CHUNK, 8 * line.model.concurrency))  # asks taken, answers not
        self._n_asked: int | None = None  # known when there are no more
        self._n_delivered = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._ending = False

    def begin(self) -> None:
        self._start(self._feed())
        for _ in range(self._line.model.concurrency if self._session.courier is None else 0):
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
            await asyncio.to_thread(self._session.log.flush)
        for key, askers in list(self._session._pending.items()):
            left = [(stream, ask) for stream, ask in askers if stream is not self]
            if not left:
                del self._session._pending[key]
            elif left != askers:
                self._session._pending[key] = left
                if askers[0][0] is self:  # ours was the one that was to be sent
                    heir, ask = left[0]
                    heir._start(heir._jobs.put(Job(ask, render(ask, heir._line.model, heir._line.known), 0)))

    def raise_in_consumer(self, error: BaseException) -> None:
        self._out.put_nowait(error)

    def deliver(self, answer: Answer) -> None:
        self._n_delivered += 1
        self._session._delivered(answer)
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
            self._session._stop(error)

    async def _feed(self) -> None:
        taken = 0
        courier = self._session.courier
        if courier is not None:
            await courier.begin(self._line)
        while chunk := await asyncio.to_thread(lambda: list(itertools.islice(self._asks, CHUNK))):
            for ask in chunk:
                if not isinstance(ask, Ask):
                    raise TypeError(f"ask_all takes Ask objects, not {type(ask).__name__}")
                await self._room.acquire()
            taken += len(chunk)
            self._session.progress.asked += len(chunk)
            await self._feed_chunk(chunk)
        if courier is not None:
            await courier.end(self._line)
        self._n_asked = taken
        self._end_if_all()

    async def _feed_chunk(self, chunk: list[Ask]) -> None:
        """Renders; joins asks to requests that are out; replays what the log has; queues the rest."""
        session, model = self._session, self._line.model
        mine: list[tuple[Ask, Any]] = []
        for ask in chunk:
            request = render(ask, model, self._line.known)
            askers = session._pending.setdefault((request.hash, ask.sample), [])
            askers.append((self, ask))
            if len(askers) == 1:
                mine.append((ask, request))
        logged = await asyncio.to_thread(session.log.look_up, [(request.hash, ask.sample) for ask, request in mine])
        for ask, request in mine:
            found = logged.get((request.hash, ask.sample))
            job = Job(ask, request, found.attempts if found else 0, found.filed if found else 0)
            if found is not None and found.good and (not session.refresh or job.key in session._refreshed):
                reply = replay(found)
                outcome = outcome_of(ask, reply)
                if outcome.status == "ok":  # else what is asked of a reply has changed: it is asked again
                    self._replay(job, outcome, reply)
                    continue
            if found is not None and not session.refresh and (ended := self._over(job, found)):
                self._replay(job, ended, None)
            elif session.courier is None:
                await self._jobs.put(job)
            else:
                self._by_courier(session.courier, job)

    def _over(self, job: Job, found: LoggedReply) -> Outcome | None:
        """A failure that stands. Batches are collected over several runs of one command: what ended in one of them
        without an answer is not filed, and paid, again by the next. (A live run asks it again; so does --refresh.)"""
        channel, status, reason = found.last
        if self._session.courier is None or self._session.courier.channel != "batch" or channel != "batch":
            return None
        if _again(status, job.filed, self._line.model):
            return None
        known = status if status in get_args(Status) else "api_error"
        return Outcome(cast(Status, known), reason)

    def _by_courier(self, courier: Courier, job: Job) -> None:
        """The reply, where one has come; else the request is taken along, again where the reply was none."""
        line = self._line
        sent = courier.reply(job)
        if sent is not None:
            ended = filed(job, line, sent, courier.channel)
            assert ended.call is not None
            if courier.channel == "offline" or not _again(ended.call.status, job.filed + 1, line.model):
                self._log(job, ended.call, lambda: self._session._ended(job, replace(ended, call=None)))
                return
            self._log(job, ended.call)
            job = replace(job, attempts=job.attempts + 1, filed=job.filed + 1)
        where = courier.take(job, line)
        outcome = Outcome("over_budget", line.budget.line()) if where is None else Outcome("waiting", where)
        self._session._ended(job, Ended(outcome))

    def _replay(self, job: Job, outcome: Outcome, reply: Reply | None) -> None:
        for number, (stream, ask) in enumerate(self._session._pending.pop(job.key, [])):
            own = outcome_of(ask, reply) if number and reply else outcome
            stream.deliver(_answer(ask, job.key[0], own, reply, True, 0.0))

    async def _work(self) -> None:
        while not self._has_stopped():
            job = await self._jobs.get()
            try:
                await self._probed(job)
            except Exception as error:
                if not isinstance(error, Stopped):
                    self._session._stop(error)  # now: who waits for a turn must not send any more
                raise
            self._sends(False)

    async def _probed(self, job: Job) -> None:
        """Sends the job; alone, while it is not known that the server does what the job asks for."""
        probe, model = self._session._probe, self._line.model
        wishes = wishes_of(job.ask, model.server, model.model, self._line.known)
        if not probe.open(wishes):
            await self._call(job)
            return
        async with contextlib.AsyncExitStack() as turns:
            for wish in sorted(probe.open(wishes)):
                await turns.enter_async_context(probe.turn(wish))
            still_open = probe.open(wishes)
            if still_open:
                if any(what == "echo" for _, _, what in still_open):
                    await self._check_order()
                await self._first(job, still_open)
                return
        await self._call(job)

    async def _first(self, job: Job, wishes: list[Wish]) -> None:
        probe, model = self._session._probe, self._line.model
        ended = await self._call(job)
        if ended.outcome.status == "ok":
            probe.fulfilled(wishes)
            for wish in wishes:
                await asyncio.to_thread(self._session.log.keep_probe, *wish)
        elif ended.outcome.status == "unsupported":
            raise ProviderError(
                f'{model.server} does not give "{model.model}" what was asked for: {ended.outcome.reason}; '
                "use another server, or say in its capabilities that it has none"
            )
        elif ended.outcome.status in ("refused", "api_error", "over_budget"):
            probe.give_way(wishes)
        elif probe.missed(wishes):
            raise ProviderError(
                f'{model.server} with "{model.model}" has not once answered in the form asked for (the last: '
                f"{ended.outcome.status}: {ended.outcome.reason}); it may ignore schemas, the model may not follow "
                "them, or max_tokens is too small"
            )

    async def _check_order(self) -> None:
        found = []
        for ask in order_asks():
            request = render(ask, self._line.model, self._line.known)
            logged = await asyncio.to_thread(self._session.log.look_up, [(request.hash, ask.sample)])
            before = logged.get((request.hash, ask.sample))
            job = Job(ask, request, before.attempts if before else 0)
            ended = await call(job, self._line, self._log, self._has_stopped, self._sends)
            if ended.call is not None:
                self._log(job, ended.call)
            found.append(ended.reply.tokens if ended.reply and ended.outcome.status == "ok" else None)
        if fault := order_fault(found):
            model = self._line.model
            raise ProviderError(f'{model.server}, "{model.model}": {fault}; its prompt log probabilities are not used')

    async def _call(self, job: Job) -> Ended:
        session = self._session
        ended = await call(job, self._line, self._log, self._has_stopped, self._sends)
        row = ended.call
        if row is None:
            session._ended(job, ended)
            return ended
        self._log(job, row, lambda: session._ended(job, replace(ended, call=None)))
        return ended

    def _log(self, job: Job, row: Call, then: Callable[[], None] | None = None) -> None:
        if row.usage is not None:
            self._session._calibration.saw(row.server, row.model, row.usage.input_tokens, job.request.chars)

        def landed(error: Exception | None) -> None:
            def tell() -> None:
                if error is not None:
                    self._session._stop(error)
                elif then is not None:
                    then()

            with contextlib.suppress(RuntimeError):  # the loop is gone: the row is there all the same
                self._loop.call_soon_threadsafe(tell)

        self._session.log.append(row, job.request.prefix_text, landed)

    def _has_stopped(self) -> bool:
        return self._ending or self._session._stopped is not None

    def _sends(self, yes: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        (self._sending.add if yes else self._sending.discard)(task)


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()

    def run(self, work: Any) -> Any:
        """Runs a coroutine there and waits for it."""

        async def awaited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def close(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
