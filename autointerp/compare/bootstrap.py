"""The crossed bootstrap: an interval for a dictionary's mean score, and for the difference of two.

A score varies over features and over documents, and documents hit all features of a dictionary at once. So both are
resampled, independently (the "pigeonhole" bootstrap, Owen 2007). In every draw:
1. B document blocks are drawn with replacement: **one draw for all features of both dictionaries**;
2. clusters of features are drawn with replacement (a cluster: features that share a unit, or a matched pair);
3. each feature's score is computed anew from its moments over the drawn blocks, and averaged.
The standard deviation of the averages over the draws is the standard error; the interval is
estimate -+ t x se with min(clusters, blocks) - 1 degrees of freedom.

Why t and not percentiles: by simulation (tests/slow/test_comparison_size.py; Pearson scores of mixed labels at
densities 5e-5 to 5e-3, 30 and 120 features, 32 blocks) t intervals of a difference cover .945 to .98, percentiles
.92 to .965; without a difference t is wrong .04 to .05 of the time, percentiles .06 to .07, where features alone
are wrong .16 of the time and documents nested in features .15 (document effect of .09 a block). Its standard
error serves at any level, too: Holm's, simultaneous, and the smallest detectable difference.

Known discrepancy: the scheme counts the noise of a single (feature, block) cell three times. Between dictionaries
that is little beside the spread of features; between matched pairs that differ in noise alone the interval is up to
1.7 times too wide, so it errs towards `undecided`.

Letters in shapes: F features, B blocks, K numbers per cell (6 moments), D draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from autointerp.hashing import rng_for
from autointerp.score.metrics import BoolArray, FloatArray, pearson

IntArray = npt.NDArray[np.int64]
Scores = Callable[[FloatArray], FloatArray]
"""From sums [..., K] to scores [...], nan where a feature has none: `pearson`, or a metric of counts."""

MEMORY_BYTES = 64e6
"""Size of the largest array of a chunk of draws; some four of its kind are alive at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its standard error, and the interval at `confidence`."""

    value: float
    se: float
    df: float
    """Degrees of freedom of Student's t."""
    low: float
    high: float
    confidence: float
    n: int
    """Features behind the value (for a difference: of both dictionaries)."""

    @staticmethod
    def of(value: float, se: float, df: float, confidence: float, n: int) -> Interval:
        half = float(stats.t.ppf(0.5 + confidence / 2.0, max(df, 1.0))) * se
        return Interval(value, se, df, value - half, value + half, confidence, n)

    def at(self, confidence: float) -> Interval:
        """The same estimate at another confidence: 1 - 0.05 / m for one of m simultaneous intervals (Bonferroni)."""
        return Interval.of(self.value, self.se, self.df, confidence, self.n)


@dataclass(frozen=True)
class Comparison:
    """Two dictionaries' mean scores and their difference A - B, from the same draws."""

    a: Interval
    b: Interval
    difference: Interval
    draws: FloatArray
    """[D, 2] means of A and of B in every draw."""


def crossed_bootstrap(
    blocks_a: npt.ArrayLike,
    blocks_b: npt.ArrayLike,
    *,
    scores: Scores = pearson,
    scored_a: npt.ArrayLike | None = None,
    scored_b: npt.ArrayLike | None = None,
    floor: float | None = None,
    clusters_a: npt.ArrayLike | None = None,
    clusters_b: npt.ArrayLike | None = None,
    n_draws: int = 1000,
    seed: int = 0,
    name: str = "",
    confidence: float = 0.95,
) -> Comparison:
    """Mean score of A [Fa, B, K], of B [Fb, B, K], and A - B; the blocks must be the same documents.

    `scored_*` [F] marks the features that have a score; the others, and those whose score is nan, are left out
    (`mean`) or, with a `floor`, counted at it (`mean_all`). `clusters_*` [F] integers from 0: features of one id are
    resampled together, **across both dictionaries too**, so that matched pairs share an id and stay pairs; by
    default every feature is its own. `name` names the stream of random numbers, so that pairs of dictionaries
    differ in theirs.
    """
    a, b = np.asarray(blocks_a, dtype=np.float64), np.asarray(blocks_b, dtype=np.float64)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"both dictionaries need the same blocks and moments, not {a.shape[1:]} and {b.shape[1:]}")
    ids_a = -1 - np.arange(len(a)) if clusters_a is None else np.asarray(clusters_a, dtype=np.int64)
    ids_b = -1 - len(a) - np.arange(len(b)) if clusters_b is None else np.asarray(clusters_b, dtype=np.int64)
    side = np.repeat([0, 1], [len(a), len(b)])
    counted = np.concatenate([_mask(scored_a, len(a)), _mask(scored_b, len(b))])
    estimate, draws = _draw_means(
        np.concatenate([a, b]),
        side,
        np.concatenate([ids_a, ids_b]),
        counted,
        scores,
        floor,
        n_draws,
        rng_for(seed, "crossed_bootstrap", name),
    )
    n = [int((counted & (side == s)).sum()) if floor is None else int((side == s).sum()) for s in (0, 1)]
    df = [min(np.unique(ids).size, a.shape[1]) - 1.0 for ids in (ids_a, ids_b)]
    se = [_spread(draws[:, 0]), _spread(draws[:, 1]), _spread(draws[:, 0] - draws[:, 1])]
    return Comparison(
        Interval.of(float(estimate[0]), se[0], df[0], confidence, n[0]),
        Interval.of(float(estimate[1]), se[1], df[1], confidence, n[1]),
        Interval.of(float(estimate[0] - estimate[1]), se[2], min(df), confidence, sum(n)),
        draws,
    )


