"""Everything kept of one dictionary during pass 1: a commutative monoid (add batches, merge summaries).

    all splits      statistics
    explain split   mass by token and by pair (dense features: on a sample of tokens); top windows, one a context;
                    a small reservoir of firing tokens in each octave of activation, both without outliers; the top
                    windows on outliers; the windows of a shared random pool
    select, score   the top windows; a reservoir of firing windows; in which pool windows a feature fires

Which windows are in a pool is known from the tokens alone, before anything is run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.firing import FiringBits
from autointerp.extract.summary.fitting import fitting_firings, fitting_top, fitting_windows
from autointerp.extract.summary.frequent import FrequentTokens
from autointerp.extract.summary.grams import KEEP, GramCounter, GramSorter
from autointerp.extract.summary.smallest_keys import Keeper
from autointerp.extract.summary.statistics import OCTAVES, Statistics
from autointerp.hashing import hash64 as hash_array
from autointerp.hashing import stream_key
from autointerp.memory import give_back
from autointerp.records import SPLITS, Int64, Split
from autointerp.subject.tokens import TokenFile

EXPLAIN, SELECT, SCORE = (SPLITS.index(split) for split in SPLITS)
OCTAVE_RESERVOIR = 32
"""Firing tokens kept in each octave of a feature's activations (explain split)."""
SPARE = 2
"""Top windows of the explain split kept for each that is shown: some repeat others, and are left out."""
TOP_SCORED, TOP_SELECTED = 20, 10
"""Windows of highest maximum kept on the score and on the select split."""
EXPLAIN_POOL, SELECT_POOL, SCORE_POOL = 2_000, 4_000, 20_000
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
    select_windows: int
    window: int
    """Tokens of a window, and of the span that an exemplar of the explain split shows around its peak."""
    left: int
    """Tokens of that span before the peak."""
    first: int = 0
    n_all: int = 0
    """Features of the whole dictionary; 0: these are all."""
    norm_limit: float | None = None
    """Tokens with a larger norm at the hook are outliers; None: no token is."""
    outlier: int = 0
    """Windows kept of those with a feature's strongest firings on outliers."""
    grams: int = KEEP
    """A feature of more than twice as many tokens, or pairs, is cut to this many."""


def pool_windows(tokens: TokenFile, split: Split, seed: int, size: int) -> Int64:
    """The windows of a split of smallest hash(seed, window), rising by number."""
    windows = tokens.scored_windows(split)
    if len(windows) <= size:
        return windows
    u = hash_array(stream_key(seed, "pool"), windows)
    return np.sort(windows[np.argsort(u, kind="stable")[:size]])


@dataclass(frozen=True)
class Pools:
    """The shared windows of each split, by number, rising."""

    explain: Tensor
    beside: Tensor
    """Those of the explain split and the windows before and after them: a span around a token reaches into these."""
    select: Tensor
    score: Tensor

    @classmethod
    def of(cls, tokens: TokenFile, seed: int, device: torch.device) -> Pools:
        explain = pool_windows(tokens, "explain", seed, EXPLAIN_POOL)
        parts = (
            explain,
            with_neighbours(tokens, explain),
            pool_windows(tokens, "select", seed, SELECT_POOL),
            pool_windows(tokens, "score", seed, SCORE_POOL),
        )
        return cls(*(torch.from_numpy(part).to(device) for part in parts))


def with_neighbours(tokens: TokenFile, windows: Int64) -> Int64:
    """These windows and those before and after them in their contexts, rising."""
    index = windows % tokens.windows_per_context
    before, after = windows[index > 0] - 1, windows[index < tokens.windows_per_context - 1] + 1
    return np.unique(np.concatenate([windows, before, after]))


