"""Tokens of sampled windows with their weights, for metrics that rank: precision, recall and what is made of them.

Every token of a window counts with the weight of its window, N_h / n_h. Windows of R are charged as in `alarms.py`:
what a feature's own few windows of R hold is put aside, and in its place stand the alarms of all features that are
pooled with it, each at the rate that it has there and scaled to the feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp.records import Bool, Float64, Int64
from autointerp.score.alarms import alarm_scales, pools
from autointerp.score.class_names import REST
from autointerp.score.metrics import RankedPrediction
from autointerp.score.predictions import Simulated
from autointerp.score.sample_moments import SampleMoments, sample_moments
from autointerp.score.sampling import window_weights


@dataclass(frozen=True)
class WeightedTokens:
    """Tokens of one feature: those of its windows, and the alarms that it is charged with."""

    truth: Float64  # [n]
    prediction: Float64  # [n]
    weight: Float64  # [n] tokens of the split that each stands for
    threshold: float

    @cached_property
    def ranked(self) -> RankedPrediction:
        """By the prediction."""
        return RankedPrediction(self.prediction, self.weight)


class SampleTogether:
    """The samples of all features of one dictionary and explainer, whose alarms are pooled: what all metrics of
    sampled windows are made of, once."""

    def __init__(self, simulated: Sequence[Simulated]) -> None:
        self.simulated = simulated

    @cached_property
    def moments(self) -> SampleMoments:
        """For metrics made of sums."""
        return sample_moments(self.simulated)

    @cached_property
    def tokens(self) -> list[WeightedTokens]:
        """For metrics that rank."""
        return weighted_tokens(self.simulated, self.moments)


def weighted_tokens(simulated: Sequence[Simulated], sample: SampleMoments) -> list[WeightedTokens]:
    """Of all features of one dictionary and explainer, with their `sample_moments`; empty where nothing was
    answered."""
    if not simulated:
        return []
    scale = np.sqrt(alarm_scales(sample.moments, sample.classes, sample.sizes))
    group = pools(sample.sizes)
    weights = window_weights(sample.classes, sample.sizes)
    rest = sample.classes == REST
    alarms, n_rest = _alarms_of_groups(simulated, sample.classes, scale, group), np.bincount(group, rest.sum(axis=1))
    made = []
    for i, feature in enumerate(simulated):
        kinds = sample.classes[i, : len(feature.prediction)]
        used = feature.drawn.windows.scored & (kinds >= 0)[:, None]
        weight = np.broadcast_to(weights[i, : len(kinds), None], used.shape)
        prediction = np.where((kinds == REST)[:, None], 0.0, feature.prediction)
        charged = alarms[group[i]] * scale[i]
        each = feature.drawn.sizes[REST] / max(float(n_rest[group[i]]), 1.0)
        made.append(
            WeightedTokens(
                np.concatenate([feature.drawn.truth[used], np.zeros(len(charged))]),
                np.concatenate([prediction[used], charged]),
                np.concatenate([weight[used], np.full(len(charged), each)]),
                feature.drawn.threshold,
            )
        )
    return made


def _alarms_of_groups(
    simulated: Sequence[Simulated], classes: Int64, scale: Float64, group: Int64
) -> dict[int, Float64]:
    """What is predicted at tokens of R, relative to the feature, of each group of features: the alarms alone."""
    by_group: dict[int, list[Float64]] = {int(g): [] for g in np.unique(group)}
    for i, feature in enumerate(simulated):
        rest: Bool = classes[i, : len(feature.prediction)] == REST
        values = feature.prediction[rest][feature.drawn.windows.scored[rest]].astype(np.float64)
        if scale[i] > 0:
            by_group[int(group[i])].append(values[values > 0] / scale[i])
    return {g: np.concatenate([np.zeros(0), *parts]) for g, parts in by_group.items()}
