"""Metrics against scipy, against golden values of scikit-learn's documentation, and against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from autointerp.score import metrics

ROWS = hnp.arrays(np.float64, st.integers(3, 30), elements=st.integers(0, 9).map(float))


def sparse(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    truth = np.where(rng.random(shape) < 0.2, rng.gamma(2.0, 2.0, shape), 0.0)
    prediction = np.where(rng.random(shape) < 0.8, truth, 0.0) + np.where(rng.random(shape) < 0.1, 3.0, 0.0)
    return truth, np.round(prediction)


def test_moments_are_the_six_weighted_sums() -> None:
    t, p, w = np.array([1.0, 2.0, np.nan]), np.array([3.0, 1.0, np.nan]), np.array([1.0, 2.0, 0.0])
    expected = [3.0, 1 + 2 * 2, 3 + 2 * 1, 1 + 2 * 4, 9 + 2 * 1, 3 + 2 * 2]
    np.testing.assert_allclose(metrics.moments(t, p, w), expected)
    assert len(expected) == len(metrics.MOMENTS)


def test_pearson_equals_scipy_over_leading_axes() -> None:
    t, p = sparse(np.random.default_rng(0), 4, 3, 200)
    got = metrics.pearson(metrics.moments(t, p))
    for index in np.ndindex(4, 3):
        assert got[index] == pytest.approx(stats.pearsonr(t[index], p[index]).statistic, abs=1e-12)
    assert np.all(metrics.pearson_status(metrics.moments(t, p)) == "ok")


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    t, p = sparse(rng, 50)
    w = rng.integers(0, 4, 50)
    t_long, p_long = np.repeat(t, w), np.repeat(p, w)
    for metric in (
        metrics.pearson_value,
        metrics.spearman,
        metrics.rsquared,
        metrics.absolute_dev_explained,
        metrics.auprc,
        metrics.f1,
    ):
        assert metric(t, p, w).value == pytest.approx(metric(t_long, p_long).value, abs=1e-12), metric.__name__


def test_a_constant_prediction_is_told_from_a_constant_truth() -> None:
    t = np.array([0.0, 0.0, 1.0, 2.0])
    silent, flat = np.zeros(4), np.full(4, 0.3)
    assert metrics.pearson_value(t, flat) == metrics.Value(0.0, "constant")
    assert metrics.pearson_value(t, silent) == metrics.Value(0.0, "constant")
    assert metrics.pearson_value(silent, t) == metrics.Value(None, "rare")
    assert metrics.pearson_value(silent, flat) == metrics.Value(None, "rare")
    assert metrics.spearman(t, flat) == metrics.Value(0.0, "constant")
    assert metrics.spearman(silent, t) == metrics.Value(None, "rare")
    assert metrics.spearman([], []) == metrics.Value(None, "rare")
    assert np.isnan(metrics.pearson(metrics.moments(silent, t)))


@pytest.mark.parametrize("constant", [0.1, 0.3, 1e-6, 7.7e5])
@pytest.mark.parametrize("n", [3, 1000, 300_007])
def test_rounding_never_makes_a_constant_vary(constant: float, n: int) -> None:
    truth = np.zeros(n)
    truth[0] = 1.0
    # summed the careless way, one token after another
    t2 = p = p2 = tp = 0.0
    for _ in range(n):
        p += constant
        p2 += constant * constant
    t2, tp = 1.0, constant
    assert metrics.pearson_status(np.array([n, 1.0, p, t2, p2, tp])) == "constant"
    assert metrics.pearson_value(truth, np.full(n, constant)).status == "constant"


def test_one_firing_in_ten_million_tokens_is_not_lost() -> None:
    assert metrics.pearson(np.array([1e7, 1e-3, 1e-3, 1e-6, 1e-6, 1e-6])) == pytest.approx(1.0)


@given(ROWS, st.data())
@settings(max_examples=50, deadline=None)
def test_pearson_is_additive_and_blind_to_scale(t: np.ndarray, data: st.DataObject) -> None:
    p = data.draw(hnp.arrays(np.float64, t.size, elements=st.integers(0, 9).map(float)))
    cut = data.draw(st.integers(0, t.size))
    whole = metrics.moments(t, p)
    np.testing.assert_allclose(whole, metrics.moments(t[:cut], p[:cut]) + metrics.moments(t[cut:], p[cut:]))
    scaled = metrics.moments(3.0 * t + 2.0, 0.5 * p)
    np.testing.assert_allclose(metrics.pearson(whole), metrics.pearson(scaled), atol=1e-9)
    assert metrics.pearson_status(whole) == metrics.pearson_status(scaled)


@given(ROWS, st.data())
@settings(max_examples=50, deadline=None)
def test_spearman_equals_scipy(t: np.ndarray, data: st.DataObject) -> None:
    p = data.draw(hnp.arrays(np.float64, t.size, elements=st.integers(0, 9).map(float)))
    got = metrics.spearman(t, p)
    if np.ptp(t) > 0 and np.ptp(p) > 0:
        assert got.value == pytest.approx(stats.spearmanr(t, p).statistic, abs=1e-9)
    cells, counts = np.unique(np.stack([t, p]), axis=1, return_counts=True)  # a pair of values once, with its weight
    weighted = metrics.spearman(cells[0], cells[1], counts)
    assert weighted.status == got.status
    assert weighted.value == (None if got.value is None else pytest.approx(got.value, abs=1e-9))


def test_explained_magnitude_has_zero_for_its_baseline() -> None:
    t, p = np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.0])
    assert metrics.rsquared(t, p).value == pytest.approx(1 - (1 + 0 + 4) / 20)
    assert metrics.absolute_dev_explained(t, p).value == pytest.approx(1 - 3 / 6)
    assert metrics.rsquared(t, np.zeros(3)).value == 0.0
    assert metrics.absolute_dev_explained(t, np.zeros(3)).value == 0.0
    assert metrics.rsquared(np.zeros(3), p).status == "rare"
    assert metrics.absolute_dev_explained(np.zeros(3), p).status == "rare"


def test_accuracy_and_balanced_accuracy() -> None:
    truth = np.array([True] * 4 + [False] * 10)
    assert metrics.accuracy(truth, np.zeros(14, bool)).value == pytest.approx(10 / 14)
    assert metrics.balanced_accuracy(truth, np.zeros(14, bool)).value == 0.5
    assert metrics.balanced_accuracy(truth, truth).value == 1.0
    predicted = np.array([True, True, True, False] + [True] * 2 + [False] * 8)
    assert metrics.balanced_accuracy(truth, predicted).value == pytest.approx((3 / 4 + 8 / 10) / 2)
    assert metrics.balanced_accuracy(np.zeros(3, bool), truth[:3]).status == "rare"
    assert metrics.balanced_accuracy(np.ones(3, bool), truth[:3]).status == "one_sided"
    assert metrics.balanced_accuracy([], []).status == "failed"
    assert metrics.accuracy([], []).status == "failed"


def test_average_precision_golden_values() -> None:
    # scikit-learn's documentation of average_precision_score
    assert metrics.auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value == pytest.approx(0.8333333333333333)
    # all tied: precision is the density at every recall
    assert metrics.auprc([0, 1, 0, 0], np.ones(4)).value == pytest.approx(0.25)
    assert metrics.auprc([0, 0], [1.0, 2.0]).status == "rare"


def slow_average_precision(fires: np.ndarray, prediction: np.ndarray) -> float:
    total, last_recall = 0.0, 0.0
    for threshold in sorted(set(prediction), reverse=True):
        called = prediction >= threshold
        recall, precision = (fires & called).sum() / fires.sum(), (fires & called).sum() / called.sum()
        total += (recall - last_recall) * precision
        last_recall = recall
    return total


@given(ROWS, st.data())
@settings(max_examples=50, deadline=None)
def test_precision_and_recall_equal_their_definitions(t: np.ndarray, data: st.DataObject) -> None:
    p = data.draw(hnp.arrays(np.float64, t.size, elements=st.integers(0, 4).map(float)))
    fires = t > 4
    positives = np.bincount(p.astype(int), fires, minlength=7)
    negatives = np.bincount(p.astype(int), ~fires, minlength=7)
    if not fires.any():
        assert metrics.auprc(fires, p).status == metrics.f1(fires, p).status == "rare"
        assert metrics.auprc_from_counts(positives, negatives).status == "rare"
        assert metrics.f1_from_counts(positives, negatives).status == "rare"
        return
    expected = pytest.approx(slow_average_precision(fires, p), abs=1e-12)
    assert metrics.auprc(fires, p).value == expected
    assert metrics.auprc_from_counts(positives, negatives).value == expected
    for threshold in (0, 2):
        called = p > threshold
        precision = (fires & called).sum() / max(called.sum(), 1)
        recall = (fires & called).sum() / fires.sum()
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert metrics.f1(fires, p, threshold=threshold).value == pytest.approx(f1)
        assert metrics.f1_from_counts(positives, negatives, threshold + 1).value == pytest.approx(f1)


def test_every_status_is_declared() -> None:
    known = {"ok", "constant", "rare", "failed", "one_sided", "underpowered", "few_documents", "fewer"}
    assert known == set(metrics.STATUSES)
