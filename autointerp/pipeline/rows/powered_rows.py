"""Prediction-powered means and differences as rows: an LLM's scores of drawn features, sharpened by the census of a
lookup on all features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from autointerp.compare.interval import Interval
from autointerp.compare.prediction_powered import (
    CheapScores,
    PredictionPowered,
    prediction_powered_difference,
    prediction_powered_mean,
)
from autointerp.pipeline.rows.census_rows import SCORER
from autointerp.pipeline.rows.feature_pairs import Difference, FeaturePair
from autointerp.pipeline.rows.feature_values import FeatureValues, feature_values
from autointerp.pipeline.rows.stored_scores import About, DictionaryScores
from autointerp.score.metric_registry import bounds_of

CENSUS: About = (SCORER, "pearson", "census")
"""The cheap score."""


def cheap_values(of: DictionaryScores) -> FeatureValues:
    """The cheap score of all features; 0 where there is none. Any rule will do that treats drawn ones like others."""
    return feature_values(of, CENSUS, 0.0)


def powered(dear: FeatureValues, cheap: FeatureValues) -> PredictionPowered | None:
    """The mean of the dear scores, sharpened. None where a value is missing, where a drawn feature has no cheap score,
    where all features were drawn, or where there are too few."""
    place = {int(feature): index for index, feature in enumerate(cheap.features)}
    drawn = np.array([place.get(int(feature), -1) for feature in dear.features], dtype=np.int64)
    if not len(drawn) or (drawn < 0).any() or len(drawn) == len(cheap) or np.isnan(dear.values).any():
        return None
    beside = CheapScores(cheap.values, drawn, cheap.clusters, cheap.influence)
    made = prediction_powered_mean(dear.values, beside, dear.influence)
    if made is None or dear.limits is None:
        return made
    return replace(made, interval=made.interval.and_limits(*dear.limits.of_mean()))


def powered_mean_row(about: About, of: PredictionPowered) -> dict[str, Any]:
    """Columns of `powered_means` that are about the number itself."""
    low, high = _clipped(about, of.interval.low, of.interval.high)
    return {
        "n": of.n, "n_all": of.n_all, "sample_mean": of.sample_mean, "mean": of.interval.value, "se": of.interval.se,
        "ci_low": low, "ci_high": high, "interval_over": _over(of), "slope": of.slope, "correlation": of.correlation,
        "as_good_as": of.as_good_as,
    }  # fmt: skip


PoweredPair = tuple[dict[str, Any], FeaturePair, Difference]
"""Columns of `powered_differences` with the interval under `interval`; the pair; how such an interval is made of it."""


def powered_pairs(
    pairs: Sequence[tuple[DictionaryScores, DictionaryScores, FeaturePair]], cheap: Mapping[str, FeatureValues]
) -> list[PoweredPair]:
    """Each pair of dictionaries of which it can be said."""
    made: list[PoweredPair] = []
    for a, b, pair in pairs:
        if a.dictionary not in cheap or b.dictionary not in cheap:
            continue
        beside = FeaturePair(cheap[a.dictionary], cheap[b.dictionary], pair.paired)
        beside = beside.matched(b) if pair.paired else beside
        row = _sharpened(pair, beside)
        if row is not None:
            names = {"a": a.dictionary, "b": b.dictionary, "paired": pair.paired}
            sizes = {"n_a": len(pair.a), "n_b": len(pair.b)}
            made.append((names | sizes | row, pair, partial(_difference, beside)))
    return made


def _difference(beside: FeaturePair, pair: FeaturePair) -> Interval | None:
    row = _sharpened(pair, beside)
    return None if row is None else row["interval"]


def _sharpened(pair: FeaturePair, beside: FeaturePair) -> dict[str, Any] | None:
    """The difference of a pair, by the cheap scores of all features `beside` it."""
    if pair.paired:
        of = powered(pair.a.minus(pair.b), beside.a.minus(beside.b))
        interval, over = (None, None) if of is None else (of.interval, _over(of))
        as_good_as = None if of is None else of.as_good_as
    else:
        mine, theirs = powered(pair.a, beside.a), powered(pair.b, beside.b)
        interval = None if mine is None or theirs is None else prediction_powered_difference(mine, theirs)
        over = None if mine is None or theirs is None else min(_over(mine), _over(theirs))
        as_good_as = None
    if interval is None:
        return None
    interval = interval.and_limits(*pair.alarm_limits)
    return {"as_good_as": as_good_as, "interval_over": over, "interval": interval}


def _over(of: PredictionPowered) -> str:
    return "features" if of.by_block is None else "features and documents"


def _clipped(about: About, low: float, high: float) -> tuple[float, float]:
    least, most = bounds_of(about[1], about[2])
    return max(low, least), min(high, most)
