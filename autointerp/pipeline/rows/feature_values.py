"""The scores of a dictionary as they enter a mean: of all its features, or of those that have a score.

1. A score whose status is `underpowered` counts as none.
2. Over all features, one without a score stands at the floor of its dictionary: what a worthless label gets there. It
   moves with no document. So a dictionary gains nothing by the features that it fails on, as long as these would have
   scored above the floor.
3. Complete cases are what is left without them.
4. Scores can lie below the floor. Then failing would lift them, so a winner has to win too with its failures at the
   lowest score that there is (`at_most`). Dead and rare features are no failures: they say what a dictionary is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from autointerp.compare.clustered import block_influence
from autointerp.pipeline.rows.stored_scores import About, DictionaryScores
from autointerp.records import Bool, Float64, Int64
from autointerp.score.alarms import AlarmLimits
from autointerp.score.metrics import pearson, pearson_status


@dataclass(frozen=True)
class FeatureValues:
    """Values of n features by one scorer, metric and design."""

    features: Int64  # [n]
    values: Float64  # [n] those without a score at the floor
    scored: Bool  # [n]
    failed: Bool  # [n] no score, though the feature fires
    clusters: Int64  # [n] the unit of a baseline's feature, else the feature
    influence: Float64 | None  # [n, B] by how much each value moves without a document block; None: not known
    limits: AlarmLimits | None = None  # [n] what the alarms that are charged may move; None: none are

    def __len__(self) -> int:
        return len(self.features)

    @property
    def n_unscored(self) -> int:
        return int((~self.scored).sum())

    def take(self, chosen: npt.ArrayLike) -> FeatureValues:
        """Those at these places, or where the mask is true."""
        at = np.asarray(chosen)
        at = at if at.size else np.zeros(0, np.int64)
        moved = None if self.influence is None else self.influence[at]
        limits = None if self.limits is None else self.limits.take(at)
        return FeatureValues(
            self.features[at], self.values[at], self.scored[at], self.failed[at], self.clusters[at], moved, limits
        )

    def at_most(self, lowest: float) -> FeatureValues:
        """With those that failed at `lowest`, where they stand higher."""
        values = np.where(self.failed, np.minimum(self.values, lowest), self.values)
        return replace(self, values=values)

    def minus(self, other: FeatureValues) -> FeatureValues:
        """The differences of matched pairs that stand side by side; known by the features of the other. What charged
        alarms may move is not in it: `FeaturePair.alarm_limits`."""
        mine, theirs = self.influence, other.influence
        return FeatureValues(
            other.features,
            self.values - other.values,
            self.scored & other.scored,
            self.failed | other.failed,
            other.clusters,
            None if mine is None or theirs is None else mine - theirs,
        )

    def complete(self) -> FeatureValues:
        """Those with a score."""
        return self.take(self.scored)


def feature_values(of: DictionaryScores, about: About, floor: float | None) -> FeatureValues:
    """Of all features that have a row for this scorer, metric and design; nan where one has no score and there is no
    `floor`."""
    rows = of.scores[about]
    known = rows.known
    moved = influence_of(of, about, rows.features[known])
    if moved is not None:
        every = np.zeros((len(rows), moved.shape[1]))
        every[known] = moved
        moved = every
    units = rows.features
    if of.unit:
        units = np.array([of.unit.get(feature, feature) for feature in rows.features.tolist()], dtype=np.int64)
    return FeatureValues(
        rows.features,
        np.where(known, rows.values, np.nan if floor is None else floor),
        known,
        ~known & ~rows.absent,
        units,
        moved,
        of.alarm_limits(about, np.where(known, rows.features, -1)),
    )


def influence_of(of: DictionaryScores, about: About, features: Int64) -> Float64 | None:
    """How each document block moves the scores of these features, [n, B]; None where no moments are stored."""
    stored = of.blocks(about)
    if stored is None:
        return None
    numbers, blocks = stored  # features rise
    return block_influence(blocks[np.searchsorted(numbers, features)], zero_where_constant)


def zero_where_constant(sums: Float64) -> Float64:
    """Pearson, 0 where the prediction is constant in the documents drawn (as in the scores themselves)."""
    return np.where(pearson_status(sums) == "constant", 0.0, pearson(sums))
