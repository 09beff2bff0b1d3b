"""Prediction-powered means with known truth: coverage, and the gain that they claim. Run with -rP to see the figures.

800 draws a world: a rate of .95 has a standard error of .0077.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from score_worlds import dictionary

from autointerp.compare.clustered import block_influence, mean_interval
from autointerp.compare.prediction_powered import (
    CheapScores,
    PredictionPowered,
    prediction_powered_difference,
    prediction_powered_mean,
)
from autointerp.records import Float64, Int64
from autointerp.score.metrics import pearson

pytestmark = pytest.mark.slow

N_DRAWS = 800
SLACK = 3 * 0.0077
MEAN = float(np.mean(1 / (1 + np.exp(-1 - 1.5 * stats.norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)))))
"""Of a dear score below that does not fail: the logistic of a normal variate, by its quantiles."""


def lopsided(rng: np.random.Generator, n_all: int, likeness: float) -> tuple[Float64, Float64, float]:
    """Dear and cheap scores near 1 with a tail, some of them failures at 0; and the true mean of the dear ones."""
    both = rng.multivariate_normal([0, 0], [[1, likeness], [likeness, 1]], n_all)
    dear = 1 / (1 + np.exp(-1 - 1.5 * both[:, 0]))
    failed = rng.random(n_all) < 0.1

    cheap = 1 / (1 + np.exp(-0.5 - 1.2 * both[:, 1]))
    return np.where(failed, 0.0, dear), np.where(failed, 0.0, cheap), 0.9 * MEAN


@pytest.mark.parametrize("likeness", [0.0, 0.6, 0.9])
@pytest.mark.parametrize("n", [30, 100, 400])
def test_coverage_and_gain_of_lopsided_scores(n: int, likeness: float) -> None:
    rng = np.random.default_rng(n)
    covered, plain, gains, errors = [], [], [], []
    for _ in range(N_DRAWS):
        y, x, truth = lopsided(rng, 1000, likeness)
        got = prediction_powered_mean(y[:n], CheapScores(x, np.arange(n), np.arange(1000)))
        beside = mean_interval(y[:n], np.arange(n))
        assert got is not None
        assert beside is not None
        covered.append(got.interval.low <= truth <= got.interval.high)
        plain.append(beside.low <= truth <= beside.high)
        gains.append(got.as_good_as / n)
        errors.append((got.interval.value - truth, beside.value - truth))
    spread = np.array(errors).std(axis=0)
    reached = float((spread[1] / spread[0]) ** 2)
    rates = f"covered {np.mean(covered):.3f} (plain {np.mean(plain):.3f})"
    print(f"{n} of 1,000, likeness {likeness}: {rates}, gain claimed {np.median(gains):.2f}, reached {reached:.2f}")
    assert 0.95 - SLACK - 0.01 * (n == 30) <= np.mean(covered) <= 0.95 + SLACK
    assert np.median(gains) == pytest.approx(reached, rel=0.2)
    assert abs(np.mean(errors, axis=0)[0]) <= 3 * spread[0] / np.sqrt(N_DRAWS)


@pytest.mark.parametrize("kind", ["features", "units", "documents"])
def test_coverage_with_units_and_documents(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    n, n_all = 80, 400
    effect = 0.09 if kind.startswith("documents") else 0.0
    covered, differ = [], []
    for _ in range(N_DRAWS // 2):
        unit = rng.integers(0, 200, n_all) if kind == "units" else np.arange(n_all)
        a, b = (side(rng, n, unit, effect) for _ in range(2))
        covered.append(a.interval.low <= 0.5 <= a.interval.high)
        difference = prediction_powered_difference(a, b)
        assert difference is not None
        differ.append(not difference.low <= 0 <= difference.high)
    print(f"{kind}: covered {np.mean(covered):.3f}, equal dictionaries differ {np.mean(differ):.3f}")
    slack = 3 * 0.011
    assert 0.95 - slack <= np.mean(covered) <= 0.95 + slack + 0.01
    assert np.mean(differ) <= 0.05 + slack


def side(rng: np.random.Generator, n: int, unit: Int64, effect: float) -> PredictionPowered:
    """A dictionary of which the dear scores of the first n features are known."""
    level = rng.normal(0.5, 0.15, unit.max() + 1)[unit]
    x = dictionary(rng, len(unit), effect=effect, levels=level + rng.normal(0.0, 0.05, len(unit)))
    y = dictionary(rng, n, effect=effect, levels=level[:n])
    of_x = block_influence(x) if effect else None
    of_y = block_influence(y) if effect else None
    cheap = CheapScores(pearson(x.sum(axis=1)), np.arange(n), unit, of_x)
    got = prediction_powered_mean(pearson(y.sum(axis=1)), cheap, of_y)
    assert got is not None
    return got


def test_pairs_are_sharpened_by_the_difference_of_the_cheap_scores() -> None:
    rng = np.random.default_rng(3)
    covered, gains = [], []
    for _ in range(N_DRAWS):
        common = rng.normal(0.0, 0.2, 500)
        own = rng.normal(0.0, 0.1, (2, 500))
        dear = common + own + rng.normal(0.0, 0.03, (2, 500))
        cheap = 0.7 * common + 0.8 * own + rng.normal(0.0, 0.03, (2, 500))
        beside = CheapScores(cheap[0] - cheap[1], np.arange(60), np.arange(500))
        got = prediction_powered_mean((dear[0] - dear[1])[:60] + 0.05, beside)
        assert got is not None
        covered.append(got.interval.low <= 0.05 <= got.interval.high)
        gains.append(got.as_good_as / 60)
    print(f"pairs: covered {np.mean(covered):.3f}, gain {np.median(gains):.2f}")
    assert 0.95 - SLACK <= np.mean(covered) <= 0.95 + SLACK
    assert np.median(gains) > 2
