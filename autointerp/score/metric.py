"""What a metric is: a row that says what it reads, how it is computed and how it is to be read.

Everything that pages, checks and documentation say of a metric derives from its row in `metric_registry.py`, and from
what the self-test found of it (`selftest/marks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, overload

import numpy as np
import numpy.typing as npt

from autointerp.score.metrics import FloatArray, Value

Shape = Literal["counted", "simulated", "judged", "rated", "chosen", "generated", "picked", "published"]
"""What a metric reads, of one feature and explanation:

counted     the sums of the census over every token (`predictions` of the lookup)   `census_sums.Counted`
simulated   activations on the sampled windows                                     `predictions.Simulated`
judged      how likely each item is right                                          `predictions.Judged`
rated       how strongly each token is promoted                                    `predictions.Rated`
chosen      which of some windows is the one asked for                             `predictions.Chosen`
generated   what the feature does on texts written from the explanation            `predictions.Generated`
picked      which of some texts was written with the feature's direction added     `predictions.Picked`
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


class MeasuredColumns(Sequence[Measured]):
    """Many measurements as columns: no object each. nan: there is none."""

    def __init__(
        self,
        value: FloatArray,
        status: npt.ArrayLike,
        n: npt.ArrayLike,
        n_failed: npt.ArrayLike = 0,
        ci_low: npt.ArrayLike = np.nan,
        ci_high: npt.ArrayLike = np.nan,
    ) -> None:
        """All [n], or one value for all."""

        def column(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
            array = np.asarray(values, dtype=dtype)
            return array if array.shape == value.shape else np.broadcast_to(array, value.shape)

        self.value, self.ci_low, self.ci_high = value, column(ci_low, np.float64), column(ci_high, np.float64)
        self.status, self.n, self.n_failed = column(status, object), column(n, np.int64), column(n_failed, np.int64)

    @classmethod
    def of(cls, rows: Sequence[Measured]) -> MeasuredColumns:
        """The same as columns."""
        if isinstance(rows, MeasuredColumns):
            return rows

        def numbers(name: str) -> FloatArray:
            return np.array([getattr(row, name) for row in rows], dtype=np.float64)  # None becomes nan

        status = np.array([row.status for row in rows], dtype=object)
        n, n_failed = [row.n for row in rows], [row.n_failed for row in rows]
        return cls(numbers("value"), status, n, n_failed, numbers("ci_low"), numbers("ci_high"))

    def __len__(self) -> int:
        return len(self.value)

    @overload
    def __getitem__(self, index: int) -> Measured: ...

    @overload
    def __getitem__(self, index: slice) -> list[Measured]: ...

    def __getitem__(self, index: int | slice) -> Measured | list[Measured]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        value, low, high = (_or_none(column[index]) for column in (self.value, self.ci_low, self.ci_high))
        return Measured(value, str(self.status[index]), int(self.n[index]), int(self.n_failed[index]), low, high)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


@dataclass(frozen=True)
class Metric:
    """A row of the registry."""

    name: str
    reads: Shape
    sentence: str
    """What it says, for a page: one sentence."""
    measure: Callable[[Sequence[Any]], Sequence[Measured]]
    """Predictions of the shape that it reads -> their measurements, in order."""
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
        return self.measure(predictions)

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


@dataclass(frozen=True)
class InTwoSteps:
    """A metric of what is made of all predictions together: once for all metrics that make it by the same function."""

    prepare: Callable[[Sequence[Any]], Any]
    compute: Callable[[Any], Sequence[Measured]]

    def __call__(self, predictions: Sequence[Any]) -> Sequence[Measured]:
        """Of predictions alone."""
        return self.compute(self.prepare(predictions))


def measure_all(metrics: Iterable[Metric], predictions: Sequence[Any]) -> Iterator[tuple[Metric, MeasuredColumns]]:
    """Each metric of the same predictions; what metrics share is made once."""
    prepared: dict[Any, Any] = {}
    for metric in metrics:
        measure = metric.measure
        if isinstance(measure, InTwoSteps):
            if measure.prepare not in prepared:
                prepared[measure.prepare] = measure.prepare(predictions)
            yield metric, MeasuredColumns.of(measure.compute(prepared[measure.prepare]))
        else:
            yield metric, MeasuredColumns.of(measure(predictions))


def each(measure: Callable[[Any], Measured]) -> Callable[[Sequence[Any]], Sequence[Measured]]:
    """A metric that is computed for one prediction after the other."""
    return lambda predictions: [measure(prediction) for prediction in predictions]


def measured(value: Value, n: int, n_failed: int = 0) -> Measured:
    """A value without an interval."""
    return Measured(value.value, value.status, n, n_failed)
