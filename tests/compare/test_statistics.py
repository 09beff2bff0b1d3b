"""The comparison's statistics against slow twins, scipy and textbook values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autointerp.compare import bootstrap, statistics
from autointerp.hashing import rng_for
from autointerp.records import Float64
from autointerp.score.metrics import pearson


def blocks_of(rng: np.random.Generator, n_features: int, correlation: float = 0.5, n_blocks: int = 32) -> np.ndarray:
    """Moments [F, B, 6] of features whose correlation scatters around one value."""
    r = np.clip(rng.normal(correlation, 0.2, (n_features, 1)) + rng.normal(0, 0.1, (n_features, n_blocks)), -1, 1)
    weight = rng.gamma(2.0, 1.0, (n_features, n_blocks))
    out = np.zeros((n_features, n_blocks, 6))
    out[..., 0], out[..., 3], out[..., 4], out[..., 5] = 1000.0, weight, weight, r * weight
    return out


# --- the crossed bootstrap --------------------------------------------------------------------------


def slow_bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    ids_a: list[int],
    ids_b: list[int],
    counted: list[bool],
    floor: float | None,
    n_draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Copies blocks and features one by one; the same random numbers as the fast one in a single chunk."""
    n_blocks = a.shape[1]
    everyone = sorted({*ids_a, *ids_b})
    block_counts = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_draws)
    shared = bool(set(ids_a) & set(ids_b))
    urns = [everyone] if shared else [sorted(set(ids_a)), sorted(set(ids_b))]
    times = [dict.fromkeys(everyone, 0) for _ in range(n_draws)]
    for urn in urns:
        counts = rng.multinomial(len(urn), np.full(len(urn), 1 / len(urn)), size=n_draws)
        for d in range(n_draws):
            times[d].update(zip(urn, counts[d].tolist(), strict=True))
    means = np.full((n_draws, 2), np.nan)
    for d in range(n_draws):
        for side, (sums, ids, mask) in enumerate(((a, ids_a, counted[: len(a)]), (b, ids_b, counted[len(a) :]))):
            scores = []
            for feature, identity, is_counted in zip(sums, ids, mask, strict=True):
                copies = [feature[j] for j in range(n_blocks) for _ in range(block_counts[d, j])]
                score = float(pearson(np.sum(copies, axis=0))) if is_counted else np.nan
                if np.isnan(score):
                    if floor is None:
                        continue
                    score = floor
                scores += [score] * times[d][identity]
            if scores:
                means[d, side] = np.mean(scores)
    return means


@pytest.mark.parametrize("floor", [None, 0.0, -0.3])
@pytest.mark.parametrize("clusters", ["none", "units", "pairs"])
def test_draws_equal_the_slow_twin(floor: float | None, clusters: str) -> None:
    rng = np.random.default_rng(4)
    a, b = blocks_of(rng, 7, n_blocks=5), blocks_of(rng, 6, n_blocks=5)
    a[2, :, [1, 3, 5]] = 0.0  # never fires
    b[1, 1:, 1:] = 0.0  # fires in one block only: no score in some draws
    scored_a = np.array([True] * 6 + [False])
    ids_a, ids_b = {
        "none": (list(range(-7, 0))[::-1], list(range(-13, -7))[::-1]),
        "units": ([0, 0, 1, 2, 3, 3, 4], [9, 8, 8, 7, 7, 6]),
        "pairs": ([0, 1, 2, 3, 4, 5, 6], [0, 1, 1, 3, 4, 5]),
    }[clusters]
    given_a, given_b = (None, None) if clusters == "none" else (ids_a, ids_b)
    got = bootstrap.crossed_bootstrap(
        a, b, scored_a=scored_a, floor=floor, clusters_a=given_a, clusters_b=given_b, n_draws=40, seed=3, name="x"
    )
    counted = [*scored_a.tolist(), *[True] * 6]
    expected = slow_bootstrap(a, b, ids_a, ids_b, counted, floor, 40, rng_for(3, "crossed_bootstrap", "x"))
    np.testing.assert_allclose(got.draws, expected, atol=1e-12)

    observed = [pearson(x.sum(axis=1)) for x in (a, b)]
    observed[0][6] = np.nan
    if floor is not None:
        observed = [np.where(np.isnan(x), floor, x) for x in observed]
    assert got.a.value == pytest.approx(np.nanmean(observed[0]))
    assert got.difference.value == pytest.approx(np.nanmean(observed[0]) - np.nanmean(observed[1]))
    difference = expected[:, 0] - expected[:, 1]
    assert got.difference.se == pytest.approx(np.nanstd(difference, ddof=1))
    assert got.a.n == (6 if floor is None else 7)


