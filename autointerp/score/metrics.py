"""Metrics of a prediction against the truth: pure functions of stored rows.

A metric is computed in two steps:
1. reduce (t, p), the true and the predicted activation of every scored token, to sums: six weighted
   moments for Pearson, counts by rank of p for average precision and F1;
2. turn the sums into a number, or into the reason why there is none.
Sums add over windows, documents and machines, so the same second step serves a census, a sample and
a part of the documents.

Sources: Bills et al. 2023 for `rsquared` and `absolute_dev_explained` (their baseline is zero, unlike
scikit-learn's, which is `r2_mean_baseline`), Bricken et al. 2023 for a constant prediction that scores 0,
scikit-learn's definition of average precision for `auprc` (steps, no interpolation).

`constant` is the status of a metric that a constant prediction leaves undefined (the correlations):
its value is 0. Metrics that are defined for a constant prediction keep their value and the status `ok`.
Letters in shapes: `...` any leading axes, n tokens, K bins of p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
StrArray = npt.NDArray[np.str_]

MOMENTS = ("n", "t", "p", "t2", "p2", "tp")
"""The last axis of a moment array: weighted sums of 1, t, p, t squared, p squared and t times p."""

STATUSES = ("ok", "constant", "few_documents", "underpowered", "fewer", "rare", "failed", "one_sided")
"""ok; constant prediction (value 0); a value without an interval, because a document or two decide it; a value not to
be trusted; a value from fewer windows than its published protocol asks for; no firing to score; no prediction to score;
only firing examples, no silent one. The last three have no value."""

RELATIVE_TOLERANCE = 1e-10
"""A variance n * sum(x^2) - sum(x)^2 below this share of n * sum(x^2) counts as none.

Sums of 1e7 terms in double precision are off by up to 1e-9 of themselves when added naively and by
1e-13 as NumPy adds them, so the difference of a constant 0.3 is noise of that size; a real feature
that fires once in 1e7 tokens has a share near 1. Lost by it: predictions whose spread is under 1e-5
of their mean."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number, or the reason why there is none."""

    value: float | None
    """The metric; none where `status` says why."""
    status: str
    """One of STATUSES."""


# --- moments and Pearson ---------------------------------------------------------------------------


def moments(truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> FloatArray:
    """Six weighted sums over the last axis: [..., n], [..., n] -> [..., 6]. Tokens of weight 0 may be nan."""
    t, p = np.broadcast_arrays(np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64))
    made = np.empty((6, *t.shape))
    if weight is None:
        made[0] = 1.0
        made[1], made[2] = t, p
        factor_t, factor_p = t, p
    else:
        w = np.broadcast_to(np.asarray(weight, dtype=np.float64), t.shape)
        factor_t, factor_p = np.where(w > 0, t, 0.0), np.where(w > 0, p, 0.0)
        made[0] = w
        np.multiply(w, factor_t, out=made[1])
        np.multiply(w, factor_p, out=made[2])
    np.multiply(made[1], factor_t, out=made[3])
    np.multiply(made[2], factor_p, out=made[4])
    np.multiply(made[1], factor_p, out=made[5])
    return np.ascontiguousarray(np.moveaxis(made.sum(axis=-1), 0, -1))  # one sum, not six


