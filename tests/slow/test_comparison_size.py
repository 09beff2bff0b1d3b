"""How often the comparison of dictionaries is wrong, by simulation with known truth.

A feature's score in a document block is its own level + its dictionary's document effect + noise; the score over
blocks is their weighted mean (moments with no mean, so that Pearson is exactly that). "No difference" holds over all
documents, so a dictionary that happens to do well on the documents at hand is the error to avoid. 400 experiments a
cell: a rate of .05 has a standard error of .011, one of .03 of .009; bounds lie three of these from the nominal rate,
only the .07 that no size may exceed lies two above it. Run with -rP to see the figures.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autointerp.compare.bootstrap import crossed_bootstrap
from autointerp.compare.statistics import (
    detectable_difference,
    sign_flip_test,
    studentised_permutation_test,
    verdict,
)
from autointerp.score.metrics import pearson

pytestmark = pytest.mark.slow

N_BLOCKS = 32
SPREAD = 0.2
"""Between features."""
NOISE = 0.25
"""Of one feature in one block: .044 over 32 blocks, about a document interval of width .17."""
N_EXPERIMENTS = 400


def dictionary(
    rng: np.random.Generator, n: int, mean: float, effect: float, levels: np.ndarray | None = None
) -> np.ndarray:
    """Block moments [n, B, 6]; `effect` is the spread over blocks of what all features of the dictionary share."""
    level = rng.normal(mean, SPREAD, n) if levels is None else levels
    shared = rng.normal(0.0, effect, N_BLOCKS)
    r = level[:, None] + shared + rng.normal(0.0, NOISE, (n, N_BLOCKS))
    weight = rng.gamma(4.0, 0.25, (n, N_BLOCKS))
    out = np.zeros((n, N_BLOCKS, 6))
    out[..., 0], out[..., 3], out[..., 4], out[..., 5] = 1000.0, weight, weight, r * weight
    return out


def scores(blocks: np.ndarray) -> np.ndarray:
    return pearson(blocks.sum(axis=1))


def features_only(a: np.ndarray, b: np.ndarray) -> bool:
    """Is 0 outside the interval that takes the documents as given?"""
    return bool(stats.ttest_ind(scores(a), scores(b), equal_var=False).pvalue < 0.05)


def nested(rng: np.random.Generator, a: np.ndarray, b: np.ndarray, n_draws: int = 150) -> bool:
    """The same with documents resampled for every feature on its own."""
    means = np.empty((n_draws, 2))
    for d in range(n_draws):
        for side, blocks in enumerate((a, b)):
            rows = rng.integers(0, len(blocks), len(blocks))
            weight = rng.multinomial(N_BLOCKS, np.full(N_BLOCKS, 1 / N_BLOCKS), size=len(blocks))
            means[d, side] = pearson(np.einsum("fb,fbk->fk", weight, blocks[rows])).mean()
    low, high = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
    return bool(low > 0 or high < 0)


@pytest.mark.parametrize("effect", [0.0, 0.09, 0.18])
def test_size_of_the_crossed_bootstrap(effect: float) -> None:
    rng = np.random.default_rng(int(effect * 100))
    wrong: dict[str, list[bool]] = {"crossed": [], "crossed percentile": [], "features only": [], "nested": []}
    for i in range(N_EXPERIMENTS):
        a, b = dictionary(rng, 120, 0.5, effect), dictionary(rng, 120, 0.5, effect)
        got = crossed_bootstrap(a, b, n_draws=300, seed=i)
        low, high = np.quantile(got.draws[:, 0] - got.draws[:, 1], [0.025, 0.975])
        wrong["crossed"].append(got.difference.low > 0 or got.difference.high < 0)
        wrong["crossed percentile"].append(low > 0 or high < 0)
        wrong["features only"].append(features_only(a, b))
        if i < 200:
            wrong["nested"].append(nested(rng, a, b))
    size = {name: float(np.mean(rate)) for name, rate in wrong.items()}
    print(f"size at a nominal .05, document effect {effect}: {size}")
    assert size["crossed"] <= 0.07
    if effect > 0:
        assert size["features only"] > 0.10
        assert size["nested"] > size["crossed"]


@pytest.mark.parametrize("kind", ["equal", "unequal", "sparse"])
def test_size_of_the_permutation_tests(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    unpaired, paired = [], []
    for i in range(1000):
        if kind == "equal":
            a, b = rng.normal(0.5, 0.2, 60), rng.normal(0.5, 0.2, 60)
        elif kind == "unequal":  # the smaller group spreads more: Student's t would reject .2 of the time
            a, b = rng.normal(0.5, 0.4, 30), rng.normal(0.5, 0.1, 120)
        else:  # half the features at the floor
            a, b = (np.where(rng.random(60) < 0.5, 0.0, rng.beta(2, 1, 60)) for _ in range(2))
        unpaired.append(studentised_permutation_test(a, b, n_draws=400, seed=i).p_value <= 0.05)
        paired.append(sign_flip_test(a[:30] - b[:30], n_draws=400, seed=i).p_value <= 0.05)
    print(f"permutation tests, {kind}: unpaired {np.mean(unpaired):.3f}, paired {np.mean(paired):.3f}")
    slack = 3 * np.sqrt(0.05 * 0.95 / 1000)
    for rate in (np.mean(unpaired), np.mean(paired)):
        assert 0.05 - 2 * slack <= rate <= 0.05 + slack


def verdicts(
    seed: int, difference: float, effect: float, n: int = 200, pairs: bool = False, n_experiments: int = N_EXPERIMENTS
) -> tuple[dict[str, float], float]:
    """Shares of the four verdicts, and the mean standard error of the difference."""
    rng = np.random.default_rng(seed)
    shares = dict.fromkeys(("A", "B", "equivalent", "undecided"), 0.0)
    errors = []
    for i in range(n_experiments):
        levels = rng.normal(0.5, SPREAD, n) if pairs else None
        ids = np.arange(n) if pairs else None
        a = dictionary(rng, n, 0.5 + difference, effect, None if levels is None else levels + difference)
        b = dictionary(rng, n, 0.5, effect, levels)
        got = crossed_bootstrap(a, b, n_draws=300, seed=i, clusters_a=ids, clusters_b=ids).difference
        if pairs:
            p = sign_flip_test(scores(a) - scores(b), n_draws=500, seed=i).p_value
        else:
            p = studentised_permutation_test(scores(a), scores(b), n_draws=500, seed=i).p_value
        shares[verdict(got.low, got.high, p)] += 1 / n_experiments
        errors.append(got.se)
    return shares, float(np.mean(errors))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("effect", [0.0, 0.09])
def test_error_rates_of_the_verdicts(pairs: bool, effect: float) -> None:
    n = 120
    none, se = verdicts(1, 0.0, effect, n, pairs)
    print(f"verdicts, pairs {pairs}, document effect {effect}: no difference {none}, se {se:.4f}")
    assert none["A"] + none["B"] <= 0.07

    edge, _ = verdicts(2, 0.02, effect, n, pairs)
    print(f"   difference .02, the margin: {edge}")
    assert edge["equivalent"] <= 0.025 + 3 * 0.008
    assert edge["B"] <= 0.02

    large, _ = verdicts(3, 4.0 * se, effect, n, pairs, 150)
    print(f"   difference four standard errors: {large}")
    assert large["B"] == 0.0
    assert large["equivalent"] == 0.0
    assert large["A"] >= 0.90


def test_equivalence_is_found_when_there_is_enough_data() -> None:
    shares, se = verdicts(4, 0.0, 0.0, 1500, True, 40)
    print(f"verdicts with 1,500 pairs: {shares}, se {se:.4f}")
    assert shares["equivalent"] >= 0.9


def test_detectable_difference_is_detected() -> None:
    """At the stated difference the verdict is A four times in five; a little less, as interval and test must agree."""
    _, se = verdicts(5, 0.0, 0.0, 200, False, 50)
    shares, _ = verdicts(6, detectable_difference(se), 0.0, 200, False, 200)
    print(f"verdicts at the detectable difference {detectable_difference(se):.4f}: {shares}")
    assert 0.70 <= shares["A"] <= 0.95


def test_reused_units_are_resampled_together() -> None:
    """Ten units stand behind 100 features of B: without clusters the interval would be too narrow by a factor 3."""
    rng = np.random.default_rng(7)
    wrong, careless = [], []
    for i in range(200):
        unit = rng.integers(0, 10, 100)
        levels = rng.normal(0.5, SPREAD, 10)
        a, b = dictionary(rng, 100, 0.5, 0.0), dictionary(rng, 100, 0.5, 0.0, levels[unit])
        clustered = crossed_bootstrap(a, b, clusters_b=unit, n_draws=300, seed=i).difference
        plain = crossed_bootstrap(a, b, n_draws=300, seed=i).difference
        wrong.append(clustered.low > 0 or clustered.high < 0)
        careless.append(plain.low > 0 or plain.high < 0)
    print(f"size with reused units: clustered {np.mean(wrong):.3f}, by feature {np.mean(careless):.3f}")
    assert np.mean(wrong) <= 0.05 + 3 * 0.0155
    assert np.mean(careless) > 0.2


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
        covered: dict[str, list[bool]] = {"mean, t": [], "difference, t": [], "difference, percentile": []}
        for i in range(n_experiments):
            times = np.zeros((N_BLOCKS, n_documents), np.float32)
            np.add.at(times, (rng.integers(0, N_BLOCKS, 1500), rng.integers(0, n_documents, 1500)), 1)
            a, b = (
                (times @ pool[:, rng.integers(0, n_pool, n)].reshape(n_documents, -1))
                .reshape(N_BLOCKS, n, 6)
                .transpose(1, 0, 2)
                .astype(np.float64)
                for pool in pools
            )
            got = crossed_bootstrap(a, b, n_draws=200, seed=i)
            low, high = np.quantile(got.draws[:, 0] - got.draws[:, 1], [0.025, 0.975])
            covered["mean, t"].append(got.a.low <= truth[0] <= got.a.high)
            covered["difference, t"].append(got.difference.low <= truth[0] - truth[1] <= got.difference.high)
            covered["difference, percentile"].append(low <= truth[0] - truth[1] <= high)
        rates = {name: float(np.mean(rate)) for name, rate in covered.items()}
        print(f"sparse Pearson, document effect {effect}, {n} features: {rates}")
        for name in ("mean, t", "difference, t"):
            assert rates[name] >= 0.95 - 3 * 0.0155