def test_one_dictionary_agrees_with_two() -> None:
    rng = np.random.default_rng(5)
    a, b = blocks_of(rng, 60), blocks_of(rng, 50)
    both = bootstrap.crossed_bootstrap(a, b, n_draws=2000)
    one = bootstrap.crossed_bootstrap_mean(a, n_draws=2000)
    assert one.value == both.a.value
    assert one.se == pytest.approx(both.a.se, rel=0.1)
    assert one.df == both.a.df == 31


def test_any_score_of_sums_can_be_resampled() -> None:
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 50, (20, 8, 2)).astype(float)  # hits, trials

    def share(sums: Float64) -> Float64:
        ratio: Float64 = sums[..., 0] / sums[..., 1]
        return ratio

    got = bootstrap.crossed_bootstrap_mean(counts, scores=share, n_draws=50)
    assert got.value == pytest.approx(share(counts.sum(axis=1)).mean())
    assert got.df == 7


def test_a_draw_is_determined_by_seed_and_name() -> None:
    rng = np.random.default_rng(7)
    a, b = blocks_of(rng, 20), blocks_of(rng, 20)
    first, again, other = (
        bootstrap.crossed_bootstrap(a, b, n_draws=30, seed=1, name=name).draws for name in ("x", "x", "y")
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_pairs_resampled_together_shrink_the_difference() -> None:
    rng = np.random.default_rng(8)
    a = blocks_of(rng, 200)
    b = a * [1, 1, 1, 1, 1, 0.97]
    ids = np.arange(200)
    paired = bootstrap.crossed_bootstrap(a, b, clusters_a=ids, clusters_b=ids, n_draws=300)
    unpaired = bootstrap.crossed_bootstrap(a, b, n_draws=300)
    assert paired.difference.se < 0.2 * unpaired.difference.se
    assert paired.difference.value == unpaired.difference.value
    for interval in (paired.a, unpaired.a):
        assert interval.se == pytest.approx(0.2 / np.sqrt(200), rel=0.3)


def test_interval_moves_with_its_confidence() -> None:
    interval = bootstrap.Interval.of(0.5, 0.1, 31, 0.95, 10)
    assert interval.high - 0.5 == pytest.approx(stats.t.ppf(0.975, 31) * 0.1)
    wide = interval.at(statistics.simultaneous_confidence(6))
    assert wide.high - 0.5 == pytest.approx(stats.t.ppf(1 - 0.05 / 12, 31) * 0.1)


def test_dictionaries_without_scores_or_with_other_blocks() -> None:
    rng = np.random.default_rng(9)
    a, nothing = blocks_of(rng, 5), np.zeros((4, 32, 6))
    got = bootstrap.crossed_bootstrap(a, nothing, n_draws=20)
    assert np.isnan([got.b.value, got.b.se, got.difference.value, got.difference.low]).all()
    assert np.isfinite(got.a.se)
    assert statistics.verdict(got.difference.low, got.difference.high, float("nan")) == "undecided"
    with pytest.raises(ValueError, match="same blocks"):
        bootstrap.crossed_bootstrap(a, a[:, :16])


def test_memory_is_bounded_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(10)
    a = blocks_of(rng, 10)
    sizes = []

    def watched(sums: np.ndarray) -> np.ndarray:
        sizes.append(sums.nbytes)
        return pearson(sums)

    monkeypatch.setattr(bootstrap, "MEMORY_BYTES", 10_000)
    got = bootstrap.crossed_bootstrap(a, a, scores=watched, n_draws=50)
    assert got.draws.shape == (50, 2)
    assert max(sizes) <= 10_000


# --- tests ------------------------------------------------------------------------------------------


ENOUGH = 10_000
"""More resamples than there are permutations in these tests: scipy then takes each once, and is exact."""


def test_sign_flip_is_exact_with_few_pairs() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1.0, 10)
    got = statistics.sign_flip_test(differences)

    def mean_difference(x: Float64, y: Float64) -> np.float64:
        return np.float64(np.mean(x - y))

    authority = stats.permutation_test(
        (differences, np.zeros(10)), mean_difference, permutation_type="samples", n_resamples=ENOUGH
    )
    assert got.p_value == pytest.approx(authority.pvalue)
    assert got.statistic == pytest.approx(stats.ttest_1samp(differences, 0).statistic)
    assert got.n == 10


