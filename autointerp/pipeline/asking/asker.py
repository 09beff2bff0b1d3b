"""What asks LLMs, as stages see it; and what a run has asked and still waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.errors import OverBudget, Waiting
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.plan.servers import servers_of
from autointerp.progress import Reporter
from autointerp.store.writer import StoreWriter


class Asker(Protocol):
    """The LLM client as stages need it: `autointerp.llm.session.client.Session`."""

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        """An answer for every ask, as they come."""
        ...

    def close(self) -> None:
        """Lets go of connections; everything received is kept."""
        ...


@runtime_checkable
class AskerThatSettles(Protocol):
    """An asker that can find out what a server does before it is needed; one without this is taken to ask servers that
    do all that they are asked for."""

    def settle(self, model: LLMModel, asks: Sequence[Ask]) -> int | None:
        """Finds out what a server can do that is asked questions like these; the tokens of its context, where they are
        known. Raises ConfigError where it cannot do what they need."""
        ...


@dataclass
class Unanswered:
    """Why a piece of work is not whole."""

    over_budget: str = ""
    waiting: dict[tuple[str, int], str] = field(default_factory=dict)
    """Where the reply to a request and sample is waited for."""

    def note(self, answer: Answer) -> None:
        """Only what no reply has come to counts: a failure is an answer."""
        if answer.status == "over_budget":
            self.over_budget = answer.reason or "max_usd is reached"
        elif answer.status == "waiting":
            self.waiting[answer.request, answer.ask.sample] = answer.reason


Stated = TypeVar("Stated", bound=LLMModel)
OpenClient = Callable[[StoreWriter, RunConfig], Asker]
"""How a run gets its LLM client."""


class Asking:
    """What a run asks. A piece of work whose replies are not all there is not done, and what builds on it waits."""

    def __init__(
        self, store: StoreWriter, config: RunConfig, report: Reporter, open_client: OpenClient, delivery: Delivery
    ) -> None:
        self._store, self._config, self._report = store, config, report
        self._open_client, self._delivery = open_client, delivery
        self._client: Asker | None = None
        self._waiting: dict[tuple[str, int], str] = {}  # request and sample -> where its reply is waited for
        self.contexts: dict[tuple[str, str], int] = {}
        """Tokens of context, by server and model, where they are stated."""
        self.unexplained: set[tuple[str, str]] = set()
        """Dictionary and explainer whose explanations have to wait."""

    def close(self) -> None:
        """Lets go of the client."""
        if self._client is not None:
            self._client.close()

    @property
    def waits(self) -> bool:
        """Whether replies are not there yet."""
        return bool(self._waiting)

    def end(self) -> None:
        """Says what became of the questions. Raises Waiting where replies are not there yet."""
        if self._waiting:
            places = Counter(self._waiting.values())
            raise Waiting("; ".join(f"{n:,} {'request' if n == 1 else 'requests'} {at}" for at, n in places.items()))
        if self._delivery.refresh and self._client is None:
            self._report.say("--refresh: nothing was asked; all that asks LLMs is done")

    def client(self) -> Asker:
        """The LLM client of this run; it says once where corpus text goes."""
        if self._client is None:
            self._client = self._open_client(self._store, self._config)
            for server, models in sorted(servers_of(self._config).items()) if self._delivery.sends else ():
                self._report.say(f"text of the corpus is sent to {server} ({', '.join(models)})")
        return self._client

    @property
    def live(self) -> bool:
        """Whether questions are answered while the run waits, not in batches or files."""
        return not (self._delivery.batch or self._delivery.out or self._delivery.into)

    def judge(self) -> Judge:
        """The run's judge, with the context that its server states."""
        judge = self._config.score.judge
        assert judge is not None  # nothing is judged without one
        return self.with_context(judge)

    def with_context(self, model: Stated) -> Stated:
        """A model with the context that its server states; what the run file says stands."""
        context = self.contexts.get((model.server, model.model))
        return model if model.context_tokens is not None else model.model_copy(update={"context_tokens": context})

    def whole(self, unanswered: Unanswered) -> bool:
        """Whether a piece of work can be done now. Where the budget cut it short, or replies are not there yet, it is
        not done, and the replies that came are kept. Raises OverBudget."""
        if unanswered.over_budget:
            raise OverBudget(unanswered.over_budget)
        self._waiting |= unanswered.waiting
        return not unanswered.waiting
