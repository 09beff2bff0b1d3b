"""From stored truth and stored predictions to `Score` rows: pure functions, no model, no store.

    census     truth and sums over all tokens          pearson (with interval), auprc, f1
    sample     the windows drawn by class              pearson_framed, pearson
    published  the windows the protocols choose        pearson_top_random, spearman_intervals;
                                                       detection: balanced_accuracy, accuracy_saebench

Every feature, explainer and metric has exactly one row. Where nothing can be scored the row says why and has no
value: first because of the feature (dead, rare), then because of the explanation (its status), then because there
are no predictions (failed), then because of the metric (`metrics.STATUSES`). f1 is that of "the predicted probability
is above 1/2", auprc ranks by the predicted probability in 33 bins; neither has an interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.records import Bool, Explanation, Float64, Int64, Score
from autointerp.score import metrics, published
from autointerp.score.census_sums import N_BINS, CensusSums, CensusTruth, moments
from autointerp.score.estimator import (
    AlarmRate,
    Estimates,
    census_pearson_interval,
    pad_windows,
    pearson_framed,
    pearson_sample,
    residual_alarm_rate,
)
from autointerp.score.sampled import Answered, Simulated
from autointerp.score.sampling import CLASSES, NOT_SAMPLED

CENSUS_METRICS = ("pearson", "auprc", "f1")
SAMPLE_METRICS = ("pearson_framed", "pearson")
PUBLISHED_METRICS = {
    "pearson_top_random": "simulation", "spearman_intervals": "simulation",
    "balanced_accuracy": "detection", "accuracy_saebench": "detection",
}  # fmt: skip
"""Each with its scorer."""
FIRST_FIRING_BIN = (N_BINS - 1) // 2 + 1
"""The first bin of predicted probabilities above 1/2."""


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


# --- census -----------------------------------------------------------------------------------------


def census_scores(of: Subjects, truth: CensusTruth, sums: CensusSums, scorer: str = "simulation") -> list[Score]:
    """pearson, auprc and f1 over every token of the score split."""
    estimates = census_pearson_interval(moments(truth, sums)[of.features])
    n_tokens = int(truth.n.sum())
    rows = []
    for i, (feature, status) in enumerate(zip(of.features.tolist(), of.status, strict=True)):
        if status != "ok":
            rows += [_none(of, feature, scorer, metric, "census", status) for metric in CENSUS_METRICS]
            continue
        positives, negatives = sums.positives[feature], sums.negatives[feature]
        rows.append(_estimated(of, feature, scorer, "pearson", "census", estimates, i, 0))
        for metric, value in (
            ("auprc", metrics.auprc_from_counts(positives, negatives)),
            ("f1", metrics.f1_from_counts(positives, negatives, FIRST_FIRING_BIN)),
        ):
            rows.append(_valued(of, feature, scorer, metric, "census", value.value, value.status, n_tokens, 0))
    return rows


# --- sample -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleMoments:
    """The samples of n features side by side, for the estimator and for the comparison of dictionaries."""

    moments: Float64  # [n, W, 6]
    classes: Int64  # [n, W] NOT_SAMPLED where there is no prediction
    sizes: Float64  # [n, 9]
    available: Int64  # [n, 9]
    blocks: Int64  # [n, W] document block of each window
    n_failed: Int64  # [n] windows without a prediction


def sample_moments(simulated: Sequence[Simulated]) -> SampleMoments:
    """Each window's six sums over its scored tokens."""
    values, kinds, blocks, failed = [], [], [], []
    for one in simulated:
        windows = one.drawn.windows
        usable = _predicted(one)
        weight = windows.scored & usable[:, None]
        values.append(metrics.moments(one.drawn.truth, one.prediction, weight))
        kinds.append(np.where(usable, one.drawn.classes, NOT_SAMPLED))
        blocks.append(windows.block)
        failed.append(int((~usable).sum()))
    stacked, classes = pad_windows(values, kinds)
    of_block = np.zeros(classes.shape, dtype=np.int64)
    for i, row in enumerate(blocks):
        of_block[i, : len(row)] = row
    return SampleMoments(
        stacked,
        classes,
        np.asarray([one.drawn.sizes for one in simulated], dtype=np.float64).reshape(-1, len(CLASSES)),
        np.asarray([one.drawn.available for one in simulated], dtype=np.int64).reshape(-1, len(CLASSES)),
        of_block,
        np.asarray(failed, dtype=np.int64),
    )


