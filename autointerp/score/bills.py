"""The windows of Bills et al. 2023 with a simulator's predictions, as they are and calibrated.

1. Scored are all tokens of 5 top and 5 random windows at once.
2. The calibrations (`calibration.py`) are fitted on windows of other documents: of document blocks that none of the
   ten is of. For a lookup these are 5 other top and 5 other random windows, as published. An LLM was shown the windows
   of our own sample: the ten are taken from it, and the calibrations are fitted on all the others of other blocks.
3. From an LLM's sample, which is drawn by class, a random window is drawn in two steps: a class, by the number of
   windows that it stands for, then the next window of that class. Where the class has no window left it is missing.

`rsquared` and `absolute_dev_explained` have zero for their baseline, `r2_mean_baseline` the mean (scikit-learn's R2,
which Transluce reports).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from autointerp.hashing import hash01, stream_key
from autointerp.records import Bool
from autointerp.score import calibration, metrics
from autointerp.score.metrics import FloatArray
from autointerp.score.predictions import Simulated
from autointerp.score.sampling import TOP, IntArray

N_TOP, N_RANDOM = 5, 5
CalibrationName = Literal["none", "linear", "percentile"]


@dataclass(frozen=True)
class BillsTokens:
    """The scored tokens of one feature and explanation."""

    truth: FloatArray
    """[n] activations."""
    predicted: dict[CalibrationName, FloatArray]
    """[n] predictions, by calibration; only `none` where there is nothing to calibrate on."""
    windows: IntArray
    """Windows scored: positions in the arrays given."""
    n_failed: int
    """Chosen windows without a prediction, beside these."""
    n_missing: int
    """Windows that 5 + 5 lacks."""
    fitted: IntArray
    """Windows that the calibrations are fitted on: positions likewise."""

    _sums: dict[CalibrationName, FloatArray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def n(self) -> int:
        """Windows scored."""
        return self.windows.size

    def sums(self, how: CalibrationName) -> FloatArray:
        """The six sums of `metrics.moments` of a calibration, made once for all metrics that are made of them."""
        if how not in self._sums:
            self._sums[how] = metrics.moments(self.truth, self.predicted[how])
        return self._sums[how]


class BillsSample:
    """Steps 1 and 2: the windows scored, and those that calibrations are fitted on, for any number of predictions."""

    def __init__(
        self,
        truth: npt.ArrayLike,
        scored: npt.ArrayLike,
        chosen: npt.ArrayLike,
        fitted: npt.ArrayLike,
        n_missing: int = 0,
    ) -> None:
        """`truth` and `scored` [S, L]; `chosen` and `fitted` are positions in these."""
        self._truth, self._mask = np.asarray(truth, dtype=np.float64), np.asarray(scored, dtype=np.bool_)
        self._asked, self._others = (np.asarray(index, dtype=np.int64) for index in (chosen, fitted))
        self._n_missing = n_missing
        self._whole = self._of(self._asked, self._others)

    def tokens(self, prediction: npt.ArrayLike) -> BillsTokens:
        """Of predictions [S, L]. One of nan at a scored token is a failure of its window: nobody takes its place."""
        p = np.asarray(prediction)
        of = self._whole
        raw, fit_p = of.at_asked(p), of.at_fitted(p)
        if np.isnan(raw).any() or np.isnan(fit_p).any():
            whole = ~(self._mask & np.isnan(p)).any(axis=1)
            of = self._of(self._asked[whole[self._asked]], self._others[whole[self._others]])
            raw, fit_p = of.at_asked(p), of.at_fitted(p)
        predicted: dict[CalibrationName, FloatArray] = {"none": raw}
        if of.fit_truth.size:
            predicted |= {
                "linear": calibration.linear(of.fit_truth, fit_p)(raw),
                "percentile": calibration.percentile(of.fit_truth, fit_p)(raw),
            }
        return BillsTokens(of.truth, predicted, of.asked, self._asked.size - of.asked.size, self._n_missing, of.fitted)

    def _of(self, asked: IntArray, fitted: IntArray) -> _Places:
        asked_at, fitted_at = (np.flatnonzero(self._mask[index]) for index in (asked, fitted))
        truth, fit_truth = self._truth[asked].ravel()[asked_at], self._truth[fitted].ravel()[fitted_at]
        return _Places(asked, fitted, asked_at, fitted_at, truth, fit_truth)


@dataclass(frozen=True)
class _Places:
    """The scored tokens of some windows to score, and of some to fit calibrations on."""

    asked: IntArray
    fitted: IntArray
    asked_at: IntArray  # in the windows `asked`, laid out one after the other
    fitted_at: IntArray
    truth: FloatArray
    fit_truth: FloatArray

    def at_asked(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """Of values [S, L]."""
        return np.asarray(values[self.asked].ravel()[self.asked_at], dtype=np.float64)

    def at_fitted(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """Of values [S, L]."""
        return np.asarray(values[self.fitted].ravel()[self.fitted_at], dtype=np.float64)


def bills_tokens(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    scored: npt.ArrayLike,
    chosen: npt.ArrayLike,
    fitted: npt.ArrayLike,
    n_missing: int = 0,
) -> BillsTokens:
    """The same of one prediction. `truth`, `prediction` and `scored` [S, L]."""
    return BillsSample(truth, scored, chosen, fitted, n_missing).tokens(prediction)


def bills_of_simulated(of: Simulated) -> BillsTokens:
    """Step 3: from the windows that a judge was shown; the same windows whenever it is asked for."""
    drawn = of.drawn
    order = np.arange(len(drawn.classes))
    top = order[drawn.classes == TOP][:N_TOP]
    random, n_missing = _random_windows(drawn.classes, drawn.sizes, ~np.isin(order, top), of.feature)
    chosen = np.concatenate([top, random])
    others = ~np.isin(drawn.windows.block, drawn.windows.block[chosen])
    missing = N_TOP - len(top) + n_missing
    return bills_tokens(drawn.truth, of.prediction, drawn.windows.scored, chosen, order[others], missing)


def _random_windows(classes: IntArray, sizes: FloatArray, free: Bool, feature: int) -> tuple[IntArray, int]:
    """Positions of up to 5 windows, each of a class drawn by `sizes` [9]; how many are missing."""
    reach = np.cumsum(sizes) / max(float(sizes.sum()), np.finfo(np.float64).tiny)
    drawn = np.searchsorted(reach, hash01(stream_key(0, "bills"), feature, np.arange(N_RANDOM)), side="right")
    kinds = np.minimum(drawn, len(sizes) - 1)
    left = {int(kind): iter(np.flatnonzero(free & (classes == kind)).tolist()) for kind in np.unique(kinds)}
    taken = [row for kind in kinds.tolist() if (row := next(left[kind], None)) is not None]
    return np.asarray(taken, dtype=np.int64), N_RANDOM - len(taken)
