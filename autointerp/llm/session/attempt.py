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
from autointerp.llm.asks import Ask, Status
from autointerp.llm.money.budget import Budget
from autointerp.llm.money.prices import Channel, Prices
from autointerp.llm.session.limiter import Limiter
from autointerp.llm.wire.capabilities import Capabilities
from autointerp.llm.wire.connection import Connection, Sent
from autointerp.llm.wire.faults import Fault, fault_in_200
from autointerp.llm.wire.outcome import Outcome, outcome_of
from autointerp.llm.wire.render import Request
from autointerp.llm.wire.replies import BrokenBody, Reply, read_body, tokens_json
from autointerp.reply_log import Call, CallKey, Usage

MOST_THROTTLES = 100
"""One request turned away so often while others pass is a request that is too large for the limit."""
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0


@dataclass(frozen=True)
class Job:
    """An ask on its way."""

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
    reply: Reply | None = None
    cost_usd: float = 0.0
    call: Call | None = None


@dataclass(frozen=True)
class Line:
    """All that a request goes through on its way to one model."""

    model: LLMModel
    known: Capabilities
    limiter: Limiter
    budget: Budget
    prices: Prices
    connect: Callable[[], Connection]
    tokens_per_char: Callable[[], float | None]

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


class Stopped(Exception):
    """The run has been stopped by another request: this one is not sent."""


async def call(
    job: Job, line: Line, log: Callable[[Job, Call], None], stopped: Callable[[], bool], sending: Callable[[bool], None]
) -> Ended:
    """Asks until it ends. All attempts but the last are given to `log` at once, the last is in the result.

    Raises ProviderError where the run must stop, Stopped where it has.
    """
    model, limiter = line.model, line.limiter
    failures = throttles = replies = 0
    attempt, spent = job.attempts, 0.0
    while True:
        worst = line.worst(job.request)
        if not await line.budget.set_aside(worst):
            return Ended(Outcome("over_budget", line.budget.line()), None, spent)
        cost: float | None = 0.0
        try:
            sent_at = await limiter.acquire()
            try:
                if stopped():
                    raise Stopped
                connection = line.connect()
                attempt += 1
                called_at, begun = datetime.now(UTC).replace(tzinfo=None), time.perf_counter()
                sending(True)
                cost = None  # not known from here until the reply is read
                sent = await connection.post(job.request.path, job.request.content, model.timeout_s)
                latency_ms = 1000 * (time.perf_counter() - begun)
                read = _read(job, line, sent)
                cost = read.cost_usd
                _tell(limiter, read.fault, sent_at)
            finally:
                limiter.release()
        finally:
            line.budget.settle(worst, worst if cost is None else cost)
        spent += cost or 0.0
        row = _row(job, model, attempt, read, called_at, latency_ms)
        if read.mistake is not None:
            log(job, row)
            raise read.mistake

        fault = read.fault
        if fault is None:
            again = read.outcome.status in ("empty", "unparseable", "invalid")
            replies += again
            if not again or replies >= model.replies:
                return Ended(read.outcome, read.reply, spent, row)
        elif fault.meaning == "give_up":
            status: Status = "refused" if fault.status == "refused" else "api_error"
            return Ended(Outcome(status, fault.reason), None, spent, row)
        elif fault.meaning == "stop":
            log(job, row)
            hint = _FORM_HINT if any(word in fault.reason for word in ("response_format", "json_schema")) else ""
            raise ProviderError(f'{model.provider} "{model.model}" stopped the run: {fault.reason}{hint}')
        elif fault.meaning == "wait":
            throttles += 1
            if throttles >= MOST_THROTTLES:
                return Ended(Outcome("api_error", f"turned away {throttles} times: {fault.reason}"), None, spent, row)
        else:
            failures += 1
            if failures >= model.attempts:
                if not limiter.answered:
                    log(job, row)
                    raise ProviderError(_never_answered(model, failures, fault, job.ask.schema is not None))
                return Ended(
                    Outcome("api_error", f"{failures} attempts failed; the last: {fault.reason}"), None, spent, row
                )
        log(job, row)
        if stopped():
            raise Stopped
        sending(False)
        if limiter.silent_for() > model.patience_s and fault is not None:
            silent = f"has answered nothing for {limiter.silent_for():.0f} s"
            raise ProviderError(f'{model.provider} "{model.model}" {silent}: {fault.reason}; run again later')
        if fault is not None and fault.meaning == "again":
            pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1))
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - timing only


