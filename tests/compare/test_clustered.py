"""Intervals of means and differences: equal to the textbook without clusters, to slow twins, and right as often as they
say."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import groupby

import numpy as np
import pytest
from bootstrap_twin import drawn_differences
from scipy import stats
from score_worlds import dictionary, world, wrong

from autointerp.compare import clustered
from autointerp.compare.clustered import difference_interval, mean_interval
from autointerp.records import Float64, Int64
from autointerp.score.metrics import pearson


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


# --- with documents -----------------------------------------------------------------------------------


def slow_variance(a: Float64, b: Float64, ids_a: Int64, ids_b: Int64, paired: bool) -> float:
    """V_features + V_blocks by definition: clusters summed and blocks left out one by one."""

    def mean(blocks: Float64, left_out: int | None) -> float:
        kept = [index for index in range(blocks.shape[1]) if index != left_out]
        return float(np.mean([pearson(np.sum([feature[k] for k in kept], axis=0)) for feature in blocks]))

    def over_features(scores: Float64, ids: Int64) -> float:
        sums: dict[int, float] = {}
        for value, identity in zip((scores - scores.mean()).tolist(), ids.tolist(), strict=True):
            sums[identity] = sums.get(identity, 0.0) + value / len(scores)
        return len(sums) / (len(sums) - 1) * float(sum(total**2 for total in sums.values()))

    of_a, of_b = (np.array([pearson(feature.sum(axis=0)) for feature in side]) for side in (a, b))
    features = over_features(of_a - of_b, ids_a) if paired else over_features(of_a, ids_a) + over_features(of_b, ids_b)
    n_blocks = a.shape[1]
    without = np.array([mean(a, left_out) - mean(b, left_out) for left_out in range(n_blocks)])
    return float(features + (n_blocks - 1) / n_blocks * ((without - without.mean()) ** 2).sum())


@pytest.mark.parametrize("kind", ["plain", "40 units", "pairs", "pairs, units"])
def test_both_ways_equal_the_slow_twin(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = world(kind, np.random.default_rng(4))
    drawn = replace(
        drawn, a=drawn.a[:60], b=drawn.b[:60], clusters_a=drawn.clusters_a[:60], clusters_b=drawn.clusters_b[:60]
    )
    expected = slow_variance(drawn.a, drawn.b, drawn.clusters_a, drawn.clusters_b, drawn.paired)
    got = drawn.interval()
    assert got.se**2 == pytest.approx(expected, rel=1e-9)
    assert got.df == 31  # that of the blocks
    assert got.value == pytest.approx(pearson(drawn.a.sum(1)).mean() - pearson(drawn.b.sum(1)).mean(), rel=1e-12)
    monkeypatch.setattr(clustered, "FEATURES_AT_ONCE", 7)
    assert drawn.interval() == got

    mean = mean_interval(drawn.scores[0], drawn.clusters_a, clustered.block_influence(drawn.a))
    assert mean is not None
    nothing = np.repeat(drawn.b[:1], 60, axis=0)  # a side without spread, whose blocks all say the same
    nothing[..., 5] = nothing[..., 3]
    alone = slow_variance(drawn.a, nothing, drawn.clusters_a, drawn.clusters_a, False)
    assert mean.se**2 == pytest.approx(alone, rel=1e-9)


@pytest.mark.parametrize("kind", ["plain", "large document effect", "40 units", "pairs, document effect", "pairs"])
def test_the_variance_is_that_of_the_bootstrap_less_the_noise_of_the_cells(kind: str) -> None:
    """The bootstrap's is V_features + V_blocks + V_cells: higher, by what this world's noise says."""
    rng = np.random.default_rng(5)
    drawn = world(kind, rng)
    ids_b = drawn.clusters_b if drawn.paired else -1 - drawn.clusters_b
    draws = drawn_differences(drawn.a, drawn.b, drawn.clusters_a, ids_b, 600, rng)
    moved = [clustered.block_influence(side) / len(side) for side in (drawn.a, drawn.b)]
    cells = 31 * float(sum(side.var(axis=1).sum() for side in moved))
    ours = drawn.interval().se ** 2
    assert draws.var(ddof=1) == pytest.approx(ours + cells, rel=4 * np.sqrt(2 / 600))
    if kind == "pairs":
        assert cells > 0.1 * ours  # there is something to leave out


@pytest.mark.parametrize("effect", [0.0, 0.15])
def test_what_documents_add_that_more_features_do_not_take_away(effect: float) -> None:
    """The spread over blocks that features share: 0 without one, else effect^2 / 32, but for the blocks' weights."""
    rng = np.random.default_rng(12)
    got = []
    for _ in range(40):
        blocks = dictionary(rng, 150, effect=effect)
        one = mean_interval(pearson(blocks.sum(1)), np.arange(150), clustered.block_influence(blocks))
        assert one is not None
        got.append(one.se_documents**2)
    assert np.mean(got) == pytest.approx(effect**2 / 32, rel=0.25, abs=3e-5)


