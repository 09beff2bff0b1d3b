"""The sample and its estimates: every vectorised path against a slow and obvious twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autointerp.score import estimator as est
from autointerp.score.estimates import pearson_gradient
from autointerp.score.metrics import moments, pearson
from autointerp.score.sampling import CLASSES, NOT_SAMPLED, class_counts

COUNTS = st.lists(st.integers(0, 50), min_size=9, max_size=9)
T, E, M, R = (CLASSES.index(name) for name in "TEMR")


def corpus(rng: np.random.Generator, n_windows: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and prediction [W, 32] and the class of every window."""
    truth = np.where(rng.random((n_windows, 32)) < 0.005, rng.gamma(1.5, 2.0, (n_windows, 32)), 0.0)
    prediction = np.where(rng.random(truth.shape) < 0.8, np.round(truth), 0.0)
    prediction += np.where(rng.random(truth.shape) < 0.004, 3.0, 0.0)
    maximum = truth.max(axis=1)
    top = np.zeros(n_windows, bool)
    top[np.argsort(-maximum)[:20]] = True
    cheap = (prediction.max(axis=1) > 0) & (rng.random(n_windows) < 0.8)
    classes = est.classify(maximum, top, cheap, rng.random(n_windows) < 0.1, est.firing_limits(maximum[maximum > 0]))
    return truth, prediction, classes


def samples(n_features: int, quotas: tuple[int, ...] = est.QUOTAS_60) -> tuple[np.ndarray, ...]:
    """Padded moments, classes, sizes and candidates of some features, R windows with alarms."""
    rng = np.random.default_rng(5)
    rows, kinds, sizes, available = [], [], [], []
    for _ in range(n_features):
        truth, prediction, classes = corpus(rng)
        pool = rng.random(len(classes)) < 0.5
        candidates = np.where(pool | (classes == T), classes, NOT_SAMPLED)
        counts = np.bincount(candidates[candidates >= 0], minlength=9)
        size = est.class_sizes(len(classes), (truth.max(axis=1) > 0).sum(), counts)
        sample = est.draw(candidates, rng.random(len(classes)), size, quotas)
        prediction = prediction + np.where(rng.random(truth.shape) < 0.01, 2.0, 0.0)
        rows.append(moments(truth[sample.index], prediction[sample.index]))
        kinds.append(sample.classes)
        sizes.append(sample.sizes)
        available.append(sample.available)
    padded, classes = est.pad_windows(rows, kinds)
    return padded, classes, np.array(sizes), np.array(available)


# --- the sample -------------------------------------------------------------------------------------


def test_quotas_are_those_of_the_design() -> None:
    for quotas, firing, e, m, r in ((est.QUOTAS_60, 32, 18, 4, 6), (est.QUOTAS_100, 40, 40, 8, 12)):
        assert sum(quotas[:6]) == firing
        assert quotas[E:] == (e, m, r)
    assert est.QUOTAS_60[:6] == (6, 3, 4, 5, 6, 8)


def test_a_window_is_in_the_first_class_that_fits() -> None:
    limits = [1.0, 2.0, 3.0, 4.0]
    maximum = [9.0, 0.5, 1.0, 4.5, 0.0, 0.0, 0.0, 0.0]
    top = [True, False, False, False, False, False, False, True]
    cheap = [True, True, False, True, True, True, False, False]
    token = [True, True, True, True, True, False, True, False]
    got = est.classify(maximum, top, cheap, token, limits)
    assert [CLASSES[k] for k in got] == ["T", "F1", "F2", "F5", "E", "E", "M", "R"]


def test_limits_cut_the_total_of_the_maxima_into_five() -> None:
    maxima = np.random.default_rng(0).gamma(1.5, 2.0, 20_000)
    firing_bin = np.searchsorted(est.firing_limits(maxima), maxima, side="right")
    shares = np.bincount(firing_bin, maxima, minlength=5) / maxima.sum()
    np.testing.assert_allclose(shares, 0.2, atol=0.001)
    assert np.all(np.isinf(est.firing_limits([])))


