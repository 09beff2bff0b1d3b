"""An estimate with its standard error: the interval at any confidence, and the p-value of "it is zero"."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats


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

    @staticmethod
    def of(value: float, se: float, df: float, confidence: float, n: int, se_documents: float = 0.0) -> Interval:
        half = float(stats.t.ppf(0.5 + confidence / 2.0, max(df, 1.0))) * se
        return Interval(value, se, df, value - half, value + half, confidence, n, se_documents)

    def at(self, confidence: float) -> Interval:
        """The same estimate at another confidence: 1 - 0.05 / m for one of m simultaneous intervals (Bonferroni)."""
        return Interval.of(self.value, self.se, self.df, confidence, self.n, self.se_documents)

    @property
    def p_value(self) -> float:
        """Two-sided, of "the true value is 0": what the interval excludes at `confidence` has p <= 1 - confidence.

        1 where there is no spread: that is no evidence.
        """
        if not self.se > 0:
            return 1.0
        return float(2.0 * stats.t.sf(abs(self.value) / self.se, max(self.df, 1.0)))
