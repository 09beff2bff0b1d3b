"""P(label holds) of features that were not scored, from what is known of them for nothing; and how far to trust it.

A label holds where its score is at least a stated limit. It is known of the scored features; of the others a logistic
regression says how likely it is.

1. Covariates: log10 density, token entropy, the census scores that cost nothing (`lexical`, `context_lookup`), the
   cosine to the nearest feature, and the share of labels that hold among the nearest features that were scored, drawn
   towards the base rate by two features' worth of it. A missing value is the mean, and a mark that it is missing.
   Covariates that do not vary are left out.
2. Weighted by what each scored feature stands for, standardised, with a ridge of RIDGE (the intercept free): its
   predictions add up to the weighted number of labels that hold.
3. Its calibration is that of held-out features: FOLDS parts by hash; each is predicted by a fit to the others, in which
   the labels of its features are not seen, neighbours included. From these come the reliability table and the Brier
   score, and beside it the Brier score of the base rate of the others.
4. The prediction helps where the interval of the difference of the Brier scores (paired by feature, weighted) lies
   below 0; it does harm where it lies above; else it cannot be told. Where it does not help, what is said of every
   feature is the base rate.
5. The interval of a prediction is Wilson's, at the effective number of the NEAREST scored features whose held-out
   predictions are nearest to it, about the prediction and what these miss by: the share of their labels that hold less
   their mean prediction. So it owes nothing to the form of the regression: where that is wrong, the interval shows it;
   and where the curve is steep, features that are said less or more likely do not pull it. It is stretched to hold the
   prediction itself. That of the base rate is Wilson's over all scored features.

By simulation (`tests/compare/test_holds.py`): of 200 scored features the held-out table is calibrated within its
intervals, and where nothing predicts the label it says so. The share that truly holds among features of about the same
prediction lies in the interval for .98 of them, .97 where the covariates tell more (widths .26 and .22). On a bundled
dictionary of which every feature is scored: .97 and .99 (`benchmarks/holds.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from autointerp.compare.interval import Interval
from autointerp.records import Int64
from autointerp.score.metrics import FloatArray

RIDGE = 1.0
FOLDS = 5
BINS = 5
SHRINK = 2.0
"""Features of the base rate that are put to the scored neighbours of a feature."""
FEWEST = 20
"""Scored features, and FEWEST_OF_EACH of either kind, below which nothing is fitted."""
FEWEST_OF_EACH = 4
NEAREST = 40
"""Scored features behind the interval of a prediction."""
Basis = Literal["covariates", "base_rate"]
"""What the probabilities are from."""
Helps = Literal["helps", "harms", "cannot be told", "too few"]


@dataclass(frozen=True)
class Known:
    """What is known of N features without scoring them."""

    covariates: FloatArray  # [N, C] nan where missing
    owner: Int64  # [M] places among the N; with `near` the pairs of a feature and a neighbour of it
    near: Int64  # [M]
    fold: Int64  # [N] 0 to FOLDS - 1, by hash

    @property
    def n(self) -> int:
        return len(self.covariates)


@dataclass(frozen=True)
class ReliabilityRow:
    """Held-out features of about the same prediction."""

    n: int
    predicted: float
    """Mean prediction."""
    holds: float
    """Share whose label holds, weighted."""
    low: float
    high: float
    """Wilson's 95 % interval of that share, at the effective number of features."""


@dataclass(frozen=True)
class HeldOut:
    """Of held-out predictions."""

    table: tuple[ReliabilityRow, ...]
    brier: float
    brier_base: float
    """Of the base rate of the other parts."""
    difference: Interval
    """brier - brier_base: below 0 the prediction is better."""
    helps: Helps


@dataclass(frozen=True)
class HoldsFit:
    """P(label holds) of every feature, and its calibration."""

    p: FloatArray  # [N] of the scored ones: from the fit to all, too
    held_out: FloatArray  # [n] of the scored ones, each from a fit that has not seen it
    base: float
    calibration: HeldOut
    chance: FloatArray  # [N] what is said of each: `p` where it helps, else the base rate
    low: FloatArray  # [N] the 95 % interval of `chance`
    high: FloatArray  # [N]

    @property
    def basis(self) -> Basis:
        """What `chance` is."""
        return "covariates" if self.calibration.helps == "helps" else "base_rate"


def fit_holds(known: Known, scored: Int64, holds: FloatArray, weights: FloatArray) -> HoldsFit:
    """From the scored features (places [n]), whether their labels hold (0 or 1, [n]) and what each stands for, [n]."""
    weights = weights / weights.mean() if len(weights) else weights
    base = float(np.average(holds, weights=weights)) if len(holds) else float("nan")
    n_hold = int(holds.sum())
    if len(scored) < FEWEST or min(n_hold, len(holds) - n_hold) < FEWEST_OF_EACH:
        held_out = np.full(len(scored), base)
        none = HeldOut((), np.nan, np.nan, Interval.of(np.nan, np.nan, 1.0, 0.95, 0), "too few")
        return HoldsFit(np.full(known.n, base), held_out, base, none, *_base_rate(known.n, base, weights))
    held_out, bases = np.empty(len(scored)), np.empty(len(scored))
    for fold in range(FOLDS):
        out = known.fold[scored] == fold
        if not out.any():
            continue
        rest = ~out
        p = _predict(known, scored[rest], holds[rest], weights[rest])
        held_out[out], bases[out] = p[scored[out]], np.average(holds[rest], weights=weights[rest])
    p = _predict(known, scored, holds, weights)
    made = calibration(held_out, bases, holds, weights)
    if made.helps == "helps":
        return HoldsFit(p, held_out, base, made, p, *intervals(p, held_out, holds, weights))
    return HoldsFit(p, held_out, base, made, *_base_rate(known.n, base, weights))


