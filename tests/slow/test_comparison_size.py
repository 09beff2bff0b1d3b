"""How often the comparison of dictionaries is wrong, by simulation with known truth (`tests/helpers/score_worlds.py`).

A rate of .05 has a standard error of .0063 in 1,200 experiments; bounds lie three of these from the nominal rate. Run
with -rP to see the figures.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from score_worlds import N_BLOCKS, WORLDS, TwoDictionaries, dictionary, world, wrong

from autointerp.compare.clustered import block_influence, difference_interval, mean_interval
from autointerp.compare.statistics import decide, detectable_difference
from autointerp.score.metrics import pearson

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", WORLDS)
def test_size_in_each_world(name: str) -> None:
    rate, ratio = wrong(name, 1200)
    print(f"{name}: wrong {rate:.3f} at a nominal .05, standard error over the true spread {ratio:.2f}")
    assert rate <= 0.05 + 3 * 0.0063
    if not name.startswith("pairs"):  # pairs keep half of the bootstrap's excess
        assert rate >= 0.015
    assert 0.9 <= ratio <= 1.45


def test_what_leaves_out_documents_or_units_is_wrong() -> None:
    for name, careless in (("large document effect", "documents"), ("40 units", "units"), ("10 units", "units")):
        rate, _ = wrong(name, 400, documents=careless != "documents", units=careless != "units")
        print(f"{name}, {careless} left out: wrong {rate:.3f}")
        assert rate > 0.10


@pytest.mark.parametrize("kind", ["equal", "unequal", "half at the floor", "twelve features", "heavy tails", "skewed"])
def test_size_over_features_alone(kind: str) -> None:
    """Metrics without sums by document; scores that are anything but normal."""
    rng = np.random.default_rng(len(kind))
    unpaired: list[bool] = []
    paired: list[bool] = []
    for _ in range(4000):
        if kind == "equal":
            a, b = rng.normal(0.5, 0.2, 60), rng.normal(0.5, 0.2, 60)
        elif kind == "unequal":  # the smaller group spreads more: Student's t would reject .2 of the time
            a, b = rng.normal(0.5, 0.4, 30), rng.normal(0.5, 0.1, 120)
        elif kind == "heavy tails":
            a, b = 0.5 + 0.12 * rng.standard_t(3, 60), 0.5 + 0.12 * rng.standard_t(3, 60)
        elif kind == "skewed":
            a, b = (np.minimum(rng.lognormal(-2.0, 1.0, 60), 1.0) for _ in range(2))
        else:
            n = 12 if kind.startswith("twelve") else 60
            a, b = (np.where(rng.random(n) < 0.5, 0.0, rng.beta(2, 1, n)) for _ in range(2))
        n = min(30, a.size)
        for wrongs, x, y in ((unpaired, a, b), (paired, a[:n], b[:n])):
            got = difference_interval(x, y, np.arange(x.size), np.arange(y.size), paired=wrongs is paired)
            assert got is not None
            wrongs.append(got.p_value <= 0.05)
    print(f"over features, {kind}: unpaired {np.mean(unpaired):.3f}, paired {np.mean(paired):.3f}")
    slack = 3 * np.sqrt(0.05 * 0.95 / 4000)
    for rate in (np.mean(unpaired), np.mean(paired)):
        assert 0.05 - 2 * slack <= rate <= 0.05 + slack


@pytest.mark.parametrize(("n_a", "n_b", "most"), [(5, 5, 0.05), (20, 20, 0.06), (100, 500, 0.065), (10, 50, 0.11)])
def test_size_of_unpaired_skewed_scores(n_a: int, n_b: int, most: float) -> None:
    """Most labels near 0, a few good: ten of them against fifty are too few for Student's t, and it is said so."""
    rng, wrongs = np.random.default_rng(n_a), []
    for _ in range(4000):
        a, b = (np.minimum(rng.lognormal(-2.0, 1.0, n), 1.0) for n in (n_a, n_b))
        got = difference_interval(a, b, np.arange(n_a), np.arange(n_b), paired=False)
        assert got is not None
        wrongs.append(got.p_value <= 0.05)
    print(f"skewed scores of {n_a} and {n_b} features: {np.mean(wrongs):.3f}")
    assert np.mean(wrongs) <= most + 3 * np.sqrt(0.05 * 0.95 / 4000)


def verdicts(name: str, difference: float, n_experiments: int, n_comparisons: int = 1) -> dict[str, float]:
    """Shares of the verdicts where A is better by `difference`."""
    rng = np.random.default_rng(3)
    said = Counter(decide(world(name, rng, difference).interval(), n_comparisons) for _ in range(n_experiments))
    return {verdict: said[verdict] / n_experiments for verdict in ("A", "B", "equivalent", "undecided")}


@pytest.mark.parametrize("name", ["pairs", "pairs, document effect", "plain", "pairs, noise alone"])
def test_error_rates_of_the_verdicts(name: str) -> None:
    edge = verdicts(name, 0.02, 600)
    print(f"{name}: a difference of .02, the margin: {edge}")
    assert edge["equivalent"] <= 0.05 + 3 * 0.009
    assert edge["B"] <= 0.02
    rng = np.random.default_rng(4)
    se = float(np.mean([world(name, rng).interval().se for _ in range(30)]))
    large = verdicts(name, 4.0 * se, 200)
    print(f"   of four standard errors: {large}")
    assert (large["B"], large["equivalent"]) == (0.0, 0.0)
    assert large["A"] >= 0.90