def test_blocks_without_documents_do_not_count() -> None:
    drawn = world("document effect", np.random.default_rng(6))
    half, other = drawn.a.copy(), drawn.b.copy()
    half[:, 16:] = other[:, 16:] = 0.0
    few = replace(drawn, a=half, b=other).interval()
    assert few.df == 15
    cut = replace(drawn, a=half[:, :16], b=other[:, :16]).interval()
    assert (few.value, few.df) == (cut.value, cut.df)
    assert few.se == pytest.approx(cut.se)


def test_documents_of_one_block_give_no_interval() -> None:
    drawn = world("plain", np.random.default_rng(7))
    influence = clustered.block_influence(drawn.a)
    influence[:, 1:] = 0.0
    assert mean_interval(drawn.scores[0], drawn.clusters_a, influence) is None


def test_a_feature_of_one_block_does_not_move_the_mean_by_its_absence() -> None:
    drawn = world("plain", np.random.default_rng(8))
    sums = drawn.a[:3].copy()
    sums[1, 1:, 1:] = 0.0  # fires in the first block only: no score without it
    influence = clustered.block_influence(sums)
    assert (influence[1] == 0).all()
    assert (influence[[0, 2]] != 0).all()


def test_any_score_of_sums_has_an_influence() -> None:
    counts = np.random.default_rng(9).integers(1, 50, (20, 8, 2)).astype(float)  # hits, trials

    def share(sums: Float64) -> Float64:
        ratio: Float64 = sums[..., 0] / sums[..., 1]
        return ratio

    got = clustered.block_influence(counts, share)
    left = np.delete(counts[3], 5, axis=0).sum(axis=0)
    assert got[3, 5] == pytest.approx(left[0] / left[1] - share(counts[3].sum(axis=0)))
    assert clustered.block_influence(counts[:0], share).shape == (0, 8)


# --- right as often as they say: quick; tests/slow/test_comparison_size.py is tighter ------------------


@pytest.mark.parametrize("name", ["document effect", "very uneven blocks", "40 units", "pairs, units", "pairs"])
def test_size_of_the_interval(name: str) -> None:
    rate, ratio = wrong(name, 200)
    print(f"{name}: wrong {rate:.3f}, standard error over the true spread {ratio:.2f}")
    assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert 0.85 <= ratio <= 1.35


def test_what_forgets_documents_or_units_is_wrong_too_often() -> None:
    assert wrong("large document effect", 150, documents=False)[0] > 0.15
    assert wrong("10 units", 150, units=False)[0] > 0.15


@pytest.mark.parametrize("paired", [True, False])
def test_p_agrees_with_a_permutation_test_over_features(paired: bool) -> None:
    rng = np.random.default_rng(10)
    a = rng.beta(5, 2, 60)
    b = a - rng.normal(0.03, 0.07, 60) if paired else rng.beta(4, 2, 60)
    got = difference_interval(a, b, np.arange(60), np.arange(60), paired=paired)
    assert got is not None

    def welch(x: Float64, y: Float64, axis: int) -> Float64:
        test = stats.ttest_rel if paired else partial(stats.ttest_ind, equal_var=False)
        return np.asarray(test(x, y, axis=axis).statistic)

    permuted = stats.permutation_test(
        (a, b),
        welch,
        permutation_type="samples" if paired else "independent",
        n_resamples=4000,
        rng=rng,
        vectorized=True,
    )
    assert 0.001 < got.p_value < 0.4
    assert got.p_value == pytest.approx(permuted.pvalue, abs=4 * float(np.sqrt(permuted.pvalue / 4000)) + 0.004)
