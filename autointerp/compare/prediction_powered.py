"""A mean of dear scores, sharpened by cheap ones: the prediction-powered mean.

A dear score y (an LLM's) exists for n features that were drawn by hash; a cheap one x (a lookup's census) for all N,
the n among them.
1. b is the slope of y on x over the n.
2. The estimate is mean_n(y) + b (mean_N(x) - mean_n(x)): the sample's mean, corrected by how lucky the sample is as
   the cheap score knows it. It needs no likeness of x and y; where they have nothing in common b is about 0.
3. Its variance over features: each contributes (y - b x, less its mean) / n where it was drawn, and
   b (x, less its mean) / N; contributions are summed by cluster, squared and added, as in `clustered`. Residuals carry
   the factor (n - 1) / (n - 2) of a fitted slope, and t has one degree of freedom fewer.
4. Documents: by how much the estimate moves when a block is left out of all of its scores.
5. The gain: how many drawn features the plain mean would need for the same variance over features.

Source: Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023 (prediction-powered inference), with the tuned b of
Angelopoulos, Duchi & Zrnic 2023; the same as the regression estimator of double sampling (Cochran 1977, chapter 12). By
simulation (`tests/slow/test_prediction_powered.py`): intervals of 50 to 200 drawn features cover .93 to .96.

It is no estimate where the n were chosen by hand: then x says nothing of how they differ from the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.compare.clustered import over_features, with_blocks
from autointerp.compare.interval import Interval
from autointerp.score.metrics import FloatArray

AT_LEAST = 5
"""Drawn features below which there is no slope to speak of."""


@dataclass(frozen=True)
class CheapScores:
    """The cheap score of N features of which n were drawn."""

    x: FloatArray  # [N]
    drawn: npt.NDArray[np.int64]  # [n] places of the drawn ones among the N, in the order of their dear scores
    clusters: npt.NDArray[np.int64]  # [N] features of one cluster share an id
    influence: FloatArray | None = None  # [N, B] by how much each x moves without a document block; None: not known

    def __post_init__(self) -> None:
        if len(np.unique(self.drawn)) != len(self.drawn):
            raise ValueError("a feature was drawn twice")


@dataclass(frozen=True)
class PredictionPowered:
    """A prediction-powered mean."""

    interval: Interval
    slope: float
    correlation: float
    """Of the dear and the cheap score over the drawn features; 0 where one of them does not vary."""
    sample_mean: float
    """The plain mean of the drawn ones."""
    n: int
    n_all: int
    as_good_as: float
    """So many drawn features, at most all, would give the plain mean this variance over features."""
    variance: float
    """Over features; documents are in the interval only."""
    df: float
    by_block: FloatArray | None
    """[B] by how much the estimate moves without a block of documents."""


def prediction_powered_mean(
    y: npt.ArrayLike, cheap: CheapScores, influence: FloatArray | None = None, confidence: float = 0.95
) -> PredictionPowered | None:
    """`y` [n] dear scores, in the order of `cheap.drawn`; `influence` [n, B] theirs, of the same blocks.

    None with fewer than AT_LEAST drawn features or fewer than three clusters of them, or with all documents in one
    block.
    """
    dear = np.asarray(y, dtype=np.float64)
    x, drawn = np.asarray(cheap.x, dtype=np.float64), cheap.drawn
    n, n_all = dear.size, x.size
    if n < AT_LEAST:
        return None
    beside = x[drawn]
    slope, correlation = _line(dear, beside)
    value = float(dear.mean() + slope * (x.mean() - beside.mean()))

    residual = dear - slope * beside
    share = slope * (x - x.mean()) / n_all
    share[drawn] += np.sqrt((n - 1) / (n - 2)) * (residual - residual.mean()) / n
    _, cluster = np.unique(cheap.clusters, return_inverse=True)
    variance = float((np.bincount(cluster, weights=share) ** 2).sum())
    m = len(np.unique(cheap.clusters[drawn]))
    variance *= m / max(m - 1, 1)
    df = m - 2.0

    by_block = None
    if influence is not None and cheap.influence is not None:
        moved = cheap.influence
        by_block = influence.sum(axis=0) / n + slope * (moved.sum(axis=0) / n_all - moved[drawn].sum(axis=0) / n)
    interval = with_blocks(value, variance, df, by_block, confidence, n)
    if interval is None:
        return None
    plain, _ = over_features(dear, cheap.clusters[drawn])
    return PredictionPowered(
        interval=interval,
        slope=slope,
        correlation=correlation,
        sample_mean=float(dear.mean()),
        n=n,
        n_all=n_all,
        as_good_as=min(n * plain / variance, float(n_all)) if variance > 0 else float(n),
        variance=variance,
        df=df,
        by_block=by_block,
    )


def prediction_powered_difference(
    a: PredictionPowered, b: PredictionPowered, confidence: float = 0.95
) -> Interval | None:
    """Mean of A minus mean of B, of dictionaries that share no features; documents hit both at once. For matched pairs
    give the differences of the pairs to `prediction_powered_mean`. None where documents all lie in one block."""
    variance = a.variance + b.variance
    df = min(a.df, b.df)
    if variance > 0:
        df = variance**2 / (a.variance**2 / a.df + b.variance**2 / b.df)
    by_block = None if a.by_block is None or b.by_block is None else a.by_block - b.by_block
    return with_blocks(a.interval.value - b.interval.value, variance, df, by_block, confidence, a.n + b.n)


def _line(y: FloatArray, x: FloatArray) -> tuple[float, float]:
    """Slope of y on x, and their correlation; 0 where x does not vary."""
    of_x, of_y = x - x.mean(), y - y.mean()
    x2, y2, xy = float((of_x**2).sum()), float((of_y**2).sum()), float((of_x * of_y).sum())
    if x2 <= 1e-12 * max(float((x**2).sum()), 1e-300):
        return 0.0, 0.0
    return xy / x2, xy / float(np.sqrt(x2 * y2)) if y2 > 0 else 0.0
