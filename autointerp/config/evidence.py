"""The section `[evidence]`: how many exemplars are kept for each feature."""

from __future__ import annotations

from pydantic import Field

from autointerp.config.section import Section


class QuantilesSection(Section):
    """Exemplars from bands of equal count: quantiles of the positive activations."""

    n: int = Field(default=10, ge=0, le=100)
    """Bands."""
    each: int = Field(default=4, ge=0, le=100)
    """Exemplars from each band."""


class IntervalsSection(Section):
    """Exemplars from bands of equal width: intervals of activation / maximum."""

    n: int = Field(default=12, ge=0, le=100)
    """Bands."""
    each: int = Field(default=2, ge=0, le=100)
    """Exemplars from each band."""


class EvidenceSection(Section):
    """How many windows of text are kept for each feature, to explain from and to score on."""

    top: int = Field(default=20, ge=1, le=1000)
    """Exemplars of the highest activation, at most one from each context."""
    quantiles: QuantilesSection = QuantilesSection()
    """Exemplars by quantile of the positive activations."""
    intervals: IntervalsSection = IntervalsSection()
    """Exemplars by interval of activation / maximum."""
    random: int = Field(default=20, ge=0, le=1000)
    """Windows drawn at random."""
    near_miss: int = Field(default=10, ge=0, le=1000)
    """Windows that hold one of the feature's usual tokens and in which it stays silent."""
    exclude_outliers: bool = True
    """Whether tokens of enormous norm at the hook (above 3.5 times the median) are kept apart: baselines are fitted
    without them and never fire on them, and exemplars on them are a group of their own."""
    outlier: int = Field(default=5, ge=0, le=1000)
    """Exemplars of the strongest firings on such tokens."""
    left: int | None = Field(default=None, ge=0)
    """Tokens before its peak that an exemplar shows, of `tokens.window` in all; default: 23 of 32."""
    select_windows: int = Field(default=64, ge=8, le=4096)
    """Firing windows kept of the select split."""
    score_windows: int = Field(default=256, ge=8, le=4096)
    """Firing windows kept of the score split; the sample is drawn from them."""

    def left_of(self, window: int) -> int:
        """Tokens before the peak: three quarters of the window, peak included, if the run file does not say."""
        return max(0, 3 * window // 4 - 1) if self.left is None else self.left
