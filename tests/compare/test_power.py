"""How many features a difference needs: the textbook's number, and the inverse of what can be detected."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autointerp.compare.clustered import difference_interval
from autointerp.compare.power import needed_features
from autointerp.compare.statistics import detectable_difference


def test_the_textbook_s_number_of_two_groups() -> None:
    """Spread .2, difference .05, level .05, power .8: 252 a side by normal quantiles."""
    n = 100
    se = 0.2 * math.sqrt(2 / n)
    needed = needed_features(0.05, se, 0.0, 2 * n - 2, documents_count=False)
    assert needed.factor is not None
    by_normal = 2 * (0.2 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / 0.05) ** 2
    assert needed.factor * n == pytest.approx(by_normal, rel=0.01)


@given(
    st.floats(1e-4, 0.1),
    st.one_of(st.just(0.0), st.floats(0.01, 0.99)),
    st.floats(5, 500),
    st.floats(0.005, 0.5),
    st.sampled_from([0.05, 0.008]),
)
@settings(max_examples=40, deadline=None)
def test_it_is_the_inverse_of_what_can_be_detected(
    se: float, share: float, df: float, difference: float, level: float
) -> None:
    documents = share * se
    needed = needed_features(difference, se, documents, df, documents_count=documents > 0, level=level)
    if needed.factor is None:
        assert needed.text is not None
        assert detectable_difference(max(documents, se / 1000), df, level) > 0.99 * difference
        assert detectable_difference(documents / math.sqrt(needed.text), df, level) == pytest.approx(difference)
        return
    then = math.sqrt((se**2 - documents**2) / needed.factor + documents**2)
    at = df if documents > 0 else df * needed.factor
    assert detectable_difference(then, at, level) <= difference * (1 + 1e-6)
    if needed.factor > 1e-5:
        fewer = math.sqrt((se**2 - documents**2) / (0.99 * needed.factor) + documents**2)
        assert detectable_difference(fewer, df if documents > 0 else 0.99 * at, level) > difference * (1 - 1e-6)


def test_a_difference_must_be_one() -> None:
    with pytest.raises(ValueError, match="cannot be found"):
        needed_features(0.0, 0.1, 0.0, 10, documents_count=False)


def test_so_many_features_find_it_four_times_in_five() -> None:
    rng = np.random.default_rng(0)

    def pair(n: int, difference: float) -> tuple[np.ndarray, np.ndarray]:
        a = rng.normal(0.5, 0.2, n)
        return a + difference, a + rng.normal(0.0, 0.15, n)

    a, b = pair(60, 0.0)
    seen = difference_interval(a, b, np.arange(60), np.arange(60), paired=True)
    assert seen is not None
    needed = needed_features(0.03, seen.se, seen.se_documents, seen.df, documents_count=False)
    assert needed.factor is not None
    n = round(needed.factor * 60)
    found = []
    for _ in range(400):
        a, b = pair(n, 0.03)
        got = difference_interval(a, b, np.arange(n), np.arange(n), paired=True)
        assert got is not None
        found.append(got.low > 0)
    spread_seen = seen.se * math.sqrt(60)
    expected = stats.norm.sf(stats.norm.ppf(0.975) - 0.03 * math.sqrt(n) / 0.15)
    print(f"spread seen {spread_seen:.3f}, {n} pairs, found {np.mean(found):.2f}, expected {expected:.2f}")
    assert np.mean(found) == pytest.approx(expected, abs=4 * 0.02)
    assert 0.6 < expected < 0.93
