"""The published metrics of many features side by side: each with its own chosen windows (`published.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.records import Bool, Float32
from autointerp.score import metrics, side_by_side
from autointerp.score.metric import MeasuredColumns
from autointerp.score.published import IntervalSample, PublishedScore, QuantileSample, SaebenchSample
from autointerp.score.side_by_side import FeatureRows, Tied, parts_at_once


def spearman_of(samples: Sequence[IntervalSample], predictions: Sequence[Float32]) -> MeasuredColumns:
    """`IntervalSample.score` of each feature; `predictions` [W, L] each."""
    said = [p.ravel()[sample.places] for sample, p in zip(samples, predictions, strict=True)]
    whole = np.array([bool(len(p)) and not np.isnan(p).any() for p in said], dtype=np.bool_)
    value, status = np.full(len(said), np.nan), np.full(len(said), "ok", dtype=object)
    n, n_failed = (np.zeros(len(said), dtype=np.int64) for _ in range(2))
    for i in np.flatnonzero(~whole).tolist():  # a window without predictions, or nothing to rank
        score = samples[i].score(predictions[i])
        value[i], status[i], n[i], n_failed[i] = _nan(score), score.status, score.n, score.n_failed
    rows = np.flatnonzero(whole)
    for part in parts_at_once([len(said[i]) for i in rows.tolist()]):
        own = rows[part].tolist()
        few = [samples[i] for i in own]
        value[own], status[own] = _spearman(few, [said[i] for i in own])
        n[own] = [sample.chosen.index.size for sample in few]
        fewer = np.array([bool(sample.chosen.missing) for sample in few], dtype=np.bool_)
        weak = np.array([sample.is_weak for sample in few], dtype=np.bool_)
        ok = status[own] == "ok"
        status[own] = np.where(ok & weak, "underpowered", np.where(ok & fewer, "fewer", status[own]))
    return MeasuredColumns(value, status, n, n_failed)


def _spearman(samples: Sequence[IntervalSample], said: Sequence[Float32]) -> side_by_side.Values:
    """`RankedTruth.spearman` of each."""
    truths = [sample.ranked for sample in samples]
    rows = FeatureRows([len(p) for p in said])
    tied = Tied(rows, np.concatenate(said))
    weight = np.concatenate([truth.weights for truth in truths])
    count = tied.by_group(weight)
    middle = tied.middle_ranks(count)
    weighted = count * middle
    rank = middle[rows.of, tied.group]
    cross = rows.sums(np.concatenate([truth.weighted for truth in truths]) * rank)
    n, t, t2 = np.array([truth.sums for truth in truths]).T
    sums = np.stack([n, t, weighted.sum(axis=1), t2, (weighted * middle).sum(axis=1), cross], axis=1)
    return metrics.pearson(sums), metrics.pearson_status(sums)


def balanced_accuracy_of(samples: Sequence[QuantileSample], fires: Sequence[Bool]) -> MeasuredColumns:
    """`QuantileSample.score` of each feature; `fires` [W] each, all answered."""
    rows, actual, said = _chosen(samples, fires)
    value, status = side_by_side.balanced_accuracy(rows, actual, said)
    return MeasuredColumns(value, np.where(rows.sizes == 0, "rare", status), rows.sizes)


def accuracy_of(samples: Sequence[SaebenchSample], fires: Sequence[Bool]) -> MeasuredColumns:
    """`SaebenchSample.score` of each feature; `fires` [W] each, all answered."""
    rows, actual, said = _chosen(samples, fires)
    some = rows.counts(actual) > 0
    value = np.where(some, rows.counts(actual == said) / np.maximum(rows.sizes, 1), np.nan)
    fewer = np.array([bool(sample.chosen.missing) for sample in samples], dtype=np.bool_)
    status = np.where(some, np.where(fewer, "fewer", "ok"), "rare")
    return MeasuredColumns(value, status, np.where(some, rows.sizes, 0))


def _chosen(
    samples: Sequence[QuantileSample | SaebenchSample], fires: Sequence[Bool]
) -> tuple[FeatureRows, Bool, Bool]:
    """The chosen windows of all: whether each fires, and what is said of it."""
    none = np.zeros(0, dtype=np.bool_)
    rows = FeatureRows([sample.chosen.index.size for sample in samples])
    actual = np.concatenate([none, *(sample.actual[sample.chosen.index] for sample in samples)])
    said = np.concatenate([none, *(of[sample.chosen.index] for sample, of in zip(samples, fires, strict=True))])
    return rows, actual, said


def _nan(score: PublishedScore) -> float:
    return np.nan if score.value is None else score.value
