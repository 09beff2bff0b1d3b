"""Tokens of sampled windows with their weights, for metrics that rank: precision, recall and what is made of them.

Every token of a window counts with the weight of its window, N_h / n_h. Windows of R are charged as in `alarms.py`:
what a feature's own few windows of R hold is put aside, and in its place stand the alarms of all features that are
pooled with it, each at the rate that it has there and scaled to the feature; of one that is charged alone, its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp.records import Bool, Float64, Int64
from autointerp.score.alarms import alarm_scales, pools
from autointerp.score.class_names import REST
from autointerp.score.predictions import Simulated
from autointerp.score.sample_moments import SampleMoments, sample_moments
from autointerp.score.sampling import window_weights
from autointerp.score.side_by_side import AT_ONCE, FeatureRows, Tied, parts_at_once, rows_of_parts


@dataclass(frozen=True)
class WeightedTokens:
    """Tokens of n features, N in all: those of their windows, and the alarms that they are charged with."""

    rows: FeatureRows
    truth: Float64  # [N]
    prediction: Float64  # [N]
    weight: Float64  # [N] tokens of the split that each stands for
    threshold: Float64  # [n]

    @cached_property
    def tied(self) -> Tied:
        """By the prediction."""
        return Tied(self.rows, self.prediction)

    def above(self, thresholded: bool) -> Bool:
        """The tokens that fire, or those above the threshold of their feature: [N]."""
        return np.asarray(self.truth > (self.threshold[self.rows.of] if thresholded else 0.0), dtype=np.bool_)


class SampleTogether:
    """The samples of all features of one dictionary and explainer, whose alarms are pooled: what all metrics of
    sampled windows are made of, once."""

    def __init__(self, simulated: Sequence[Simulated]) -> None:
        self.simulated = simulated

    @cached_property
    def moments(self) -> SampleMoments:
        """For metrics made of sums."""
        return sample_moments(self.simulated)

    @property
    def tokens(self) -> Iterable[WeightedTokens]:
        """For metrics that rank, some features after the others; kept where all are few."""
        return self._tokens if self._tokens is not None else weighted_tokens(self.simulated, self.moments)

    @cached_property
    def _tokens(self) -> list[WeightedTokens] | None:
        few = sum(one.prediction.size for one in self.simulated) <= AT_ONCE
        return list(weighted_tokens(self.simulated, self.moments)) if few else None

    @cached_property
    def n_predicted(self) -> tuple[Int64, Int64]:
        """Windows with a prediction, and all windows, of each feature: [n], [n]."""
        size = np.array([len(one.prediction) for one in self.simulated], dtype=np.int64)
        return size - self.moments.n_failed, size


def weighted_tokens(simulated: Sequence[Simulated], sample: SampleMoments) -> Iterator[WeightedTokens]:
    """Of all features of one dictionary and explainer, with their `sample_moments`, in parts of so many tokens; nothing
    where nothing was answered."""
    if not simulated:
        return
    scale = np.sqrt(alarm_scales(sample.moments, sample.classes, sample.sizes))
    rest = sample.classes == REST
    alarms_of = (rest & (sample.moments[..., 4] > 0) & (scale > 0)[:, None]).sum(axis=1)
    group = pools(sample.sizes, alarms_of, rest.sum(axis=1))
    weights = window_weights(sample.classes, sample.sizes)
    n_rest = np.bincount(group, rest.sum(axis=1))
    alarms = _alarms_of_groups(simulated, sample.classes, scale, group)
    for part in parts_at_once([one.prediction.size + len(alarms[g]) for one, g in zip(simulated, group, strict=True)]):
        yield _tokens_of(
            simulated[part], sample.classes[part], weights[part], scale[part], [alarms[g] for g in group[part]],
            np.maximum(n_rest[group[part]], 1.0),
        )  # fmt: skip


def _tokens_of(
    simulated: Sequence[Simulated],
    classes: Int64,
    weights: Float64,
    scale: Float64,
    alarms: Sequence[Float64],
    n_rest: Float64,
) -> WeightedTokens:
    """Of n features: [n, W], [n, W], [n]; the alarms of each one's group, and its windows of R, [n]."""
    drawn = [one.drawn for one in simulated]
    windows = FeatureRows([len(one.prediction) for one in simulated])
    place = (windows.of, np.arange(len(windows.of)) - windows.start[windows.of])
    kinds, weight = classes[place], weights[place]
    used = np.concatenate([of.windows.scored for of in drawn]) & (kinds >= 0)[:, None]
    row, column = np.nonzero(used)
    truth, prediction = (
        np.concatenate(values)[row, column].astype(np.float64)
        for values in ([of.truth for of in drawn], [one.prediction for one in simulated])
    )
    prediction[kinds[row] == REST] = 0.0
    own, charged = FeatureRows(np.bincount(windows.of[row], minlength=len(windows))), rows_of_parts(alarms)
    each = np.array([of.sizes[REST] for of in drawn]) / n_rest
    order = np.argsort(np.concatenate([own.of, charged.of]), kind="stable")
    nothing = np.zeros(len(charged.of))
    return WeightedTokens(
        FeatureRows(own.sizes + charged.sizes),
        np.concatenate([truth, nothing])[order],
        np.concatenate([prediction, np.concatenate(alarms) * scale[charged.of]])[order],
        np.concatenate([weight[row], each[charged.of]])[order],
        np.array([of.threshold for of in drawn], dtype=np.float64),
    )


def _alarms_of_groups(
    simulated: Sequence[Simulated], classes: Int64, scale: Float64, group: Int64
) -> dict[int, Float64]:
    """What is predicted at tokens of R, relative to the feature, of each group of features: the alarms alone."""
    by_group: dict[int, list[Float64]] = {int(g): [np.zeros(0)] for g in np.unique(group)}
    for i, feature in enumerate(simulated):
        rest: Bool = classes[i, : len(feature.prediction)] == REST
        values = feature.prediction[rest][feature.drawn.windows.scored[rest]].astype(np.float64)
        if scale[i] > 0:
            by_group[int(group[i])].append(values[values > 0] / scale[i])
    return {g: np.concatenate(parts) for g, parts in by_group.items()}