def pearson(moment_sums: npt.ArrayLike) -> FloatArray:
    """Pearson's correlation of [..., 6] moments -> [...]: 0 for a constant prediction, nan for a constant truth."""
    variance_t, variance_p, covariance = _variances(moment_sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = covariance / np.sqrt(variance_t * variance_p)
    return np.where(variance_t > 0, np.where(variance_p > 0, np.clip(r, -1.0, 1.0), 0.0), np.nan)


def pearson_status(moment_sums: npt.ArrayLike) -> StrArray:
    """`rare` where t does not vary (no value), else `constant` where p does not (value 0), else `ok`: [...]."""
    variance_t, variance_p, _ = _variances(moment_sums)
    return np.where(variance_t > 0, np.where(variance_p > 0, "ok", "constant"), "rare")


def _variances(moment_sums: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """n^2 times the variances of t and p (exactly 0 within rounding) and their covariance."""
    n, t, p, t2, p2, tp = np.moveaxis(np.asarray(moment_sums, dtype=np.float64), -1, 0)
    variance_t, variance_p = n * t2 - t * t, n * p2 - p * p
    variance_t = np.where(variance_t > RELATIVE_TOLERANCE * n * t2, variance_t, 0.0)
    variance_p = np.where(variance_p > RELATIVE_TOLERANCE * n * p2, variance_p, 0.0)
    return variance_t, variance_p, n * tp - t * p


def pearson_value(truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Value:
    """Pearson's correlation of one feature's tokens [n] (Bills et al. call it `ev_correlation`)."""
    return pearson_of_sums(moments(truth, prediction, weight))


def pearson_of_sums(sums: FloatArray) -> Value:
    """The same of six sums."""
    return _correlation(*sums.tolist())


def _correlation(n: float, t: float, p: float, t2: float, p2: float, tp: float) -> Value:
    """`pearson` and `pearson_status` of one row of moments: numbers, for which arrays would take ten times as long."""
    variance_t, variance_p = n * t2 - t * t, n * p2 - p * p
    if not variance_t > RELATIVE_TOLERANCE * n * t2:
        return Value(None, "rare")
    if not variance_p > RELATIVE_TOLERANCE * n * p2:
        return Value(0.0, "constant")
    return Value(min(max((n * tp - t * p) / math.sqrt(variance_t * variance_p), -1.0), 1.0), "ok")


# --- Spearman --------------------------------------------------------------------------------------


def spearman(truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Value:
    """Spearman's correlation of [n] tokens: Pearson's correlation of (weighted) middle ranks."""
    return RankedTruth(truth, weight).spearman(prediction)


class RankedTruth:
    """A truth [n] with weights, ranked once for any number of predictions. Public: places that count [k], their weights
    [k], weight times rank [k], and the sums of weight, of weight times rank and of weight times rank squared."""

    def __init__(self, truth: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> None:
        t = np.asarray(truth, dtype=np.float64).ravel()
        w = np.ones(t.size) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
        self.counted = np.flatnonzero(w > 0)
        self.weights = w[self.counted]
        self._weight = None if bool((self.weights == 1.0).all()) else self.weights
        rank = self._ranks(t[self.counted])
        self.weighted = self._times_weight(rank)
        self.sums = (float(self.weights.sum()), float(self.weighted.sum()), float((self.weighted * rank).sum()))

    def spearman(self, prediction: npt.ArrayLike) -> Value:
        """Of predictions [n]."""
        rank = self._ranks(np.asarray(prediction, dtype=np.float64).ravel()[self.counted])
        weighted = self._times_weight(rank)
        n, t, t2 = self.sums
        p, p2, tp = (float(x.sum()) for x in (weighted, weighted * rank, self.weighted * rank))
        return _correlation(n, t, p, t2, p2, tp)

    def _times_weight(self, rank: FloatArray) -> FloatArray:
        return rank if self._weight is None else self._weight * rank

    def _ranks(self, values: FloatArray) -> FloatArray:
        which, n = _ties(values)
        return _middle_ranks(np.bincount(which, self._weight, n).astype(np.float64))[which]


def _ties(values: FloatArray) -> tuple[npt.NDArray[np.int64], int]:
    """The number of each value among the distinct ones, ascending; and how many these are. (`numpy.unique` sorts
    indices, which takes three times as long where most values are equal.)"""
    ordered = np.sort(values)
    first = np.ones(ordered.size, dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    distinct = ordered[first]
    return np.searchsorted(distinct, values), distinct.size


def _middle_ranks(count: FloatArray) -> FloatArray:
    """The middle rank of each group of ties, centred: groups in ascending order [K] -> [K]."""
    return np.asarray(np.cumsum(count) - count / 2 - count.sum() / 2, dtype=np.float64)


# --- explained magnitude (Bills et al.) ------------------------------------------------------------


def rsquared(truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Value:
    """1 - mean((t - p)^2) / mean(t^2): the baseline is zero, not the mean. Only for calibrated predictions."""
    return rsquared_of_sums(moments(truth, prediction, weight))


def rsquared_of_sums(sums: FloatArray) -> Value:
    """The same of six sums."""
    n, _, _, t2, p2, tp = sums
    return Value(float(1.0 - (t2 - 2.0 * tp + p2) / t2), "ok") if n > 0 and t2 > 0 else Value(None, "rare")


def r2_mean_baseline(truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Value:
    """1 - mean((t - p)^2) / variance of t: scikit-learn's R2 (Transluce). Only for calibrated predictions."""
    return r2_mean_baseline_of_sums(moments(truth, prediction, weight))


def r2_mean_baseline_of_sums(sums: FloatArray) -> Value:
    """The same of six sums."""
    n, t, _, t2, p2, tp = sums
    spread = n * t2 - t * t
    if n == 0 or spread <= RELATIVE_TOLERANCE * n * t2:
        return Value(None, "rare")
    return Value(float(1.0 - n * (t2 - 2.0 * tp + p2) / spread), "ok")


def absolute_dev_explained(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> Value:
    """1 - mean|t - p| / mean|t|. Only for calibrated predictions."""
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    w = np.ones(t.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    total = float(np.where(w > 0, w * np.abs(t), 0.0).sum())
    error = float(np.where(w > 0, w * np.abs(t - p), 0.0).sum())
    return Value(1.0 - error / total, "ok") if total > 0 else Value(None, "rare")


# --- yes or no -------------------------------------------------------------------------------------


def accuracy(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Value:
    """Share of right answers of [n] examples; both arrays boolean."""
    t, p = np.asarray(truth, dtype=np.bool_), np.asarray(predicted, dtype=np.bool_)
    return Value(float((t == p).mean()), "ok") if t.size else Value(None, "failed")


def balanced_accuracy(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Value:
    """Mean of the hit rate on the firing and the rejection rate on the silent examples: chance is 0.5."""
    t, p = np.asarray(truth, dtype=np.bool_), np.asarray(predicted, dtype=np.bool_)
    if t.size == 0:
        return Value(None, "failed")
    if not t.any():
        return Value(None, "rare")
    if t.all():
        return Value(None, "one_sided")
    return Value(float((p[t].mean() + (~p[~t]).mean()) / 2.0), "ok")


def auroc(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> Value:
    """Chance that a firing example is ranked above a silent one, ties counted half: chance is 0.5."""
    t, p = np.asarray(truth, dtype=np.bool_).ravel(), np.asarray(prediction, dtype=np.float64).ravel()
    if t.size == 0:
        return Value(None, "failed")
    if not t.any():
        return Value(None, "rare")
    if t.all():
        return Value(None, "one_sided")
    which, n_distinct = _ties(p)
    rank = _middle_ranks(np.bincount(which, minlength=n_distinct).astype(np.float64))[which] + (t.size + 1) / 2.0
    n = int(t.sum())
    return Value(float((rank[t].sum() - n * (n + 1) / 2.0) / (n * (t.size - n))), "ok")


# --- precision and recall ---------------------------------------------------------------------------


def auprc(truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Value:
    """Average precision of the predictions [n] for t > 0. A constant prediction gets the density."""
    return RankedPrediction(prediction, weight).auprc(truth)


class RankedPrediction:
    """Predictions [n] with weights, ranked once for any number of truths."""

    def __init__(self, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> None:
        p = np.asarray(prediction, dtype=np.float64).ravel()
        w = np.ones(p.size) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
        self._counted = w > 0
        self._weight = w[self._counted]
        self._which, self._n_distinct = _ties(p[self._counted])

    def auprc(self, truth: npt.ArrayLike) -> Value:
        """Average precision for a truth [n]."""
        t, w = (np.asarray(truth).ravel() > 0)[self._counted], self._weight
        positives, negatives = (np.bincount(self._which, w * of, self._n_distinct) for of in (t, ~t))
        return auprc_from_counts(positives, negatives)


def auprc_from_counts(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> Value:
    """Average precision from the weight of firing and of silent tokens in each bin of p [K], p ascending.

    Sum over bins, from the highest p down, of (recall gained) x (precision so far): ties within a bin.
    """
    positive, negative = (np.asarray(of, dtype=np.float64)[::-1] for of in (positives, negatives))
    total = positive.sum()
    if not total > 0:
        return Value(None, "rare")
    hits = positive.cumsum()
    said_to_fire = hits + negative.cumsum()
    precision = hits / np.where(said_to_fire > 0, said_to_fire, 1.0)
    return Value(float((positive * precision).sum() / total), "ok")


def auprc_of_counts(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> FloatArray:
    """The same of many features, [F, K] -> [F]; nan where nothing fires."""
    positive = np.ascontiguousarray(np.asarray(positives, dtype=np.float64)[:, ::-1])
    negative = np.asarray(negatives, dtype=np.float64)[:, ::-1]
    total = positive.sum(axis=1)
    hits = np.cumsum(positive, axis=1)
    said_to_fire = hits + np.cumsum(negative, axis=1)
    precision = hits / np.where(said_to_fire > 0, said_to_fire, 1.0)
    fires = total > 0
    return np.where(fires, (positive * precision).sum(axis=1) / np.where(fires, total, 1.0), np.nan)


def f1(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None, threshold: float = 0.0
) -> Value:
    """F1 of `p > threshold` for t > 0. 0 is for predictions that are exactly 0 where silent (lookups, written
    digits); an expected value over digits never is: give it 0.5."""
    t, p = np.asarray(truth).ravel() > 0, np.asarray(prediction, dtype=np.float64).ravel()
    w = np.ones(t.size) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
    t, p, w = t[w > 0], p[w > 0], w[w > 0]
    fires = (p > threshold).astype(np.int64)
    return f1_from_counts(np.bincount(fires, w * t, minlength=2), np.bincount(fires, w * ~t, minlength=2))


def f1_from_counts(positives: npt.ArrayLike, negatives: npt.ArrayLike, first_firing_bin: int = 1) -> Value:
    """F1 from counts by bin of p [K]: bins from `first_firing_bin` up predict firing (bin 0 holds p = 0)."""
    value = float(f1_of_counts(np.asarray(positives)[None], np.asarray(negatives)[None], first_firing_bin)[0])
    return Value(None, "rare") if np.isnan(value) else Value(value, "ok")


def f1_of_counts(positives: npt.ArrayLike, negatives: npt.ArrayLike, first_firing_bin: int = 1) -> FloatArray:
    """The same of many features, [F, K] -> [F]; nan where nothing fires."""
    positive, negative = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    hits, misses = positive[:, first_firing_bin:].sum(axis=1), positive[:, :first_firing_bin].sum(axis=1)
    false_alarms = negative[:, first_firing_bin:].sum(axis=1)
    fires = hits + misses > 0
    return np.where(fires, 2.0 * hits / np.where(fires, 2.0 * hits + misses + false_alarms, 1.0), np.nan)
