"""Alarms that nothing points to: pooled rates and what they cost, against slow and obvious twins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from slow_alarms import slow_alone

from autointerp.compare.interval import Interval
from autointerp.score.alarms import (
    ELSEWHERE,
    GROUP_OF,
    alarm_limits,
    pooled_charges,
    residual_alarm_rate,
)
from autointerp.score.class_names import CLASSES, NOT_SAMPLED
from autointerp.score.estimator import frame_moments
from autointerp.score.metrics import pearson
from autointerp.score.sampling import window_weights

E, R = CLASSES.index("E"), CLASSES.index("R")


@pytest.mark.parametrize("n_alarms", [0, 1, 7, 300])
def test_alarm_rate_has_the_exact_binomial_interval(n_alarms: int) -> None:
    classes = np.full((50, 10), R)
    classes[:, 6:] = E
    alarms = classes == E
    alarms[classes == R] = np.arange(300) < n_alarms  # one feature after the other: the first ones have all of them
    got = residual_alarm_rate(alarms[:, :6], classes[:, :6])
    assert got == residual_alarm_rate(alarms, classes)
    expected = stats.binomtest(n_alarms, 300).proportion_ci(method="exact")
    assert (got.n_alarms, got.n, got.value) == (n_alarms, 300, n_alarms / 300)
    assert got.ci_low == pytest.approx(expected.low)
    assert got.ci_high == pytest.approx(expected.high)


def test_alarm_rate_without_windows_has_no_value() -> None:
    assert residual_alarm_rate(np.ones((2, 3), bool), np.zeros((2, 3), int)).value is None


def dictionary(n: int, rate: float, *, elsewhere: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moments [n, 14, 6], classes and sizes: 6 firing windows, 2 of E (some with an alarm), 6 of R."""
    rng = np.random.default_rng(seed)
    kinds = np.tile([0, 1, 2, 3, 4, 5, E, E, *[R] * 6], (n, 1))
    t = np.where(kinds < 6, rng.gamma(2.0, 1.0, kinds.shape), 0.0) * rng.lognormal(0, 1, (n, 1))
    alarm = np.where(kinds == R, rng.random(kinds.shape) < rate, (kinds == E) & (np.arange(14) < 6 + elsewhere))
    p = np.where(kinds < 6, t, alarm * rng.uniform(0.5, 2.0, kinds.shape) * t.max(axis=1, keepdims=True))
    values = np.stack([np.full(t.shape, 32.0), t, p, t**2, p**2, t * p], axis=-1)
    sizes = np.zeros((n, 9))
    sizes[:, :6], sizes[:, E] = rng.integers(10, 200, (n, 1)), 500
    sizes[:, R] = 100_000 - sizes.sum(axis=1)
    return values, kinds, sizes