class Summary:
    """The summary of one dictionary, or of a range of its features; inside, features are numbered from 0."""

    def __init__(
        self, plan: SummaryPlan, pools: Pools, frequent: Tensor, pair_level: Tensor, device: torch.device
    ) -> None:
        self.plan = plan
        n = plan.n_features
        self.statistics = Statistics.empty(n, device)
        self.tokens = GramCounter(n, plan.d_vocab, device, plan.grams)
        self.pairs = GramCounter(n, plan.d_vocab * (plan.d_vocab + 1), device, plan.grams)
        self.frequent = FrequentTokens(n, frequent, plan.d_vocab)
        self.pair_level = pair_level
        self._grams = GramSorter(self.tokens, self.pairs, self.frequent, pair_level, plan.seed, plan.n_all or n)
        self.top = Keeper(n, SPARE * plan.top, device)
        self.outliers = Keeper(n, SPARE * plan.outlier, device)
        self.octaves = Keeper(n * OCTAVES, OCTAVE_RESERVOIR, device, each=OCTAVES)
        self.score_top = Keeper(n, TOP_SCORED, device)
        self.score_firing = Keeper(n, plan.score_windows, device)
        self.select_top = Keeper(n, TOP_SELECTED, device)
        self.select_firing = Keeper(n, plan.select_windows, device)
        self.pool = pools.explain
        self._in_pool = torch.isin(pools.beside, pools.explain)
        self.explain_pool, self.score_pool = FiringBits(n, pools.beside), FiringBits(n, pools.score)
        self.select_pool = FiringBits(n, pools.select)
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
                if split == SELECT:
                    self._add_held_out(mine, self.select_top, self.select_firing, self.select_pool)
                if split == SCORE:
                    self._add_held_out(mine, self.score_top, self.score_firing, self.score_pool)
        self._grams.passed(events.count(EXPLAIN) if n_explain is None else n_explain)

    def _add_explain(self, events: Events) -> None:
        plan, feature = self.plan, events.window_feature
        span = (plan.left, plan.window)
        quiet = events.at_outliers
        self._grams.add(events)
        self._add_top(self.top, events, events if quiet is None else events.only(~quiet))
        if quiet is not None and plan.outlier:
            self._add_top(self.outliers, events, events.only(quiet))

        # Reservoir of firing tokens by octave: the smallest hashes of (feature, context, position).
        event, window, group, key = fitting_firings(self.octaves, events, stream_key(plan.seed, "token"), plan.first)
        self.octaves.add(events, window, group, key, event, span)

        # The pool: where it fires, there and beside it, and the windows of smallest hash.
        number = self.explain_pool.add(events)
        wanted = number >= 0
        wanted[wanted.clone()] = self._in_pool[number[wanted]]
        window, key = fitting_windows(self.random, events, random_key(plan.seed), plan.first, wanted)
        self.random.add(events, window, feature[window], key)

    def _add_top(self, keeper: Keeper, events: Events, counted: Events) -> None:
        """Of each context its strongest window, the first where several are equally strong.

        `counted`: the same events, 0 where they are not to be chosen for; what is shown around a peak is all of them.
        """
        window, key = fitting_top(keeper, counted, one_a_context=True, only_positive=counted is not events)
        span = (self.plan.left, self.plan.window)
        keeper.add(events, window, events.window_feature[window], key, counted.peaks(window), span)

    def _add_held_out(self, events: Events, top: Keeper, firing: Keeper, pool: FiringBits) -> None:
        """Select and score split: the same kinds of windows, in other numbers."""
        window, key = fitting_top(top, events)
        top.add(events, window, events.window_feature[window], key)
        window, key = fitting_windows(firing, events, window_key(self.plan.seed), self.plan.first)
        firing.add(events, window, events.window_feature[window], key)
        pool.add(events)

    def merge(self, other: Summary) -> None:
        """Takes in the summary of other shards; of later ones, where grams were pruned (`grams.py`)."""
        if not torch.equal(self.pair_level, other.pair_level):
            raise ValueError("summaries whose pairs were counted on different samples of tokens cannot be merged")
        self.end_shard()
        other.end_shard()
        self.statistics.merge(other.statistics)
        for name in ("tokens", "pairs", "frequent"):
            getattr(self, name).merge(getattr(other, name))
        for name in (
            "top",
            "outliers",
            "octaves",
            "random",
            "select_top",
            "select_firing",
            "score_top",
            "score_firing",
        ):
            getattr(self, name).merge(getattr(other, name))
        for name in ("explain_pool", "select_pool", "score_pool"):
            getattr(self, name).merge(getattr(other, name))

    def release(self, *parts: str) -> None:
        """Lets go of the memory of parts whose rows are written. Nothing can be added, merged or saved any more."""
        self.__dict__.pop("_grams", None)  # holds the tables too
        for part in parts:
            delattr(self, part)
        give_back()

    def end_shard(self) -> None:
        """The next events are of another shard, or there are none."""
        self.statistics.end_shard()
        self._grams.end_shard()
        give_back()


def random_key(seed: int) -> int:
    """Key of the hash of (feature, window) that random windows are chosen by."""
    return stream_key(seed, "random window")


def window_key(seed: int) -> int:
    """Key of `u = hash01(seed, feature, window)`, the same for all explainers (ESTIMATOR.md)."""
    return stream_key(seed, "window")
