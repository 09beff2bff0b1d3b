"""Activation mass of each feature by token and by pair (previous token, token), in bounded memory.

A sorted table of (feature, gram) -> mass, firings. Events wait in a buffer; a full buffer is sorted once,
for tokens and pairs alike, and its sums are sorted into the tables. A feature that holds more than twice
`keep` grams when the tables are pruned is cut to its `keep` heaviest; what a lost gram may have weighed
adds up to `error`, so every listed mass is exact up to `error` (Misra & Gries 1982; merging adds the
errors: Agarwal et al. 2012). Up to twice `keep` distinct grams the table is exact.

What is lost depends on when the tables are pruned. That is decided by the corpus alone: every shard of
the token file is folded from empty tables, which are pruned after so many events of the whole dictionary
and at the shard's end, and then merged into those of the shards before it. So the result is the same
whatever the buffers, the number of workers and the range of features a summary is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.events import Events
from autointerp.extract.segments import rank_in_run, run_ids, run_lengths, run_starts, sort_by
from autointerp.records import GramTable, Int64

BUFFER = 1 << 18
KEEP = 320

RANGES = 16
"""Tables of a counter, by ranges of features: only one is taken apart at a time."""


@dataclass(frozen=True)
class Table:
    key: Tensor  # int64, feature * n_grams + gram, rising
    mass: Tensor  # float64
    count: Tensor  # int32

    def take(self, index: Tensor | slice) -> Table:
        return Table(self.key[index], self.mass[index], self.count[index])


def _sum(parts: list[Table]) -> Table:
    """One table: equal keys added up."""
    key = torch.cat([part.key for part in parts])
    key, order = torch.sort(key, stable=True)
    starts = run_starts(key)
    ids = run_ids(starts, len(key))
    mass = torch.zeros(len(starts), dtype=torch.float64, device=key.device)
    count = torch.zeros(len(starts), dtype=torch.int32, device=key.device)
    mass.index_add_(0, ids, torch.cat([part.mass for part in parts])[order])
    count.index_add_(0, ids, torch.cat([part.count for part in parts])[order])
    return Table(key[starts], mass, count)


class GramCounter:
    """`n_grams` is the number of different grams there can be: a gram is an integer below it."""

    def __init__(self, n_features: int, n_grams: int, device: torch.device, keep: int = KEEP) -> None:
        self.n_features, self.n_grams, self.keep = n_features, n_grams, keep
        self.error = torch.zeros(n_features, dtype=torch.float64, device=device)
        none = torch.zeros(0, dtype=torch.int64, device=device)
        self._tables = [Table(none, none.double(), none.int())] * RANGES
        self._limits = torch.arange(1, RANGES, device=device) * (-(-n_features // RANGES) * n_grams)
        self._waiting: list[Table] = []
        self._n_waiting = self._n_held = 0

    def empty(self) -> GramCounter:
        """A counter of the same grams that has counted nothing."""
        return GramCounter(self.n_features, self.n_grams, self.error.device, self.keep)

    def add(self, key: Tensor, mass: Tensor, count: Tensor) -> None:
        self._waiting.append(Table(key, mass, count))
        self._n_waiting += len(key)
        if self._n_waiting > max(BUFFER, self._n_held // 2):
            self.compact()

    def merge(self, other: GramCounter) -> None:
        """Takes in the pruned tables of other contexts."""
        self.compact()
        other.compact()
        for i, theirs in enumerate(other._tables):
            if len(theirs.key):
                mine = self._tables[i]
                self._tables[i] = self._pruned(_sum([mine, theirs])) if len(mine.key) else theirs
        self.error += other.error
        self._n_held = sum(len(table.key) for table in self._tables)

    def prune(self) -> None:
        self.compact()
        self._tables = [self._pruned(table) if len(table.key) else table for table in self._tables]
        self._n_held = sum(len(table.key) for table in self._tables)

    def compact(self) -> None:
        """Sums what waits into the tables; nothing is lost by it."""
        if not self._waiting:
            return
        new = _sum(self._waiting)
        self._waiting, self._n_waiting = [], 0
        ends = [0, *torch.searchsorted(new.key, self._limits).tolist(), len(new.key)]
        for i, (first, last) in enumerate(pairwise(ends)):
            if last > first:
                self._tables[i] = _sum([self._tables[i], new.take(slice(first, last))])
        self._n_held = sum(len(table.key) for table in self._tables)

    def _pruned(self, table: Table) -> Table:
        feature = table.key // self.n_grams
        over = torch.bincount(feature, minlength=self.n_features) > 2 * self.keep
        if not bool(over.any()):
            return table
        index = over[feature].nonzero().squeeze(1)
        order = index[sort_by(feature[index], _falling(table.mass[index]))]
        lost = order[rank_in_run(feature[order]) >= self.keep]
        self.error += torch.zeros_like(self.error).scatter_reduce_(0, feature[lost], table.mass[lost], "amax")
        kept = torch.ones(len(feature), dtype=torch.bool, device=feature.device)
        kept[lost] = False
        return table.take(kept)

    def heaviest(self, top: int) -> tuple[Int64, Int64, np.ndarray, Int64]:
        """`(start [F + 1], gram, mass, n_firing)` of the `top` heaviest grams, falling; ties by gram."""
        self.compact()
        parts = []
        for table in self._tables:
            feature = table.key // self.n_grams
            order = sort_by(feature, _falling(table.mass))
            parts.append(table.take(order[rank_in_run(feature[order]) < top]))
        key = torch.cat([part.key for part in parts])
        counts = torch.bincount(key // self.n_grams, minlength=self.n_features)
        start = np.concatenate([[0], np.cumsum(counts.cpu().numpy())]).astype(np.int64)
        mass, count = torch.cat([part.mass for part in parts]), torch.cat([part.count for part in parts])
        return start, (key % self.n_grams).cpu().numpy(), mass.cpu().numpy(), count.long().cpu().numpy()


class GramSorter:
    """Sums of a shard's events by token and by pair, from one sort: a pair's gram is token * (V + 1) + previous + 1.

    `tokens` and `pairs` take in the shard's tables at its end. `n_all`: features of the whole dictionary.
    """

    def __init__(self, tokens: GramCounter, pairs: GramCounter, n_all: int) -> None:
        self._whole = (tokens, pairs)
        self._tokens, self._pairs = tokens.empty(), pairs.empty()
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._n_waiting = self._n_unpruned = 0
        self._prune_after = 2 * pairs.keep * n_all

    def passed(self, n: int) -> None:
        """So many more events of the whole dictionary have passed; after as many as the tables hold they are pruned."""
        self._n_unpruned += n
        if self._n_unpruned > self._prune_after:
            self._prune()

    def end_shard(self) -> None:
        """The next events are of another shard."""
        self._prune()
        for whole, shard in zip(self._whole, (self._tokens, self._pairs), strict=True):
            whole.merge(shard)
        self._tokens, self._pairs = self._tokens.empty(), self._pairs.empty()

    def _prune(self) -> None:
        self.flush()
        self._tokens.prune()
        self._pairs.prune()
        self._n_unpruned = 0

    def add(self, events: Events) -> None:
        per_token = self._pairs.n_grams // self._tokens.n_grams
        gram = events.rows.token * per_token + events.rows.previous + 1
        self._waiting.append((gram[events.row].add_(events.feature, alpha=self._pairs.n_grams), events.value))
        self._n_waiting += len(events)
        if self._n_waiting > BUFFER:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        pair, value = (torch.cat(column) for column in zip(*self._waiting, strict=True))
        self._waiting, self._n_waiting = [], 0
        pair, order = torch.sort(pair, stable=True)
        starts = run_starts(pair)
        mass = torch.segment_reduce(value[order].double(), "sum", lengths=run_lengths(starts, len(pair)), unsafe=True)
        count = run_lengths(starts, len(pair))
        self._pairs.add(pair[starts], mass, count.int())
        token = pair[starts] // (self._pairs.n_grams // self._tokens.n_grams)
        starts = run_starts(token)
        ids = run_ids(starts, len(token))
        self._tokens.add(
            token[starts],
            torch.segment_reduce(mass, "sum", lengths=run_lengths(starts, len(token)), unsafe=True),
            torch.zeros_like(starts).index_add_(0, ids, count).int(),
        )


def _falling(mass: Tensor) -> Tensor:
    """Integers that sort from the largest of positive doubles down: sorted in a fraction of the time."""
    return -mass.view(torch.int64)


def gram_table(counter: GramCounter, top: int, d_vocab: int, n_seen: Int64, *, pairs: bool) -> GramTable:
    """The record of the heaviest grams; `n_seen` [entries] as `heaviest` orders them."""
    start, gram, mass, n_firing = counter.heaviest(top)
    return GramTable(
        start=start,
        previous=(gram % (d_vocab + 1) - 1 if pairs else np.full(len(gram), -1)).astype(np.int32),
        token=(gram // (d_vocab + 1) if pairs else gram).astype(np.int32),
        mass=mass,
        n_firing=n_firing,
        n_seen=n_seen,
        mass_error=counter.error.cpu().numpy(),
    )
