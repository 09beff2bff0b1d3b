"""Does a server read long prompts whole? Tried before the first long reply is believed, with texts of known length.

1. The first reply to a prompt that is longer than any tried before waits.
2. Two short probing texts show what the server counts of a paragraph, and one that is longer than the prompt whether
   it counts all of them. A server that turns the long one away says what it cannot read, and cuts nothing.
3. Where it counts less, it cuts: texts between the two lengths show from where on, and whether there is a number that
   it never counts past. Replies to prompts beyond it are failures; shorter ones are answers.
Every run tries anew: a server may have been started again with another context. Probes are rows of kind `probe`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from autointerp.llm.asks import Ask
from autointerp.llm.session.attempt import Errand, Route, TurnedAway, call
from autointerp.llm.session.doubts import Doubts
from autointerp.llm.wire.length_probes import (
    FEW,
    NEAR_CAP,
    Counts,
    Reading,
    is_short,
    probing_text,
)
from autointerp.llm.wire.render import render
from autointerp.reply_log import Call, CallKey, Usage

FURTHER = 1.5
"""A text is tried that is so many times as long as the prompt, so that few are tried in a run."""
LOOKS = 4
"""Texts between a length that is read whole and one that is cut."""
TOO_LONG = (400, 413, 422)
"""What servers answer to a text that they cannot hold."""
SAME = 0.97
"""Two counts of cut texts that are so near are one cap."""

Log = Callable[[Errand, Call], None]
Attempts = Callable[[CallKey], Awaitable[int]]
"""How often a request was tried in earlier runs."""


class Trial(Protocol):
    """What tells how a server counts."""

    async def count(self, n: int) -> int | str:
        """Tokens that the server counts of `n` paragraphs; or why there is no count."""
        ...


@dataclass
class WholeReading:
    """What one model on one server reads of long prompts. Belongs to one event loop."""

    reading: Reading = field(default_factory=Reading)
    settled: bool = False
    """Nothing more is to be tried: it cuts, it does not count, or it gave no answer."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def why_cut(
        self, errand: Errand, usage: Usage, route: Route, log: Log, stopped: Callable[[], bool], attempts: Attempts
    ) -> str | None:
        """As `Reading.why_cut`, of an errand that came back with this usage; texts are tried where they are needed."""
        text = errand.ask.system + errand.ask.prompt
        if is_short(text):
            return None
        async with self._turn:
            if not self.settled:
                await self.try_for(text, _Sending(errand.request.max_tokens, route, log, stopped, attempts))
        return self.reading.why_cut(text, usage.input_tokens)

    async def try_for(self, text: str, trial: Trial) -> None:
        """Learns what is needed to judge a prompt of this text."""
        reading = self.reading
        if reading.counts is None:
            of_one, of_few = await trial.count(1), await trial.count(FEW)
            counts = Counts(of_one, of_few) if isinstance(of_one, int) and isinstance(of_few, int) else None
            if counts is None or not counts.follow_length:
                self.settled, reading.states_no_counts = True, counts is not None and counts.no_counts
                return
            reading.counts, reading.whole = counts, FEW
        size = reading.counts.paragraphs_at_most(text)
        if size <= reading.whole:
            return
        n = int(FURTHER * size) + 1
        counted = await trial.count(n)
        if not isinstance(counted, int):
            self.settled = True
            if counted == "turned away":
                reading.whole = float("inf")
        elif reading.counts.whole(n, counted):
            reading.whole = n
        else:
            self.settled = True
            reading.cut, reading.cap = (n, counted), counted
            await self._narrow(trial)

    async def _narrow(self, trial: Trial) -> None:
        """Between a length that is read whole and one that is cut."""
        reading = self.reading
        assert reading.counts is not None
        assert reading.cut is not None
        same = True
        for _ in range(LOOKS):
            n = round((reading.whole * reading.cut[0]) ** 0.5)
            if not reading.whole < n < reading.cut[0]:
                break
            counted = await trial.count(n)
            if not isinstance(counted, int):
                break
            if reading.counts.whole(n, counted):
                if counted >= NEAR_CAP * (reading.cap or 0):
                    break  # so near to the cap that it may be either
                reading.whole = n
                continue
            low, high = sorted((counted, reading.cut[1]))
            same = same and low >= SAME * high
            reading.cut = n, counted
            reading.cap = max(reading.cap or 0, counted)
        if not same:
            reading.cap = None


@dataclass(frozen=True)
class _Sending:
    """Sends probing texts."""

    max_tokens: int
    """Of the request that asks for it: some servers leave room for the reply, and cut what is left."""
    route: Route
    log: Log
    stopped: Callable[[], bool]
    attempts: Attempts

    async def count(self, n: int) -> int | str:
        """Tokens that the server counts of `n` paragraphs; or why there is no count."""
        model = self.route.model.model_copy(update={"attempts": 2, "replies": 1, "max_tokens": None})
        route = replace(self.route, model=model, doubts=Doubts(), counted_share=0.0)
        ask = Ask("probe", "", probing_text(n), self.max_tokens)
        request = render(ask, model, route.known)
        errand = Errand(ask, request, await self.attempts((request.hash, ask.sample)))
        try:
            ended = await call(errand, route, self.log, self.stopped, lambda _yes: None)
        except TurnedAway as error:
            return "turned away" if error.fault.http_status in TOO_LONG else "no answer"
        if ended.call is None:
            return "no answer"
        self.log(errand, ended.call)
        usage = ended.call.usage
        if usage is not None and ended.reply is not None and usage.input_tokens:
            return usage.input_tokens
        told = ended.reply is None and ended.call.http_status in TOO_LONG
        return "turned away" if told else "no answer"
