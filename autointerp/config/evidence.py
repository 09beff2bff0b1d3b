"""The section `[evidence]`: how many exemplars are kept for each feature."""

from __future__ import annotations

from pydantic import Field

from autointerp.config.section import Section


class Quantiles(Section):
    """Strata by quantile of the positive activations."""

    n: int = Field(default=10, ge=0, le=100)
    each: int = Field(default=4, ge=0, le=100)


class Intervals(Section):
    """Strata by equal-width interval of activation / maximum."""

    n: int = Field(default=12, ge=0, le=100)
    each: int = Field(default=2, ge=0, le=100)


class Evidence(Section):
    """How many exemplars of the explain split are kept for each feature."""

    top: int = Field(default=20, ge=1, le=1000)
    quantiles: Quantiles = Quantiles()
    intervals: Intervals = Intervals()
    random: int = Field(default=20, ge=0, le=1000)
    near_miss: int = Field(default=10, ge=0, le=1000)
    left: int | None = Field(default=None, ge=0)
    """Tokens before its peak that an exemplar shows, of `tokens.window` in all; default: 23 of 32."""
    select_windows: int = Field(default=64, ge=8, le=4096)  # firing windows kept on the select split
    score_windows: int = Field(default=256, ge=8, le=4096)  # firing windows kept on the score split

    def left_of(self, window: int) -> int:
        """Tokens before the peak: three quarters of the window, peak included, if the run file does not say."""
        return max(0, 3 * window // 4 - 1) if self.left is None else self.left
