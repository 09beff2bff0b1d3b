"""Everything kept of one dictionary during pass 1: a commutative monoid (add batches, merge summaries).

    all splits      statistics
    explain split   mass by token and by pair; top windows, one a context; a small reservoir of firing
                    tokens in each octave of activation; the windows of a shared random pool
    score split     the top windows; a reservoir of firing windows; in which pool windows a feature fires

Which windows are in a pool is known from the tokens alone, before anything is run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.events import Events
from autointerp.extract.firing import PoolFiring
from autointerp.extract.grams import KEEP, GramCounter, GramSorter
from autointerp.extract.keeper import Keeper
from autointerp.extract.segments import descending, hash64, run_ids, run_starts
from autointerp.extract.statistics import OCTAVES, Statistics, octave
from autointerp.hashing import hash64 as hash_array
from autointerp.hashing import stream_key
from autointerp.records import SPLITS, Int64, Split
from autointerp.subject.tokens import TokenFile

EXPLAIN, SCORE = SPLITS.index("explain"), SPLITS.index("score")
OCTAVE_RESERVOIR = 32
"""Firing tokens kept in each octave of a feature's activations (explain split)."""
TOP_SCORED = 20
"""Windows of highest maximum kept on the score split."""
EXPLAIN_POOL = 2_000
SCORE_POOL = 20_000
"""Windows in the shared pools, at most."""


@dataclass(frozen=True)
class SummaryPlan:
    """What is kept, and of which features: `n_features` of them, from number `first` on."""

    n_features: int
    d_vocab: int
    seed: int
    top: int
    score_windows: int
    random: int
    """Windows of the explain pool kept of a feature, where it fires in them: those of smallest hash."""
    first: int = 0
    n_all: int = 0
    """Features of the whole dictionary; 0: these are all."""
    grams: int = KEEP
    """A feature of more than twice as many tokens, or pairs, is cut to this many."""


def pool_windows(tokens: TokenFile, split: Split, seed: int, size: int) -> Int64:
    """The windows of a split of smallest hash(seed, window), rising by number."""
    windows = tokens.scored_windows(split)
    if len(windows) <= size:
        return windows
    u = hash_array(stream_key(seed, "pool"), windows)
    return np.sort(windows[np.argsort(u, kind="stable")[:size]])


