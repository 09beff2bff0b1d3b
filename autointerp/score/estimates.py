"""An estimated correlation with its interval, for many features at once.

1. `pearson_gradient`: how Pearson's correlation moves when each of the six moments does, so that the error of
   the correlation is that of a weighted sum (Taylor linearisation; Särndal, Swensson & Wretman 1992, ch. 5);
2. `pearson_interval`: Fisher's z with Student's t: tanh(atanh r -+ t(df) x se / (1 - r^2)), shifted if asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from autointerp.score.metrics import FloatArray, StrArray, pearson, pearson_status

NO_VALUE = ("rare", "failed")
"""Statuses without a value."""


@dataclass(frozen=True)
class Estimates:
    """One estimate per feature; every field has the same shape [...]."""

    value: FloatArray
    """The estimate; nan where `status` is in NO_VALUE, 0 where it is `constant`."""
    ci_low: FloatArray
    ci_high: FloatArray
    """Limits of the interval; nan where there is no value, where the prediction is constant, and where the
    standard error is not defined."""
    se: FloatArray
    """Standard error of `value` (not of its Fisher z)."""
    df: FloatArray
    """Degrees of freedom of Student's t."""
    n: npt.NDArray[np.int64]
    """Windows (sample) or tokens (census) behind the value."""
    status: StrArray
    """One of `autointerp.score.metrics.STATUSES`."""

    def with_status(self, status: StrArray) -> Estimates:
        """The same with other statuses; a status in NO_VALUE takes the value away."""
        gone = np.isin(status, NO_VALUE)
        blank = {k: np.where(gone, np.nan, getattr(self, k)) for k in ("value", "ci_low", "ci_high", "se", "df")}
        return replace(self, status=status, **blank)

    def without_interval(self, where: npt.NDArray[np.bool_], status: str) -> Estimates:
        """The same with this status and no interval there; the value stays."""
        blank = {k: np.where(where, np.nan, getattr(self, k)) for k in ("ci_low", "ci_high", "se", "df")}
        return replace(self, status=np.where(where, status, self.status), **blank)

    def with_low(self, highest: FloatArray) -> Estimates:
        """The same with lower ends no higher than these."""
        return replace(self, ci_low=np.where(self.ci_low > highest, highest, self.ci_low))

    def less(self, bias: FloatArray) -> Estimates:
        """The same with values lower by `bias`, as far as the interval reaches; the interval stays."""
        corrected = np.clip(self.value - bias, self.ci_low, self.ci_high)
        return replace(self, value=np.where(np.isnan(corrected), self.value, corrected))

    def with_n(self, n: npt.NDArray[np.int64]) -> Estimates:
        return replace(self, n=n)

    @staticmethod
    def join(parts: Sequence[Estimates], shape: tuple[int, ...]) -> Estimates:
        """Chunks of features one after the other, brought to `shape`."""

        def joined(name: str) -> npt.NDArray[np.float64]:
            return np.concatenate([getattr(part, name) for part in parts]).reshape(shape)

        return Estimates(
            joined("value"),
            joined("ci_low"),
            joined("ci_high"),
            joined("se"),
            joined("df"),
            joined("n").astype(np.int64),
            np.concatenate([part.status for part in parts]).reshape(shape),
        )


def pearson_gradient(totals: npt.ArrayLike) -> FloatArray:
    """Derivative of Pearson's correlation by each moment: [..., 6] -> [..., 6]; 0 where it is not defined.

    With means m_t, m_p and variances v_t, v_p, the windows' z = x . gradient is
    [ (t - m_t)(p - m_p) / sqrt(v_t v_p) - r/2 ((t - m_t)^2 / v_t + (p - m_p)^2 / v_p) ] / n summed over their
    tokens, and sums to 0 over the totals.
    """
    sums = np.asarray(totals, dtype=np.float64)
    fine = (pearson_status(sums) == "ok")[..., None]
    n, t, p, t2, p2, _ = np.moveaxis(np.where(fine, sums, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]), -1, 0)
    r = np.where(fine[..., 0], pearson(sums), 0.0)
    mean_t, mean_p = t / n, p / n
    var_t, var_p = t2 / n - mean_t**2, p2 / n - mean_p**2
    scale = np.sqrt(var_t * var_p)
    by_moment = (
        mean_t * mean_p / scale - r / 2 * (mean_t**2 / var_t + mean_p**2 / var_p),
        -mean_p / scale + r * mean_t / var_t,
        -mean_t / scale + r * mean_p / var_p,
        -r / 2 / var_t,
        -r / 2 / var_p,
        1.0 / scale,
    )
    return np.where(fine, np.stack(by_moment, axis=-1) / n[..., None], 0.0)


ROUNDING = 1e-9
"""Ends of intervals lie this much further out: sums over all tokens and over a sample of the same values differ by less
than this, and a value of 1 must not miss another 1 by 3e-16."""
SHIFT_AT = 0.25
"""Half-width in Fisher's z beyond which the shift of an interval grows no more."""


def pearson_interval(
    r: FloatArray,
    se: FloatArray,
    df: FloatArray,
    n: npt.NDArray[np.int64],
    status: StrArray,
    confidence: float,
    *,
    shifted: bool = False,
) -> Estimates:
    """Fisher's z interval of correlations [...] from their standard errors; at least one degree of freedom.

    `shifted`: moved towards 0 by r min(half, SHIFT_AT)^2, where estimate and standard error err together.
    """
    df = np.maximum(df, 1.0)
    inside = 1.0 - r * r
    half = special.stdtrit(df, 0.5 + confidence / 2.0) * se / np.where(inside > 0, inside, 1.0)
    centre = np.arctanh(np.clip(r, -1.0 + 1e-15, 1.0 - 1e-15))
    if shifted:
        centre = centre - r * np.minimum(half, SHIFT_AT) ** 2
    exact = (inside <= 0) | (se == 0)
    low, high = (np.where(exact, r, np.tanh(end)) for end in (centre - half, centre + half))
    low, high = np.maximum(low - ROUNDING, -1.0), np.minimum(high + ROUNDING, 1.0)
    unknown = status == "constant"
    low, high, se = (np.where(unknown, np.nan, x) for x in (low, high, se))
    return Estimates(r, low, high, se, np.where(unknown, np.nan, df), n, status).with_status(status)
