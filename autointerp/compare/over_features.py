"""An interval for a dictionary's mean score, and for the difference of two, from the scores alone.

For metrics of which no moments by document are stored. Only features are counted as random: clusters of features (a
cluster: features that share a unit, or a matched pair) are taken as drawn independently.

1. The mean of n scores in m clusters; residuals are summed by cluster; the variance of the mean is
   m / (m - 1) x sum of squared cluster sums / n^2 (Liang & Zeger 1986; the factor as in Cameron & Miller 2015).
2. The interval is estimate -+ t x se with m - 1 degrees of freedom. Of unpaired dictionaries variances add, with
   Satterthwaite's degrees of freedom; of matched pairs the scores are differences.

What it leaves out: documents hit all features of a dictionary at once. Where a dictionary has a document effect such
intervals are too short (by simulation, `tests/slow/test_comparison_size.py`: wrong .16 of the time instead of .05).
Rows say so in `interval_over`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autointerp.compare.bootstrap import Interval
from autointerp.score.metrics import FloatArray


def mean_interval(values: npt.ArrayLike, clusters: npt.ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Mean of scores [n] with cluster ids [n]; None with fewer than two clusters."""
    score = np.asarray(values, dtype=np.float64)
    variance, df = _variance(score, np.asarray(clusters))
    if df < 1:
        return None
    return Interval.of(float(score.mean()), float(np.sqrt(variance)), df, confidence, score.size)


def difference_interval(
    values_a: npt.ArrayLike,
    values_b: npt.ArrayLike,
    clusters_a: npt.ArrayLike,
    clusters_b: npt.ArrayLike,
    *,
    paired: bool,
    confidence: float = 0.95,
) -> Interval | None:
    """Mean of A minus mean of B; `paired`: the scores are side by side, in the clusters of A. None where a side has
    fewer than two clusters."""
    a, b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    n = a.size + b.size
    if paired:
        within = mean_interval(a - b, clusters_a, confidence)
        return None if within is None else Interval.of(within.value, within.se, within.df, confidence, n)
    of_a, df_a = _variance(a, np.asarray(clusters_a))
    of_b, df_b = _variance(b, np.asarray(clusters_b))
    if min(df_a, df_b) < 1:
        return None
    total = of_a + of_b
    df = min(df_a, df_b) if total == 0 else total**2 / (of_a**2 / df_a + of_b**2 / df_b)
    return Interval.of(float(a.mean() - b.mean()), float(np.sqrt(total)), df, confidence, n)


def _variance(score: FloatArray, clusters: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Variance of the mean, and its degrees of freedom."""
    _, cluster = np.unique(clusters, return_inverse=True)
    m = int(cluster.max(initial=-1)) + 1
    if m < 2:
        return 0.0, m - 1.0
    sums = np.bincount(cluster, weights=score - score.mean(), minlength=m)
    return float(m / (m - 1) * (sums**2).sum() / score.size**2), m - 1.0
