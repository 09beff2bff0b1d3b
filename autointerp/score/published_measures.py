"""What the metrics of published protocols compute, from their windows to a `Measured`.

They read an `Answered` (`sampled.py`), which holds the windows of every protocol with the predictions of a lookup;
those of Bills et al. and FADE also an `OfJudge`: what an LLM said of the windows of our own sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import isnan

import numpy as np

from autointerp.records import Float64
from autointerp.score import metrics, side_by_side
from autointerp.score.bills import N_RANDOM, N_TOP, BillsTokens, CalibrationName, bills_of_simulated
from autointerp.score.fade import NaturalWindows
from autointerp.score.metric import InTwoSteps, MeasuredColumns
from autointerp.score.metrics import BoolArray, FloatArray
from autointerp.score.predictions import Judged, Simulated
from autointerp.score.published_together import accuracy_of, balanced_accuracy_of, spearman_of
from autointerp.score.sampled import Answered
from autointerp.score.side_by_side import FeatureRows, Tied, Values, rows_of_parts

NO_CALIBRATION, NO_DENSITY = "no_calibration", "no_density"
NO_GENERATED_TEXT, NO_JUDGED_STEERING = "no_generated_text", "no_judged_steering"
"""Statuses of metrics without a value: no window to calibrate on; no known density to weigh by; the store holds no
texts that were written from the explanation; nobody said of texts that were written without steering, and at several
strengths of it, whether they express the explanation (`intervention` asks which of three texts is the feature's)."""


@dataclass(frozen=True)
class OfJudge:
    """What published metrics look at of one feature and explanation that an LLM judges."""

    feature: int
    bills: BillsTokens | None = None
    """Of simulation."""
    natural: NaturalWindows | None = None
    """Of detection."""


def of_simulated(of: Simulated) -> OfJudge:
    """From the windows that the judge was shown."""
    return OfJudge(of.feature, bills=bills_of_simulated(of))


def of_judged(of: Judged, activation: Float64) -> OfJudge:
    """From the windows that the judge was asked about, with the feature's largest activation in each [n]."""
    answered = of.answered
    windows = NaturalWindows(
        of.probability[answered] >= 0.5, activation[answered].astype(np.float64), int((~answered).sum())
    )
    return OfJudge(of.feature, natural=windows)


class PublishedTogether:
    """What the metrics of published protocols read of n features, side by side."""

    def __init__(self, of: Sequence[Answered | OfJudge]) -> None:
        self.of = of
        self._by_calibration: dict[CalibrationName, BillsTogether] = {}

    @property
    def answered(self) -> list[Answered]:
        """Of lookups; an LLM is asked about other windows."""
        return [one for one in self.of if isinstance(one, Answered)]

    @cached_property
    def bills(self) -> list[BillsTokens | None]:
        """What the metrics of Bills et al. look at of each feature, [n]."""
        return [one.bills for one in self.of]

    def calibrated(self, how: CalibrationName) -> BillsTogether:
        """The predictions of all features that there is such a calibration of."""
        if how not in self._by_calibration:
            self._by_calibration[how] = BillsTogether(self.bills, how)
        return self._by_calibration[how]

    @cached_property
    def natural(self) -> NaturalTogether:
        """What FADE's metrics look at."""
        return NaturalTogether([one.natural for one in self.of])


# --- Bills et al., Transluce


class BillsTogether:
    """The scored tokens of n features with one calibration: N of those that have it."""

    def __init__(self, of: Sequence[BillsTokens | None], how: CalibrationName) -> None:
        n, self.n_failed, missing, n_fitted = (
            np.array([0 if tokens is None else count(tokens) for tokens in of], dtype=np.int64) for count in _COUNTS
        )
        has = [tokens for tokens in of if tokens is not None and tokens.n and how in tokens.predicted]
        self.n = n
        self.has = np.array([bool(t is not None and t.n and how in t.predicted) for t in of], dtype=np.bool_)
        self.rows = rows_of_parts([tokens.truth for tokens in has])
        self.truth = np.concatenate([np.zeros(0), *(tokens.truth for tokens in has)])
        self.predicted = np.concatenate([np.zeros(0), *(tokens.predicted[how] for tokens in has)])
        self.short = (missing > 0) | ((how != "none") & (n_fitted < N_TOP + N_RANDOM))

    @cached_property
    def sums(self) -> FloatArray:
        """The six sums of `metrics.moments`, [those that have it, 6]."""
        return side_by_side.moments(self.rows, self.truth, self.predicted)


_COUNTS: tuple[Callable[[BillsTokens], int], ...] = (
    lambda tokens: tokens.n,
    lambda tokens: tokens.n_failed,
    lambda tokens: tokens.n_missing,
    lambda tokens: tokens.fitted.size,
)
_Compute = Callable[[BillsTogether], Values]


def pearson(of: BillsTogether) -> Values:
    """Correlation."""
    value, status = metrics.pearson(of.sums), metrics.pearson_status(of.sums)
    return value, status


def rsquared(of: BillsTogether) -> Values:
    """1 - mean squared error / mean squared activation."""
    _, _, _, t2, p2, tp = of.sums.T
    return _share(t2 - 2.0 * tp + p2, t2, t2 > 0)


def r2_mean_baseline(of: BillsTogether) -> Values:
    """1 - mean squared error / variance of the activation."""
    n, t, _, t2, p2, tp = of.sums.T
    spread = n * t2 - t * t
    return _share(n * (t2 - 2.0 * tp + p2), spread, spread > metrics.RELATIVE_TOLERANCE * n * t2)


def absolute_dev_explained(of: BillsTogether) -> Values:
    """1 - mean absolute error / mean activation."""
    total, error = of.rows.sums(np.abs(of.truth)), of.rows.sums(np.abs(of.truth - of.predicted))
    return _share(error, total, total > 0)


def _share(error: FloatArray, total: FloatArray, there: BoolArray) -> Values:
    """1 - error / total, where that is."""
    return np.where(there, 1.0 - error / np.where(there, total, 1.0), np.nan), np.where(there, "ok", "rare")


def _bills(compute: _Compute, how: CalibrationName, of: PublishedTogether) -> MeasuredColumns:
    together = of.calibrated(how)
    value, status = np.full(len(of.of), np.nan), np.full(len(of.of), NO_CALIBRATION, dtype=object)
    value[together.has], status[together.has] = compute(together)
    status[(status == "ok") & together.short] = "fewer"
    none = together.n == 0
    status[none] = np.where(together.n_failed[none] > 0, "failed", "no_items")
    return MeasuredColumns(value, status, together.n, together.n_failed)


def bills(compute: _Compute, calibration: CalibrationName = "none") -> InTwoSteps:
    """The measure over all tokens of the ten windows, with or without a calibration."""
    return InTwoSteps(PublishedTogether, partial(_bills, compute, calibration))


# --- Bricken et al., delphi, SAEBench


def _intervals(of: PublishedTogether) -> MeasuredColumns:
    answered = of.answered
    return spearman_of([one.published.intervals for one in answered], [one.prediction for one in answered])


def _intervals_weighted(of: PublishedTogether) -> MeasuredColumns:
    answered = of.answered
    known = ~np.isnan([one.published.density for one in answered])
    weighed = [one for one in answered if not isnan(one.published.density)]
    made = spearman_of([one.published.intervals_weighted for one in weighed], [one.prediction for one in weighed])
    value, status = np.full(len(answered), np.nan), np.full(len(answered), NO_DENSITY, dtype=object)
    n, n_failed = (np.zeros(len(answered), dtype=np.int64) for _ in range(2))
    for whole, column in ((value, made.value), (status, made.status), (n, made.n), (n_failed, made.n_failed)):
        whole[known] = column
    return MeasuredColumns(value, status, n, n_failed)


def _delphi_accuracy(of: PublishedTogether) -> MeasuredColumns:
    answered = of.answered
    return balanced_accuracy_of([one.published.quantiles for one in answered], [one.fires for one in answered])


def _saebench_accuracy(of: PublishedTogether) -> MeasuredColumns:
    answered = of.answered
    return accuracy_of([one.published.saebench for one in answered], [one.fires for one in answered])


intervals, intervals_weighted, delphi_accuracy, saebench_accuracy = (
    InTwoSteps(PublishedTogether, compute)
    for compute in (_intervals, _intervals_weighted, _delphi_accuracy, _saebench_accuracy)
)
"""Bricken et al., as they are and by importance; delphi; SAEBench."""


# --- FADE


class NaturalTogether:
    """Windows of the corpus of n features, N in all, with what a judge says of them."""

    def __init__(self, of: Sequence[NaturalWindows | None]) -> None:
        there = [windows for windows in of if windows is not None]
        sizes = [0 if windows is None else windows.concept.size for windows in of]
        self.rows = FeatureRows(sizes)
        self.n_failed = np.array([0 if windows is None else windows.n_failed for windows in of], dtype=np.int64)
        self.concept = np.concatenate([np.zeros(0, np.bool_), *(windows.concept for windows in there)])
        self.activation = np.concatenate([np.zeros(0), *(windows.activation for windows in there)])
        self.tied = Tied(self.rows, self.activation)

    def measured(self, value: FloatArray) -> MeasuredColumns:
        """Where there is something on both sides, values of [n]."""
        size, n = self.rows.sizes, self.rows.counts(self.concept)
        silent = self.rows.counts(self.activation != 0) == 0
        one_sided = (n == 0) | (n == size)
        nothing = np.where(self.n_failed > 0, "failed", "no_items")
        status = np.where(size == 0, nothing, np.where(silent, "rare", np.where(one_sided, "one_sided", "ok")))
        return MeasuredColumns(np.where(status == "ok", value, np.nan), status, size, self.n_failed)


def _responsiveness(of: PublishedTogether) -> MeasuredColumns:
    natural = of.natural
    return natural.measured(2.0 * side_by_side.auroc(natural.tied, natural.concept)[0] - 1.0)


def _purity(of: PublishedTogether) -> MeasuredColumns:
    natural = of.natural
    return natural.measured(side_by_side.auprc(natural.tied, natural.concept))


responsiveness, purity = (InTwoSteps(PublishedTogether, compute) for compute in (_responsiveness, _purity))
"""FADE's 2 AUROC - 1 and average precision of the activation; the sign is kept."""


def clarity(of: Sequence[Answered | OfJudge]) -> MeasuredColumns:
    """Needs texts that were written from the explanation: the scorer `generation` has them, and this name too."""
    return MeasuredColumns(np.full(len(of), np.nan), NO_GENERATED_TEXT, 0)


def faithfulness(of: Sequence[Answered | OfJudge]) -> MeasuredColumns:
    """Needs the share of texts that express the explanation, by strength of steering: the scorer `intervention` has
    texts at one strength, and this name too; `detection` has none."""
    return MeasuredColumns(np.full(len(of), np.nan), NO_JUDGED_STEERING, 0)
