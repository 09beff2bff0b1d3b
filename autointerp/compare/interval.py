"""An estimate with its standard error: the interval at any confidence, and the p-value of "it is zero".

An error of another source that has limits of its own, lower and upper ones at different distances, is added to either
side in squares (Zou & Donner 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its standard error, and the interval at `confidence`."""

    value: float
    se: float
    df: float
    """Degrees of freedom of Student's t."""
    low: float
    high: float
    confidence: float
    n: int
    """Features behind the value (for a difference: of both dictionaries)."""
    se_documents: float = 0.0
    """The part of `se` that more features of the same documents would not take away; 0 where only features count."""
    down: float = 0.0
    """What another source of error may take off the value, at 95 %."""
    up: float = 0.0
    """What it may add."""

    @staticmethod
    def of(
        value: float,
        se: float,
        df: float,
        confidence: float,
        n: int,
        se_documents: float = 0.0,
        *,
        down: float = 0.0,
        up: float = 0.0,
    ) -> Interval:
        t = t_quantile(0.5 + confidence / 2.0, max(df, 1.0))
        low, high = value - t * _with(se, down), value + t * _with(se, up)
        return Interval(value, se, df, low, high, confidence, n, se_documents, down, up)

    def at(self, confidence: float) -> Interval:
        """The same estimate at another confidence: 1 - 0.05 / m for one of m simultaneous intervals (Bonferroni)."""
        return self._again(confidence, self.down, self.up)

    def and_limits(self, down: float, up: float) -> Interval:
        """The same with another source of error beside those it has."""
        return self._again(self.confidence, math.hypot(self.down, down), math.hypot(self.up, up))

    def _again(self, confidence: float, down: float, up: float) -> Interval:
        return Interval.of(self.value, self.se, self.df, confidence, self.n, self.se_documents, down=down, up=up)

    @property
    def largest_se(self) -> float:
        """Standard error towards the side of the larger error."""
        return _with(self.se, max(self.down, self.up))

    @property
    def p_value(self) -> float:
        """Two-sided, of "the true value is 0": what the interval excludes at `confidence` has p <= 1 - confidence.

        1 where there is no spread: that is no evidence.
        """
        if not self.se > 0:
            return 1.0
        towards_zero = _with(self.se, self.down if self.value > 0 else self.up)
        return float(2.0 * special.stdtr(max(self.df, 1.0), -abs(self.value) / towards_zero))


NORMAL_95 = 1.959963984540054


def t_quantile(share: float, df: float) -> float:
    """Quantile of Student's t: `scipy.stats.t.ppf` without its checks, which take a hundred times as long."""
    return float(special.stdtrit(df, share))


def _with(se: float, limit: float) -> float:
    """Standard error with that of an error that is within `limit` at 95 %."""
    return math.hypot(se, limit / NORMAL_95)
