"""Scores of predictions as the stage makes them: all metrics of the registry that read their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autointerp.records import Explanation, Score
from autointerp.score.census_sums import CensusSums, CensusTruth, counted
from autointerp.score.metric import Shape
from autointerp.score.metric_registry import METRICS, metrics_for
from autointerp.score.predictions import Chosen, Generated, Judged, Rated, Simulated
from autointerp.score.sampled import Answered
from autointerp.score.scores import ScoreTable, Subjects, score_rows, subjects


def names_reading(shape: Shape) -> tuple[str, ...]:
    return tuple(metric.name for metric in METRICS if metric.reads == shape)


CENSUS_METRICS, SAMPLE_METRICS = names_reading("counted"), names_reading("simulated")
PUBLISHED_METRICS = {metric.name: metric.scorer for metric in METRICS if metric.reads == "published"}


def rows_of(tables: list[ScoreTable]) -> list[Score]:
    return [row for table in tables for row in table.rows()]


def census_scores(of: Subjects, truth: CensusTruth, sums: CensusSums) -> list[Score]:
    predictions = counted(truth, sums, of.features)
    return rows_of(score_rows(of, predictions, metrics_for("counted", "simulation"), "simulation"))


def sample_scores(of: Subjects, simulated: Mapping[int, Simulated]) -> list[Score]:
    return rows_of(score_rows(of, simulated, metrics_for("simulated", "simulation"), "simulation"))


def published_scores(of: Subjects, answered: Mapping[int, Answered]) -> list[Score]:
    return [
        row
        for scorer in ("simulation", "detection")
        for row in rows_of(score_rows(of, answered, metrics_for("published", scorer), scorer))
    ]


_SHAPES: dict[type, Shape] = {Judged: "judged", Rated: "rated", Chosen: "chosen", Generated: "generated"}


def scores_of(prediction: Judged | Rated | Chosen | Generated, explainer: str, scorer: str) -> list[Score]:
    """Of one prediction."""
    few = subjects([Explanation(prediction.feature, explainer, "x", "ok")], {prediction.feature: "alive"})
    shape = _SHAPES[type(prediction)]
    predictions: dict[int, Any] = {prediction.feature: prediction}
    return rows_of(score_rows(few, predictions, metrics_for(shape, scorer.split(":", maxsplit=1)[0]), scorer))
