"""Dictionaries beside each other by what their features do to the output: means, and differences with verdicts.

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
from typing import Any

import numpy as np

from autointerp.compare.clustered import difference_interval, mean_interval
from autointerp.compare.interval import Interval
from autointerp.compare.pairs import pairs_of
from autointerp.compare.statistics import LEVEL, decide, detectable_difference, holm, simultaneous_confidence
from autointerp.records import Bool, Float64, Int64
from autointerp.words import STUDIED

STEPS = ("step_025", "step_050", "step_100")
RATIOS = (*STEPS, "kl_of_entropy")
"""Measures whose values are logarithms to the base 2: their differences are ratios, their means geometric ones."""
MARGINS = {**dict.fromkeys(RATIOS, math.log2(1.1)), "direct_share": 0.02}
"""By measure, differences that count as none: a tenth more or less, .02 of correlation."""
FEATURE = "feature"
RANDOM = ("isotropic", "covariance")


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

    @property
    def n_unreached(self) -> int:
        return int((~self.reached).sum())


@dataclass(frozen=True)
class EffectSide:
    """A dictionary and its values, by direction and measure."""

    dictionary: str
    kind: str
    hook: str
    matched_to: str | None
    natural_of: str | None
    values: Mapping[tuple[str, str], EffectValues] = field(default_factory=dict)


def effect_means(sides: Sequence[EffectSide]) -> list[dict[str, Any]]:
    """Columns of `effect_means`: a row for each dictionary, direction and measure."""
    made = []
    for side in sides:
        for (direction, measure), of in side.values.items():
            interval = mean_interval(of.values, of.clusters)
            made.append(
                {
                    "dictionary": side.dictionary, "direction": direction, "measure": measure,
                    "n_features": len(of.features), "n_unreached": of.n_unreached, "mean": float(of.values.mean()),
                    "ci_low": None if interval is None else interval.low,
                    "ci_high": None if interval is None else interval.high,
                }
            )  # fmt: skip
    return made


def effect_differences(sides: Sequence[EffectSide]) -> list[dict[str, Any]]:
    """Columns of `effect_differences`: each measure is a family of its own."""
    return [row for measure, margin in MARGINS.items() for row in _family(sides, measure, margin)]


def _family(sides: Sequence[EffectSide], measure: str, margin: float) -> list[dict[str, Any]]:
    own = (FEATURE, measure)
    pairs = [(a, b, FEATURE, b.matched_to == a.dictionary) for a, b in pairs_of(sides)]
    pairs += [(side, side, direction, True) for side in sides if side.kind in STUDIED for direction in RANDOM]
    rows: list[dict[str, Any]] = []
    intervals: list[Interval | None] = []
    for a, b, direction, paired in pairs:
        if own not in a.values or (direction, measure) not in b.values:
            continue
        mine, theirs = a.values[own], b.values[direction, measure]
        if paired:
            mine, theirs = _side_by_side(mine, theirs, theirs.features if a is b else theirs.partner)
        intervals.append(_interval(mine, theirs, paired))
        rows.append(
            {
                "measure": measure, "a": a.dictionary, "b": b.dictionary, "direction_b": direction, "paired": paired,
                "n_a": len(mine.values), "n_b": len(theirs.values),
                "n_unreached_a": mine.n_unreached, "n_unreached_b": theirs.n_unreached,
                **_of_those_that_get_there(mine, theirs, paired),
            }
        )  # fmt: skip
    known = [interval for interval in intervals if interval is not None]
    adjusted = iter(holm([interval.p_value for interval in known]))
    return [
        row | _decided(interval, len(known), margin, None if interval is None else float(next(adjusted)))
        for row, interval in zip(rows, intervals, strict=True)
    ]


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


def _of_those_that_get_there(a: EffectValues, b: EffectValues, paired: bool) -> dict[str, Any]:
    """Their difference; `n_reached` are features of A."""
    of_a, of_b = (a.reached & b.reached,) * 2 if paired else (a.reached, b.reached)
    n, enough = int(of_a.sum()), of_a.any() and of_b.any()
    difference = float(a.values[of_a].mean() - b.values[of_b].mean()) if enough else None
    return {"reached_difference": difference, "n_reached": n}


def _decided(interval: Interval | None, n_pairs: int, margin: float, p_holm: float | None) -> dict[str, Any]:
    if interval is None:
        names = ("difference", "se", "df", "ci_low", "ci_high", "simultaneous_low", "simultaneous_high", "p",
                 "p_holm", "detectable")  # fmt: skip
        return dict.fromkeys(names) | {"margin": margin, "verdict": "undecided"}
    wide = interval.at(simultaneous_confidence(n_pairs))
    return {
        "difference": interval.value, "se": interval.se, "df": interval.df,
        "ci_low": interval.low, "ci_high": interval.high,
        "simultaneous_low": wide.low, "simultaneous_high": wide.high,
        "p": interval.p_value, "p_holm": p_holm,
        "detectable": detectable_difference(interval.largest_se, interval.df, LEVEL / n_pairs),
        "margin": margin, "verdict": decide(interval, n_pairs, margin),
    }  # fmt: skip
