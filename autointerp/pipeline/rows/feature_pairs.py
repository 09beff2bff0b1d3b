"""Two dictionaries beside each other: feature by feature where one is matched to the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from autointerp.compare.clustered import difference_interval
from autointerp.compare.interval import Interval
from autointerp.compare.statistics import decide
from autointerp.pipeline.rows.feature_values import FeatureValues
from autointerp.pipeline.rows.stored_scores import DictionaryScores


@dataclass(frozen=True)
class FeaturePair:
    """The values of two dictionaries that are compared."""

    a: FeatureValues
    b: FeatureValues
    paired: bool

    def matched(self, baseline: DictionaryScores) -> FeaturePair:
        """Feature by feature: the features of the baseline and those that they are matched to, side by side."""
        place = {int(feature): index for index, feature in enumerate(self.a.features)}
        partner = [place.get(baseline.partner.get(int(feature), -1), -1) for feature in self.b.features]
        of_b = [index for index, at in enumerate(partner) if at >= 0]
        return FeaturePair(self.a.take([partner[index] for index in of_b]), self.b.take(of_b), True)

    @property
    def unknown(self) -> bool:
        """Whether a value is missing: without a score, and without a floor."""
        return bool(np.isnan(self.a.values).any() or np.isnan(self.b.values).any())

    def complete(self) -> FeaturePair:
        """Features with a score; of a matched pair both."""
        if not self.paired:
            return FeaturePair(self.a.complete(), self.b.complete(), False)
        both = self.a.scored & self.b.scored
        return FeaturePair(self.a.take(both), self.b.take(both), True)

    def holds_in_spite_of_failures(
        self, verdict: str, n_comparisons: int, margin: float, difference: Difference | None = None
    ) -> bool:
        """Whether a verdict would be the same had the failed features got other scores than the floor.

        A winner must win too with the features that it failed on at the lowest score of either side. Two dictionaries
        that are equivalent must be so too with those of either side there, and without them. True where the verdict is
        undecided, and where nothing failed. `difference`: how the difference of a pair is estimated, if not by its
        means.
        """
        sides = {"A": [self.a], "B": [self.b], "equivalent": [self.a, self.b]}.get(verdict, [])
        sides = [side for side in sides if side.failed.any()]
        if not sides:
            return True
        lowest = min(float(side.values[side.scored].min(initial=np.inf)) for side in (self.a, self.b))
        others = [replace(self, a=self.a.at_most(lowest)) if side is self.a else
                  replace(self, b=self.b.at_most(lowest)) for side in sides]  # fmt: skip
        if verdict == "equivalent":
            others.append(self._without_failed())
        intervals = [other.difference() if difference is None else difference(other) for other in others]
        return all(one is not None and decide(one, n_comparisons, margin) == verdict for one in intervals)

    def _without_failed(self) -> FeaturePair:
        """Features that did not fail; of a matched pair neither. Dead and rare ones stay."""
        kept = [~side.failed for side in (self.a, self.b)]
        if self.paired:
            kept = [kept[0] & kept[1]] * 2
        return replace(self, a=self.a.take(kept[0]), b=self.b.take(kept[1]))

    def difference(self) -> Interval | None:
        """Mean of a minus mean of b; None where a side has fewer than two features."""
        if min(len(self.a), len(self.b)) < 2:
            return None
        interval = difference_interval(
            self.a.values,
            self.b.values,
            self.b.clusters if self.paired else self.a.clusters,
            self.b.clusters,
            paired=self.paired,
            influence_a=self.a.influence,
            influence_b=self.b.influence,
        )
        return None if interval is None else interval.and_limits(*self.alarm_limits)

    @property
    def alarm_limits(self) -> tuple[float, float]:
        """By how much the difference would fall, and rise, at the limits of the alarms that both are charged with."""
        (down_a, up_a), (down_b, up_b) = (
            (0.0, 0.0) if side.limits is None else side.limits.of_mean() for side in (self.a, self.b)
        )
        return math.hypot(down_a, up_b), math.hypot(up_a, down_b)


Difference = Callable[[FeaturePair], Interval | None]
