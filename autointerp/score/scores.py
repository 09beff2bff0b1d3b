"""From predictions to `Score` rows: pure functions, no model, no store.

Every feature, explainer and metric has exactly one row. Where nothing can be scored the row says why and has no
value: first because of the feature (dead, rare), then because of the explanation (its status), then because there
are no predictions (failed), then because of the metric (`metrics.STATUSES`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autointerp.records import Explanation, Int64, Score
from autointerp.score.metric import Measured, Metric


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


def score_rows(of: Subjects, predictions: Mapping[int, Any], metrics: Iterable[Metric], scorer: str) -> list[Score]:
    """A row for each feature and metric; `predictions` by feature, of the shape that the metrics read."""
    scored = [f for f, s in zip(of.features.tolist(), of.status, strict=True) if s == "ok" and f in predictions]
    given = [predictions[feature] for feature in scored]
    prepared: dict[Any, Any] = {None: given}
    rows: list[Score] = []
    for metric in metrics:
        if metric.prepare is not None and metric.prepare not in prepared:
            prepared[metric.prepare] = metric.prepare(given)
        values = metric.measure(prepared[metric.prepare])
        by_feature = dict(zip(scored, values, strict=True))
        for feature, status in zip(of.features.tolist(), of.status, strict=True):
            missing = Measured(None, "failed" if status == "ok" else status, 0)
            rows.append(_score(of.explainer, feature, scorer, metric, by_feature.get(feature, missing)))
    return rows


def _score(explainer: str, feature: int, scorer: str, metric: Metric, of: Measured) -> Score:
    return Score(
        feature,
        explainer,
        scorer,
        metric.name,
        metric.design,
        of.value,
        of.ci_low,
        of.ci_high,
        of.n,
        of.n_failed,
        of.status,
    )
