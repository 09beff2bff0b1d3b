"""Calibration: from what a simulator predicts to activations, fitted on examples of its own (Bills et al. 2023).

    linear       least squares of the activation on the prediction: t = slope p + intercept
    percentile   the predictions of the fit, sorted, are mapped to its activations, sorted, linearly in between;
                 beyond either end the value at that end

Fitted on the examples that are scored, a linear calibration turns the R2 of a prediction into the square of its
correlation, so that an explanation that is the wrong way round scores well. Hence the examples of its own.

Source: `calibrated_simulator.py` of openai/automated-interpretability, whose classes use scikit-learn's
`LinearRegression` and `numpy.interp`; the tests hold the two equal. Where many predictions of the fit are equal
(zeros), `numpy.interp` gives the activation at the last of them: so does this.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autointerp.score.metrics import FloatArray

Calibration = Callable[[npt.ArrayLike], FloatArray]
"""Predictions [n] -> activations [n], in the scale of the truth that it was fitted to."""


def linear(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> Calibration:
    """Fitted to activations and predictions [n], n at least 1; a constant prediction becomes the mean activation."""
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    centred = p - p.mean()
    spread = float(centred @ centred)
    slope = float(centred @ (t - t.mean())) / spread if spread > 0 else 0.0
    intercept = float(t.mean()) - slope * float(p.mean())
    return lambda values: np.asarray(values, dtype=np.float64) * slope + intercept


def percentile(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> Calibration:
    """Fitted to activations and predictions [n], n at least 1, each sorted for itself."""
    t, p = np.sort(np.asarray(truth, dtype=np.float64)), np.sort(np.asarray(prediction, dtype=np.float64))
    return lambda values: np.asarray(np.interp(np.asarray(values, dtype=np.float64), p, t), dtype=np.float64)
