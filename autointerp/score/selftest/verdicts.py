"""From figures to verdicts: which metrics pass which trial.

A mark is earned at EARNED, by the run that `figures.json` holds. A run of the self-test takes it away only below KEPT,
so that another seed does not: of 24 features one or two more or fewer are no news.

    extra, missing   `yes`: the score falls for enough of the features at every density; `frequent`: not so, but for
                     MOST at the highest density; `mostly`: for MOST, where density has nothing to do with it;
                     `no`: not there either; `unknown`: too few scores to say
    first            the true label is first for enough of the features
    unrelated,       the mean is not shown to be off chance by more than the margin: in either direction, or above it
    blind            where chance depends on the feature
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autointerp.score.selftest.figures import Excess, LossCounts, MetricFigures

Sight = Literal["yes", "frequent", "mostly", "no", "unknown"]
TRIALS = ("extra", "missing", "first", "unrelated", "blind")


@dataclass(frozen=True)
class Bounds:
    """What is enough."""

    share: float
    """Of the features whose score falls, at each density."""
    first: float
    """Of the features whose true label is first."""
    margin: float
    """Distance from chance, in the units of the metric."""


MOST = 0.75
EARNED = Bounds(share=0.9, first=0.9, margin=0.02)
KEPT = Bounds(share=0.8, first=0.8, margin=0.04)


@dataclass(frozen=True)
class SelftestVerdict:
    """How a metric did in each trial; None: it was not tried, or no score came of it."""

    extra: Sight
    missing: Sight
    first: bool | None
    unrelated: bool | None
    blind: bool | None

    def passed(self, trial: str) -> bool | None:
        """One of TRIALS."""
        result = getattr(self, trial)
        if isinstance(result, str):
            return None if result == "unknown" else result == "yes"
        return None if result is None else bool(result)

    @property
    def failed(self) -> tuple[str, ...]:
        """The trials that it did not pass."""
        return tuple(trial for trial in TRIALS if self.passed(trial) is False)

    @property
    def passes(self) -> bool | None:
        """All trials; None where it failed none but could not be put through all. Lookups have no judge that could
        answer blindly."""
        if self.failed:
            return False
        return True if all(self.passed(trial) for trial in TRIALS[:-1]) else None


def verdict_of(figures: MetricFigures, bounds: Bounds = EARNED) -> SelftestVerdict:
    """How a metric did by these bounds."""
    return SelftestVerdict(
        _sight(figures.extra, bounds.share),
        _sight(figures.missing, bounds.share),
        None if figures.ranking is None else figures.ranking.first >= bounds.first,
        _at_chance(figures.unrelated, bounds.margin),
        _at_chance(figures.blind, bounds.margin),
    )


def lost_marks(kept: MetricFigures, now: MetricFigures) -> tuple[str, ...]:
    """The trials that the kept figures pass and a run does not."""
    before, after = verdict_of(kept), verdict_of(now, KEPT)
    return tuple(trial for trial in TRIALS if before.passed(trial) and not after.passed(trial))


def _sight(losses: LossCounts | None, enough: float) -> Sight:
    shares = () if losses is None else losses.shares()
    if not shares or shares[0] is None:
        return "unknown"
    if any(share is not None and share < enough for share in shares):
        if shares[0] < MOST:
            return "no"
        return "frequent" if len(shares) > 1 else "mostly"
    return "unknown" if None in shares else "yes"


def _at_chance(excess: Excess | None, margin: float) -> bool | None:
    if excess is None:
        return None
    return excess.low <= margin and (excess.high >= -margin or excess.over == "ignorance")