def test_class_sizes_are_shared_out_as_the_frames_are() -> None:
    available = np.array([[20, 10, 20, 10, 5, 5, 30, 10, 160], [3, 0, 0, 0, 0, 0, 0, 0, 0]])
    sizes = est.class_sizes([1000, 10], [120, 3], available)
    np.testing.assert_allclose(sizes[0], [20, 20, 40, 20, 10, 10, 132, 44, 704])
    assert sizes[0].sum() == pytest.approx(1000)
    np.testing.assert_allclose(sizes[1], [3, 0, 0, 0, 0, 0, 0, 0, 0])


@given(COUNTS, COUNTS)
@settings(max_examples=100, deadline=None)
def test_allocation_fills_the_quota_where_it_can(available: list[int], quotas: list[int]) -> None:
    taken = est.allocate(available, quotas)
    assert taken.sum() == min(sum(quotas), sum(available))
    assert np.all(taken <= available)
    assert np.all(taken >= np.minimum(available, quotas))
    for kind in (slice(0, 6), slice(6, 9)):  # nothing crosses to the other kind while there is room in its own
        if sum(quotas[kind]) > taken[kind].sum():
            assert np.all(taken[kind] == available[kind])


def test_a_short_class_passes_its_quota_to_the_next_of_its_kind() -> None:
    full = [99] * 9
    lacking_e = [*full[:6], 3, 99, 99]
    np.testing.assert_array_equal(est.allocate(lacking_e), [6, 3, 4, 5, 6, 8, 3, 19, 6])
    lacking_r = [*full[:6], 99, 99, 2]
    np.testing.assert_array_equal(est.allocate(lacking_r), [6, 3, 4, 5, 6, 8, 22, 4, 2])
    few_firing = [2, 0, 0, 0, 0, 0, 99, 99, 99]
    assert est.allocate(few_firing).sum() == 60


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_draw_takes_the_smallest_u_of_each_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 400))
    classes = rng.integers(-1, 9, n)
    u = np.round(rng.random(n), 2)  # ties
    counts = np.bincount(classes[classes >= 0], minlength=9)
    sample = est.draw(classes, u, counts * 3.0)
    for h in range(9):
        members = [i for i in range(n) if classes[i] == h]
        members.sort(key=lambda i: (u[i], i))
        chosen = sample.index[sample.classes == h]
        np.testing.assert_array_equal(chosen, members[: sample.n[h]])
        np.testing.assert_allclose(sample.pi[sample.classes == h], sample.n[h] / max(counts[h] * 3.0, 1))
    np.testing.assert_array_equal(sample.available, counts)


def test_top_windows_drawn_whole_are_certain() -> None:
    classes = np.array([T] * 6 + [E] * 50 + [R] * 50)
    sample = est.draw(classes, np.linspace(0, 1, classes.size), [6, 0, 0, 0, 0, 0, 500, 0, 500])
    assert np.all(sample.pi[sample.classes == T] == 1.0)


def test_weighted_totals_hit_the_corpus_on_average() -> None:
    rng = np.random.default_rng(2)
    truth, prediction, classes = corpus(rng)
    all_moments = moments(truth, prediction)
    sizes = np.bincount(classes, minlength=9).astype(float)
    totals = []
    for _ in range(400):
        sample = est.draw(classes, rng.random(len(classes)), sizes)
        weight = est.window_weights(sample.classes, sizes)
        totals.append(weight @ all_moments[sample.index])
    error = (np.mean(totals, axis=0) - all_moments.sum(axis=0)) / (np.std(totals, axis=0) / 20 + 1e-9)
    assert np.all(np.abs(error) < 4)


# --- the estimate -----------------------------------------------------------------------------------


