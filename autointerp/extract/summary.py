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
from autointerp.extract.grams import GramCounter
from autointerp.extract.keeper import Keeper
from autointerp.extract.segments import descending, hash64, run_ids, run_max, run_starts
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
    """What is kept."""

    n_features: int
    d_vocab: int
    seed: int
    top: int
    score_windows: int


def pool_windows(tokens: TokenFile, split: Split, seed: int, size: int) -> Int64:
    """The windows of a split of smallest hash(seed, window), rising by number."""
    windows = tokens.scored_windows(split)
    if len(windows) <= size:
        return windows
    u = hash_array(stream_key(seed, "pool"), windows)
    return np.sort(windows[np.argsort(u, kind="stable")[:size]])


class Summary:
    """The summary of one dictionary."""

    def __init__(self, plan: SummaryPlan, explain_pool: Tensor, score_pool: Tensor, device: torch.device) -> None:
        self.plan = plan
        n = plan.n_features
        self.statistics = Statistics.empty(n, device)
        self.tokens = GramCounter(n, plan.d_vocab, device)
        self.pairs = GramCounter(n, (plan.d_vocab + 1) * plan.d_vocab, device)
        self.top = Keeper(n, plan.top, device)
        self.octaves = Keeper(n * OCTAVES, OCTAVE_RESERVOIR, device)
        self.score_top = Keeper(n, TOP_SCORED, device)
        self.score_firing = Keeper(n, plan.score_windows, device)
        self.explain_pool, self.score_pool = explain_pool, score_pool
        self.pool = Keeper(n, len(explain_pool), device)
        self._pool_firing: list[tuple[Tensor, Tensor]] = []

    def add(self, events: Events) -> None:
        """Takes in the events of one inner batch; a batch may hold contexts of several splits."""
        if len(events) == 0:
            return
        self.statistics.add(events)
        explain = events.split == EXPLAIN
        peak = _peaks(events)
        if bool(explain.any()):
            self._add_explain(events, explain, peak)
        score = events.window_split == SCORE
        if bool(score.any()):
            self._add_score(events, score, peak)

    def _add_explain(self, events: Events, explain: Tensor, peak: Tensor) -> None:
        feature, value = events.feature[explain], events.value[explain]
        self.tokens.add(feature, events.token[explain], value)
        pair = (events.previous[explain] + 1) * self.plan.d_vocab + events.token[explain]
        self.pairs.add(feature, pair, value)

        # Top: of each context its strongest window, the first where several are equally strong.
        mine = (events.window_split == EXPLAIN).nonzero().squeeze(1)
        event = peak[mine]
        starts = run_starts(events.feature[event], events.context[event])
        ids = run_ids(starts, len(event))
        strongest = run_max(events.value[event], ids, len(starts))
        is_best = events.value[event] == strongest[ids]
        first = _first_true(is_best, starts, ids)
        best = event[first]
        key = descending(events.value[best]) | events.window_number[events.window_of[best]]
        self.top.add(events, best, events.feature[best], key)

        # Reservoir of firing tokens by octave: the smallest hashes of (feature, context, position).
        event = explain.nonzero().squeeze(1)
        key = hash64(
            stream_key(self.plan.seed, "token"), events.feature[event], events.context[event], events.position[event]
        )
        self.octaves.add(events, event, events.feature[event] * OCTAVES + octave(events.value[event]), key)

        # The pool's windows, all of them: the key only has to be distinct.
        in_pool = _contains(self.explain_pool, events.window_number[mine])
        event = peak[mine[in_pool]]
        self.pool.add(events, event, events.feature[event], events.window_number[events.window_of[event]])

    def _add_score(self, events: Events, score: Tensor, peak: Tensor) -> None:
        mine = score.nonzero().squeeze(1)
        event = peak[mine]
        feature, window = events.window_feature[mine], events.window_number[mine]
        self.score_top.add(events, event, feature, descending(events.window_max[mine]) | window)
        self.score_firing.add(events, event, feature, hash64(window_key(self.plan.seed), feature, window))
        in_pool = _contains(self.score_pool, window)
        self._pool_firing.append((feature[in_pool].int(), torch.searchsorted(self.score_pool, window[in_pool]).int()))

    def merge(self, other: Summary) -> None:
        """Takes in the summary of other contexts."""
        self.statistics.merge(other.statistics)
        for name in ("tokens", "pairs"):
            getattr(self, name).merge(getattr(other, name))
        for name in ("top", "octaves", "score_top", "score_firing", "pool"):
            getattr(self, name).merge(getattr(other, name))
        self._pool_firing += other._pool_firing

    def pool_firing(self) -> tuple[Int64, Int64]:
        """CSR `(start [F + 1], pool number)`: the score pool's windows in which each feature fires, rising."""
        none = torch.zeros(0, dtype=torch.int32, device=self.score_pool.device)
        feature = torch.cat([none, *(item[0] for item in self._pool_firing)]).long()
        number = torch.cat([none, *(item[1] for item in self._pool_firing)]).long()
        key = torch.sort(feature * max(1, len(self.score_pool)) + number).values
        size = max(1, len(self.score_pool))
        counts = torch.bincount(key // size, minlength=self.plan.n_features).cpu().numpy()
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), (key % size).cpu().numpy()


def window_key(seed: int) -> int:
    """Key of `u = hash01(seed, feature, window)`, the same for all explainers (ESTIMATOR.md)."""
    return stream_key(seed, "window")


def _peaks(events: Events) -> Tensor:
    """The event of the largest activation in each window, the first of equals. [S]"""
    is_peak = events.value == events.window_max[events.window_of]
    return _first_true(is_peak, events.window_start, events.window_of)


def _first_true(flags: Tensor, starts: Tensor, ids: Tensor) -> Tensor:
    """The first element of each run at which the flag is set; every run has one. [runs]"""
    where = flags.nonzero().squeeze(1)
    return where[run_starts(ids[where])]


def _contains(sorted_values: Tensor, values: Tensor) -> Tensor:
    if len(sorted_values) == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    place = torch.searchsorted(sorted_values, values).clamp(max=len(sorted_values) - 1)
    return sorted_values[place] == values
