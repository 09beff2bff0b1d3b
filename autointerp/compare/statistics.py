"""What a difference between two dictionaries licenses: corrections over the pairs, and a verdict that can say "I cannot
tell".

1. The difference of the means has an interval over features, units and documents (`autointerp.compare.clustered`), and
   its p-value comes from the same standard error: it is valid alone.
2. Over the pairs of a family: Holm's correction of p, and simultaneous intervals by Bonferroni. Bonferroni and not
   max-t: it needs no joint draws, holds under any dependence, and costs little: .044 against .043 of detectable
   difference over six pairs.
3. One of four verdicts. "A" and "B" need the simultaneous interval (confidence 1 - .05 / m) to exclude 0, "equivalent"
   the one at 1 - .10 / m to lie within the margin: two one-sided tests at .05 / m each (Schuirmann 1987).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from autointerp.compare.interval import Interval, t_quantile
from autointerp.score.metrics import FloatArray

Verdict = Literal["A", "B", "equivalent", "undecided"]

MARGIN = 0.02
"""Differences of means up to this size count as none, unless a run declares another margin."""

LEVEL = 0.05
"""Of all verdicts of a family together."""


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Holm's adjusted p-values [m] -> [m]: compare each with the level of the whole family."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def simultaneous_confidence(n_comparisons: int, confidence: float = 1.0 - LEVEL) -> float:
    """The confidence of each of m intervals that hold together with `confidence` (Bonferroni)."""
    return 1.0 - (1.0 - confidence) / max(n_comparisons, 1)


def detectable_difference(se: float, df: float, level: float = LEVEL, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided test at `level` finds with `power`, given its standard error and
    degrees of freedom.

    `level` is a significance level: 0.05 / m for one of m simultaneous intervals. With a spread of .2 between features
    and 500 a side, se = .0126 and, over 32 blocks of documents, df = 31: .036, and .047 at 0.05 / 6.
    """
    found_at, power_at = (t_quantile(quantile, max(df, 1.0)) for quantile in (1.0 - level / 2.0, power))
    return (found_at + power_at) * se


def decide(interval: Interval, n_comparisons: int, margin: float = MARGIN, level: float = LEVEL) -> Verdict:
    """The verdict on a difference A - B that is one of `n_comparisons`.

    A or B: the simultaneous interval excludes 0 (a difference can be proven and be smaller than the margin).
    equivalent: else, and the interval at 1 - 2 x level / m lies within -+ margin. undecided: the rest, where there is
    no spread to judge by, and where anything is nan.
    """
    wide = interval.at(simultaneous_confidence(n_comparisons, 1.0 - level))
    if interval.se > 0 and (wide.low > 0 or wide.high < 0):
        return "A" if wide.low > 0 else "B"
    narrow = interval.at(simultaneous_confidence(n_comparisons, 1.0 - 2.0 * level))
    return "equivalent" if -margin < narrow.low and narrow.high < margin else "undecided"
