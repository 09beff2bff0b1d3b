"""Counts, moments and histograms of each feature on each split: plain sums, so they merge by adding.

The histogram has 8 equal bins in each octave [2^e, 2^(e+1)), e from -16 to 15, the ends open. Bins of
equal width over [0, 2^e') are unions of these bins, whatever e' turns out to be: that is how a linear
histogram can be kept before the maximum is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.records import SPLITS, Float64, Int64

LOWEST, OCTAVES, PER_OCTAVE = -16, 32, 8
LINEAR_BINS = 16
POSITION_BINS = 16


@dataclass
class Statistics:
    """Sums by (split, feature); shapes [3, F], the histograms [3, F, 256] and [3, F, 16]."""

    n_firing_windows: Tensor  # int64
    total: Tensor  # float64, sum of the activations
    total2: Tensor  # float64, sum of their squares
    maximum: Tensor  # float32
    histogram: Tensor  # int32
    positions: Tensor  # int32, firings by place in the context: bin of place p is p * 16 // context length
    outliers: Tensor  # int32 [3, F, 32], firings on outliers by octave; they are in the histogram too
    shard_total: Tensor
    shard_total2: Tensor
    """Sums over the shard under way: added up in the order of the shards, they are the same to the last bit whoever did
    which shard."""

    @classmethod
    def empty(cls, n_features: int, device: torch.device) -> Statistics:
        shape = (len(SPLITS), n_features)
        return cls(
            n_firing_windows=torch.zeros(shape, dtype=torch.int64, device=device),
            total=torch.zeros(shape, dtype=torch.float64, device=device),
            total2=torch.zeros(shape, dtype=torch.float64, device=device),
            maximum=torch.zeros(shape, dtype=torch.float32, device=device),
            histogram=torch.zeros((*shape, OCTAVES * PER_OCTAVE), dtype=torch.int32, device=device),
            positions=torch.zeros((*shape, POSITION_BINS), dtype=torch.int32, device=device),
            outliers=torch.zeros((*shape, OCTAVES), dtype=torch.int32, device=device),
            shard_total=torch.zeros(shape, dtype=torch.float64, device=device),
            shard_total2=torch.zeros(shape, dtype=torch.float64, device=device),
        )

    def add(self, events: Events, split: int) -> None:
        """Takes in events of one split."""
        if usable(events.value):
            self._add_by_kernel(events, split)
            return
        feature, value = events.feature, events.value.double()
        self.shard_total[split].index_add_(0, feature, value)
        self.shard_total2[split].index_add_(0, feature, value.square_())
        self.maximum[split].scatter_reduce_(0, events.window_feature, events.window_max, "amax")
        bins = fine_bin(events.value).add_(feature, alpha=OCTAVES * PER_OCTAVE)
        ones = torch.ones_like(bins, dtype=torch.int32)
        self.histogram[split].view(-1).index_add_(0, bins, ones)
        bins = position_bins(events.rows.position).index_select(0, events.row).add_(feature, alpha=POSITION_BINS)
        self.positions[split].view(-1).index_add_(0, bins, ones)
        if events.at_outliers is not None:
            bins = octave(value_at := events.value[events.at_outliers])
            bins.add_(feature[events.at_outliers], alpha=OCTAVES)
            self.outliers[split].view(-1).index_add_(0, bins, torch.ones_like(value_at, dtype=torch.int32))
        windows = torch.ones_like(events.window_feature)
        self.n_firing_windows[split].index_add_(0, events.window_feature, windows)

    def _add_by_kernel(self, events: Events, split: int) -> None:
        steps.add_statistics(
            events.feature,
            events.row,
            events.value,
            position_bins(events.rows.position),
            events.rows.outlier if events.rows.has_outliers else None,
            events.window_feature,
            events.window_max,
            self.shard_total[split],
            self.shard_total2[split],
            self.histogram[split],
            self.positions[split],
            self.outliers[split],
            self.maximum[split],
            self.n_firing_windows[split],
        )

    @property
    def n_firing(self) -> Tensor:
        """[3, F] int64"""
        return self.positions.sum(dim=2)  # the smaller of the two that count every firing once

    @property
    def n_firing_outliers(self) -> Tensor:
        """[3, F] int64: firings on outliers."""
        return self.outliers.sum(dim=2)

    def end_shard(self) -> None:
        for whole, shard in ((self.total, self.shard_total), (self.total2, self.shard_total2)):
            whole.add_(shard)
            shard.zero_()

    def merge(self, other: Statistics) -> None:
        for name in ("n_firing_windows", "total", "total2", "histogram", "positions", "outliers"):
            getattr(self, name).add_(getattr(other, name))
        torch.maximum(self.maximum, other.maximum, out=self.maximum)


def position_bins(position: Tensor) -> Tensor:
    """0 .. 15 for each row of an inner batch, whose last row is the last place of a context."""
    return position * POSITION_BINS // (position[-1] + 1)


def octave(value: Tensor) -> Tensor:
    """0 .. OCTAVES - 1: the octave of positive float32 values, the ends open."""
    return (value.view(torch.int32) >> 23).sub_(127 + LOWEST).clamp_(0, OCTAVES - 1).long()


def fine_bin(value: Tensor) -> Tensor:
    """0 .. 255: the octave and, by the leading bits of the mantissa, the eighth of it."""
    eighth = (value.view(torch.int32) >> 20).sub_((127 + LOWEST) << 3)
    return eighth.clamp_(0, OCTAVES * PER_OCTAVE - 1).long()


def log_histogram(fine: Int64) -> Int64:
    """[..., 256] -> [..., 32]: by octave."""
    return np.asarray(fine.reshape(*fine.shape[:-1], OCTAVES, PER_OCTAVE).sum(axis=-1))


def linear_histograms(fine: Int64, maximum: Float64) -> tuple[Int64, Float64]:
    """Of each feature 16 equal bins over [0, upper), where upper is the power of two above its maximum:
    [n, 256], [n] -> [n, 16], [n]."""
    fires = maximum > 0
    top = np.clip(np.floor(np.log2(np.where(fires, maximum, 1.0))), LOWEST, LOWEST + OCTAVES - 1)
    upper = np.where(fires, 2.0 ** (top + 1), 0.0)
    histograms = np.zeros((len(fine), LINEAR_BINS), dtype=np.int64)
    for scale in np.unique(upper[fires]):  # few: one an octave
        bins = np.minimum((fine_bin_low() / scale * LINEAR_BINS).astype(np.int64), LINEAR_BINS - 1)
        first = np.searchsorted(bins, np.arange(LINEAR_BINS + 1))
        mine = upper == scale
        below = np.pad(np.cumsum(fine[mine], axis=1), ((0, 0), (1, 0)))
        histograms[mine] = np.diff(below[:, first], axis=1)
    return histograms, upper


def fine_bin_low() -> Float64:
    """Lower edge of each fine bin; the first one's is 0. [256]"""
    octaves, eighths = np.divmod(np.arange(OCTAVES * PER_OCTAVE), PER_OCTAVE)
    low = 2.0 ** (octaves + LOWEST) * (1 + eighths / PER_OCTAVE)
    low[0] = 0.0
    return np.asarray(low, dtype=np.float64)