def slow_charges(values: np.ndarray, kinds: np.ndarray, sizes: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """Charge, at the limits of the share, at those of the size: [5, n, 2]."""
    n = len(values)
    scale = np.zeros(n)
    for f in range(n):
        energy = sum(sizes[f, h] * values[f, kinds[f] == h, 3].mean() for h in range(6) if (kinds[f] == h).any())
        scale[f] = energy / sizes[f, :6].sum()

    def relative(f: int, w: int) -> np.ndarray:
        return np.array([values[f, w, 2] / scale[f] ** 0.5, values[f, w, 4] / scale[f]])

    alarms = {(f, w) for f in range(n) for w in range(values.shape[1]) if kinds[f, w] >= 0 and values[f, w, 4] > 0}
    own = [(1.0, relative(f, w)) for f, w in alarms if kinds[f, w] == R]
    silent = [(f, w) for f, w in alarms if kinds[f, w] == E]
    other = silent if len(silent) >= 20 else [(f, w) for f, w in alarms if kinds[f, w] != R]
    weight = {(f, w): sizes[f, kinds[f, w]] / (kinds[f] == kinds[f, w]).sum() for f, w in other}
    of_feature = {f: sum(weight[x] for x in other if x[0] == f) for f, _ in other}
    share = {x: weight[x] / of_feature[x[0]] for x in other}
    everyone = own + [(ELSEWHERE * share[x] / sum(share.values()), relative(*x)) for x in other]
    total = sum(w for w, _ in everyone)
    size = sum(w * x for w, x in everyone) / total
    error = 1.959963984540054 * np.sqrt(sum(w * (x - size) ** 2 for w, x in everyone) / total / total) / size
    out = np.zeros((5, n, 2))
    of_rest = {f: np.flatnonzero(kinds[f] == R).tolist() for f in range(n)}
    for members in apart(groups, {f: (sum((f, w) in alarms for w in rows), len(rows)) for f, rows in of_rest.items()}):
        counts = [(len(of_rest[f]), sum((f, w) in alarms for w in of_rest[f])) for f in members]
        windows, hits = sum(a for a, _ in counts), sum(b for _, b in counts)
        rate = hits / windows
        effect = 1.0
        if 0 < rate < 1 and len(counts) > 1:
            spread = sum((b - rate * a) ** 2 for a, b in counts) / windows**2 * len(counts) / (len(counts) - 1)
            effect = max(1.0, spread / (rate * (1 - rate) / windows))
        low = stats.beta.ppf(0.025, hits / effect, (windows - hits) / effect + 1) if hits else 0.0
        high = stats.beta.ppf(0.975, hits / effect + 1, (windows - hits) / effect) if hits < windows else 1.0
        for f in members:
            unit = np.array([scale[f] ** 0.5, scale[f]])
            rates = (rate, low, high)
            out[:3, f] = [x * size * unit for x in rates]
            out[3:, f] = [rate * size * unit * np.maximum(0, 1 - error), rate * size * unit * (1 + error)]
    return out


def apart(groups: list[list[int]], counts: dict[int, tuple[int, int]]) -> list[list[int]]:
    """The groups without those that are charged alone, and each of these."""
    parted, alone = [], []
    for members in groups:
        single = dict(zip(members, slow_alone([counts[f] for f in members]), strict=True))
        parted.append([f for f in members if not single[f]])
        alone += [[f] for f in members if single[f]]
    return parted + alone


SETTINGS = ((20, 0.0, 2), (20, 0.1, 0), (40, 0.2, 2), (2 * GROUP_OF, 0.05, 1), (2 * GROUP_OF, 0.02, 2))


@pytest.mark.parametrize(("n", "rate", "elsewhere"), SETTINGS)
def test_charges_equal_the_slow_twin(n: int, rate: float, elsewhere: int) -> None:
    values, kinds, sizes = dictionary(n, rate, elsewhere=elsewhere)
    kinds[0, -2:] = NOT_SAMPLED
    order = np.argsort(sizes[:, :6].sum(axis=1), kind="stable").tolist()
    groups = [order] if n < 2 * GROUP_OF else [order[: n // 2], order[n // 2 :]]
    got = pooled_charges(values, kinds, sizes)
    expected = slow_charges(values, kinds, sizes, groups)
    for made, of in zip((got.value, got.low, got.high, got.small, got.large), expected, strict=True):
        np.testing.assert_allclose(made, of, rtol=1e-9, atol=1e-12)
    for g, members in enumerate(groups):
        assert set(np.flatnonzero(got.group == g).tolist()) <= set(members)
    assert np.bincount(got.group)[len(groups) :].tolist() == [1] * (int(got.group.max()) + 1 - len(groups))
    assert np.all(got.high >= got.value)
    if rate == 0:
        assert not got.value.any()
        assert got.high.all(), "no alarm in so many windows excludes no rare one"


def test_a_scale_of_its_own_changes_no_ones_charge_relative_to_it() -> None:
    values, kinds, sizes = dictionary(30, 0.1)
    by = np.random.default_rng(1).lognormal(0, 2, 30)[:, None, None] ** np.array([0, 1, 1, 2, 2, 2])
    one, other = pooled_charges(values, kinds, sizes), pooled_charges(values * by, kinds, sizes)
    np.testing.assert_allclose(other.value, one.value * by[:, 0, [2, 4]], rtol=1e-9)


def test_what_is_predicted_in_r_costs_by_its_square() -> None:
    values, kinds, sizes = dictionary(60, 0.05)
    charges = pooled_charges(values, kinds, sizes)
    totals = np.einsum("fw,fwk->fk", window_weights(kinds, sizes), frame_moments(values, kinds, charges.value))
    limits = alarm_limits(totals, sizes[:, R], charges)
    for f in (0, 7, 59):
        free = totals[f].copy()
        free[[2, 4]] -= sizes[f, R] * charges.value[f]
        assert limits.cost[f] == pytest.approx(float(pearson(free) - pearson(totals[f])))
        for moved, side in ((charges.high, 0), (charges.low, 1)):
            at = free.copy()
            at[[2, 4]] += sizes[f, R] * moved[f]
            assert limits.of_share[f, side] == pytest.approx(abs(float(pearson(at) - pearson(totals[f]))))
    down, up = limits.of_mean()
    for side, got in ((0, down), (1, up)):
        assert got == pytest.approx(np.hypot(limits.of_share[:, side].mean(), limits.of_size[:, side].mean()))
    assert limits.take([]).of_mean() == (0.0, 0.0)


def test_groups_that_are_charged_apart_err_apart() -> None:
    values, kinds, sizes = dictionary(2 * GROUP_OF, 0.05)
    charges = pooled_charges(values, kinds, sizes)
    totals = np.einsum("fw,fwk->fk", window_weights(kinds, sizes), frame_moments(values, kinds, charges.value))
    limits = alarm_limits(totals, sizes[:, R], charges)
    parts = [limits.of_share[charges.group == g, 0].sum() / (2 * GROUP_OF) for g in (0, 1)]
    expected = np.hypot(np.hypot(*parts), limits.of_size[:, 0].mean())
    assert limits.of_mean()[0] == pytest.approx(expected)


def test_an_interval_with_limits_of_another_source_adds_them_in_squares_on_their_side() -> None:
    plain = Interval.of(0.5, 0.02, 40.0, 0.95, 100)
    both = plain.and_limits(0.4, 0.0)
    t = stats.t.ppf(0.975, 40)
    assert both.high == pytest.approx(plain.high)
    assert both.low == pytest.approx(0.5 - t * np.hypot(0.02, 0.4 / 1.959963984540054))
    assert both.at(0.99).low < both.low
    assert both.p_value > plain.p_value
    edge = both.at(1 - both.p_value)
    assert edge.low == pytest.approx(0.0, abs=1e-9)
    assert plain.and_limits(0.1, 0.2).largest_se == pytest.approx(np.hypot(0.02, 0.2 / 1.959963984540054))
    below = Interval.of(-0.5, 0.02, 40.0, 0.95, 100).and_limits(0.1, 0.0)
    assert below.p_value == Interval.of(-0.5, 0.02, 40.0, 0.95, 100).p_value
