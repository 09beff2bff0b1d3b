"""Is one dictionary better than another? Tests, and a verdict that can say "I cannot tell".

ESTIMATOR.md, "Comparing dictionaries":
1. the difference of the means with its crossed-bootstrap interval (`autointerp.compare.bootstrap`);
2. a permutation test over features: signs flipped where features are paired, labels exchanged with a studentised
   statistic where they are not (Janssen 1997; Chung & Romano 2013: right also when the spreads differ);
3. Holm's correction over the pairs of dictionaries, and simultaneous intervals beside it by Bonferroni:
   `Interval.at(simultaneous_confidence(n_pairs))`. Bonferroni and not max-t: it needs no joint draws, holds under any
   dependence, and costs little: .044 against .043 of detectable difference over six pairs;
4. one of four verdicts.
The permutation tests take documents as given and alone would call a document effect a difference (size .16 at a
nominal .05); a verdict of A or B therefore needs the interval **and** the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from autointerp.compare.bootstrap import Comparison, Interval, crossed_bootstrap, crossed_bootstrap_mean
from autointerp.hashing import rng_for
from autointerp.score.metrics import FloatArray

__all__ = [
    "MARGIN",
    "Comparison",
    "Interval",
    "TestResult",
    "Verdict",
    "crossed_bootstrap",
    "crossed_bootstrap_mean",
    "detectable_difference",
    "holm",
    "sign_flip_test",
    "simultaneous_confidence",
    "studentised_permutation_test",
    "verdict",
]

Verdict = Literal["A", "B", "equivalent", "undecided"]

MARGIN = 0.02
"""Differences of means up to this size count as none, unless a run declares another margin."""

CHUNK = 256
"""Permutations at once: 256 x 10,000 features are 20 MB."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """A permutation test of "no difference", two-sided."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    statistic: float
    """Student's t of the mean difference (paired), Welch's t of A - B (unpaired); nan where it is not defined."""
    p_value: float
    """Share of permutations at least as extreme, the observed one counted; 1 where there is nothing to permute."""
    n: int
    """Units permuted: pairs or clusters of pairs, or features of both dictionaries."""


def sign_flip_test(
    differences: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    n_draws: int = 10_000,
    seed: int = 0,
    name: str = "",
) -> TestResult:
    """Paired features: is the mean of the differences [n] zero? nan (a pair without both scores) is left out.

    Features of one cluster flip together. With few enough clusters every pattern of signs is counted, once.
    """
    values = np.asarray(differences, dtype=np.float64)
    ids = np.arange(values.size) if clusters is None else np.asarray(clusters, dtype=np.int64)
    _, cluster = np.unique(ids[np.isfinite(values)], return_inverse=True)
    sums = np.bincount(cluster, values[np.isfinite(values)]).astype(np.float64)
    n = sums.size
    spread = float(np.sqrt((sums**2).sum()))
    if n < 2 or spread == 0:
        return TestResult(float("nan"), 1.0, n)
    # the sum of squares is the same whatever the signs, so |sum| orders the patterns as |t| does
    observed = abs(float(sums.sum())) - 1e-12 * spread
    rng = rng_for(seed, "sign_flip", name)
    exact = 2**n <= n_draws
    total = 2**n if exact else n_draws
    extreme = 0
    for start in range(0, total, CHUNK):
        k = min(CHUNK, total - start)
        if exact:
            bits = (np.arange(start, start + k)[:, None] >> np.arange(n)) & 1
        else:
            bits = rng.integers(0, 2, size=(k, n), dtype=np.int8)
        extreme += int((np.abs((1.0 - 2.0 * bits) @ sums) >= observed).sum())
    statistic = float(sums.mean() / (sums.std(ddof=1) / np.sqrt(n))) if sums.std() > 0 else float("nan")
    return TestResult(statistic, extreme / total if exact else (extreme + 1) / (total + 1), n)


def studentised_permutation_test(
    a: npt.ArrayLike, b: npt.ArrayLike, *, n_draws: int = 10_000, seed: int = 0, name: str = ""
) -> TestResult:
    """Unpaired features: do the scores a [n] and b [m] have the same mean? nan (no score) is left out.

    Labels are exchanged; the statistic is Welch's t, so that unequal spreads do no harm.
    """
    first, second = (x[np.isfinite(x)] for x in (np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)))
    pool = np.concatenate([first, second])
    if min(first.size, second.size) < 2 or pool.std() == 0:
        return TestResult(float("nan"), 1.0, pool.size)
    pool = pool - pool.mean()  # keeps the sums of squares free of cancellation
    observed = float(_welch(pool[None, : first.size], pool)[0])
    rng = rng_for(seed, "studentised_permutation", name)
    extreme = 0
    for start in range(0, n_draws, CHUNK):
        rows = np.tile(pool, (min(CHUNK, n_draws - start), 1))
        t = _welch(rng.permuted(rows, axis=1)[:, : first.size], pool)
        extreme += int((np.abs(t) >= abs(observed) * (1.0 - 1e-12)).sum())
    return TestResult(observed, (extreme + 1) / (n_draws + 1), pool.size)


def _welch(first: FloatArray, pool: FloatArray) -> FloatArray:
    """Welch's t of each row of A [k, n] against the rest of the pool [n + m] -> [k]."""
    n = first.shape[1]
    m = pool.size - n
    sum_a, square_a = first.sum(axis=1), (first**2).sum(axis=1)
    sum_b, square_b = pool.sum() - sum_a, (pool**2).sum() - square_a
    variance_a = np.maximum(square_a - sum_a**2 / n, 0.0) / (n - 1)
    variance_b = np.maximum(square_b - sum_b**2 / m, 0.0) / (m - 1)
    scale = np.sqrt(variance_a / n + variance_b / m)
    difference = sum_a / n - sum_b / m
    t: FloatArray = difference / np.where(scale > 0, scale, 1.0)
    return np.where(scale > 0, t, np.where(difference == 0, 0.0, np.copysign(np.inf, difference)))


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Holm's adjusted p-values [m] -> [m]: compare each with the level of the whole family."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def simultaneous_confidence(n_comparisons: int, confidence: float = 0.95) -> float:
    """The confidence of each of m intervals that hold together with `confidence` (Bonferroni)."""
    return 1.0 - (1.0 - confidence) / max(n_comparisons, 1)


def detectable_difference(se: float, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided test at `level` finds with `power`, given its standard error.

    `level` is a significance level: 0.05 / m at the first step of Holm's procedure over m pairs. With a spread of
    .2 between features and 500 a side, se = .0126: .035, and .044 at 0.05 / 6.
    """
    return float((stats.norm.ppf(1.0 - level / 2.0) + stats.norm.ppf(power)) * se)


def verdict(ci_low: float, ci_high: float, p_holm: float, margin: float = MARGIN, level: float = 0.05) -> Verdict:
    """What a difference A - B with a simultaneous interval and a Holm-adjusted p-value licenses.

    A or B: the interval excludes 0 and p_holm <= level (a difference can be proven and be smaller than the margin).
    equivalent: else, and the interval lies within -+ margin. undecided: the rest, and where anything is nan.
    """
    if p_holm <= level and ci_low > 0:
        return "A"
    if p_holm <= level and ci_high < 0:
        return "B"
    if -margin < ci_low and ci_high < margin:
        return "equivalent"
    return "undecided"
