"""P(label holds): the fit against a general optimiser, its calibration on held-out features, and that it can say no."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from autointerp.compare.holds import (
    FOLDS,
    NEAREST,
    RIDGE,
    SHRINK,
    Known,
    calibration,
    fit_holds,
    intervals,
    logistic,
    neighbour_shares,
    sigmoid,
    wilson,
)

N = 800


def world(seed: int, strength: float = 1.0) -> tuple[Known, np.ndarray, np.ndarray]:
    """Covariates of which two count (one is missing here and there), neighbours that are alike; P and the outcome."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 80, N)
    common = random.standard_normal(80)[group]
    x = random.standard_normal((N, 4))
    logit = strength * (1.2 * x[:, 0] - 0.8 * x[:, 1] + 0.9 * common) + 0.4
    p = 1 / (1 + np.exp(-logit))
    x[random.random(N) < 0.1, 0] = np.nan
    x[:, 3] = 7.0
    near = tuple(np.setdiff1d(np.flatnonzero(group == group[i]), [i])[:5] for i in range(N))
    owner = np.repeat(np.arange(N), [len(own) for own in near])
    known = Known(x, owner, np.concatenate(near), random.integers(0, FOLDS, N))
    return known, p, (random.random(N) < p).astype(float)


def test_the_fit_is_the_penalised_likelihood_s_largest() -> None:
    random = np.random.default_rng(0)
    x = np.column_stack([np.ones(120), random.standard_normal((120, 3))])
    y = (random.random(120) < 0.3).astype(float)
    w = random.uniform(0.2, 3.0, 120)

    def lost(beta: np.ndarray) -> float:
        z = x @ beta
        return float(np.sum(w * (np.logaddexp(0, z) - y * z)) + 0.5 * RIDGE * np.sum(beta[1:] ** 2))

    slow = minimize(lost, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    fitted = logistic(x, y, w)
    np.testing.assert_allclose(fitted, slow, atol=1e-5)
    assert np.average(sigmoid(x @ fitted), weights=w) == pytest.approx(np.average(y, weights=w))


def test_of_features_that_were_not_scored() -> None:
    """Over many worlds: what is said to hold at 20 % holds at 20 %, and it is better than the base rate."""
    said, truth, briers, bases = [], [], [], []
    for seed in range(12):
        known, p, y = world(seed)
        scored = np.sort(np.random.default_rng(100 + seed).choice(N, 200, replace=False))
        fit = fit_holds(known, scored, y[scored], np.ones(200))
        rest = np.setdiff1d(np.arange(N), scored)
        said.append(fit.p[rest])
        truth.append(y[rest])
        briers.append(fit.calibration.brier)
        bases.append(fit.calibration.brier_base)
        assert fit.calibration.helps == "helps"
        assert np.mean((fit.p[rest] - y[rest]) ** 2) == pytest.approx(fit.calibration.brier, abs=0.035)
    assert np.mean(briers) < np.mean(bases) - 0.04
    p, y = np.concatenate(said), np.concatenate(truth)
    for part in np.array_split(np.argsort(p), 5):
        assert y[part].mean() == pytest.approx(p[part].mean(), abs=0.04)


def test_the_held_out_table_covers_the_truth() -> None:
    inside = []
    for seed in range(30):
        known, _, y = world(seed)
        scored = np.sort(np.random.default_rng(seed).choice(N, 200, replace=False))
        table = fit_holds(known, scored, y[scored], np.ones(200)).calibration.table
        inside += [row.low <= row.predicted <= row.high for row in table]
    assert np.mean(inside) > 0.88


def true_share(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What truly holds among the 2.5 % of features whose predictions are nearest to each."""
    order = np.argsort(p)
    k = len(p) // 40
    first = np.clip(np.searchsorted(p[order], p) - k // 2, 0, len(p) - k)
    sums = np.concatenate([[0.0], np.cumsum(truth[order])])
    return np.asarray((sums[first + k] - sums[first]) / k)


@pytest.mark.parametrize(("strength", "most_wide"), [(1.0, 0.28), (2.5, 0.24)])
def test_the_interval_holds_what_is_true_of_features_of_such_a_prediction(strength: float, most_wide: float) -> None:
    parts = []
    for seed in range(20):
        known, truth, y = world(seed, strength)
        scored = np.sort(np.random.default_rng(100 + seed).choice(N, 200, replace=False))
        fit = fit_holds(known, scored, y[scored], np.ones(200))
        if fit.basis == "base_rate":  # it happens that 200 features are too few to tell
            continue
        assert (fit.low <= fit.chance).all()
        assert (fit.chance <= fit.high).all()
        rest = np.setdiff1d(np.arange(N), scored)
        parts.append([fit.chance[rest], truth[rest], fit.low[rest], fit.high[rest]])
    assert len(parts) >= 18
    p, truth, low, high = (np.concatenate(column) for column in zip(*parts, strict=True))
    share = true_share(p, truth)
    assert np.mean((low <= share) & (share <= high)) > 0.95
    assert np.mean(high - low) < most_wide


def test_intervals_are_those_of_the_nearest_one_by_one() -> None:
    random = np.random.default_rng(3)
    held_out, y, w = random.random(130), (random.random(130) < 0.4).astype(float), random.uniform(0.3, 2, 130)
    p = np.concatenate([random.random(30), [0.0, 1.0]])
    low, high = intervals(p, held_out, y, w)
    order = np.argsort(held_out)
    for i, value in enumerate(p):
        at = min(max(int(np.sum(held_out < value)) - NEAREST // 2, 0), 130 - NEAREST)
        near = order[at : at + NEAREST]
        rate = min(max(value + np.average(y[near] - held_out[near], weights=w[near]), 0.0), 1.0)
        ends = wilson(np.array([rate]), np.array([w[near].sum() ** 2 / np.sum(w[near] ** 2)]))
        assert (low[i], high[i]) == pytest.approx((min(ends[0][0], value), max(ends[1][0], value)))


def test_where_none_or_all_hold_the_interval_ends_there() -> None:
    n = np.arange(1.0, 200.0)
    assert (wilson(np.zeros(199), n)[0] == 0).all()
    assert (wilson(np.ones(199), n)[1] == 1).all()


def test_where_nothing_predicts_it_says_so() -> None:
    said = []
    for seed in range(30):
        known, _, _ = world(seed)
        y = (np.random.default_rng(500 + seed).random(N) < 0.4).astype(float)
        scored = np.sort(np.random.default_rng(seed).choice(N, 150, replace=False))
        fit = fit_holds(known, scored, y[scored], np.ones(150))
        said.append(fit.calibration.helps)
        assert fit.basis == "covariates" or set(fit.chance.tolist()) == {fit.base}
    assert said.count("helps") <= 2


def test_the_shareneighbour_shares_that_hold_one_by_one() -> None:
    known, _, y = world(2)
    scored = np.arange(0, N, 3)
    base = float(y[scored].mean())
    shares = neighbour_shares(known, scored, y[scored], base)
    for place in range(0, N, 7):
        near = [other for other in known.near[known.owner == place] if other != place and other in scored]
        expected = (sum(y[other] for other in near) + SHRINK * base) / (len(near) + SHRINK)
        assert shares[place] == pytest.approx(expected)


def test_labels_of_the_part_that_is_held_out_are_not_seen() -> None:
    """Nor by way of neighbours: with the outcome of one part turned round, its own predictions stay."""
    known, _, y = world(1)
    scored = np.arange(0, N, 4)
    before = fit_holds(known, scored, y[scored], np.ones(len(scored))).held_out
    turned = y[scored].copy()
    part = known.fold[scored] == 2
    turned[part] = 1 - turned[part]
    after = fit_holds(known, scored, turned, np.ones(len(scored))).held_out
    np.testing.assert_allclose(after[part], before[part], atol=1e-9)
    assert np.abs(after[~part] - before[~part]).max() > 1e-3


def test_too_few_get_the_base_rate() -> None:
    known, _, y = world(0)
    for scored, outcome in ((np.arange(10), y[:10]), (np.arange(100), np.ones(100)), (np.arange(0), y[:0])):
        fit = fit_holds(known, scored, outcome, np.ones(len(scored)))
        assert fit.calibration.helps == "too few"
        assert len(set(fit.p.tolist())) == 1 or np.isnan(fit.p).all()
        assert fit.basis == "base_rate"
        np.testing.assert_equal(fit.chance, fit.p)
    known, _, _ = world(0)
    fit = fit_holds(known, np.arange(10), np.r_[np.ones(3), np.zeros(7)], np.ones(10))
    assert (fit.low[0], fit.high[0]) == pytest.approx((0.1078, 0.6032), abs=1e-4), "Wilson's of 3 in 10"


def test_brier_scores_by_hand() -> None:
    p, base = np.array([0.9, 0.2, 0.6, 0.4]), np.full(4, 0.5)
    y, w = np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 2.0, 4.0])
    made = calibration(p, base, y, w)
    assert made.brier == pytest.approx((0.01 + 0.04 + 2 * 0.36 + 4 * 0.36) / 8)
    assert made.brier_base == pytest.approx(0.25)
    assert made.difference.value == pytest.approx(made.brier - made.brier_base)
