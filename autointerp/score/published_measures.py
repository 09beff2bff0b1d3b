"""What the metrics of published protocols compute, from their windows to a `Measured`.

They read an `Answered` (`sampled.py`), which holds the windows of every protocol with the predictions of a lookup;
those of Bills et al. and FADE also an `OfJudge`: what an LLM said of the windows of our own sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isnan

import numpy as np

from autointerp.records import Float64
from autointerp.score import fade, published
from autointerp.score.bills import N_RANDOM, N_TOP, BillsTokens, CalibrationName, bills_of_simulated
from autointerp.score.fade import NaturalWindows
from autointerp.score.metric import Measured, measured
from autointerp.score.metrics import FloatArray, Value
from autointerp.score.predictions import Judged, Simulated
from autointerp.score.sampled import Answered

NO_CALIBRATION, NO_DENSITY = "no_calibration", "no_density"
NO_GENERATED_TEXT, NO_MEASURED_EFFECTS = "no_generated_text", "no_measured_effects"
"""Statuses of metrics without a value: no window to calibrate on; no known density to weigh by; the store holds no
texts that were written from the explanation; it holds no measured effects of steering."""


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


# --- Bills et al., Transluce

_Compute = Callable[[BillsTokens, CalibrationName], Value]


def of_sums(compute: Callable[[FloatArray], Value], tokens: BillsTokens, how: CalibrationName) -> Value:
    """A measure that is made of the six sums."""
    return compute(tokens.sums(how))


def of_tokens(compute: Callable[[FloatArray, FloatArray], Value], tokens: BillsTokens, how: CalibrationName) -> Value:
    """A measure of truth and prediction, token by token."""
    return compute(tokens.truth, tokens.predicted[how])


def _bills(compute: _Compute, calibration: CalibrationName, of: Answered | OfJudge) -> Measured:
    tokens = of.bills
    if tokens is None or tokens.n == 0:
        n_failed = 0 if tokens is None else tokens.n_failed
        return Measured(None, "failed" if n_failed else "no_items", 0, n_failed)
    if calibration not in tokens.predicted:
        return Measured(None, NO_CALIBRATION, tokens.n, tokens.n_failed)
    value = compute(tokens, calibration)
    short = tokens.n_missing > 0 or (calibration != "none" and tokens.fitted.size < N_TOP + N_RANDOM)
    status = "fewer" if short and value.status == "ok" else value.status
    return Measured(value.value, status, tokens.n, tokens.n_failed)


def bills(compute: _Compute, calibration: CalibrationName = "none") -> Callable[[Answered | OfJudge], Measured]:
    """The measure over all tokens of the ten windows, with or without a calibration."""
    return partial(_bills, compute, calibration)


# --- Bricken et al., delphi, SAEBench


def intervals(of: Answered) -> Measured:
    """Bricken et al."""
    return _published(of.published.intervals.score(of.prediction))


def intervals_weighted(of: Answered) -> Measured:
    """Bricken et al., by importance."""
    if isnan(of.published.density):
        return Measured(None, NO_DENSITY, 0)
    return _published(of.published.intervals_weighted.score(of.prediction))


def delphi_accuracy(of: Answered) -> Measured:
    """delphi."""
    return _published(of.published.quantiles.score(of.fires))


def saebench_accuracy(of: Answered) -> Measured:
    """SAEBench."""
    return _published(of.published.saebench.score(of.fires))


def _published(score: published.PublishedScore) -> Measured:
    return Measured(score.value, score.status, score.n, score.n_failed)


# --- FADE


def responsiveness(of: Answered | OfJudge) -> Measured:
    """The sign is kept."""
    return _natural(fade.responsiveness, of)


def purity(of: Answered | OfJudge) -> Measured:
    """Average precision."""
    return _natural(fade.purity, of)


def _natural(compute: Callable[[NaturalWindows], Value], of: Answered | OfJudge) -> Measured:
    windows = of.natural
    if windows is None or windows.concept.size == 0:
        n_failed = 0 if windows is None else windows.n_failed
        return Measured(None, "failed" if n_failed else "no_items", 0, n_failed)
    value = compute(windows) if windows.activation.any() else Value(None, "rare")
    return measured(value, windows.concept.size, windows.n_failed)


def clarity(_of: Answered | OfJudge) -> Measured:
    """Needs texts that were written from the explanation: the scorer `generation` has them, and this name too."""
    return Measured(None, NO_GENERATED_TEXT, 0)


def faithfulness(_of: Answered | OfJudge) -> Measured:
    """Needs the effects of steering (`fade.faithfulness`); none are stored."""
    return Measured(None, NO_MEASURED_EFFECTS, 0)
