"""The client: `Session.ask_all(asks, model)` gives an answer for every ask, in whatever order they come.

    asks -> render, hash -> same request already out? -> in the reply log? -> limiter -> provider -> reply log -> answer

Asks are read as they are needed and answers handed out as they land, so memory does not grow with their number. An
answer is shown only when its reply is committed: whatever a consumer saw is there after a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Self

from autointerp.config.llm_model import LLMModel, Price
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.money.budget import SpendingLimit
from autointerp.llm.money.prices import Prices
from autointerp.llm.session.attempt import Route
from autointerp.llm.session.courier import Courier
from autointerp.llm.session.discovery import Discovery, share_of
from autointerp.llm.session.doubts import Doubts
from autointerp.llm.session.limiter import Limiter
from autointerp.llm.session.loop_thread import LoopThread
from autointerp.llm.session.state import Progress, Shared
from autointerp.llm.session.stream import Stream
from autointerp.llm.wire.capabilities import as_found, capabilities_of, is_listed
from autointerp.llm.wire.connection import Connection
from autointerp.reply_log import LedgerRow, ReplyLog


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
        out_usd: float = 0.0,
        refresh: bool = False,
        courier: Courier | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """`spent_usd` counts towards `max_usd`: pass what a resumed run has spent; so does `out_usd`, what its batches
        that are out may cost. `refresh` asks everything anew.

        With a `courier` nothing is sent one by one: requests travel in batches or files.
        """
        self.log = log
        self.budget = SpendingLimit(max_usd, spent_usd, out_usd)
        self._shared = Shared(log, self.budget, refresh, courier, on_progress)
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._doubts: dict[tuple[str, str], Doubts] = {}
        self._found: dict[tuple[str, str], set[str]] = {}
        self._contexts: dict[tuple[str, str], int | None] = {}
        self._connections: dict[tuple[Any, ...], Connection] = {}
        self._thread: LoopThread | None = None

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
        self._thread = self._thread or LoopThread()
        batches = self._batches(asks, model)
        try:
            while batch := self._thread.run(anext(batches, [])):
                yield from batch
        finally:
            self._thread.run(batches.aclose())

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        return self._shared.progress

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
        if connections:
            gc.unfreeze()
        for connection in connections.values():
            await connection.close()

    def close(self) -> None:
        """`aclose`, for `answers`."""
        if self._thread is not None:
            self._thread.run(self.aclose())
            self._thread.close()
            self._thread = None

    def settle(self, model: LLMModel, asks: Sequence[Ask]) -> int | None:
        """Finds out, once a store, what a server that the table does not know can do (`discovery.py`), for questions
        like `asks`. Returns the tokens of its context, where they are stated.

        Raises ConfigError where the server cannot do what the questions need, ProviderError where it ends the run.
        """
        if model.provider != "openai" or is_listed(model) or self._shared.courier is not None:
            return model.context_tokens
        self._thread = self._thread or LoopThread()
        context: int | None = self._thread.run(self._settle(model, asks))
        return context

    async def _settle(self, model: LLMModel, asks: Sequence[Ask]) -> int | None:
        route = await self._route(model)
        wishes = self._found_of(model)
        discovery = Discovery(route, self.log, wishes, lambda: self._shared.stopped is not None, self._contexts)
        await discovery.run(asks)
        self._shared.checks.fulfilled([(model.server, model.model, wish) for wish in wishes & {"logprobs", "echo"}])
        return discovery.context

    async def _batches(self, asks: Iterable[Ask], model: LLMModel) -> AsyncGenerator[list[Answer], None]:
        route = await self._route(model)
        stream = Stream(self._shared, asks, route)
        self._shared.streams.add(stream)
        try:
            stream.begin()
            while batch := await stream.next_batch():
                yield batch
        finally:
            await stream.end()
            self._shared.streams.discard(stream)

    async def _route(self, model: LLMModel) -> Route:
        wishes = self._found_of(model)
        known = as_found(capabilities_of(model), model, wishes)
        offline = self._shared.courier is not None and self._shared.courier.channel == "offline"  # somebody else pays
        prices = Prices(model.model_copy(update={"price": Price(input=0, output=0)}) if offline else model)
        if self._shared.stopped is not None:
            raise self._shared.stopped
        limiter = self._limiters.setdefault((model.provider, model.server), Limiter(model.concurrency))
        limiter.most = max(limiter.most, model.concurrency)
        per_char = await asyncio.to_thread(self._shared.calibration.of, model.server, model.model)
        return Route(
            model,
            known,
            limiter,
            self.budget,
            prices,
            lambda: self._connection(model),
            per_char,
            self._doubts.setdefault((model.server, model.model), Doubts()),
            share_of(wishes),
        )

    def _found_of(self, model: LLMModel) -> set[str]:
        """What is known of a model on a server; shared by all who ask it."""
        key = model.server, model.model
        if key not in self._found:
            self._found[key] = {wish for server, name, wish in self.log.probed() if (server, name) == key}
        return self._found[key]

    def _connection(self, model: LLMModel) -> Connection:
        made_of = (model.provider, model.server, model.key_env, model.timeout_s, model.concurrency)
        if made_of not in self._connections:
            self._connections[made_of] = Connection(model)
            # All that is loaded by now (an SDK, torch) stays: the collector need not walk through it, a tenth of a
            # second and more each time, in which no reply is read and none committed.
            _collect_once()
            gc.freeze()
        return self._connections[made_of]


@cache
def _collect_once() -> None:
    """What is garbage before the first session is not kept; later ones begin with little of it."""
    gc.collect()
