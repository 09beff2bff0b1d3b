"""Intervals from scores alone: equal to the textbook without clusters, and right as often as they say."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from scipy import stats

from autointerp.compare.over_features import difference_interval, mean_interval


def test_without_clusters_it_is_the_textbook_interval() -> None:
    score = np.random.default_rng(0).beta(5, 2, 40)
    got = mean_interval(score, np.arange(40))
    assert got is not None
    low, high = stats.t.interval(0.95, 39, score.mean(), stats.sem(score))
    assert (got.value, got.low, got.high) == pytest.approx((score.mean(), low, high), rel=1e-12)


def test_two_dictionaries_agree_with_welch() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.beta(5, 2, 30), rng.beta(2, 2, 50)
    got = difference_interval(a, b, np.arange(30), np.arange(50), paired=False)
    assert got is not None
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((welch.low, welch.high), rel=1e-12)


def test_pairs_agree_with_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    a = rng.beta(5, 2, 30)
    b = a - rng.normal(0.05, 0.02, 30)
    got = difference_interval(a, b, np.arange(30), np.arange(30), paired=True)
    assert got is not None
    paired = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((paired.low, paired.high), rel=1e-12)


def test_clusters_equal_the_slow_twin() -> None:
    rng = np.random.default_rng(3)
    score, unit = rng.normal(0.5, 0.2, 60), rng.integers(0, 9, 60)
    residuals = sorted(zip(unit.tolist(), (score - score.mean()).tolist(), strict=True))
    sums = [sum(r for _, r in rows) for _, rows in groupby(residuals, key=lambda row: row[0])]
    se = np.sqrt(len(sums) / (len(sums) - 1) * sum(s**2 for s in sums)) / 60
    got = mean_interval(score, unit)
    assert got is not None
    assert got.se == pytest.approx(se, rel=1e-12)
    assert got.df == len(sums) - 1


def test_too_few_clusters_give_no_interval() -> None:
    assert mean_interval([0.5, 0.7], [4, 4]) is None
    assert mean_interval([], []) is None
    assert difference_interval([0.5, 0.7], [0.4], [0, 1], [0], paired=False) is None


@pytest.mark.parametrize("kind", ["one each", "units used six times", "pairs", "two sizes and spreads"])
def test_size_of_the_difference_and_coverage_of_the_mean(kind: str) -> None:
    """2,000 experiments without a difference: a rate of .05 has a standard error of .005; bounds lie three above."""
    rng = np.random.default_rng(len(kind))
    outside, wrong = [], []
    for _ in range(2000):
        n_a, n_b, spread_b = (25, 100, 0.05) if kind == "two sizes and spreads" else (60, 60, 0.2)
        a, ids = rng.normal(0.5, 0.2, n_a), np.arange(n_a)
        b, of_b = rng.normal(0.5, spread_b, n_b), np.arange(n_b)
        if kind == "units used six times":
            of_b = np.arange(n_b) // 6
            b = rng.normal(0.5, 0.2, 10)[of_b] + rng.normal(0.0, 0.05, n_b)
        if kind == "pairs":
            b = a + rng.normal(0.0, 0.1, n_a)
        mean = mean_interval(b, of_b)
        difference = difference_interval(a, b, ids, of_b, paired=kind == "pairs")
        assert mean is not None
        assert difference is not None
        outside.append(not mean.low <= 0.5 <= mean.high)
        wrong.append(not difference.low <= 0.0 <= difference.high)
    print(f"{kind}: mean outside {np.mean(outside):.3f}, difference wrong {np.mean(wrong):.3f}")
    slack = 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert np.mean(outside) <= 0.05 + slack
    assert 0.05 - 2 * slack <= np.mean(wrong) <= 0.05 + slack
