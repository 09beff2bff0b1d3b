"""Bins of a predicted activation, with one limit exactly at the threshold above which an activation counts.

A feature of a sparse autoencoder fires weakly on many tokens. What counts as firing is therefore stated: above 0, or
above a share of the feature's largest activation on the explain split (`score.threshold`). Of N_BINS bins, 0 holds what
is predicted to be silent, 1 to 8 what lies at the threshold or below, and 9 to 32 the rest: between the threshold and
the largest activation the limits are a geometric row of 24 steps; below, it goes on with steps three times as long.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autointerp.records import Int64

N_BINS = 33
FIRST_ABOVE = 9
"""The first bin above the threshold."""
LONG_STEP = 3
"""Steps above the threshold that one below it is as long as."""


def activation_bin(value: npt.ArrayLike, threshold: npt.ArrayLike, share: float) -> Int64:
    """Bin of predicted activations, [...] and [...]; `threshold` is `share` (of 0 to 1) of the largest activation.

    Where the threshold is 0, all that is above it is in the last bin.
    """
    predicted, limit = np.broadcast_arrays(np.asarray(value, np.float64), np.asarray(threshold, np.float64))
    steps = np.full(predicted.shape, np.inf)
    known = (predicted > 0) & (limit > 0)
    steps[known] = np.log(predicted[known] / limit[known]) / np.log(1.0 / share) * (N_BINS - FIRST_ABOVE)
    number = np.where(steps > 0, np.ceil(steps), np.ceil(steps / LONG_STEP))
    number = np.clip(number, 1 - (FIRST_ABOVE - 1), N_BINS - FIRST_ABOVE)
    return np.where(predicted > 0, FIRST_ABOVE - 1 + number, 0).astype(np.int64)