def _base_rate(n: int, base: float, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same of all N features; nan where nothing was scored."""
    if not len(weights):
        return np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    low, high = wilson(np.array([base]), np.array([weights.sum() ** 2 / np.sum(weights**2)]))
    return np.full(n, base), np.full(n, low[0]), np.full(n, high[0])


def intervals(
    p: FloatArray, held_out: FloatArray, holds: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Step 5: of predictions [N], from the held-out ones [n] of scored features."""
    order = np.argsort(held_out, kind="stable")
    n, k = len(order), min(NEAREST, len(order))
    first = np.clip(np.searchsorted(held_out[order], p) - k // 2, 0, n - k)

    def near(values: FloatArray) -> FloatArray:
        sums = np.concatenate([[0.0], np.cumsum(values[order])])
        return np.asarray(sums[first + k] - sums[first], dtype=np.float64)

    total = near(weights)
    missed = near(weights * (holds - held_out)) / total
    # differences of sums: what is 0 or 1 is to be just that
    rate = np.asarray(np.round(np.clip(p + missed, 0.0, 1.0), 12), dtype=np.float64)
    low, high = wilson(rate, total**2 / near(weights**2))
    return np.minimum(low, p), np.maximum(high, p)


def calibration(p: FloatArray, base: FloatArray, holds: FloatArray, weights: FloatArray) -> HeldOut:
    """Of predictions [n] of features that the fit had not seen, beside base rates [n] that had not seen them either."""
    squared, squared_base = (p - holds) ** 2, (base - holds) ** 2
    paired = squared - squared_base
    value = float(np.average(paired, weights=weights))
    share = weights / weights.sum()
    se = float(np.sqrt(np.sum((share * (paired - value)) ** 2) * len(p) / max(len(p) - 1, 1)))
    difference = Interval.of(value, se, float(len(p) - 1), 0.95, len(p))
    helps: Helps = "helps" if difference.high < 0 else "harms" if difference.low > 0 else "cannot be told"
    rows = []
    order = np.argsort(p, kind="stable")
    for part in np.array_split(order, min(BINS, max(1, len(p) // 8))):
        w = weights[part]
        rate = float(np.average(holds[part], weights=w))
        low, high = wilson(np.array([rate]), np.array([w.sum() ** 2 / np.sum(w**2)]))
        said = float(np.average(p[part], weights=w))
        rows.append(ReliabilityRow(len(part), said, rate, float(low[0]), float(high[0])))
    brier, brier_base = (float(np.average(s, weights=weights)) for s in (squared, squared_base))
    return HeldOut(tuple(rows), brier, brier_base, difference, helps)


def wilson(p: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Wilson's 95 % interval of shares, each of so many."""
    z = float(stats.norm.ppf(0.975))
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)
    return np.where(p == 0, 0.0, low), np.where(p == 1, 1.0, high)  # as they are, but for rounding


# --- the fit ----------------------------------------------------------------------------------------


def _predict(known: Known, scored: Int64, holds: FloatArray, weights: FloatArray) -> FloatArray:
    """P of all N features, from the scored ones."""
    base = float(np.average(holds, weights=weights))
    x = np.column_stack([known.covariates, neighbour_shares(known, scored, holds, base)])
    missing = np.isnan(x)
    mean = np.array(
        [column[~gone].mean() if (~gone).any() else 0.0 for column, gone in zip(x.T, missing.T, strict=True)]
    )
    marks = missing[:, missing.any(axis=0)].astype(np.float64)
    x = np.column_stack([np.where(missing, mean, x), marks])
    centre, spread = x[scored].mean(axis=0), x[scored].std(axis=0)
    x = (x - centre)[:, spread > 0] / spread[spread > 0]
    beta = logistic(np.column_stack([np.ones(known.n), x])[scored], holds, weights)
    return sigmoid(np.column_stack([np.ones(known.n), x]) @ beta)


def neighbour_shares(known: Known, scored: Int64, holds: FloatArray, base: float) -> FloatArray:
    """Share of the scored neighbours whose labels hold, drawn towards the base rate. A feature is not its own."""
    value = np.full(known.n, np.nan)
    value[scored] = holds
    seen = (known.near != known.owner) & ~np.isnan(value[known.near])
    owner = known.owner[seen]
    hold = np.bincount(owner, value[known.near[seen]], minlength=known.n)
    return np.asarray((hold + SHRINK * base) / (np.bincount(owner, minlength=known.n) + SHRINK), dtype=np.float64)


def logistic(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Ridge logistic regression by Newton's steps, the first column free."""
    penalty = np.full(x.shape[1], RIDGE)
    penalty[0] = 0.0
    beta = np.zeros(x.shape[1])
    mean = float(np.average(y, weights=weights))
    beta[0] = np.log(mean / (1 - mean)) if 0 < mean < 1 else 0.0
    for _ in range(50):
        p = sigmoid(x @ beta)
        slope = x.T @ (weights * (y - p)) - penalty * beta
        curve = (x * (weights * p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(beta)), slope)
        beta = beta + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    return beta


def sigmoid(z: npt.NDArray[np.float64]) -> FloatArray:
    """1 / (1 + e^-z)."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -35, 35))), dtype=np.float64)
