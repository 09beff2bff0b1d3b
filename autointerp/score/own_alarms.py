"""Which features raise so many alarms where nothing points to one that they are charged by themselves.

The few windows of R of one feature cannot show alarms of one in 10,000 tokens, so features are charged at a rate that
is pooled. One label that fires everywhere would then pay a 200th of what it does, among 199 others that do not. A
feature is charged at its own rate, and the others without it, where
1. two of its windows or more have an alarm, and
2. as many or more would be seen by less than LEAST_CHANCE if it raised alarms as often as those features do that raise
   them less often than it (one alarm and one window are added to theirs).
Of features that raise alarms alike this takes a few hits in a hundred; what all are charged together stays the same.
A label that fires in one window of five, alone among many, is not told: its three to six windows cannot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from autointerp.records import Bool, Float64

LEAST_ALARMS, LEAST_CHANCE = 2, 0.01


def charged_alone(alarms: npt.ArrayLike, windows: npt.ArrayLike) -> Bool:
    """Of each feature the windows of R with an alarm, and all that were looked at: [n], [n] -> [n]."""
    hits, looked = np.asarray(alarms, dtype=np.float64), np.asarray(windows, dtype=np.float64)
    share: Float64 = hits / np.maximum(looked, 1.0)
    levels, level = np.unique(share, return_inverse=True)
    below = [np.concatenate([[0.0], np.cumsum(np.bincount(level, x, len(levels)))])[level] for x in (hits, looked)]
    usual = (below[0] + 1.0) / (below[1] + 1.0)
    some = hits >= LEAST_ALARMS
    chance = special.betainc(np.where(some, hits, 1.0), np.where(some, looked - hits, 0.0) + 1.0, usual)
    return np.asarray(some & (below[1] > 0) & (chance < LEAST_CHANCE), dtype=np.bool_)
