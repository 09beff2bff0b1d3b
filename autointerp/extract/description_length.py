"""Bits a token: what it costs to tell somebody the activations of a dictionary's features, at a stated precision.

Each feature's contribution (its activation times the norm of what it writes) is rounded to multiples of a step, and
features are coded one by one, as if they were independent:

    bits = sum over features of H(q),  H(q) = - sum over levels l of p(l) log2 p(l),  q = round(contribution / step)

p(l) is the share of tokens at level l, 0 for silent ones, so a code that knows these shares spends that on average.
(Description length of sparse features after Ayonrinde, Pearce & Sharkey 2024, "Interpretability as Compression", who
bound it by L0 x (bits of a value + log2 of the number of features); the entropy needs no bound.) Entropies of counts
are too low by about (levels seen - 1) / (2 tokens) nats, which is added (Miller 1955).

The step is PRECISION times the median norm of the activations at the hook point: the same for all dictionaries that
write there. Beside it the same of the activations' own coordinates, their means taken off: what no dictionary costs. A
length says nothing without what it buys: the variance that the dictionary explains on the same tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float64

PRECISION = 1 / 64
LEVELS = 512
"""Levels that are told apart, half of them above 0: up to four times the median norm. What is further counts as the
last."""
ROWS_AT_ONCE = 1 << 14
"""Features whose entropy is computed together."""


class LevelCounts:
    """How often each of F numbers, signed or not, was rounded to each level."""

    def __init__(self, n: int, step: float, device: torch.device, *, signed: bool) -> None:
        self._step, self._signed = step, signed
        self._first = -(LEVELS // 2) if signed else 0
        self._n_levels = LEVELS if signed else LEVELS // 2
        self._counts = torch.zeros((n, self._n_levels), dtype=torch.int32, device=device)
        self.n_tokens = 0
        self.n_cut = 0
        """Values further than the last level."""

    def add(self, values: Tensor) -> None:
        """[R, F]"""
        level = (values / self._step).round_()
        last = self._first + self._n_levels - 1
        self.n_cut += int(((level > last) | (level < self._first)).sum())
        level = level.clamp_(self._first, last)
        row, column = level.nonzero(as_tuple=True)
        place = column * self._n_levels + (level[row, column] - self._first).long()
        self._counts.view(-1).index_add_(0, place, torch.ones_like(place, dtype=torch.int32))
        self.n_tokens += len(values)

    def entropies(self) -> Float64:
        """[F] bits"""
        bits = np.zeros(len(self._counts))
        for first in range(0, len(bits), ROWS_AT_ONCE):
            counts = self._counts[first : first + ROWS_AT_ONCE].cpu().double()
            counts[:, -self._first] = self.n_tokens - counts.sum(dim=1)  # level 0 is not counted one by one
            share = counts / max(self.n_tokens, 1)
            seen = (counts > 0).sum(dim=1).double()
            nats = -torch.xlogy(share, share).sum(dim=1) + (seen - 1) / (2 * max(self.n_tokens, 1))
            bits[first : first + ROWS_AT_ONCE] = (nats / np.log(2)).numpy()
        return bits

    @property
    def mean_active(self) -> float:
        """Numbers a token that are not rounded to 0."""
        return float(self._counts.sum(dtype=torch.int64)) / max(self.n_tokens, 1)
