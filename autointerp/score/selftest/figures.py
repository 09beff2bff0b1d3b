"""What the self-test found of one metric, as records that are kept and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LossCounts:
    """For how many planted features the score fell, at each density; of what has nothing to do with density, at all."""

    lost: tuple[int, ...]
    of: tuple[int, ...]
    """Features that had a score with both labels."""
    asked: tuple[int, ...]
    """All."""
    kinds: Mapping[str, tuple[int, int]]
    """Of each kind of planted feature, at all densities: how many lost, of how many with a score."""

    def shares(self) -> tuple[float | None, ...]:
        """None where fewer than half of the features had a score."""
        rows = zip(self.lost, self.of, self.asked, strict=True)
        return tuple(lost / of if of and 2 * of >= asked else None for lost, of, asked in rows)


@dataclass(frozen=True)
class Ranking:
    """Where the true label of a feature stands among the labels of all features."""

    first: float
    """Share of features whose true label has the highest score, ties counted by their share."""
    reciprocal: float
    """Mean of 1 / rank."""
    n_features: int
    n_labels: int


@dataclass(frozen=True)
class Excess:
    """Mean score less chance, over features, with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int
    over: str
    """`chance`, where the metric has one; else `ignorance`: what a label gets that claims nothing or everything,
    whichever is more."""
    by: str = ""
    """Of several, the one that is farthest from chance."""


@dataclass(frozen=True)
class MetricFigures:
    """A metric, as one scorer's predictions get it."""

    scorer: str
    metric: str
    design: str
    version: int
    extra: LossCounts | None = None
    """By the label that claims too much."""
    missing: LossCounts | None = None
    """By the label that misses half."""
    ranking: Ranking | None = None
    unrelated: Excess | None = None
    """Of labels that have nothing to do with the activations."""
    blind: Excess | None = None
    """Of a judge that reads nothing; None: no judge answers, or no score came of it."""
    reason: str = ""
    """Why it was not tried, or why scores are lacking."""

    @property
    def name(self) -> tuple[str, str, str]:
        """Scorer, metric and design."""
        return self.scorer, self.metric, self.design


def to_json(figures: MetricFigures) -> dict[str, Any]:
    """As it is kept: floats to four places."""
    return {name: _rounded(value) for name, value in asdict(figures).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, 4) + 0.0 if isinstance(value, float) else value


def from_json(row: Mapping[str, Any]) -> MetricFigures:
    """The inverse of `to_json`."""

    def losses(name: str) -> LossCounts | None:
        if row[name] is None:
            return None
        lost, of, asked = (tuple(row[name][part]) for part in ("lost", "of", "asked"))
        return LossCounts(lost, of, asked, {kind: (n_lost, n) for kind, (n_lost, n) in row[name]["kinds"].items()})

    return MetricFigures(
        row["scorer"],
        row["metric"],
        row["design"],
        row["version"],
        losses("extra"),
        losses("missing"),
        None if row["ranking"] is None else Ranking(**row["ranking"]),
        None if row["unrelated"] is None else Excess(**row["unrelated"]),
        None if row["blind"] is None else Excess(**row["blind"]),
        row["reason"],
    )
