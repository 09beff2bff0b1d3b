"""What the streams of one session share: log, budget, what is known of the servers, and who waits for which request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from autointerp.llm.asks import Answer, Ask
from autointerp.llm.money.budget import SpendingLimit
from autointerp.llm.money.calibration import Calibration
from autointerp.llm.session.attempt import Ended, Errand, Route
from autointerp.llm.session.courier import Courier
from autointerp.llm.session.server_checks import ServerChecks
from autointerp.llm.session.whole_reading import WholeReading
from autointerp.llm.wire.outcome import Outcome, outcome_of
from autointerp.llm.wire.replies import ProviderReply
from autointerp.reply_log import CallKey, ReplyLog


@dataclass
class Progress:
    """Where a session stands."""

    asked: int = 0
    done: int = 0
    cached: int = 0  # of the done, from the reply log
    failed: int = 0  # of the done, without an answer
    waiting: int = 0  # of the done, in a batch or a file: run again
    cost_usd: float = 0.0  # of this session


class Recipient(Protocol):
    """Who gets answers: a stream, as the others of its session see it."""

    route: Route

    def deliver(self, answer: Answer) -> None:
        """Hands out one answer."""

    def raise_in_consumer(self, error: BaseException) -> None:
        """Ends it."""

    def inherit(self, ask: Ask) -> None:
        """Sends a request that its first asker has left behind."""


class Shared:
    """What all streams of a session have in common. Belongs to one event loop."""

    def __init__(
        self,
        log: ReplyLog,
        budget: SpendingLimit,
        refresh: bool,
        courier: Courier | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.log = log
        self.budget = budget
        self.refresh = refresh
        self.courier = courier
        self.progress = Progress()
        self.checks = ServerChecks(log.probed())
        self.calibration = Calibration(log.tokens_per_char)
        self.refreshed: set[CallKey] = set()
        """What `refresh` has asked anew already."""
        self.pending: dict[CallKey, list[tuple[Recipient, Ask]]] = {}
        """Who waits for which request; the first sends it."""
        self.readings: dict[tuple[str, str], WholeReading] = {}
        """What is read of long prompts, by server and model."""
        self.streams: set[Recipient] = set()
        self.stopped: BaseException | None = None
        self._on_progress = on_progress

    def stop(self, error: BaseException) -> None:
        """Ends all streams, with the first cause."""
        if self.stopped is None:
            self.stopped = error
            for stream in self.streams:
                stream.raise_in_consumer(error)

    def ended(self, errand: Errand, ended: Ended) -> None:
        """Tells everybody who asked this request; the first of them has paid."""
        if self.refresh:
            self.refreshed.add(errand.key)
        for number, (stream, ask) in enumerate(self.pending.pop(errand.key, [])):
            outcome = ended.outcome
            if number and ended.reply is not None and outcome.status != "prompt_cut":  # that is the reply's own
                outcome = outcome_of(ask, ended.reply)  # what is read out of a reply is each asker's own
            stream.deliver(
                answer_of(ask, errand.key[0], outcome, ended.reply, bool(number), 0.0 if number else ended.cost_usd)
            )

    def delivered(self, answer: Answer) -> None:
        self.progress.done += 1
        self.progress.cached += answer.cached
        self.progress.waiting += answer.status == "waiting"
        self.progress.failed += answer.status not in ("ok", "waiting")
        self.progress.cost_usd += answer.cost_usd
        if self._on_progress is not None:
            self._on_progress(self.progress)


def answer_of(
    ask: Ask, request: str, outcome: Outcome, reply: ProviderReply | None, cached: bool, cost_usd: float
) -> Answer:
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
