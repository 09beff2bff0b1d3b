"""Activation mass of each feature by token and by pair (previous token, token), in bounded memory.

A sorted table of (feature, gram) -> mass, firings. New events wait in a buffer; a full buffer is sorted
into the table. A feature that then holds more than twice `keep` grams is cut to its `keep` heaviest; what a lost
gram may have weighed adds up to `error`, so every listed mass is exact up to `error` (Misra & Gries
1982; merging adds the errors: Agarwal et al. 2012). Up to twice `keep` distinct grams the table is exact.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.segments import rank_in_run, run_ids, run_starts, sort_by
from autointerp.records import GramTable, Int64

BUFFER = 1 << 18


class GramCounter:
    """`n_grams` is the number of different grams there can be: a gram is an integer below it."""

    def __init__(self, n_features: int, n_grams: int, device: torch.device, keep: int = 512) -> None:
        self.n_features, self.n_grams, self.keep = n_features, n_grams, keep
        self.key = torch.zeros(0, dtype=torch.int64, device=device)
        self.mass = torch.zeros(0, dtype=torch.float64, device=device)
        self.count = torch.zeros(0, dtype=torch.int64, device=device)
        self.error = torch.zeros(n_features, dtype=torch.float64, device=device)
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self._n_waiting = 0

    def add(self, feature: Tensor, gram: Tensor, value: Tensor) -> None:
        self._waiting.append((feature * self.n_grams + gram, value.double(), torch.ones_like(gram)))
        self._n_waiting += len(gram)
        if self._n_waiting > max(BUFFER, len(self.key)):
            self.compact()

    def merge(self, other: GramCounter) -> None:
        other.compact()
        self._waiting.append((other.key, other.mass, other.count))
        self._n_waiting += len(other.key)
        self.error += other.error
        self.compact()

    def compact(self) -> None:
        key = torch.cat([self.key, *(item[0] for item in self._waiting)])
        mass = torch.cat([self.mass, *(item[1] for item in self._waiting)])
        count = torch.cat([self.count, *(item[2] for item in self._waiting)])
        self._waiting, self._n_waiting = [], 0
        order = torch.sort(key, stable=True).indices
        key = key[order]
        starts = run_starts(key)
        ids = run_ids(starts, len(key))
        self.key = key[starts]
        self.mass = torch.zeros(len(starts), dtype=torch.float64, device=key.device).index_add_(0, ids, mass[order])
        self.count = torch.zeros(len(starts), dtype=torch.int64, device=key.device).index_add_(0, ids, count[order])
        self._prune()

    def _prune(self) -> None:
        feature = self.key // self.n_grams
        if len(feature) == 0 or int(torch.bincount(feature, minlength=1).max()) <= 2 * self.keep:
            return
        order = sort_by(feature, -self.mass)
        lost = order[rank_in_run(feature[order]) >= self.keep]
        heaviest = torch.zeros_like(self.error).scatter_reduce_(0, feature[lost], self.mass[lost], "amax")
        self.error += heaviest
        kept = torch.ones(len(feature), dtype=torch.bool, device=feature.device)
        kept[lost] = False
        self.key, self.mass, self.count = self.key[kept], self.mass[kept], self.count[kept]

    def heaviest(self, top: int) -> tuple[Int64, Int64, np.ndarray, Int64]:
        """`(start [F + 1], gram, mass, n_firing)` of the `top` heaviest grams, falling; ties by gram."""
        self.compact()
        feature = self.key // self.n_grams
        order = sort_by(feature, -self.mass)
        order = order[rank_in_run(feature[order]) < top]
        counts = torch.bincount(feature[order], minlength=self.n_features)
        start = np.concatenate([[0], np.cumsum(counts.cpu().numpy())]).astype(np.int64)
        gram = (self.key[order] % self.n_grams).cpu().numpy()
        return start, gram, self.mass[order].cpu().numpy(), self.count[order].cpu().numpy()


def gram_table(counter: GramCounter, top: int, d_vocab: int, n_seen: Int64, *, pairs: bool) -> GramTable:
    """The record of the heaviest grams; `n_seen` [entries] as `heaviest` orders them."""
    start, gram, mass, n_firing = counter.heaviest(top)
    return GramTable(
        start=start,
        previous=(gram // d_vocab - 1 if pairs else np.full(len(gram), -1)).astype(np.int32),
        token=(gram % d_vocab).astype(np.int32),
        mass=mass,
        n_firing=n_firing,
        n_seen=n_seen,
        mass_error=counter.error.cpu().numpy(),
    )