def slow_jackknife(rows: np.ndarray, kinds: np.ndarray, sizes: np.ndarray, left_out: list[int]) -> tuple[float, float]:
    """Bias and variance of r over classes of two windows and more, but for those in `left_out`."""

    def r_of(kept: np.ndarray) -> float:
        parts = [sizes[h] * rows[kept & (kinds == h)].mean(axis=0) for h in range(9) if (kept & (kinds == h)).any()]
        return float(pearson(np.sum(parts, axis=0)))

    everything = np.ones(len(rows), bool)
    bias = variance = 0.0
    for h in range(9):
        mine = np.flatnonzero(kinds == h)
        n = len(mine)
        if n < 2 or h in left_out:
            continue
        without = []
        for i in mine:
            kept = everything.copy()
            kept[i] = False
            without.append(r_of(kept))
        whole = 1 - min(1.0, n / sizes[h])
        bias += whole * (n - 1) * (np.mean(without) - r_of(everything))
        variance += whole * (n - 1) / n * ((np.array(without) - np.mean(without)) ** 2).sum()
    return bias, variance


def slow_estimate(
    rows: np.ndarray,
    kinds: np.ndarray,
    sizes: np.ndarray,
    available: np.ndarray | None,
    framed: bool,
    charge: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float, float, float, float]:
    """The steps of `estimator.py` for one feature, in loops: value, se, df, low, high."""
    rows = rows.copy()
    if framed:
        rows[kinds == R, 2], rows[kinds == R, 4], rows[kinds == R, 5] = charge[0], charge[1], 0.0
    total = np.zeros(6)
    for h in range(9):
        mine = rows[kinds == h]
        if len(mine):
            total += sizes[h] * mine.mean(axis=0)
    r = float(pearson(total))
    gradient = np.zeros(6)  # by differences
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-6 * max(abs(total[k]), 1.0)
        gradient[k] = (pearson(total + step) - pearson(total - step)) / (2 * step[k])
    z = rows @ gradient
    variances, dfs, means = [], [], np.zeros(9)
    for h in range(9):
        mine = z[kinds == h]
        if len(mine) == 0:
            continue
        means[h] = mine.mean()
        kind = range(0, 6) if h < 6 else range(6, 9)
        if len(mine) > 1:
            s2, df = mine.var(ddof=1), len(mine) - 1
        else:
            groups = [z[kinds == j] for j in kind if (kinds == j).sum() > 1]
            df = sum(len(g) - 1 for g in groups)
            s2 = sum(((g - g.mean()) ** 2).sum() for g in groups) / max(df, 1)
        variances.append(sizes[h] ** 2 * (1 - min(1.0, len(mine) / sizes[h])) * s2 / len(mine))
        dfs.append(max(df, 1))
    if available is not None:
        for part in (slice(1, 6), slice(6, 9)):
            total_size, m = sizes[part].sum(), available[part].sum()
            if total_size == 0:
                continue
            share = sizes[part] / total_size
            between = (share * (means[part] - share @ means[part]) ** 2).sum()
            variances.append(total_size**2 * (1 - min(1.0, m / total_size)) * between / m)
            dfs.append(max(m - 1, 1))
    variance = sum(variances)
    df = max(variance**2 / sum(v**2 / d for v, d in zip(variances, dfs, strict=True)), 1.0)
    bias, jackknife = slow_jackknife(rows, kinds, sizes, [R] if framed else [])
    linear = sum(
        sizes[h] ** 2 * (1 - min(1.0, n / sizes[h])) * z[kinds == h].var(ddof=1) / n
        for h in range(8 if framed else 9)
        if (n := int((kinds == h).sum())) > 1
    )
    variance += max(jackknife - linear, 0.0)
    half = stats.t.ppf(0.975, df) * np.sqrt(variance) / (1 - r * r)
    centre = np.arctanh(r) - r * min(half, 0.25) ** 2
    low = min(np.tanh(centre - half), with_misses(rows, kinds, sizes))
    return r - bias, np.sqrt(variance), df, low, np.tanh(centre + half)


