"""The detailed investigation of one feature against a proxy (Bricken et al. 2023), from sums by document block.

    specificity      of the tokens that the feature fires on, the share that the proxy marks; by level of activation,
                     equal steps of activation / maximum
    expected value   of the activation in each level, and in all, the share that stands on marked tokens: a level counts
                     by what it contributes
    sensitivity      Pearson's correlation of the activation with the proxy (0 or 1) over all tokens; and of the tokens
                     that the proxy marks, the share that the feature fires on

Every figure is a ratio or a correlation of sums over tokens, so it is the same function of a whole split, and of
windows weighted by what each of them stands for. Intervals count the spread of documents: blocks of them are the unit
(`census.py` for the correlation; for a ratio X / Y the spread of X_b - (X / Y) Y_b over blocks b).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from autointerp.records import N_BLOCKS, Float64
from autointerp.score import metrics
from autointerp.score.census import census_pearson_interval

N_LEVELS = 10
"""Equal steps of activation / maximum."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Sums:
    """All that the figures need; they add up over tokens."""

    moments: Float64
    """[B, 6] of activation and proxy, as `metrics.MOMENTS`; B document blocks"""
    n: Float64
    """[B, N_LEVELS] tokens that the feature fires on"""
    n_marked: Float64
    """[B, N_LEVELS] of these, marked by the proxy"""
    mass: Float64
    """[B, N_LEVELS] sum of their activations"""
    mass_marked: Float64
    """[B, N_LEVELS] of that, on marked tokens"""
    n_read: int
    """Tokens that were read, unweighted."""


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % interval; none where there is nothing to compute it from, or one block only."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Level:
    """One step of activation / maximum."""

    low: float
    """As a share of the maximum."""
    high: float
    n: float
    """Tokens that the feature fires on at this level (estimated where windows were sampled)."""
    specificity: Figure
    mass: float
    """Share of the feature's whole activation."""
    expected: Figure
    """Of this level's activation, the share on marked tokens."""


@dataclass(frozen=True)
class Investigated:
    """What is found about one unit."""

    maximum: float
    n_tokens: float
    n_firing: float
    base_rate: float
    """Share of all tokens that the proxy marks."""
    levels: tuple[Level, ...]
    specificity: Figure
    expected: Figure
    sensitivity: Figure
    """The correlation."""
    sensitivity_status: str
    """ok, or why there is none: `rare` (never fires), `constant` (the proxy marks nothing, or everything)."""
    recall: Figure
    """Of marked tokens, the share that the feature fires on."""
    n_read: int


def sums_of(
    activation: npt.ArrayLike, marked: npt.ArrayLike, block: npt.ArrayLike, maximum: float, weight: npt.ArrayLike = 1.0
) -> Sums:
    """From tokens [n]: activation, whether the proxy marks it, its document block, and how many tokens it stands for.

    Only activations above 0 are firings; `maximum` is the upper end of the levels.
    """
    t, p, of = (np.asarray(x) for x in (activation, marked, block))
    t, p = t.astype(np.float64), p.astype(np.bool_)
    w = np.broadcast_to(np.asarray(weight, dtype=np.float64), t.shape)
    terms = (w, w * t, w * p, w * t * t, w * p, w * t * p)  # p is 0 or 1
    moments = np.stack([np.bincount(of, term, N_BLOCKS).astype(np.float64) for term in terms], axis=-1)
    fires = t > 0
    scale = maximum if maximum > 0 else 1.0
    level = np.minimum((t[fires] / scale * N_LEVELS).astype(np.int64), N_LEVELS - 1)
    cell = of[fires].astype(np.int64) * N_LEVELS + level

    def by_level(values: Float64) -> Float64:
        counted = np.bincount(cell, values, N_BLOCKS * N_LEVELS).astype(np.float64)
        return np.asarray(counted.reshape(N_BLOCKS, N_LEVELS), dtype=np.float64)

    weight_of, mass = w[fires], w[fires] * t[fires]
    on_marked = p[fires].astype(np.float64)
    return Sums(
        moments,
        by_level(weight_of),
        by_level(weight_of * on_marked),
        by_level(mass),
        by_level(mass * on_marked),
        t.size,
    )


def investigate(of: Sums, maximum: float) -> Investigated:
    """All figures."""
    totals = of.moments.sum(axis=0)
    whole = float(of.mass.sum())
    estimate = census_pearson_interval(of.moments)
    status = str(estimate.status)
    levels = tuple(
        Level(
            k / N_LEVELS,
            (k + 1) / N_LEVELS,
            float(of.n[:, k].sum()),
            ratio(of.n_marked[:, k], of.n[:, k]),
            float(of.mass[:, k].sum()) / whole if whole > 0 else 0.0,
            ratio(of.mass_marked[:, k], of.mass[:, k]),
        )
        for k in range(N_LEVELS)
    )
    correlation = Figure(None)
    if status == "ok":
        correlation = Figure(float(estimate.value), _known(estimate.ci_low), _known(estimate.ci_high))
    return Investigated(
        maximum=maximum,
        n_tokens=float(totals[metrics.MOMENTS.index("n")]),
        n_firing=float(of.n.sum()),
        base_rate=float(totals[metrics.MOMENTS.index("p")] / totals[0]) if totals[0] > 0 else 0.0,
        levels=levels,
        specificity=ratio(of.n_marked.sum(axis=1), of.n.sum(axis=1)),
        expected=ratio(of.mass_marked.sum(axis=1), of.mass.sum(axis=1)),
        sensitivity=correlation,
        sensitivity_status=status,
        recall=ratio(of.n_marked.sum(axis=1), of.moments[:, metrics.MOMENTS.index("p")]),
        n_read=of.n_read,
    )


def ratio(part: Float64, whole: Float64) -> Figure:
    """The ratio of two sums over blocks [B], with its interval, no further than 0 to 1; empty blocks do not count.

    Where all blocks agree on 0 or on 1 their spread says nothing about others: the interval then reaches to the share
    of blocks that might be otherwise and none of n be seen, 1 - .025^(1/n).
    """
    total = float(whole.sum())
    if total <= 0:
        return Figure(None)
    value = float(part.sum()) / total
    present = whole > 0
    n = int(present.sum())
    if n < 2:
        return Figure(value)
    residual = (part - value * whole)[present]
    unseen = 1.0 - ((1.0 - CONFIDENCE) / 2) ** (1.0 / n)
    if value <= 0.0:
        return Figure(0.0, 0.0, unseen)
    if value >= 1.0:
        return Figure(1.0, 1.0 - unseen, 1.0)
    se = float(np.sqrt(n / (n - 1) * (residual**2).sum())) / total
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * se
    return Figure(value, max(value - reach, 0.0), min(value + reach, 1.0))


def _known(value: npt.ArrayLike) -> float | None:
    number = float(np.asarray(value))
    return None if np.isnan(number) else number
