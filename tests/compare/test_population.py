"""A stratified sample of features and what it says of all of them: by simulation with known truth."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.compare.population import Population, population_mean, population_share
from autointerp.compare.strata import FEWEST, LEAST, N_BINS, NOT_DRAWN, allocate, draw, feature_strata

N = 1200


def world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Densities, entropies and scores: what is denser is labelled worse, and spreads more; 15 % fire too seldom."""
    random = np.random.default_rng(seed)
    density = 10 ** random.normal(-2.5, 0.8, N)
    entropy = np.where(random.random(N) < 0.02, np.nan, random.gamma(2.0, 1.2, N))
    rank = density.argsort().argsort() / N
    scores = np.clip(0.9 - 0.5 * rank + (0.05 + 0.3 * rank) * random.standard_normal(N), -0.2, 1.0)
    scores[rank < 0.15] = 0.0
    return density, entropy, scores


def strata_of(density: np.ndarray, entropy: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).integers(0, 2**63, N).astype(np.uint64)
    fires = density.argsort().argsort() / N >= 0.15
    return feature_strata(density, entropy, fires, order), order


def test_strata_are_of_equal_size_in_the_order_of_density() -> None:
    density, entropy, _ = world(0)
    strata, _ = strata_of(density, entropy, 1)
    fires = strata != NOT_DRAWN
    assert fires.sum() == N - int(0.15 * N)
    sizes = np.bincount(strata[fires])
    assert len(sizes) == N_BINS**2
    assert sizes.max() - sizes.min() <= 2
    for low, high in ((0, 3), (3, 6)):
        assert density[(strata >= low) & (strata < high)].max() <= density[(strata >= high) & (strata < high + 3)].min()
    few = feature_strata(density[:10], entropy[:10], np.ones(10, bool), np.arange(10, dtype=np.uint64))
    assert set(few) == {0}, f"of fewer than {FEWEST * 4} features there is one stratum"
    assert set(feature_strata(density[:3], entropy[:3], np.zeros(3, bool), np.arange(3, dtype=np.uint64))) == {
        NOT_DRAWN
    }


@pytest.mark.parametrize("n", [1, 3, 17, 18, 60, 500, 5000])
def test_an_allocation_adds_up(n: int) -> None:
    sizes = np.array([400, 3, 90, 1, 0, 250, 40, 40, 5])
    drawn = allocate(sizes, n)
    assert drawn.sum() == min(n, sizes.sum())
    assert (drawn <= sizes).all()
    if n >= LEAST * len(sizes):
        assert (drawn >= np.minimum(sizes, LEAST)).all()


def test_a_draw_is_of_the_smallest_hashes_and_has_its_size() -> None:
    density, entropy, _ = world(0)
    strata, order = strata_of(density, entropy, 1)
    drawn = draw(strata, order, 120)
    assert len(drawn) == len(set(drawn.tolist())) == 120
    assert (strata[drawn] != NOT_DRAWN).all()
    for stratum in range(N_BINS**2):
        mine = drawn[strata[drawn] == stratum]
        rest = np.setdiff1d(np.flatnonzero(strata == stratum), mine)
        assert order[mine].max() < order[rest].min()


def test_weights_add_up_to_the_features_and_joined_strata_have_two() -> None:
    density, entropy, _ = world(0)
    strata, order = strata_of(density, entropy, 1)
    for n in (2, 5, 11, 120):
        of = Population(strata, draw(strata, order, n))
        assert of.weights.sum() == pytest.approx(np.count_nonzero(strata != NOT_DRAWN))
        joined = of.joined
        assert min(np.bincount(joined[of.drawn])[np.unique(joined[of.drawn])]) >= 2


def test_a_census_is_exact() -> None:
    density, entropy, scores = world(0)
    strata, _ = strata_of(density, entropy, 1)
    of = Population(strata, np.flatnonzero(strata != NOT_DRAWN))
    mean = population_mean(scores[of.drawn], of)
    assert mean.value == pytest.approx(scores.mean())
    assert mean.se == pytest.approx(0.0, abs=1e-12)
    share = population_share((scores[of.drawn] >= 0.5).astype(float), of)
    assert share.low == pytest.approx((scores >= 0.5).mean()) == pytest.approx(share.high)
    noisy = population_mean(scores[of.drawn], of, np.full(len(of.drawn), 0.01))
    assert noisy.se == pytest.approx(0.85 * np.sqrt(0.01 / len(of.drawn)), rel=0.03), "a score's own noise stays"
    alone = population_mean(scores[:1], Population(strata, np.array([5])))
    assert np.isnan(alone.value)


@pytest.mark.parametrize(("n", "low"), [(40, 0.90), (60, 0.92), (200, 0.92)])
def test_coverage_and_gain(n: int, low: float) -> None:
    """Unbiased, intervals that cover, and closer to the truth than a plain sample of as many."""
    density, entropy, scores = world(3)
    truth, share = scores.mean(), (scores >= 0.5).mean()
    covers, covers_share, errors, plain_errors = [], [], [], []
    for seed in range(400):
        strata, order = strata_of(density, entropy, 1000 + seed)
        of = Population(strata, draw(strata, order, n))
        mean = population_mean(scores[of.drawn], of)
        held = population_share((scores[of.drawn] >= 0.5).astype(float), of)
        covers.append(mean.low <= truth <= mean.high)
        covers_share.append(held.low <= share <= held.high)
        errors.append(mean.value - truth)
        fires = np.flatnonzero(strata != NOT_DRAWN)
        plain = np.random.default_rng(seed).choice(fires, n, replace=False)
        plain_errors.append(scores[plain].mean() * len(fires) / N - truth)
    assert np.mean(errors) == pytest.approx(0, abs=3 * np.std(errors) / 20)
    assert low <= np.mean(covers) <= 0.985
    assert low - 0.01 <= np.mean(covers_share) <= 0.99
    assert np.std(errors) < np.std(plain_errors)


def test_a_share_has_a_width_where_all_hold() -> None:
    density, entropy, _ = world(0)
    strata, order = strata_of(density, entropy, 1)
    of = Population(strata, draw(strata, order, 50))
    share = population_share(np.ones(50), of)
    can = np.count_nonzero(strata != NOT_DRAWN) / N
    assert share.value == pytest.approx(can)
    assert share.low < can - 0.02
    assert share.high == pytest.approx(can)
