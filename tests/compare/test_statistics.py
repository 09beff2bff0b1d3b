"""Corrections over pairs, and verdicts, against textbook values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autointerp.compare import statistics
from autointerp.compare.interval import Interval, t_quantile


def test_interval_moves_with_its_confidence_and_p_is_its_border() -> None:
    interval = Interval.of(0.5, 0.1, 31, 0.95, 10)
    assert interval.high - 0.5 == pytest.approx(stats.t.ppf(0.975, 31) * 0.1)
    wide = interval.at(statistics.simultaneous_confidence(6))
    assert wide.high - 0.5 == pytest.approx(stats.t.ppf(1 - 0.05 / 12, 31) * 0.1)
    border = Interval.of(0.25, 0.1, 31, 0.95, 10)
    assert border.at(1 - border.p_value).low == pytest.approx(0.0, abs=1e-9)
    assert Interval.of(0.3, 0.0, 31, 0.95, 10).p_value == 1.0  # nothing varies: no evidence
    assert Interval.of(float("nan"), float("nan"), 31, 0.95, 10).p_value == 1.0


def test_quantiles_and_p_values_are_those_of_scipy_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    for df in (1.0, 1.5, 7.3, 31.0, 499.0, 1e9, *rng.uniform(1, 400, 200).tolist()):
        for share in (0.8, 0.9, 0.975, 1 - 0.05 / 12, 1.0 - 1e-12, 1.0, float("nan")):
            np.testing.assert_array_equal(t_quantile(share, df), stats.t.ppf(share, df))
        value = float(rng.normal())
        p = Interval.of(value, 0.1, df, 0.95, 10).p_value
        assert p == 2.0 * stats.t.sf(abs(value) / 0.1, df)


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
    many = 1e9  # degrees of freedom: the normal quantiles of the textbook
    assert statistics.detectable_difference(se, many) == pytest.approx(0.035, abs=0.0005)
    assert statistics.detectable_difference(se, many, 0.05 / 6) == pytest.approx(0.044, abs=0.0005)
    assert statistics.detectable_difference(se, 31) == pytest.approx(0.0366, abs=0.0001)
    assert statistics.detectable_difference(se, 31, 0.05 / 6) == pytest.approx(0.0464, abs=0.0005)


def interval(low: float, high: float, m: int = 1) -> Interval:
    """The one whose simultaneous interval over m pairs is this."""
    half = float(stats.t.ppf(1 - 0.05 / m / 2, 31))
    return Interval.of((low + high) / 2, (high - low) / 2 / half, 31, 0.95, 10)


@pytest.mark.parametrize("m", [1, 6])
def test_four_verdicts(m: int) -> None:
    assert statistics.decide(interval(0.01, 0.09, m), m) == "A"
    assert statistics.decide(interval(-0.09, -0.01, m), m) == "B"
    assert statistics.decide(interval(-0.001, 0.09, m), m) == "undecided"
    assert statistics.decide(interval(-0.01, 0.015, m), m) == "equivalent"
    assert statistics.decide(interval(0.001, 0.01, m), m) == "A"  # proven, though small
    assert statistics.decide(interval(-0.04, 0.04, m), m, margin=0.05) == "equivalent"
    assert statistics.decide(Interval.of(float("nan"), float("nan"), 31, 0.95, 10), m) == "undecided"
    assert statistics.decide(Interval.of(0.3, 0.0, 31, 0.95, 10), m) == "undecided"


def test_equivalence_is_two_one_sided_tests() -> None:
    """At .05 each: the interval at .90 decides, which is narrower than that of A and B."""
    t90, t95 = (float(stats.t.ppf(q, 31)) for q in (0.95, 0.975))
    just = Interval.of(0.0, 0.0199 / t90, 31, 0.95, 10)
    assert just.se * t95 > 0.02
    assert statistics.decide(just, 1) == "equivalent"
    assert statistics.decide(just, 2) == "undecided"
    lower = stats.t.sf((0.02 + just.value) / just.se, 31)
    assert lower < 0.05
