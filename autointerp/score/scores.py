"""From predictions to rows of scores: pure functions, no model, no store.

Every feature, explainer and metric has exactly one row. Where nothing can be scored the row says why and has no
value: first because of the feature (dead, rare), then because of the explanation (its status), then because there
are no predictions (failed), then because of the metric (`metrics.STATUSES`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from autointerp.records import Explanation, Int64, Score
from autointerp.score.metric import MeasuredColumns, Metric, measure_all


@dataclass(frozen=True)
class Subjects:
    """The features that one explainer is scored on; all of them get a row of each metric."""

    explainer: str
    features: Int64  # [n] numbers, which are rows of the census arrays
    status: list[str]  # [n] "ok", or why the feature cannot be scored


def subjects(explanations: Sequence[Explanation], feature_status: Mapping[int, str]) -> Subjects:
    """One explainer's explanations, with the status of each feature on the explain split (alive, rare, dead)."""
    explainers = {explanation.explainer for explanation in explanations} or {""}
    if len(explainers) > 1:
        raise ValueError(f"the explanations are not those of one explainer but of {sorted(explainers)}")
    status = []
    for explanation in explanations:
        of_feature = feature_status[explanation.feature]
        status.append(explanation.status if of_feature == "alive" else of_feature)
    features = np.asarray([explanation.feature for explanation in explanations], dtype=np.int64)
    return Subjects(explainers.pop(), features, status)


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one explainer by one scorer and metric: a row for each feature."""

    explainer: str
    scorer: str
    metric: str
    design: str
    features: Int64  # [n]
    measured: MeasuredColumns  # [n]

    def rows(self) -> list[Score]:
        """One record a feature."""
        return [
            Score(
                feature,
                self.explainer,
                self.scorer,
                self.metric,
                self.design,
                of.value,
                of.ci_low,
                of.ci_high,
                of.n,
                of.n_failed,
                of.status,
            )
            for feature, of in zip(self.features.tolist(), self.measured, strict=True)
        ]


def score_rows(
    of: Subjects, predictions: Mapping[int, Any], metrics: Iterable[Metric], scorer: str
) -> list[ScoreTable]:
    """A row for each feature in the table of each metric; `predictions` by feature, of the shape that these read."""
    features = of.features.tolist()
    place = [
        i for i, (f, word) in enumerate(zip(features, of.status, strict=True)) if word == "ok" and f in predictions
    ]
    given = [predictions[features[i]] for i in place]
    unscored = np.array(["failed" if word == "ok" else word for word in of.status], dtype=object)
    tables = []
    for metric, values in measure_all(metrics, given):
        measured = _spread(values, place, unscored)
        tables.append(ScoreTable(of.explainer, scorer, metric.name, metric.design, of.features, measured))
    return tables


def _spread(values: MeasuredColumns, place: Sequence[int], unscored: npt.NDArray[np.object_]) -> MeasuredColumns:
    """Measurements of some of n features, and of the others why there is none [n]."""

    def wide(column: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        whole = np.full(len(unscored), fill, dtype=column.dtype) if fill is not None else unscored.copy()
        whole[place] = column
        return whole

    if len(values) != len(place):
        raise ValueError(f"{len(values)} measurements of {len(place)} predictions")
    return MeasuredColumns(
        wide(values.value, np.nan),
        wide(values.status, None),
        wide(values.n, 0),
        wide(values.n_failed, 0),
        wide(values.ci_low, np.nan),
        wide(values.ci_high, np.nan),
    )
