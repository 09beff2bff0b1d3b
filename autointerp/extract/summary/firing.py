"""In which windows of a shared pool each feature fires: one bit each, so that it is bounded and merges by adding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.extract.summary.segments import true_at
from autointerp.records import Bool, Int64

AT_ONCE = 1 << 24
"""Bits that are unpacked at once."""


class FiringBits:
    """`pool` are window numbers, rising."""

    def __init__(self, n_features: int, pool: Tensor) -> None:
        self.pool = pool
        self._bits = torch.zeros((n_features, -(-len(pool) // 8)), dtype=torch.uint8, device=pool.device)

    def numbers(self, window: Tensor) -> Tensor:
        """Number in the pool of each window; -1 where it is not in it."""
        if len(self.pool) == 0:
            return torch.full_like(window, -1)
        place = torch.searchsorted(self.pool, window).clamp_(max=len(self.pool) - 1)
        return torch.where(self.pool[place] == window, place, -1)

    def add(self, events: Events) -> Tensor:
        """Takes in the windows in which features fire; returns the number in the pool of each row's window, or -1."""
        number_of = self.numbers(events.rows.window)
        if usable(self._bits):
            steps.add_to_pool(events.window_feature, events.window_row, number_of, self._bits)
            return number_of
        number = number_of.index_select(0, events.window_row)
        pooled = true_at(number >= 0)
        feature, number = events.window_feature[pooled], number[pooled]
        bit = torch.bitwise_left_shift(torch.ones_like(number), number & 7).to(torch.uint8)
        self._bits.view(-1).index_add_(0, (number >> 3).add_(feature, alpha=self._bits.shape[1]), bit)
        return number_of

    def merge(self, other: FiringBits) -> None:
        self._bits |= other._bits

    def fires(self, features: Int64) -> Bool:
        """[len(features), len(pool)]"""
        bits = self._bits[torch.from_numpy(features)].cpu().numpy()
        return np.unpackbits(bits, axis=1, count=len(self.pool), bitorder="little").view(np.bool_)

    def portions(self, features: Int64) -> Iterator[tuple[Int64, Bool]]:
        """Some of these features after the others, and `fires` of them."""
        step = max(1, AT_ONCE // max(1, len(self.pool)))
        for first in range(0, len(features), step):
            some = features[first : first + step]
            yield some, self.fires(some)
