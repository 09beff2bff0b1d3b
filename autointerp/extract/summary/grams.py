"""Activation mass of each feature by token and by pair (previous token, token), in bounded memory.

The most frequent tokens have a dense table (`frequent.py`), the pairs of dense features are counted on a
sample of the tokens (`pair_sample.py`). All else: a sorted table of (feature, gram) -> mass, firings. Events
wait; when they are many, they are sorted and summed, and the sums are sorted into the tables. A feature that holds more
than twice `keep` grams when the tables are pruned is cut to its `keep` heaviest; what a lost gram may have
weighed adds up to `error`, so every listed mass is exact up to `error` (Misra & Gries 1982; merging adds the
errors: Agarwal et al. 2012). Up to twice `keep` distinct grams the table is exact.

What is lost depends on when the tables are pruned. That is decided by the corpus alone: every shard of
the token file is folded from empty tables, which are pruned after so many events of the whole dictionary
and at the shard's end, and then merged into those of the shards before it. So the result is the same
whatever the buffers, the number of workers and the range of features a summary is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.frequent import FrequentTokens
from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.extract.summary.pair_sample import place_levels
from autointerp.extract.summary.segments import (
    descending,
    places_of,
    quotient,
    rank_in_run,
    run_lengths,
    run_starts,
    sort_by,
    sorted_keys,
    true_at,
)
from autointerp.memory import give_back
from autointerp.records import ANY_TOKEN, GramTable, Int64

BUFFER = 1 << 18
KEEP = 320

RANGES = 16
"""Tables of a counter, by ranges of features: only one is taken apart at a time."""


@dataclass(frozen=True)
class Table:
    key: Tensor  # int64, feature * n_grams + gram, rising
    mass: Tensor  # float64
    count: Tensor  # int32

    @property
    def columns(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.key, self.mass, self.count

    def take(self, index: Tensor | slice) -> Table:
        if isinstance(index, slice):
            return Table(self.key[index], self.mass[index], self.count[index])
        return Table(*(column.index_select(0, index) for column in (self.key, self.mass, self.count)))


def _nothing(device: torch.device) -> Table:
    none = torch.zeros(0, dtype=torch.int64, device=device)
    return Table(none, none.double(), none.int())


def _summed(key: Tensor, value: Tensor, first: int, span: int) -> Table:
    """The table of events; their keys are `first` to `first + span` - 1."""
    if usable(key):
        return Table(*steps.sum_grams(key, value, first, span))
    key, order = sorted_keys(key - first, span)
    starts = run_starts(key)
    lengths = run_lengths(starts, len(key))
    value = value.index_select(0, order).double()
    mass = torch.segment_reduce(value, "sum", lengths=lengths, unsafe=True)
    return Table(key.index_select(0, starts).add_(first), mass, lengths.int())


def _merged(table: Table, new: Table) -> Table:
    """The sum of two tables, the second much smaller: a search for each of its keys instead of a sort of all."""
    if not len(table.key):
        return new
    if usable(table.key):
        return Table(*steps.merge_grams(table.columns, new.columns))
    place = places_of(table.key, new.key)
    known = table.key.index_select(0, place.clamp(max=len(table.key) - 1)) == new.key
    old, fresh = true_at(known), true_at(~known)
    at = place.index_select(0, fresh).add_(torch.arange(len(fresh), device=place.device))
    is_old = torch.ones(len(table.key) + len(fresh), dtype=torch.bool, device=place.device)
    is_old[at] = False
    old_at = true_at(is_old)
    columns = []
    for name in ("key", "mass", "count"):
        mine, theirs = getattr(table, name), getattr(new, name)
        if name != "key":
            mine = mine.index_add(0, place.index_select(0, old), theirs.index_select(0, old))
        column = torch.empty(len(is_old), dtype=mine.dtype, device=mine.device)
        column.index_copy_(0, old_at, mine).index_copy_(0, at, theirs.index_select(0, fresh))
        columns.append(column)
    return Table(*columns)


class GramCounter:
    """`n_grams` is the number of different grams there can be: a gram is an integer below it."""

    def __init__(self, n_features: int, n_grams: int, device: torch.device, keep: int = KEEP) -> None:
        self.n_features, self.n_grams, self.keep = n_features, n_grams, keep
        self.error = torch.zeros(n_features, dtype=torch.float64, device=device)
        self._tables = [_nothing(device)] * RANGES
        self._span = -(-n_features // RANGES) * n_grams
        self._limits = torch.arange(1, RANGES, device=device) * self._span
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._n_waiting = self._n_held = 0

    def empty(self) -> GramCounter:
        """A counter of the same grams that has counted nothing."""
        return GramCounter(self.n_features, self.n_grams, self.error.device, self.keep)

    def add(self, key: Tensor, value: Tensor) -> None:
        """Events, sorted by feature: their keys (`Table.key`) and activations."""
        self._waiting.append((key, value))
        self._n_waiting += len(key)
        if self._n_waiting > max(BUFFER, self._n_held // 2):
            self.compact()

    def merge(self, other: GramCounter) -> None:
        """Takes in the pruned tables of other contexts, out of `other`, which is left empty."""
        self.compact()
        other.compact()
        for i, mine in enumerate(self._tables):
            theirs, other._tables[i] = other._tables[i], _nothing(mine.key.device)
            if len(theirs.key):
                self._tables[i] = self._merged_and_pruned(mine, theirs) if len(mine.key) else theirs
        self.error += other.error
        other._n_held = 0
        self._n_held = sum(len(table.key) for table in self._tables)

    def prune(self) -> None:
        self._fold(self._merged_and_pruned)

    def compact(self) -> None:
        """Sums what waits into the tables; nothing is lost by it."""
        if self._waiting:
            self._fold(lambda table, new: _merged(table, new) if len(new.key) else table)

    def _fold(self, join: Callable[[Table, Table], Table]) -> None:
        """Joins what waits with the tables, one at a time: two of each would be the peak of pass 1."""
        waiting, self._waiting, self._n_waiting = self._waiting, [], 0
        nothing = _nothing(self.error.device)
        if not waiting:
            for i in range(RANGES):
                self._tables[i] = join(self._tables[i], nothing)
            self._n_held = sum(len(table.key) for table in self._tables)
            return
        borders = torch.stack([torch.searchsorted(key, self._limits) for key, _ in waiting]).tolist()
        ends = [[0, *inner, len(key)] for inner, (key, _) in zip(borders, waiting, strict=True)]
        for i in range(RANGES):
            mine = [slice(*end[i : i + 2]) for end in ends]
            key = torch.cat([keys[some] for some, (keys, _) in zip(mine, waiting, strict=True)])
            value = torch.cat([values[some] for some, (_, values) in zip(mine, waiting, strict=True)])
            new = _summed(key, value, i * self._span, self._span) if len(key) else nothing
            self._tables[i] = join(self._tables[i], new)
        self._n_held = sum(len(table.key) for table in self._tables)
        del waiting
        give_back()  # the tables grow: what they leave behind is too small for them

    def _merged_and_pruned(self, table: Table, new: Table) -> Table:
        if len(table.key) and len(new.key) and usable(table.key):
            return Table(*steps.merge_and_prune(table.columns, new.columns, self.n_grams, self.keep, self.error))
        whole = _merged(table, new) if len(new.key) else table
        return self._pruned(whole) if len(whole.key) else whole

    def _pruned(self, table: Table) -> Table:
        if usable(table.key):
            left = steps.prune_grams(table.columns, self.n_grams, self.keep, self.error)
            return table if left is None else Table(*left)
        feature = quotient(table.key, self.n_grams)
        over = torch.bincount(feature, minlength=self.n_features) > 2 * self.keep
        if not bool(over.any()):
            return table
        index = true_at(over.index_select(0, feature))
        of, mass = feature.index_select(0, index), table.mass.index_select(0, index)
        order = index.index_select(0, sort_by(of, descending(mass.float()) >> 32))
        lost = order.index_select(0, true_at(rank_in_run(feature.index_select(0, order)) >= self.keep))
        self.error += torch.zeros_like(self.error).scatter_reduce_(0, feature[lost], table.mass[lost], "amax")
        kept = torch.ones(len(feature), dtype=torch.bool, device=feature.device)
        kept[lost] = False
        return table.take(true_at(kept))

    def heaviest(self, top: int, frequent: FrequentTokens | None = None) -> tuple[Int64, Int64, np.ndarray, Int64]:
        """`(start [F + 1], gram, mass, n_firing)` of the `top` heaviest grams, falling; ties by gram.

        `frequent`: tokens counted apart.
        """
        self.compact()
        tables = self._tables if frequent is None else self._with(frequent)
        parts = [table.take(_heaviest(table, self.n_grams, top)) for table in tables]
        key = torch.cat([part.key for part in parts])
        counts = torch.bincount(key // self.n_grams, minlength=self.n_features)
        start = np.concatenate([[0], np.cumsum(counts.cpu().numpy())]).astype(np.int64)
        mass, count = torch.cat([part.mass for part in parts]), torch.cat([part.count for part in parts])
        return start, (key % self.n_grams).cpu().numpy(), mass.cpu().numpy(), count.long().cpu().numpy()

    def _with(self, frequent: FrequentTokens) -> Iterator[Table]:
        each = self._span // self.n_grams
        for i, table in enumerate(self._tables):
            feature, token, mass, count = frequent.entries(i * each, (i + 1) * each)
            yield _merged(Table(feature * self.n_grams + token, mass, count), table)


class GramSorter:
    """Sums of a shard's events by token and by pair. A pair's gram is token * (V + 1) + previous + 1.

    `tokens` and `pairs` take in the shard's tables at its end. `level` [F]: the pairs of a feature are counted
    at the places of this level and above (`pair_sample.py`). `n_all`: features of the whole dictionary.
    """

    def __init__(
        self, tokens: GramCounter, pairs: GramCounter, frequent: FrequentTokens, level: Tensor, seed: int, n_all: int
    ) -> None:
        self._whole = (tokens, pairs)
        self._tokens, self._pairs, self._frequent = tokens.empty(), pairs.empty(), frequent
        self._level, self._seed = level, seed
        self._sampled = bool((level > 0).any())
        self._n_unpruned = 0
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
        self._tokens.prune()
        self._pairs.prune()
        self._n_unpruned = 0
        give_back()

    def add(self, events: Events) -> None:
        is_other = self._frequent.add(events)
        _count(self._tokens, events, events.rows.token, is_other, None)
        per_token = self._pairs.n_grams // self._tokens.n_grams
        gram = events.rows.token * per_token + events.rows.previous + 1
        level_of = place_levels(self._seed, events.rows.context, events.rows.position) if self._sampled else None
        _count(self._pairs, events, gram, level_of, self._level)


def _count(counter: GramCounter, events: Events, gram: Tensor, level_of: Tensor | None, level: Tensor | None) -> None:
    """`gram` of each place. With `level_of` each, only of the events where it is at least the feature's `level`; where
    there is none, at least 1."""
    if usable(gram):
        columns = (events.feature, events.row, events.value)
        counter.add(*steps.gram_keys(*columns, gram, counter.n_grams, level_of, level))
        return
    row, feature, value = events.row, events.feature, events.value
    if level_of is not None:
        least: Tensor | int = 1 if level is None else level.index_select(0, feature)
        index = true_at(level_of.index_select(0, row) >= least)
        row, feature, value = (column.index_select(0, index) for column in (row, feature, value))
    counter.add(gram.index_select(0, row).add_(feature, alpha=counter.n_grams), value)


def _heaviest(table: Table, n_grams: int, top: int) -> Tensor:
    """Places of the `top` heaviest entries of each feature, heaviest first."""
    if usable(table.key):
        return steps.heaviest_grams(table.key, table.mass, n_grams, top)
    feature = quotient(table.key, n_grams)
    order = sort_by(feature, _falling(table.mass))
    return order[rank_in_run(feature.index_select(0, order)) < top]


def _falling(mass: Tensor) -> Tensor:
    """Integers that sort from the largest of positive doubles down: sorted in a fraction of the time."""
    return torch.iinfo(torch.int64).max - mass.view(torch.int64)


def token_table(counter: GramCounter, frequent: FrequentTokens, top: int) -> GramTable:
    """The record of the heaviest tokens, without `n_seen`."""
    start, token, mass, n_firing = counter.heaviest(top, frequent)
    return GramTable(
        start=start,
        previous=np.full(len(token), ANY_TOKEN, dtype=np.int32),
        token=token.astype(np.int32),
        mass=mass,
        n_firing=n_firing,
        n_seen=np.zeros_like(n_firing),
        mass_error=counter.error.cpu().numpy(),
    )


def pair_table(counter: GramCounter, level: Int64, top: int, d_vocab: int) -> GramTable:
    """The record of the heaviest pairs, without `n_seen`; scaled up to all tokens."""
    start, gram, mass, n_firing = counter.heaviest(top)
    times = np.left_shift(1, level)
    of_entry = np.repeat(times, np.diff(start))
    return GramTable(
        start=start,
        previous=(gram % (d_vocab + 1) - 1).astype(np.int32),
        token=(gram // (d_vocab + 1)).astype(np.int32),
        mass=mass * of_entry,
        n_firing=n_firing * of_entry,
        n_seen=np.zeros_like(n_firing),
        mass_error=counter.error.cpu().numpy() * times,
        share=1.0 / times,
    )