def test_equivalence_is_found_when_there_is_enough_data() -> None:
    """Six pairs of dictionaries, 2,500 matched features, no difference; and one of the margin."""
    rng = np.random.default_rng(6)
    shares = {}
    for difference in (0.0, 0.02):
        said = []
        for _ in range(60):
            levels, beside = rng.normal(0.5, 0.2, 2500), rng.normal(0.0, 0.1, 2500)
            a, b = dictionary(rng, 2500, levels=levels + difference), dictionary(rng, 2500, levels=levels + beside)
            said.append(decide(TwoDictionaries(a, b, np.arange(2500), np.arange(2500), paired=True).interval(), 6))
        shares[difference] = {verdict: said.count(verdict) / 60 for verdict in ("A", "B", "equivalent")}
    print(f"2,500 pairs of features, one of six pairs of dictionaries: {shares}")
    assert shares[0.0]["equivalent"] >= 0.9
    assert shares[0.02]["equivalent"] <= 0.05


@pytest.mark.parametrize("n_comparisons", [1, 6])
def test_detectable_difference_is_detected(n_comparisons: int) -> None:
    rng = np.random.default_rng(5)
    got = [world("document effect", rng).interval() for _ in range(50)]
    reach = float(np.mean([detectable_difference(one.se, one.df, 0.05 / n_comparisons) for one in got]))
    shares = verdicts("document effect", reach, 400, n_comparisons)
    print(f"verdicts at the detectable difference {reach:.4f}, {n_comparisons} comparisons: {shares}")
    assert 0.72 <= shares["A"] <= 0.90


# --- real Pearson scores, sparse features ------------------------------------------------------------


def sparse_pool(seed: int, n_features: int, n_documents: int, effect: float) -> np.ndarray:
    """Document moments [n_documents, n_features, 6] of mixed labels; in half the documents all predictions are off."""
    rng = np.random.default_rng(seed)
    length = 640
    quality = np.where(rng.random(n_documents) < 0.5, 1.0, 1.0 - effect)
    pool = np.zeros((n_documents, n_features, 6), np.float32)
    pool[..., 0] = length
    for f in range(n_features):
        density = 10 ** rng.uniform(-4.3, -2.3)
        known, extra = [(0.82, 0.28), (1.0, 11.0), (0.23, 0.05)][rng.choice(3, p=[0.5, 0.3, 0.2])]

        def events(rate: float) -> np.ndarray:
            return np.repeat(np.arange(n_documents), rng.poisson(rng.gamma(0.5, 2.0, n_documents) * rate * length))

        where = events(density)
        t = rng.gamma(1.5, 2.0, where.size)
        p = np.where(rng.random(t.size) < known, np.round(t * np.exp(rng.normal(0, 0.5, t.size))), 0.0)
        spurious = events(extra * density)
        false = np.round(rng.gamma(1.5, 2.0, spurious.size))
        for k, values in ((1, t), (2, p), (3, t * t), (4, p * p), (5, t * p)):
            pool[:, f, k] = np.bincount(where, values, n_documents)
        pool[:, f, 2] += np.bincount(spurious, false, n_documents)
        pool[:, f, 4] += np.bincount(spurious, false**2, n_documents)
        pool[:, f, 5] *= quality
    return pool


@pytest.mark.parametrize("effect", [0.0, 0.3])
def test_coverage_with_pearson_scores_of_sparse_features(effect: float) -> None:
    n_pool, n_documents, n_experiments = 200, 6000, 200
    pools = [sparse_pool(seed, n_pool, n_documents, effect) for seed in (10, 11)]
    truth = [float(pearson(pool.sum(axis=0, dtype=np.float64)).mean()) for pool in pools]
    rng = np.random.default_rng(12)
    for n in (30, 120):
        covered: dict[str, list[bool]] = {"mean": [], "difference": []}
        for _ in range(n_experiments):
            times = np.zeros((N_BLOCKS, n_documents), np.float32)
            np.add.at(times, (rng.integers(0, N_BLOCKS, 1500), rng.integers(0, n_documents, 1500)), 1)
            a, b = (
                (times @ pool[:, rng.integers(0, n_pool, n)].reshape(n_documents, -1))
                .reshape(N_BLOCKS, n, 6)
                .transpose(1, 0, 2)
                .astype(np.float64)
                for pool in pools
            )
            got = TwoDictionaries(a, b, np.arange(n), np.arange(n), paired=False).interval()
            mean = mean_interval(pearson(a.sum(axis=1)), np.arange(n), block_influence(a))
            assert mean is not None
            covered["mean"].append(mean.low <= truth[0] <= mean.high)
            covered["difference"].append(got.low <= truth[0] - truth[1] <= got.high)
        rates = {name: float(np.mean(rate)) for name, rate in covered.items()}
        print(f"sparse Pearson, document effect {effect}, {n} features: {rates}")
        assert all(0.95 - 3 * 0.0155 <= rate <= 0.99 for rate in rates.values())