def with_misses(rows: np.ndarray, kinds: np.ndarray, sizes: np.ndarray) -> float:
    """The value if the label missed the largest number of firing windows that the sample does not exclude."""
    n, n_firing = int((kinds < 6).sum()), sizes[:6].sum()
    share = 0.0
    if n < n_firing:  # a window is among the n drawn with probability n / N; missed * log: none of so many is
        share = min(np.log(0.05) / np.log(1 - n / n_firing), n_firing - n) / n_firing
    total = np.zeros(6)
    for h in range(9):
        for row in rows[kinds == h]:
            kept = row * [1, 1, 1 - share, 1, 1 - share, 1 - share] if h < 6 else row
            total += sizes[h] / (kinds == h).sum() * kept
    return float(pearson(total))


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("with_frames", [True, False])
def test_estimates_equal_the_slow_twin(framed: bool, with_frames: bool) -> None:
    rows, kinds, sizes, available = samples(6)
    # one window of F3, so that its variance is borrowed
    spare = np.flatnonzero(kinds[0] == 3)[1:]
    kinds[0, spare] = NOT_SAMPLED
    frames, charge = available if with_frames else None, (0.4, 0.9)
    if framed:
        got = est.pearson_framed(rows, kinds, sizes, frames, charge=np.tile(charge, (len(rows), 1)))
    else:
        got = est.pearson_sample(rows, kinds, sizes, frames)
    for f in range(len(rows)):
        keep = kinds[f] >= 0
        of_frames = available[f] if with_frames else None
        expected = slow_estimate(rows[f][keep], kinds[f][keep], sizes[f], of_frames, framed, charge)
        fields = (got.value[f], got.se[f], got.df[f], got.ci_low[f], got.ci_high[f])
        np.testing.assert_allclose(fields, expected, rtol=2e-4)
        assert got.n[f] == keep.sum()