def filed(job: Job, line: Line, sent: Sent, channel: Channel) -> Ended:
    """What a reply out of a batch or a file comes to: the same as over the wire, but nothing is tried again here."""
    read = _read(job, line, sent, channel)
    if read.mistake is not None:
        raise read.mistake  # the file keeps the reply
    row = _row(job, line.model, job.attempts + 1, read, datetime.now(UTC).replace(tzinfo=None), 0.0, channel)
    outcome = read.outcome if read.fault is None else Outcome("api_error", read.fault.reason)
    return Ended(outcome, read.reply, read.cost_usd or 0.0, row)


def _never_answered(model: LLMModel, failures: int, fault: Fault, structured: bool) -> str:
    hint = ""
    if structured and fault.http_status is not None and fault.http_status >= 500:
        hint = _FORM_HINT
    return (
        f'{model.provider} "{model.model}" at {model.server} has answered nothing; {failures} attempts at one request '
        f"failed, the last: {fault.reason}{hint}"
    )


@dataclass(frozen=True)
class _Read:
    """What one attempt brought."""

    outcome: Outcome
    fault: Fault | None
    reply: Reply | None
    body: str
    usage: Usage | None
    cost_usd: float | None
    mistake: Exception | None = None
    """What `ask.parse` died of: a mistake in it. The reply is kept as good, and read again when it is mended."""


def _read(job: Job, line: Line, sent: Sent, channel: Channel = "live") -> _Read:
    fault, reply, usage, mistake = sent.fault, None, None, None
    outcome = Outcome("api_error")
    if fault is None:
        try:
            reply = read_body(sent.body, job.request.provider, job.ask.form, job.request.prompt)
            usage = reply.usage
            outcome = outcome_of(job.ask, reply)
        except BrokenBody as error:
            usage = error.usage
            fault = Fault("again", "broken_body", str(error), 200, maybe_paid=usage is None)
            if error.error:
                fault = fault_in_200(sent.body)
        except Exception as error:  # not the model's fault, and its reply is paid for
            outcome, mistake = Outcome("ok"), error
    if usage is not None:
        cost: float | None = line.prices.cost(usage, channel, reply.service_tier if reply else None)
    else:
        unknown = reply is not None or (fault is not None and fault.maybe_paid)
        cost = None if unknown and not line.prices.free else 0.0
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


def _row(
    job: Job,
    model: LLMModel,
    attempt: int,
    read: _Read,
    called_at: datetime,
    latency_ms: float,
    channel: Channel = "live",
) -> Call:
    fault, reply, request = read.fault, read.reply, job.request
    unanswered = fault is not None and fault.status in ("rate_limited", "server_error", "no_connection", "timeout")
    return Call(
        request=request.hash,
        sample=job.ask.sample,
        attempt=attempt,
        kind=job.ask.kind,
        about=json.dumps(job.ask.about, sort_keys=True, ensure_ascii=False, default=str) if job.ask.about else None,
        provider=request.provider,
        server=request.server,
        model=model.model,
        channel=channel,
        status=fault.status if fault else read.outcome.status,
        reason=fault.reason if fault else read.outcome.reason,
        prefix=request.prefix,
        prompt=None if unanswered else request.prompt,
        called_at=called_at,
        latency_ms=latency_ms,
        http_status=fault.http_status if fault else 200,
        returned_model=reply.model if reply else None,
        stop_reason=reply.stop_reason if reply else None,
        reply=reply.text if reply else read.body or None,
        tokens=tokens_json(reply.tokens) if reply else None,
        usage=read.usage,
        cost_usd=read.cost_usd,
    )
