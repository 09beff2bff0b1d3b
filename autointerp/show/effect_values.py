"""Dictionaries beside each other by what their features do to the output: read from the store, differences with
intervals.

A value for each feature, by measure (view `effect_values`). Compared are the pairs of dictionaries that scores are
compared of, feature by feature where one is matched to the other, and each one under study with the random directions
that were measured at the same tokens, isotropic ones and ones that are spread as the activations are. Intervals are
those of scores: clustered by unit or pair, over features (one token or a few are measured of each, so documents are not
told apart). Holm's correction and the simultaneous intervals run over all pairs of a measure.

A feature whose output never moves so far counts with the largest step that was tried; beside that stands the difference
of those that get there, of pairs both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from autointerp.compare.clustered import difference_interval, mean_interval
from autointerp.compare.interval import Interval
from autointerp.compare.pairs import pairs_of
from autointerp.compare.statistics import LEVEL, decide, detectable_difference, holm, simultaneous_confidence
from autointerp.records import Bool, Float64, Int64
from autointerp.show.estimate_agreement import EstimateAgreement, load_estimate_agreement
from autointerp.store.query import Queryable
from autointerp.words import STUDIED

STEPS = ("step_025", "step_050", "step_100")
RATIOS = (*STEPS, "kl_of_entropy")
"""Measures whose values are logarithms: their differences are ratios, their means geometric ones."""
MARGINS = {**dict.fromkeys(RATIOS, math.log2(1.1)), "direct_share": 0.02}
"""By measure, differences that count as none: a tenth more or less, .02 of correlation."""
RANDOM = ("isotropic", "covariance")

_VALUES = """
SELECT v.dictionary, v.direction, v.measure, v.feature, v.value, v.reached, coalesce(f.unit, v.feature) AS unit,
       f.matched_feature