def perfect(n_drawn: int, n_firing: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sample in which the label is right everywhere: n_drawn of n_firing windows, and six silent ones."""
    rng = np.random.default_rng(9)
    truth = np.where(rng.random((n_drawn + 6, 32)) < 0.1, rng.gamma(1.5, 2.0, (n_drawn + 6, 32)), 0.0)
    truth[:n_drawn, 0], truth[n_drawn:] = 1.0, 0.0
    kinds = np.array([*(i % 6 for i in range(n_drawn)), *[R] * 6])
    sizes = np.bincount(kinds, minlength=9) * n_firing / n_drawn
    sizes[R] = 50_000.0
    return moments(truth, truth), kinds, sizes


@pytest.mark.parametrize(("n_drawn", "n_firing"), [(30, 30), (30, 32), (30, 60), (30, 3000), (6, 3000)])
def test_a_sample_without_an_error_excludes_no_rare_error(n_drawn: int, n_firing: int) -> None:
    rows, kinds, sizes = perfect(n_drawn, n_firing)
    for estimate in (est.pearson_framed, est.pearson_sample):
        got = estimate(rows, kinds, sizes)
        assert got.value == pytest.approx(1.0)
        assert got.ci_high == pytest.approx(1.0)
        assert got.ci_low == pytest.approx(with_misses(rows, kinds, sizes))
    if n_drawn == n_firing:
        assert got.ci_low == pytest.approx(1.0)
    else:
        assert 0.7 < got.ci_low < 1 - 1 / n_firing / 2


def test_the_share_that_is_not_excluded() -> None:
    drawn = np.array([0, 1, 6, 32, 32, 99, 100, 120])
    whole = np.array([100, 100, 3000, 1e6, 64, 100, 100, 100])
    share = est.unseen_share(drawn, whole)
    np.testing.assert_allclose(share[[0, 1]], [1, 0.99])
    np.testing.assert_allclose(share[3], 3 / 32, rtol=0.002)
    for n, size, unseen in zip(drawn[2:6], whole[2:6], share[2:6], strict=True):
        assert unseen == pytest.approx(1 - n / size) or (1 - n / size) ** (unseen * size) == pytest.approx(0.05)
    np.testing.assert_array_equal(share[6:], 0)


def test_leading_axes_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, kinds, sizes, available = samples(6)
    whole = est.pearson_framed(rows, kinds, sizes, available)
    monkeypatch.setattr(est, "FEATURES_AT_ONCE", 4)
    shaped = est.pearson_framed(
        rows.reshape(2, 3, -1, 6), kinds.reshape(2, 3, -1), sizes.reshape(2, 3, 9), available.reshape(2, 3, 9)
    )
    one = est.pearson_framed(rows[4], kinds[4], sizes[4], available[4])
    for name in ("value", "ci_low", "ci_high", "se", "df", "n", "status"):
        np.testing.assert_array_equal(getattr(shaped, name), getattr(whole, name).reshape(2, 3))
        assert getattr(one, name) == getattr(whole, name)[4]
    assert est.pearson_framed(np.zeros((0, 60, 6)), np.zeros((0, 60), int), np.zeros((0, 9))).value.shape == (0,)


def test_everything_drawn_is_the_corpus_value_without_width() -> None:
    truth, prediction, classes = corpus(np.random.default_rng(3), 500)
    sizes = np.bincount(classes, minlength=9).astype(float)
    rows = moments(truth, prediction)
    got = est.pearson_sample(rows, classes, sizes)
    assert got.value == pytest.approx(float(pearson(rows.sum(axis=0))))
    for limit in (got.ci_low, got.ci_high):
        assert limit == pytest.approx(float(got.value))
    assert got.ci_low < got.value < got.ci_high, "rounding is no miss"
    assert got.se == 0.0
    assert got.status == "ok"
    framed = est.pearson_framed(rows, classes, sizes)
    assert framed.value == pytest.approx(float(pearson(est.frame_moments(rows, classes).sum(axis=0))))


def test_framed_ignores_what_is_predicted_in_r() -> None:
    rows, kinds, sizes, available = samples(2)
    loud = rows.copy()
    loud[kinds == R, 2] += 50
    loud[kinds == R, 4] += 900
    a, b = (est.pearson_framed(x, kinds, sizes, available) for x in (rows, loud))
    np.testing.assert_array_equal(a.value, b.value)
    charged = est.pearson_framed(rows, kinds, sizes, available, charge=(50.0, 900.0))
    np.testing.assert_allclose(charged.value, est.pearson_framed(loud, kinds, sizes, available, charge=[50, 900]).value)
    assert np.all(charged.value < a.value)
    assert np.all(est.pearson_sample(loud, kinds, sizes).value < a.value)
    unanswered = np.where(kinds == R, NOT_SAMPLED, kinds)
    c = est.pearson_framed(rows, unanswered, sizes, available)
    np.testing.assert_allclose(c.value, a.value)  # all windows have 32 tokens
    np.testing.assert_allclose(c.ci_low, a.ci_low)


def test_windows_without_a_prediction_are_made_up_for() -> None:
    rows, kinds, sizes, available = samples(4)
    kinds[0, kinds[0] == T] = NOT_SAMPLED  # the top windows' size goes to F5
    kinds[1, kinds[1] == E] = NOT_SAMPLED  # E's to M
    kinds[2, kinds[2] < 6] = NOT_SAMPLED  # no firing window answered
    kinds[3, (kinds[3] == E) | (kinds[3] == M)] = NOT_SAMPLED
    got = est.pearson_framed(rows, kinds, sizes, available)
    assert list(got.status) == ["ok", "ok", "failed", "failed"]
    moved = sizes.copy()
    moved[0, 5] += moved[0, T]
    moved[0, T] = 0
    moved[1, M] += moved[1, E]
    moved[1, E] = 0
    for f in (0, 1):
        keep = kinds[f] >= 0
        expected = slow_estimate(rows[f][keep], kinds[f][keep], moved[f], available[f], True)
        assert got.value[f] == pytest.approx(expected[0])
    for f in (2, 3):
        assert np.isnan([got.value[f], got.ci_low[f], got.se[f]]).all()
    no_rest = np.where(kinds == R, NOT_SAMPLED, kinds)
    assert est.pearson_sample(rows, no_rest, sizes).status[0] == "failed"


def test_statuses_say_why() -> None:
    rows, kinds, sizes, _ = samples(3)
    silent = rows[0].copy()
    silent[:, [1, 3, 5]] = 0
    no_firing = np.where(np.arange(9) < 6, 0.0, sizes[0])
    silent_kinds = np.where(kinds[0] < 6, NOT_SAMPLED, kinds[0])
    rare = est.pearson_framed(silent, silent_kinds, no_firing)
    assert rare.status == "rare"
    assert np.isnan(rare.value)

    mute = rows[1].copy()
    mute[:, [2, 4, 5]] = 0
    constant = est.pearson_framed(mute, kinds[1], sizes[1])
    assert constant.status == "constant"
    assert constant.value == 0.0
    assert np.isnan([constant.ci_low, constant.ci_high, constant.se]).all()

    weak = est.pearson_sample(rows[2], kinds[2], sizes[2] * np.where(np.arange(9) == R, 100, 1))
    assert weak.status == "underpowered"
    assert np.isfinite([weak.value, weak.ci_low, weak.ci_high]).all()


def test_underpowered_is_density_times_silent_windows_seen() -> None:
    sizes = np.array([20, 16, 16, 16, 16, 16, 0, 0, 99_900.0])  # 100 firing windows in 100,000
    counts = np.zeros((4, 9), int)
    counts[:, R] = 6, 2996, 2998, 99_900
    np.testing.assert_array_equal(est.underpowered(counts, sizes), [True, True, False, False])
    tiny = np.array([1, 0, 0, 0, 0, 0, 0, 0, 5.0])
    counts[0, R] = 5
    assert not est.underpowered(counts[0], tiny)  # every silent window was seen


def test_gradient_is_the_derivative_and_sums_to_nothing() -> None:
    rows, *_ = samples(3)
    totals = rows.sum(axis=1)
    gradient = pearson_gradient(totals)
    np.testing.assert_allclose((gradient * totals).sum(axis=-1), 0, atol=1e-12)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-3
        slope = (pearson(totals + step) - pearson(totals - step)) / 2e-3
        np.testing.assert_allclose(gradient[:, k], slope, rtol=1e-4, atol=1e-10)
    assert np.all(pearson_gradient(np.zeros(6)) == 0)


def test_block_moments_add_up_to_the_estimate() -> None:
    rows, kinds, sizes, available = samples(5)
    blocks = np.random.default_rng(0).integers(0, 32, kinds.shape)
    got = est.block_moments(est.frame_moments(rows, kinds), kinds, sizes, blocks, 32)
    assert got.shape == (5, 32, 6)
    totals = np.einsum("fw,fwk->fk", est.window_weights(kinds, sizes), est.frame_moments(rows, kinds))
    np.testing.assert_allclose(got.sum(axis=1), totals)
    corrected = est.pearson_framed(rows, kinds, sizes, available).value
    np.testing.assert_allclose(pearson(got.sum(axis=1)), corrected, atol=0.03)
    weights = est.window_weights(kinds, sizes)
    block = blocks[1, 0]
    here = [i for i in range(kinds.shape[1]) if blocks[1, i] == block and kinds[1, i] not in (NOT_SAMPLED, R)]
    by_hand = np.sum([weights[1, i] * rows[1, i] for i in here], axis=0)
    np.testing.assert_allclose(got[1, block, 1:], by_hand[1:])


def test_class_counts_leave_padding_out() -> None:
    np.testing.assert_array_equal(class_counts([[0, 8, 8, -1]], 9), [[1, 0, 0, 0, 0, 0, 0, 0, 2]])
    assert class_counts([[0, 8, 15, -1]]).tolist() == [[1, *[0] * 7, 1, *[0] * 6, 1]]


# --- the census -------------------------------------------------------------------------------------


def slow_census(blocks: np.ndarray) -> tuple[float, float, float, float, float]:
    n = len(blocks)
    r = float(pearson(blocks.sum(axis=0)))
    without = np.array([float(pearson(np.delete(blocks, b, axis=0).sum(axis=0))) for b in range(n)])
    variance = (n - 1) / n * ((without - without.mean()) ** 2).sum()
    kurtosis = stats.kurtosis(without, fisher=False)
    df = np.clip(2 / max(kurtosis / n - (n - 3) / (n * (n - 1)), 1e-9), 1, n - 1)
    half = stats.t.ppf(0.975, df) * np.sqrt(variance) / (1 - r * r)
    return r, np.sqrt(variance), df, np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)


def test_census_interval_equals_the_slow_twin() -> None:
    rng = np.random.default_rng(8)
    truth, prediction, _ = corpus(rng, 32 * 40 * 6)
    blocks = moments(truth, prediction).reshape(6, 32, 40, 6).sum(axis=2)
    got = est.census_pearson_interval(blocks)
    for f in range(6):
        fields = (got.value[f], got.se[f], got.df[f], got.ci_low[f], got.ci_high[f])
        np.testing.assert_allclose(fields, slow_census(blocks[f]), rtol=1e-6)
    assert np.all(got.n == 40 * 32 * 32)
    padded = np.concatenate([blocks, np.zeros((6, 3, 6))], axis=1)
    np.testing.assert_allclose(est.census_pearson_interval(padded).ci_low, got.ci_low)


def test_census_statuses() -> None:
    rng = np.random.default_rng(9)
    truth, prediction, _ = corpus(rng, 320)
    blocks = moments(truth, prediction).reshape(32, 10, 6).sum(axis=1)
    mute, silent, lonely = blocks.copy(), blocks.copy(), blocks.copy()
    mute[:, [2, 4, 5]] = 0
    silent[:, [1, 3, 5]] = 0
    loudest = blocks[:, 1].argmax()
    lonely[np.arange(32) != loudest, 1::2] = 0  # t, t2 and tp of all other blocks
    got = est.census_pearson_interval(np.stack([blocks, mute, silent, lonely]))
    assert list(got.status) == ["ok", "constant", "rare", "few_documents"]
    assert got.value[1] == 0
    assert np.isnan(got.value[2])
    assert np.isfinite(got.value[3])
    assert np.isnan([got.ci_low[3], got.ci_high[3], got.se[3]]).all()
    alone = est.census_pearson_interval(blocks.sum(axis=0, keepdims=True))
    assert np.isnan(alone.ci_low)
    assert alone.status == "few_documents"


def test_an_interval_that_leaves_everything_open_is_a_status() -> None:
    """sae/1286 of SmolLM2: 73 % of the squared activation in one block, .79 [-.995, 1.000]."""
    n = np.array([5990, 1349, 3134, 3962, 939, 1603, 527, 695, 1660, 1166, 996, 1398, 1669, 1185], dtype=np.float64)
    t2 = np.array([320, 121, 1172, 589, 28, 79, 0, 118, 412, 0, 10073, 292, 602, 43], dtype=np.float64)

    def one(share_elsewhere: float) -> np.ndarray:
        """A label that knows the firings of block 10, strength 40, and a share of those elsewhere, strength 17."""
        strength = np.where(t2 > 5_000, 40.0, 17.0)
        count = t2 / strength**2
        known = np.where(t2 > 5_000, 1.0, share_elsewhere)
        columns = [n, count * strength, known * count * strength, t2, known * t2 + 0.3 * n, known * t2]
        return np.stack(columns, axis=1)

    got = est.census_pearson_interval(np.stack([one(0.02), one(0.9)]))
    assert list(got.status) == ["few_documents", "ok"]
    *_, low, high = slow_census(one(0.02))
    assert high - low >= 1.9
    assert np.isnan([got.ci_low[0], got.ci_high[0], got.se[0], got.df[0]]).all()
    np.testing.assert_allclose((got.value[1], got.ci_low[1]), np.array(slow_census(one(0.9)))[[0, 3]])
