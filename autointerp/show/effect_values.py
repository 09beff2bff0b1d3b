"""Dictionaries beside each other by what their features do to the output: read from the store
(`compare/effect_differences.py` says what is compared)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.show.estimate_agreement import EstimateAgreement, load_estimate_agreement
from autointerp.store.query import Queryable

_MEANS = """
SELECT m.dictionary, d.kind, m.direction, m.measure, m.n_features, m.n_unreached, m.mean, m.ci_low AS low,
       m.ci_high AS high
FROM effect_mean_table m JOIN dictionaries d USING (dictionary)
ORDER BY m.dictionary, m.direction, m.measure
"""
_DIFFERENCES = """
SELECT measure, a, b, direction_b, paired, n_a, n_b, n_unreached_a, n_unreached_b, difference, se, df,
       simultaneous_low AS low, simultaneous_high AS high, p, p_holm, detectable, margin, verdict, reached_difference,
       n_reached
FROM effect_difference_table
ORDER BY measure, a <> b DESC, a, b, direction_b DESC
"""


@dataclass(frozen=True)
class EffectMean:
    """A dictionary's mean by one measure, along its features or along random directions."""

    store: str
    dictionary: str
    kind: str
    direction: str
    measure: str
    n_features: int
    n_unreached: int
    """Features whose output never moves so far: they count with the largest step."""
    mean: float
    low: float | None
    """Of its 95 % interval over features; None of a single one."""
    high: float | None


@dataclass(frozen=True)
class EffectDifference:
    """Mean of A's features less mean of B's, by one measure."""

    store: str
    measure: str
    a: str
    b: str
    direction_b: str
    """feature: another dictionary's; isotropic, covariance: random directions at the tokens of A's features."""
    paired: bool
    n_a: int
    n_b: int
    n_unreached_a: int
    n_unreached_b: int
    difference: float | None
    se: float | None
    df: float | None
    low: float | None
    """Of the interval that holds for all pairs of the measure at once."""
    high: float | None
    p: float | None
    p_holm: float | None
    detectable: float | None
    margin: float
    verdict: str
    """A, B: whose values are higher; equivalent; undecided."""
    reached_difference: float | None
    """Of those alone that get there."""
    n_reached: int
    """Features of A behind it."""


@dataclass(frozen=True)
class EffectComparison:
    """All of it, of one store or several."""

    means: Sequence[EffectMean] = ()
    differences: Sequence[EffectDifference] = ()
    estimates: Sequence[EstimateAgreement] = ()


def load_effect_comparison(stores: Sequence[tuple[str, Queryable]]) -> EffectComparison:
    """Empty where no effects were measured."""
    return EffectComparison(
        means=[EffectMean(store=name, **row) for name, store in stores for row in store.rows(_MEANS)],
        differences=[EffectDifference(store=name, **row) for name, store in stores for row in store.rows(_DIFFERENCES)],
        estimates=[row for name, store in stores for row in load_estimate_agreement(store, name)],
    )
