"""The prediction-powered mean: the plain one where nothing helps, its slow twin, another implementation's numbers, and
right as often as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from score_worlds import dictionary

from autointerp.compare.clustered import block_influence, mean_interval
from autointerp.compare.prediction_powered import (
    AT_LEAST,
    CheapScores,
    prediction_powered_difference,
    prediction_powered_mean,
)
from autointerp.records import Float64
from autointerp.score.metrics import pearson


def cheap_scores(x: Float64, n: int) -> CheapScores:
    return CheapScores(x, np.arange(n), np.arange(len(x)))


def test_a_cheap_score_that_does_not_vary_leaves_the_plain_mean() -> None:
    y = np.random.default_rng(0).beta(5, 2, 30)
    got = prediction_powered_mean(y, cheap_scores(np.full(200, 0.3), 30))
    plain = mean_interval(y, np.arange(30))
    assert got is not None
    assert plain is not None
    assert (got.slope, got.correlation) == (0.0, 0.0)
    assert got.interval.value == pytest.approx(plain.value)
    assert got.interval.se == pytest.approx(plain.se * np.sqrt(29 / 28))
    assert got.as_good_as == pytest.approx(30 * 28 / 29)


def test_a_cheap_score_that_knows_all_is_as_good_as_all_features() -> None:
    x = np.random.default_rng(1).beta(5, 2, 200)
    got = prediction_powered_mean(0.1 + 2 * x[:30], cheap_scores(x, 30))
    assert got is not None
    assert got.interval.value == pytest.approx(0.1 + 2 * x.mean())
    assert (got.slope, got.correlation) == pytest.approx((2.0, 1.0))
    everything = mean_interval(0.1 + 2 * x, np.arange(200))
    assert everything is not None
    assert got.interval.se == pytest.approx(everything.se, rel=0.02)
    assert got.as_good_as == pytest.approx(200, rel=0.2)


def made(n: int = 60, n_all: int = 300) -> tuple[Float64, Float64]:
    """Scores that any program can make again."""
    i = np.arange(float(n_all))
    x = 0.5 + 0.3 * np.sin(1.7 * i) + 0.1 * np.cos(0.37 * i * i)
    return (0.2 + 0.7 * x + 0.08 * np.sin(5.3 * i + 1))[:n], x


def test_golden_numbers_of_ppi_python() -> None:
    """What ppi-python 0.2.3 gives for these scores: `ppi_mean_pointestimate` and `ppi_mean_ci` at alpha .05.

    Its lambda multiplies the mean over the features that were not drawn, 240 of 300: it is b x 240 / 300. It takes the
    variance of x from all features for its own choice, and normal quantiles.
    """
    y, x = made()
    got = prediction_powered_mean(y, cheap_scores(x, 60))
    assert got is not None
    given = y.mean() + 0.5 / 0.8 * (x.mean() - x[:60].mean())
    assert given == pytest.approx(0.5530126396618996, rel=1e-12)  # lam = 0.5
    assert got.interval.value == pytest.approx(0.5518786866051375, abs=0.05 * 0.0116)
    half = float(stats.norm.ppf(0.975)) * np.sqrt(got.variance)
    assert half == pytest.approx((0.57454423 - 0.52921315) / 2, rel=0.03)


def test_the_variance_is_that_of_leaving_out_one_cluster_after_the_other() -> None:
    rng = np.random.default_rng(2)
    n, n_all, unit = 80, 400, rng.integers(0, 150, 400)
    x = rng.beta(5, 2, 150)[unit] + rng.normal(0, 0.02, n_all)
    y = 0.6 * x[:n] + rng.normal(0, 0.1, 150)[unit[:n]]
    got = prediction_powered_mean(y, CheapScores(x, np.arange(n), unit))
    assert got is not None
    values = []
    for left in np.unique(unit):
        kept, drawn = unit != left, (unit != left)[:n]
        values.append(y[drawn].mean() + got.slope * (x[kept].mean() - x[:n][drawn].mean()))
    slow = (len(values) - 1) * np.var(values)
    assert got.variance == pytest.approx(slow, rel=0.06)


def test_documents_move_all_scores_at_once() -> None:
    rng = np.random.default_rng(3)
    blocks = dictionary(rng, 120, effect=0.1)
    dear = blocks[:40] * np.array([1, 1, 1, 1, 1, 0.7])
    of_x, of_y = block_influence(blocks), block_influence(dear)
    cheap = CheapScores(pearson(blocks.sum(1)), np.arange(40), np.arange(120), of_x)
    y = pearson(dear.sum(1))
    got = prediction_powered_mean(y, cheap, of_y)
    alone = prediction_powered_mean(y, replace(cheap, influence=None))
    assert got is not None
    assert alone is not None
    moved = []
    for left in range(blocks.shape[1]):
        x_left, y_left = pearson(np.delete(blocks, left, 1).sum(1)), pearson(np.delete(dear, left, 1).sum(1))
        moved.append(y_left.mean() + got.slope * (x_left.mean() - x_left[:40].mean()))
    assert got.interval.se**2 == pytest.approx(alone.interval.se**2 + (len(moved) - 1) * np.var(moved), rel=1e-9)
    assert got.interval.df == min(31, 38)
    assert alone.by_block is None


def test_too_few_or_twice_drawn_features() -> None:
    x = np.linspace(0, 1, 50)
    assert prediction_powered_mean(x[: AT_LEAST - 1], cheap_scores(x, AT_LEAST - 1)) is None
    same_unit = CheapScores(x, np.arange(10), np.concatenate([np.zeros(10), np.arange(1, 41)]).astype(np.int64))
    assert prediction_powered_mean(x[:10], same_unit) is None
    with pytest.raises(ValueError, match="twice"):
        CheapScores(x, np.array([3, 3]), np.arange(50))


def world(rng: np.random.Generator, n: int, n_all: int, likeness: float, mean: float = 0.6) -> tuple[Float64, Float64]:
    """Dear scores of the drawn and cheap scores of all, with this correlation."""
    both = rng.multivariate_normal([0, 0], [[1, likeness], [likeness, 1]], n_all)
    return mean + 0.2 * both[:n, 0], 0.5 + 0.1 * both[:, 1]


def test_coverage_and_gain() -> None:
    """600 draws: a rate of .95 has a standard error of .009. tests/slow/test_prediction_powered.py has more worlds."""
    rng = np.random.default_rng(5)
    covered, gains = [], []
    for _ in range(600):
        got = prediction_powered_mean(*_args(world(rng, 60, 600, 0.8)))
        assert got is not None
        covered.append(got.interval.low <= 0.6 <= got.interval.high)
        gains.append(got.as_good_as / 60)
    print(f"covered {np.mean(covered):.3f}, as good as {np.median(gains):.2f} times as many features")
    assert 0.95 - 3 * 0.009 <= np.mean(covered) <= 0.95 + 3 * 0.009
    assert np.median(gains) == pytest.approx(1 / (0.36 + 0.064), rel=0.1)


def _args(of: tuple[Float64, Float64]) -> tuple[Float64, CheapScores]:
    y, x = of
    return y, cheap_scores(x, len(y))


def test_a_difference_of_two_knows_both() -> None:
    rng = np.random.default_rng(6)
    wrong = []
    for _ in range(400):
        a, b = (prediction_powered_mean(*_args(world(rng, n, 300, 0.7))) for n in (40, 80))
        assert a is not None
        assert b is not None
        got = prediction_powered_difference(a, b)
        assert got is not None
        assert got.value == pytest.approx(a.interval.value - b.interval.value)
        wrong.append(not got.low <= 0 <= got.high)
    assert 0.05 - 3 * 0.011 <= np.mean(wrong) <= 0.05 + 3 * 0.011
