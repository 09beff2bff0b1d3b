"""One ask, from its request to its end: an answer, or a failure with a name.

1. its worst case is set aside in the budget;
2. leave to send comes from the limiter: cool-downs are waited for here, and burn no attempts;
3. one request is sent, and whatever comes of it becomes a row of the reply log;
4. a good reply, a refusal, a truncation end it; errors and useless replies are tried again, each to its bound;
   what would hit every other request as well stops the run.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from autointerp.config.llm_model import LLMModel
from autointerp.errors import ProviderError
from autointerp.llm.asks import Ask
from autointerp.llm.money.budget import SpendingLimit
from autointerp.llm.money.prices import Channel, Prices
from autointerp.llm.session.doubts import Doubts
from autointerp.llm.session.limiter import Limiter
from autointerp.llm.wire.capabilities import Capabilities
from autointerp.llm.wire.connection import Connection, Sent
from autointerp.llm.wire.faults import Fault, fault_in_200
from autointerp.llm.wire.outcome import Outcome, outcome_of
from autointerp.llm.wire.read_whole import UNPROBED, cut_reason
from autointerp.llm.wire.render import Request
from autointerp.llm.wire.replies import BrokenBody, ProviderReply, read_body, tokens_json
from autointerp.reply_log import Call, CallKey, Usage

MOST_THROTTLES = 100
"""One request turned away so often while others pass is a request that is too large for the limit."""
FIRST_PAUSE_S = 0.25
"""Seconds before the second attempt at a request that failed; each further pause is twice as long."""
LONGEST_PAUSE_S = 8.0


@dataclass(frozen=True)
class Errand:
    """An ask on its way: its request, and how often that was tried before."""

    ask: Ask
    request: Request
    attempts: int  # in earlier runs
    filed: int = 0  # of these, in batches and files

    @property
    def key(self) -> CallKey:
        """What the reply log knows it by."""
        return self.request.hash, self.ask.sample


@dataclass(frozen=True)
class Ended:
    """How an ask ended. `call` is the row of its last attempt, which must land before anybody is told."""

    outcome: Outcome
    reply: ProviderReply | None = None
    cost_usd: float = 0.0
    call: Call | None = None


@dataclass(frozen=True)
class Route:
    """What a request needs on its way to one model."""

    model: LLMModel
    known: Capabilities
    limiter: Limiter
    budget: SpendingLimit
    prices: Prices
    connect: Callable[[], Connection]
    tokens_per_char: Callable[[], float | None]
    doubts: Doubts
    counted_share: float = UNPROBED
    """Tokens a piece of text that the server counts (`wire/read_whole.py`)."""

    def worst(self, request: Request, channel: Channel = "live") -> float:
        """Dollars that the request costs at most: a token a character, until the model has shown what it counts."""
        return 0.0 if self.budget.max_usd is None else self.at_most(request, channel)

    def at_most(self, request: Request, channel: Channel) -> float:
        """The same, also where there is no ceiling."""
        if self.prices.free:
            return 0.0
        seen = self.tokens_per_char()
        per_char = 1.0 if seen is None else 1.25 * seen
        tokens = int(request.chars * per_char) // 256 * 256 + 272  # in steps: looking a price up takes 0.1 ms
        return self.prices.worst(tokens, request.max_tokens, channel)


_FORM_HINT = (
    '; if the server does not know json_schema, state capabilities = { structured = "json_object" }, or "prompt"'
)

_CONTEXT_HINT = "; with context_tokens = N of the model in the run file fewer windows are asked about at once"


class TurnedAway(ProviderError):
    """A server has ended the run; with the fault that did."""

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault


class Stopped(Exception):
    """The run has been stopped by another request: this one is not sent."""


async def call(
    errand: Errand,
    route: Route,
    log: Callable[[Errand, Call], None],
    stopped: Callable[[], bool],
    sending: Callable[[bool], None],
) -> Ended:
    """Asks until it ends. All attempts but the last are given to `log` at once, the last is in the result.

    Raises ProviderError where the run must stop, Stopped where it has.
    """
    tally = _Tally(route.doubts.n_answered)
    number, spent = errand.attempts, 0.0
    while True:
        worst = route.worst(errand.request)
        if not await route.budget.set_aside(worst):
            return Ended(Outcome("over_budget", route.budget.line()), None, spent)
        number += 1
        attempt = await _attempt(errand, route, number, worst, stopped, sending)
        read = attempt.read
        spent += read.cost_usd or 0.0
        row = _row(errand, route.model, attempt)
        verdict = read.mistake or _verdict(errand, route, read, tally)
        if isinstance(verdict, Outcome):
            if read.fault is not None and read.fault.meaning in ("stop", "again") and route.limiter.in_flight:
                await route.doubts.wait_for_others(route.model.timeout_s)
            return Ended(verdict, read.reply, spent, row)
        log(errand, row)
        if verdict is not None:
            raise verdict
        if stopped():
            raise Stopped
        sending(False)
        if read.fault is not None:
            await _pause(route, read.fault, tally.failures)


async def _attempt(
    errand: Errand,
    route: Route,
    number: int,
    worst_usd: float,
    stopped: Callable[[], bool],
    sending: Callable[[bool], None],
) -> _Attempt:
    """Sends the request once, as soon as the limiter lets it. `worst_usd`, set aside before, is settled in any case."""
    cost: float | None = 0.0
    try:
        sent_at = await route.limiter.acquire()
        try:
            if stopped():
                raise Stopped
            connection = route.connect()
            called_at, begun = _now(), time.perf_counter()
            sending(True)
            cost = None  # not known from here until the reply is read
            sent = await connection.post(errand.request.path, errand.request.content, route.model.timeout_s)
            latency_ms = 1000 * (time.perf_counter() - begun)
            read = _read(errand, route, sent)
            cost = read.cost_usd
            _tell(route.limiter, read.fault, sent_at)
        finally:
            route.limiter.release()
    finally:
        route.budget.settle(worst_usd, worst_usd if cost is None else cost)
    return _Attempt(number, read, called_at, latency_ms)


@dataclass
class _Tally:
    """What an errand met with in this run; each kind has its own bound."""

    answered_before: int
    """Replies of the server to others before it began."""
    failures: int = 0
    throttles: int = 0
    replies: int = 0  # that were no answer


def _verdict(errand: Errand, route: Route, read: _Read, tally: _Tally) -> Outcome | ProviderError | None:
    """How an attempt ends its errand; an error where it ends the run; None where the errand is tried again."""
    model, fault = route.model, read.fault
    if fault is None:
        route.doubts.answered()
        useless = read.outcome.status in ("empty", "unparseable", "invalid")
        tally.replies += useless
        return None if useless and tally.replies < model.replies else read.outcome
    if fault.meaning == "give_up":
        refused = fault.status == "refused"
        hint = _CONTEXT_HINT if not refused and errand.ask.kind == "simulate" and model.context_tokens is None else ""
        return Outcome("refused" if refused else "api_error", fault.reason + hint)
    if fault.meaning == "stop":
        if fault.unclear and not route.doubts.about_all():
            return Outcome("api_error", fault.reason)
        hint = _FORM_HINT if any(word in fault.reason for word in ("response_format", "json_schema")) else ""
        if fault.http_status == 404 and model.provider == "openai" and not model.server.endswith("/v1"):
            hint = "; base_url of most servers ends in /v1"
        return TurnedAway(f'{model.provider} "{model.model}" stopped the run: {fault.reason}{hint}', fault)
    return _tried_again(errand, route, fault, tally)


def _tried_again(errand: Errand, route: Route, fault: Fault, tally: _Tally) -> Outcome | ProviderError | None:
    """None while the bound of its kind is not reached."""
    model = route.model
    if fault.meaning == "wait":
        tally.throttles += 1
        if tally.throttles < MOST_THROTTLES:
            return None
        return Outcome("api_error", f"turned away {tally.throttles} times: {fault.reason}")
    tally.failures += 1
    if tally.failures < model.attempts:
        return None
    failed = Outcome("api_error", f"{tally.failures} attempts failed; the last: {fault.reason}")
    if fault.http_status is None:
        return failed if route.limiter.answered else TurnedAway(_never(errand, model, tally, fault), fault)
    if route.limiter.answered and fault.http_status != 200:  # an outage: `patience_s` says how long it may last
        return failed
    # The server is there, and what it says is no reply: of one request, or, where nobody got one meanwhile, of all?
    if route.doubts.n_answered > tally.answered_before or not route.doubts.about_all():
        return failed
    if not route.limiter.answered:
        return TurnedAway(_never(errand, model, tally, fault), fault)
    return TurnedAway(f'{model.provider} "{model.model}" stopped the run: {fault.reason}', fault)


async def _pause(route: Route, fault: Fault, failures: int) -> None:
    """Waits before the next attempt. Raises ProviderError where the server has been silent for too long."""
    model, silent_s = route.model, route.limiter.silent_for()
    if silent_s > model.patience_s:
        silent = f"has answered nothing for {silent_s:.0f} s"
        raise ProviderError(f'{model.provider} "{model.model}" {silent}: {fault.reason}; run again later')
    if fault.meaning == "again":
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
        await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - timing only


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def filed(errand: Errand, route: Route, sent: Sent, channel: Channel) -> Ended:
    """What a reply out of a batch or a file comes to: the same as over the wire, but nothing is tried again here."""
    read = _read(errand, route, sent, channel)
    if read.mistake is not None:
        raise read.mistake  # the file keeps the reply
    row = _row(errand, route.model, _Attempt(errand.attempts + 1, read, _now(), 0.0, channel))
    outcome = read.outcome if read.fault is None else Outcome("api_error", read.fault.reason)
    return Ended(outcome, read.reply, read.cost_usd or 0.0, row)


def _never(errand: Errand, model: LLMModel, tally: _Tally, fault: Fault) -> str:
    hint = ""
    if errand.ask.schema is not None and fault.http_status is not None and fault.http_status >= 500:
        hint = _FORM_HINT
    return (
        f'{model.provider} "{model.model}" at {model.server} has answered nothing; {tally.failures} attempts at one '
        f"request failed, the last: {fault.reason}{hint}"
    )


@dataclass(frozen=True)
class _Read:
    """What one attempt brought."""

    outcome: Outcome
    fault: Fault | None
    reply: ProviderReply | None
    body: str
    usage: Usage | None
    cost_usd: float | None
    mistake: Exception | None = None
    """What `ask.parse` died of: a mistake in it. The reply is kept as good, and read again when it is mended."""


def _read(errand: Errand, route: Route, sent: Sent, channel: Channel = "live") -> _Read:
    fault, reply, usage, mistake = sent.fault, None, None, None
    outcome = Outcome("api_error")
    if fault is None:
        try:
            reply = read_body(sent.body, errand.request.provider, errand.ask.form, errand.request.prompt)
            usage = reply.usage
            outcome = outcome_of(errand.ask, reply)
            if errand.ask.form == "chat" and channel != "offline":
                text = errand.ask.system + errand.ask.prompt
                if cut := cut_reason(usage, text, route.counted_share):
                    outcome = Outcome("prompt_cut", cut)
                if usage is not None and reply.text and not usage.output_tokens:
                    usage = None  # it wrote something: what that costs is not known
        except BrokenBody as error:
            usage = error.usage
            fault = Fault("again", "broken_body", str(error), 200, maybe_paid=usage is None)
            if error.error:
                fault = fault_in_200(sent.body)
        except Exception as error:  # not the model's fault, and its reply is paid for
            outcome, mistake = Outcome("ok"), error
    if usage is not None:
        cost: float | None = route.prices.cost(usage, channel, reply.service_tier if reply else None)
    else:
        unknown = reply is not None or (fault is not None and fault.maybe_paid)
        cost = None if unknown and not route.prices.free else 0.0
    if channel == "offline":
        cost = 0.0  # whoever answered it has paid
    return _Read(outcome, fault, reply, sent.body, usage, cost, mistake)


def _tell(limiter: Limiter, fault: Fault | None, sent_at: float) -> None:
    if fault is None or fault.meaning in ("give_up", "stop"):
        limiter.ok(sent_at)
    elif fault.meaning == "wait":
        limiter.throttled(sent_at, fault.wait_s)
    else:
        limiter.failed(sent_at, fault.wait_s)


@dataclass(frozen=True)
class _Attempt:
    """One attempt, as the reply log keeps it."""

    number: int  # of this draw, over all runs
    read: _Read
    called_at: datetime
    latency_ms: float
    channel: Channel = "live"


def _row(errand: Errand, model: LLMModel, attempt: _Attempt) -> Call:
    read, request = attempt.read, errand.request
    fault, reply = read.fault, read.reply
    unanswered = fault is not None and fault.status in ("rate_limited", "server_error", "no_connection", "timeout")
    return Call(
        request=request.hash,
        sample=errand.ask.sample,
        attempt=attempt.number,
        kind=errand.ask.kind,
        about=json.dumps(errand.ask.about, sort_keys=True, ensure_ascii=False, default=str)
        if errand.ask.about
        else None,
        provider=request.provider,
        server=request.server,
        model=model.model,
        channel=attempt.channel,
        status=fault.status if fault else read.outcome.status,
        reason=fault.reason if fault else read.outcome.reason,
        prefix=request.prefix,
        prompt=None if unanswered else request.prompt,
        called_at=attempt.called_at,
        latency_ms=attempt.latency_ms,
        http_status=fault.http_status if fault else 200,
        returned_model=reply.model if reply else None,
        stop_reason=reply.stop_reason if reply else None,
        reply=reply.text if reply else read.body or None,
        tokens=tokens_json(reply.tokens) if reply else None,
        usage=read.usage,
        cost_usd=read.cost_usd,
    )
