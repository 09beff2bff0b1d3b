"""What a metric is: a row that says what it reads, how it is computed and how it is to be read.

Everything that pages, checks and documentation say of a metric derives from its row in `metric_registry.py`, and from
what the self-test found of it (`selftest/marks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from autointerp.score.metrics import Value

Shape = Literal["counted", "simulated", "judged", "rated", "chosen", "generated", "published"]
"""What a metric reads, of one feature and explanation:

counted     the sums of the census over every token (`predictions` of the lookup)   `census_sums.Counted`
simulated   activations on the sampled windows                                     `predictions.Simulated`
judged      how likely each item is right                                          `predictions.Judged`
rated       how strongly each token is promoted                                    `predictions.Rated`
chosen      which of some windows is the one asked for                             `predictions.Chosen`
generated   what the feature does on texts written from the explanation            `predictions.Generated`
published   what the published protocols ask about                                 `sampled.Answered`
"""


@dataclass(frozen=True)
class Measured:
    """A metric of one prediction, or the reason why it has no value."""

    value: float | None
    status: str  # ok, constant, few_documents, underpowered; rare, failed, no_items, one_sided ... have no value
    n: int  # tokens (census), windows or items behind the value
    n_failed: int = 0
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True)
class Metric:
    """A row of the registry."""

    name: str
    reads: Shape
    sentence: str
    """What it says, for a page: one sentence."""
    measure: Callable[[Sequence[Any]], Sequence[Measured]]
    """Predictions of the shape that it reads -> their measurements, in order."""
    prepare: Callable[[Sequence[Any]], Any] | None = None
    """What `measure` is given instead, made of all predictions: once for all metrics that name the same function."""
    chance: float | None = None
    """What a prediction without knowledge gets; None: that depends on the feature."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """Its least and its largest value: no interval reaches further."""
    scorer: str | tuple[str, ...] | None = None
    """The only scorers whose predictions it is computed for; None: every scorer of that shape."""
    judged_too: bool = False
    """reads = "published": also computed from what an LLM judge was asked about the windows of our own sample."""
    but_for: tuple[str, ...] = ()
    """Scorers whose predictions have metrics of their own in its place."""
    primary: bool = False
    """Shown by default, one for each scorer and design."""
    second_for: tuple[str, ...] = ()
    """Scorers that have another primary metric of the same shape."""
    on_card: bool = False
    """Shown on a feature's card."""
    by_document: bool = False
    """Whether moments by document block are stored: its intervals then count the spread of documents too."""
    version: int = 1
    """Raised when it would give other values: stored scores are then computed again."""

    @property
    def design(self) -> str:
        """census or sample."""
        return "census" if self.reads == "counted" else "sample"

    def of(self, predictions: Sequence[Any]) -> Sequence[Measured]:
        """Of predictions of the shape that it reads, in order."""
        return self.measure(predictions if self.prepare is None else self.prepare(predictions))

    def is_first(self, scorer: str) -> bool:
        """Whether it is what is shown of this scorer by default."""
        return self.primary and scorer not in self.second_for

    def is_of(self, scorer: str) -> bool:
        """Whether it is computed for what this scorer predicts."""
        own = (self.scorer,) if isinstance(self.scorer, str) else self.scorer
        return scorer not in self.but_for and (own is None or scorer in own)


class OwnMetric(Protocol):
    """A metric of the user's own: `[score] metrics = [{ python = "module:Class" }]`, made without arguments."""

    name: str
    """What its rows are called."""
    reads: Shape
    sentence: str

    def measure(self, prediction: Any) -> float | None:
        """The value for one feature and explanation; None where there is none."""
        ...


def each(measure: Callable[[Any], Measured]) -> Callable[[Sequence[Any]], Sequence[Measured]]:
    """A metric that is computed for one prediction after the other."""
    return lambda predictions: [measure(prediction) for prediction in predictions]


def measured(value: Value, n: int, n_failed: int = 0) -> Measured:
    """A value without an interval."""
    return Measured(value.value, value.status, n, n_failed)