def test_sign_flip_with_many_pairs_is_near_the_t_test() -> None:
    differences = np.random.default_rng(1).normal(0.05, 0.5, 800)
    got = statistics.sign_flip_test(np.append(differences, np.nan), n_draws=20_000)
    p = stats.ttest_1samp(differences, 0).pvalue
    assert got.p_value == pytest.approx(p, abs=4 * float(np.sqrt(p * (1 - p) / 20_000)) + 1e-3)
    assert got.n == 800


def test_sign_flip_flips_clusters_together() -> None:
    differences, clusters = np.array([1.0, 2.0, -1.0, 0.5, 0.5]), [0, 0, 1, 2, 2]
    got = statistics.sign_flip_test(differences, clusters)
    sums = np.array([3.0, -1.0, 1.0])
    patterns = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    assert got.p_value == np.mean(np.abs(patterns @ sums) >= 3.0)
    assert got.n == 3


def test_nothing_to_permute_is_no_evidence() -> None:
    for differences in ([], [0.3], [0.0, 0.0], [np.nan, 1.0]):
        assert statistics.sign_flip_test(differences).p_value == 1.0
    assert statistics.studentised_permutation_test([1.0], [2.0, 3.0]).p_value == 1.0
    assert statistics.studentised_permutation_test([1.0, 1.0], [1.0, 1.0]).p_value == 1.0


def test_studentised_permutation_against_scipy() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.5, 0.1, 40), rng.normal(0.58, 0.3, 60)
    got = statistics.studentised_permutation_test(np.append(a, np.nan), b, n_draws=20_000)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert got.statistic == pytest.approx(welch.statistic)
    assert got.p_value == pytest.approx(welch.pvalue, abs=0.01)
    assert got.n == 100

    def distance(x: Float64, y: Float64, *, axis: int) -> Float64:
        t: Float64 = np.asarray(stats.ttest_ind(x, y, equal_var=False, axis=axis).statistic)
        return np.abs(t)

    small_a, small_b = a[:6], b[:5]
    exact = stats.permutation_test((small_a, small_b), distance, n_resamples=ENOUGH, alternative="greater").pvalue
    ours = statistics.studentised_permutation_test(small_a, small_b, n_draws=20_000).p_value
    assert ours == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 20_000))


def test_holm_golden_values() -> None:
    # What R gives for p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_holm_rejects_as_the_stepwise_procedure_does(p_values: list[float]) -> None:
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = set()
    for step, i in enumerate(order):
        if p_values[i] * (len(p_values) - step) > 0.05:
            break
        rejected.add(i)
    adjusted = statistics.holm(p_values)
    assert {i for i in range(len(p_values)) if adjusted[i] <= 0.05} == rejected
    assert np.all(adjusted >= np.asarray(p_values) - 1e-15)


def test_detectable_difference_golden_values() -> None:
    se = 0.2 * np.sqrt(2 / 500)
    assert statistics.detectable_difference(se) == pytest.approx(0.035, abs=0.0005)
    assert statistics.detectable_difference(se, 0.05 / 6) == pytest.approx(0.044, abs=0.0005)


def test_four_verdicts() -> None:
    assert statistics.verdict(0.01, 0.09, 0.01) == "A"
    assert statistics.verdict(-0.09, -0.01, 0.01) == "B"
    assert statistics.verdict(0.01, 0.09, 0.06) == "undecided"  # the test disagrees
    assert statistics.verdict(-0.01, 0.09, 0.01) == "undecided"  # the interval disagrees
    assert statistics.verdict(-0.01, 0.015, 0.5) == "equivalent"
    assert statistics.verdict(-0.01, 0.02, 0.5) == "undecided"
    assert statistics.verdict(0.001, 0.01, 0.01) == "A"  # proven, though small
    assert statistics.verdict(-0.04, 0.04, 0.5, margin=0.05) == "equivalent"
    assert statistics.verdict(float("nan"), float("nan"), float("nan")) == "undecided"