class Summary:
    """The summary of one dictionary, or of a range of its features; inside, features are numbered from 0."""

    def __init__(self, plan: SummaryPlan, explain_pool: Tensor, score_pool: Tensor, device: torch.device) -> None:
        self.plan = plan
        n = plan.n_features
        self.statistics = Statistics.empty(n, device)
        self.tokens = GramCounter(n, plan.d_vocab, device, plan.grams)
        self.pairs = GramCounter(n, plan.d_vocab * (plan.d_vocab + 1), device, plan.grams)
        self._grams = GramSorter(self.tokens, self.pairs, plan.n_all or n)
        self.top = Keeper(n, plan.top, device)
        self.octaves = Keeper(n * OCTAVES, OCTAVE_RESERVOIR, device)
        self.score_top = Keeper(n, TOP_SCORED, device)
        self.score_firing = Keeper(n, plan.score_windows, device)
        self.explain_pool, self.score_pool = PoolFiring(n, explain_pool), PoolFiring(n, score_pool)
        self.random = Keeper(n, plan.random, device)

    def add(self, events: Events, n_explain: int | None = None) -> None:
        """Takes in the events of one inner batch; a batch may hold contexts of several splits.

        Events of other features are passed over. `n_explain`: events of the whole dictionary on the explain
        split, where `events` lacks some.
        """
        plan = self.plan
        for split in range(len(SPLITS)):
            mine = events.of_split(split)
            if plan.n_features < plan.n_all:
                mine = mine.of_features(plan.first, plan.first + plan.n_features)
            if len(mine):
                self.statistics.add(mine, split)
                if split == EXPLAIN:
                    self._add_explain(mine)
                if split == SCORE:
                    self._add_score(mine)
        self._grams.passed(events.count(EXPLAIN) if n_explain is None else n_explain)

    def _number(self, feature: Tensor) -> Tensor:
        """The features' numbers in their dictionary: what hashes are taken of."""
        return feature + self.plan.first if self.plan.first else feature

    def _add_explain(self, events: Events) -> None:
        rows, feature, window = events.rows, events.window_feature, events.window_number
        self._grams.add(events)

        # Top: of each context its strongest window, the first where several are equally strong.
        key = descending(events.window_max) | window
        fits = self.top.fits(feature, key)
        starts = run_starts(feature[fits], rows.context[events.window_row[fits]])
        ids = run_ids(starts, len(fits))
        best = torch.full_like(starts, torch.iinfo(torch.int64).max).scatter_reduce_(0, ids, key[fits], "amin")
        fits = fits[key[fits] == best[ids]]
        self.top.add(events, fits, feature[fits], key[fits])

        # Reservoir of firing tokens by octave: the smallest hashes of (feature, context, position).
        key = hash64(stream_key(self.plan.seed, "token"), self._number(events.feature), events.context, events.position)
        group = octave(events.value).add_(events.feature, alpha=OCTAVES)
        event = self.octaves.fits(group, key)
        of_event = torch.searchsorted(events.window_start, event, right=True) - 1
        self.octaves.add(events, of_event, group[event], key[event], event)

        # The pool: where it fires, and the windows of smallest hash.
        number = self.explain_pool.numbers(rows.window)[events.window_row]
        in_pool = (number >= 0).nonzero().squeeze(1)
        self.explain_pool.add(feature[in_pool], number[in_pool])
        key = hash64(random_key(self.plan.seed), self._number(feature[in_pool]), window[in_pool])
        fits = self.random.fits(feature[in_pool], key)
        self.random.add(events, in_pool[fits], feature[in_pool[fits]], key[fits])

    def _add_score(self, events: Events) -> None:
        feature, window = events.window_feature, events.window_number
        key = descending(events.window_max) | window
        fits = self.score_top.fits(feature, key)
        self.score_top.add(events, fits, feature[fits], key[fits])
        key = hash64(window_key(self.plan.seed), self._number(feature), window)
        fits = self.score_firing.fits(feature, key)
        self.score_firing.add(events, fits, feature[fits], key[fits])
        number = self.score_pool.numbers(events.rows.window)[events.window_row]
        in_pool = (number >= 0).nonzero().squeeze(1)
        self.score_pool.add(feature[in_pool], number[in_pool])

    def merge(self, other: Summary) -> None:
        """Takes in the summary of other shards; of later ones, where grams were pruned (`grams.py`)."""
        self.end_shard()
        other.end_shard()
        self.statistics.merge(other.statistics)
        for name in ("tokens", "pairs"):
            getattr(self, name).merge(getattr(other, name))
        for name in ("top", "octaves", "score_top", "score_firing", "random"):
            getattr(self, name).merge(getattr(other, name))
        self.explain_pool.merge(other.explain_pool)
        self.score_pool.merge(other.score_pool)

    def end_shard(self) -> None:
        """The next events are of another shard, or there are none."""
        self.statistics.end_shard()
        self._grams.end_shard()

    def pool_firing(self) -> tuple[Int64, Int64]:
        """CSR `(start [F + 1], pool number)`: the score pool's windows in which each feature fires, rising."""
        parts = list(self.score_pool.by_feature(np.arange(self.plan.n_features)))
        lengths = np.concatenate([np.diff(start) for start, _ in parts])
        return np.concatenate([[0], np.cumsum(lengths)]), np.concatenate([number for _, number in parts])


def random_key(seed: int) -> int:
    """Key of the hash of (feature, window) that random windows are chosen by."""
    return stream_key(seed, "random window")


def window_key(seed: int) -> int:
    """Key of `u = hash01(seed, feature, window)`, the same for all explainers (ESTIMATOR.md)."""
    return stream_key(seed, "window")