def crossed_bootstrap_mean(
    blocks: npt.ArrayLike,
    *,
    scores: Scores = pearson,
    scored: npt.ArrayLike | None = None,
    floor: float | None = None,
    clusters: npt.ArrayLike | None = None,
    n_draws: int = 1000,
    seed: int = 0,
    name: str = "",
    confidence: float = 0.95,
) -> Interval:
    """Mean score of one dictionary [F, B, K]; arguments as for `crossed_bootstrap`."""
    sums = np.asarray(blocks, dtype=np.float64)
    ids = np.arange(len(sums)) if clusters is None else np.asarray(clusters, dtype=np.int64)
    counted = _mask(scored, len(sums))
    rng = rng_for(seed, "crossed_bootstrap", name)
    estimate, draws = _draw_means(sums, np.zeros(len(sums), np.int64), ids, counted, scores, floor, n_draws, rng)
    df = min(np.unique(ids).size, sums.shape[1]) - 1.0
    n = int(counted.sum()) if floor is None else len(sums)
    return Interval.of(float(estimate[0]), _spread(draws[:, 0]), df, confidence, n)


def _draw_means(
    sums: FloatArray,
    side: IntArray,
    ids: IntArray,
    counted: BoolArray,
    scores: Scores,
    floor: float | None,
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """The mean of each side, and in each draw: [F, B, K], side [F], cluster ids [F] -> [sides], [D, sides]."""
    n_features, n_blocks, n_sums = sums.shape
    _, cluster = np.unique(ids, return_inverse=True)
    n_clusters = int(cluster.max(initial=-1)) + 1
    pools = _pools(side, cluster, n_clusters)
    by_block = np.ascontiguousarray(np.moveaxis(sums, 1, 0)).reshape(n_blocks, n_features * n_sums)

    def means(block_weight: FloatArray, cluster_weight: FloatArray) -> FloatArray:
        """[k, B] and [k, clusters] how often each was drawn -> [k, sides]."""
        values = scores((block_weight @ by_block).reshape(-1, n_features, n_sums))
        present = np.isfinite(values) & counted
        values = np.where(present, values, 0.0 if floor is None else floor)
        weight = cluster_weight[:, cluster] * (present if floor is None else 1.0)
        out = []
        for s in range(int(side.max(initial=0)) + 1):
            of = side == s
            total = weight[:, of].sum(axis=1)
            out.append(
                np.where(total > 0, (weight * values)[:, of].sum(axis=1) / np.where(total > 0, total, 1), np.nan)
            )
        return np.stack(out, axis=1)

    estimate = means(np.ones((1, n_blocks)), np.ones((1, n_clusters)))[0]
    chunk = max(1, int(MEMORY_BYTES / (8.0 * n_sums * max(n_features, 1))))
    draws = []
    for start in range(0, n_draws, chunk):
        k = min(chunk, n_draws - start)
        block_weight = rng.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), size=k).astype(np.float64)
        cluster_weight = np.zeros((k, n_clusters))
        for pool in pools:
            cluster_weight[:, pool] = rng.multinomial(pool.size, np.full(pool.size, 1.0 / pool.size), size=k)
        draws.append(means(block_weight, cluster_weight))
    return estimate, np.concatenate(draws)


def _pools(side: IntArray, cluster: IntArray, n_clusters: int) -> list[IntArray]:
    """Which clusters are drawn from one urn: each side's own, or all together where a cluster spans both sides."""
    sides = [np.unique(cluster[side == s]) for s in np.unique(side)]
    if sum(pool.size for pool in sides) > n_clusters:
        return [np.arange(n_clusters)]
    return sides


def _spread(draws: FloatArray) -> float:
    """Standard deviation of the draws [D] that have a mean; nan with fewer than two."""
    defined = draws[np.isfinite(draws)]
    return float(defined.std(ddof=1)) if defined.size > 1 else float("nan")


def _mask(scored: npt.ArrayLike | None, n: int) -> BoolArray:
    return np.ones(n, dtype=np.bool_) if scored is None else np.asarray(scored, dtype=np.bool_)
