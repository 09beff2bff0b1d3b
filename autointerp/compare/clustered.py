"""An interval for a dictionary's mean score, and for the difference of two: a two-way clustered variance.

A score varies over features and over documents, and documents hit all features of a dictionary at once. Both count:
1. V_features: residuals of the scores are summed by cluster (a cluster: features that share a unit, or a matched pair);
   the variance of the mean is m / (m - 1) x sum of squared cluster sums / n^2 (Liang & Zeger 1986, with the factor of
   Cameron & Miller 2015). Of unpaired dictionaries the variances add.
2. V_blocks: the mean is computed anew with each block of documents left out; (B - 1) / B x the sum of squared
   deviations (the jackknife, Efron & Stein 1981). All features of both dictionaries lose the same block.
3. The variance is V_features + V_blocks; the interval is estimate -+ t x se, t with the smaller degrees of freedom of
   the two.

A crossed bootstrap counts the noise of a single (feature, block) cell three times, this sum twice. Two-way clustering
(Cameron, Gelbach & Miller 2011) subtracts V_cells and counts it once. Half of the excess is left in on purpose: without
it intervals of few features are too short. By simulation (`tests/slow/test_comparison_size.py`, 32 blocks): means and
unpaired differences cover .93 to .97, matched pairs up to .99, those that differ in noise alone .995.

Where no sums by document are stored only features are counted. Documents hit all features of a dictionary at once, so
such intervals are too short where a dictionary has a document effect (wrong .16 of the time instead of .05). Rows say
so in `interval_over`.

Letters in shapes: F features, B blocks, K sums a cell (6 moments).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autointerp.compare.interval import Interval
from autointerp.score.metrics import FloatArray, pearson

IntArray = npt.NDArray[np.int64]
Scores = Callable[[FloatArray], FloatArray]
"""From sums [..., K] to scores [...], nan where a feature has none: `pearson`, or a metric of counts."""

FEATURES_AT_ONCE = 4096
"""Features whose scores without each block are computed at once: 4,096 x 32 blocks x 6 sums are 6 MB."""


def block_influence(sums: npt.ArrayLike, scores: Scores = pearson) -> FloatArray:
    """By how much each feature's score moves when a block is left out: [F, B, K] -> [F, B].

    0 where no score is left without the block: nothing is known of it then.
    """
    every = np.asarray(sums, dtype=np.float64)
    parts = [np.zeros((0, every.shape[1]))]
    for first in range(0, len(every), FEATURES_AT_ONCE):
        some = every[first : first + FEATURES_AT_ONCE]
        total = some.sum(axis=1, keepdims=True)
        moved = scores(total - some) - scores(total)
        parts.append(np.where(np.isfinite(moved), moved, 0.0))
    return np.concatenate(parts)


def mean_interval(
    values: npt.ArrayLike,
    clusters: npt.ArrayLike,
    influence: FloatArray | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Mean of scores [n] with cluster ids [n], and, where documents count, `influence` [n, B].

    None with fewer than two clusters, or with all documents in one block.
    """
    score = np.asarray(values, dtype=np.float64)
    variance, df = over_features(score, np.asarray(clusters))
    return with_blocks(
        float(score.mean()) if score.size else 0.0,
        variance,
        df,
        None if influence is None else influence.sum(axis=0) / max(score.size, 1),
        confidence,
        score.size,
        0.0 if influence is None else cell_variance(influence) / max(score.size, 1) ** 2,
    )


def difference_interval(
    values_a: npt.ArrayLike,
    values_b: npt.ArrayLike,
    clusters_a: npt.ArrayLike,
    clusters_b: npt.ArrayLike,
    *,
    paired: bool,
    influence_a: FloatArray | None = None,
    influence_b: FloatArray | None = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Mean of A minus mean of B; `paired`: the scores are side by side, in the clusters of A. `influence_*` [n, B] are
    of the same blocks. None where a side has fewer than two clusters, or with all documents in one block."""
    a, b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    if paired:
        variance, df = over_features(a - b, np.asarray(clusters_a))
    else:
        (of_a, df_a), (of_b, df_b) = (
            over_features(a, np.asarray(clusters_a)),
            over_features(b, np.asarray(clusters_b)),
        )
        df = min(df_a, df_b)
        variance = of_a + of_b
        if df >= 1 and variance > 0:
            df = variance**2 / (of_a**2 / df_a + of_b**2 / df_b)
    if df < 1:
        return None
    by_block, cells = None, 0.0
    if influence_a is not None and influence_b is not None:
        by_block = influence_a.sum(axis=0) / a.size - influence_b.sum(axis=0) / b.size
        if paired:
            cells = cell_variance(influence_a - influence_b) / a.size**2
        else:
            cells = cell_variance(influence_a) / a.size**2 + cell_variance(influence_b) / b.size**2
    return with_blocks(float(a.mean() - b.mean()), variance, df, by_block, confidence, a.size + b.size, cells)


def cell_variance(influence: FloatArray) -> float:
    """V_cells of the sum of scores whose `influence` is [n, B]: what the blocks would add if each feature varied over
    them for itself. Of the variance over blocks this is the part that shrinks with more features."""
    return float((influence.shape[1] - 1) * influence.var(axis=1).sum()) if influence.size else 0.0


def over_features(score: FloatArray, clusters: npt.NDArray[np.generic]) -> tuple[float, float]:
    """Variance of the mean of n scores over clusters of features, and its degrees of freedom (below 1: none)."""
    _, cluster = np.unique(clusters, return_inverse=True)
    m = int(cluster.max(initial=-1)) + 1
    if m < 2:
        return 0.0, m - 1.0
    sums = np.bincount(cluster, weights=score - score.mean(), minlength=m)
    return float(m / (m - 1) * (sums**2).sum() / score.size**2), m - 1.0


def with_blocks(
    value: float,
    variance: float,
    df: float,
    by_block: FloatArray | None,
    confidence: float,
    n: int,
    cells: float = 0.0,
) -> Interval | None:
    """The interval of a value whose `variance` over features has `df`, with the variance over blocks added; `by_block`
    [B]: by how much the value moves without each; `cells`: V_cells of it. Blocks without documents move nothing and do
    not count. None with fewer than one degree of freedom, or with all documents in one block."""
    if df < 1:
        return None
    of_documents = 0.0
    if by_block is not None:
        moved = by_block[by_block != 0]
        if moved.size == 1:
            return None
        if moved.size > 1:
            of_documents = float((moved.size - 1) * moved.var())
            df = min(df, moved.size - 1.0)
    se = float(np.sqrt(variance + of_documents))
    return Interval.of(value, se, df, confidence, n, float(np.sqrt(max(of_documents - cells, 0.0))))