def sample_scores(of: Subjects, simulated: Mapping[int, Simulated], scorer: str = "simulation") -> list[Score]:
    """pearson_framed and pearson from the sample; a feature without a simulation is `failed`."""
    scored = [f for f, s in zip(of.features.tolist(), of.status, strict=True) if s == "ok" and f in simulated]
    place = {feature: i for i, feature in enumerate(scored)}
    sample = sample_moments([simulated[feature] for feature in scored])
    estimates = {
        metric: estimate(sample.moments, sample.classes, sample.sizes, sample.available)
        for metric, estimate in (("pearson_framed", pearson_framed), ("pearson", pearson_sample))
    }
    rows = []
    for feature, status in zip(of.features.tolist(), of.status, strict=True):
        for metric in SAMPLE_METRICS:
            if feature in place:
                i = place[feature]
                n_failed = int(sample.n_failed[i])
                rows.append(_estimated(of, feature, scorer, metric, "sample", estimates[metric], i, n_failed))
            else:
                reason = "failed" if status == "ok" else status
                rows.append(_none(of, feature, scorer, metric, "sample", reason))
    return rows


def residual_alarms(simulated: Iterable[Simulated]) -> AlarmRate:
    """How often the simulator fires in R windows, pooled over the features of a dictionary."""
    alarms, classes = [np.zeros(0, dtype=np.bool_)], [np.zeros(0, dtype=np.int64)]
    for one in simulated:
        fires = (one.prediction != 0) & one.drawn.windows.scored
        alarms.append(fires.any(axis=1))
        classes.append(np.where(_predicted(one), one.drawn.classes, NOT_SAMPLED))
    return residual_alarm_rate(np.concatenate(alarms), np.concatenate(classes))


def _predicted(one: Simulated) -> Bool:
    """Windows with a prediction at every scored token, [S]."""
    missing = np.isnan(one.prediction) & one.drawn.windows.scored
    return np.asarray(~missing.any(axis=1), dtype=np.bool_)


# --- published --------------------------------------------------------------------------------------


def published_scores(of: Subjects, answered: Mapping[int, Answered]) -> list[Score]:
    """The four published metrics; a feature without answers is `failed`."""
    rows = []
    for feature, status in zip(of.features.tolist(), of.status, strict=True):
        if status == "ok" and feature in answered:
            for metric, score in _published(answered[feature]).items():
                scorer = PUBLISHED_METRICS[metric]
                row = _valued(of, feature, scorer, metric, "sample", score.value, score.status, score.n, score.n_failed)
                rows.append(row)
        else:
            reason = "failed" if status == "ok" else status
            rows += [_none(of, feature, scorer, name, "sample", reason) for name, scorer in PUBLISHED_METRICS.items()]
    return rows


def _published(one: Answered) -> dict[str, published.PublishedScore]:
    w, truth, scored = one.published, one.published.truth, one.published.windows.scored
    return {
        "pearson_top_random": published.pearson_top_random(truth, one.prediction, scored, w.top, w.random_5, w.u),
        "spearman_intervals": published.spearman_intervals(
            truth, one.prediction, scored, w.top, w.interval, w.random_10, w.out_of_context, w.u
        ),
        "balanced_accuracy": published.balanced_accuracy(truth, one.fires, scored, w.quantile, w.silent, w.u),
        "accuracy_saebench": published.accuracy_saebench(truth, one.fires, scored, w.top, w.silent, w.u, w.maximum),
    }


# --- rows -------------------------------------------------------------------------------------------


def _estimated(
    of: Subjects, feature: int, scorer: str, metric: str, design: str, estimates: Estimates, i: int, n_failed: int
) -> Score:
    value, low, high = (
        None if np.isnan(x[i]) else float(x[i]) for x in (estimates.value, estimates.ci_low, estimates.ci_high)
    )
    n = int(estimates.n[i])
    return Score(feature, of.explainer, scorer, metric, design, value, low, high, n, n_failed, str(estimates.status[i]))


def _valued(
    of: Subjects,
    feature: int,
    scorer: str,
    metric: str,
    design: str,
    value: float | None,
    status: str,
    n: int,
    n_failed: int,
) -> Score:
    return Score(feature, of.explainer, scorer, metric, design, value, None, None, n, n_failed, status)


def _none(of: Subjects, feature: int, scorer: str, metric: str, design: str, status: str) -> Score:
    return Score(feature, of.explainer, scorer, metric, design, None, None, None, 0, 0, status)