FROM effect_values v JOIN features f USING (dictionary, feature)
SEMI JOIN latest_works w ON w.dictionary = v.dictionary
ORDER BY v.dictionary, v.direction, v.measure, v.feature
"""
_DICTIONARIES = "SELECT dictionary, kind, hook, matched_to, natural_of FROM dictionaries ORDER BY dictionary"


@dataclass(frozen=True)
class EffectValues:
    """Of n features of a dictionary by one measure along one direction."""

    features: Int64  # [n]
    values: Float64  # [n]
    reached: Bool  # [n]
    clusters: Int64  # [n]
    partner: Int64  # [n] the feature that each is matched to; -1: none

    def take(self, at: Int64) -> EffectValues:
        """Those at these places."""
        return EffectValues(self.features[at], self.values[at], self.reached[at], self.clusters[at], self.partner[at])


@dataclass(frozen=True)
class EffectSide:
    """A dictionary and its values, by direction and measure."""

    dictionary: str
    kind: str
    hook: str
    matched_to: str | None
    natural_of: str | None
    values: Mapping[tuple[str, str], EffectValues] = field(default_factory=dict)


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
    means: list[EffectMean] = []
    differences: list[EffectDifference] = []
    for name, store in stores:
        sides = _sides(store)
        means += _means(name, sides)
        for measure, margin in MARGINS.items():
            differences += _differences(name, sides, measure, margin)
    estimates = [row for name, store in stores for row in load_estimate_agreement(store, name)]
    return EffectComparison(means, differences, estimates)


def _sides(store: Queryable) -> list[EffectSide]:
    rows = store.rows(_VALUES)
    by: dict[str, dict[tuple[str, str], list[dict[str, object]]]] = {}
    for row in rows:
        of = by.setdefault(str(row["dictionary"]), {})
        of.setdefault((str(row["direction"]), str(row["measure"])), []).append(row)
    facts = [row for row in store.rows(_DICTIONARIES) if row["dictionary"] in by]
    return [EffectSide(**row, values={key: _values(of) for key, of in by[row["dictionary"]].items()}) for row in facts]


def _values(rows: Sequence[Mapping[str, object]]) -> EffectValues:
    def column(name: str, missing: object = None) -> list[object]:
        return [missing if row[name] is None else row[name] for row in rows]

    return EffectValues(
        np.array(column("feature"), dtype=np.int64),
        np.array(column("value"), dtype=np.float64),
        np.array(column("reached"), dtype=np.bool_),
        np.array(column("unit"), dtype=np.int64),
        np.array(column("matched_feature", -1), dtype=np.int64),
    )


def _means(store: str, sides: Sequence[EffectSide]) -> list[EffectMean]:
    made = []
    for side in sides:
        for (direction, measure), of in side.values.items():
            interval = mean_interval(of.values, of.clusters)
            ends = (None, None) if interval is None else (interval.low, interval.high)
            counts = len(of.features), int((~of.reached).sum())
            mean = float(of.values.mean())
            made.append(EffectMean(store, side.dictionary, side.kind, direction, measure, *counts, mean, *ends))
    return made


def _differences(store: str, sides: Sequence[EffectSide], measure: str, margin: float) -> list[EffectDifference]:
    """The family of one measure."""
    own = ("feature", measure)
    pairs = [(a, b, "feature", b.matched_to == a.dictionary) for a, b in pairs_of(sides)]
    pairs += [(side, side, direction, True) for side in sides if side.kind in STUDIED for direction in RANDOM]
    family = []
    for a, b, direction, paired in pairs:
        if own not in a.values or (direction, measure) not in b.values:
            continue
        mine, theirs = a.values[own], b.values[direction, measure]
        if paired:
            mine, theirs = _side_by_side(mine, theirs, theirs.features if a is b else theirs.partner)
        family.append((a, b, direction, paired, mine, theirs))
    intervals = [_interval(mine, theirs, paired) for *_, paired, mine, theirs in family]
    known = [interval for interval in intervals if interval is not None]
    adjusted = iter(holm([interval.p_value for interval in known]))
    made = []
    for (a, b, direction, paired, mine, theirs), interval in zip(family, intervals, strict=True):
        reached_a, reached_b = _reaching(mine, theirs, paired)
        enough = len(reached_a.values) and len(reached_b.values)
        reached = float(reached_a.values.mean() - reached_b.values.mean()) if enough else None
        made.append(
            EffectDifference(
                store, measure, a.dictionary, b.dictionary, direction, paired, len(mine.values), len(theirs.values),
                int((~mine.reached).sum()), int((~theirs.reached).sum()),
                *_decided(interval, len(known), margin, None if interval is None else float(next(adjusted))),
                reached, len(reached_a.values),
            )
        )  # fmt: skip
    return made


def _side_by_side(mine: EffectValues, theirs: EffectValues, partner: Int64) -> tuple[EffectValues, EffectValues]:
    """B's features and those of A that they belong to."""
    place = {int(feature): at for at, feature in enumerate(mine.features)}
    of_a = np.array([place.get(int(feature), -1) for feature in partner], dtype=np.int64)
    of_b = np.flatnonzero(of_a >= 0)
    return mine.take(of_a[of_b]), theirs.take(of_b)


def _interval(a: EffectValues, b: EffectValues, paired: bool) -> Interval | None:
    if min(len(a.values), len(b.values)) < 2:
        return None
    clusters = b.clusters if paired else a.clusters
    return difference_interval(a.values, b.values, clusters, b.clusters, paired=paired)


def _reaching(a: EffectValues, b: EffectValues, paired: bool) -> tuple[EffectValues, EffectValues]:
    if paired:
        both = np.flatnonzero(a.reached & b.reached)
        return a.take(both), b.take(both)
    return a.take(np.flatnonzero(a.reached)), b.take(np.flatnonzero(b.reached))


def _decided(
    interval: Interval | None, n_pairs: int, margin: float, p_holm: float | None
) -> tuple[float | None, float | None, float | None, float | None, float | None, float | None, float | None,
           float | None, float, str]:  # fmt: skip
    """Difference, se, df, low, high, p, p_holm, detectable, margin and verdict."""
    if interval is None:
        return None, None, None, None, None, None, None, None, margin, "undecided"
    wide = interval.at(simultaneous_confidence(n_pairs))
    detectable = detectable_difference(interval.largest_se, interval.df, LEVEL / n_pairs)
    return (
        interval.value, interval.se, interval.df, wide.low, wide.high, interval.p_value, p_holm, detectable, margin,
        decide(interval, n_pairs, margin),
    )  # fmt: skip
