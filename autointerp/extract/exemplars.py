"""From what the summary kept to exemplars: windows with a stratum, an order and an inclusion probability.

    top             one a context, strongest first
    quantile_NN     firing tokens by quantile of the positive activations, 00 the weakest
    interval_NN     firing tokens by equal-width interval of activation / maximum, 00 the weakest
    random          windows of the shared pool, whether the feature fires there or not
    near_miss       one of the feature's heaviest tokens in a window of the pool, where all that is shown is silent
    T, F            select and score split: the top windows; a uniform sample of the other firing windows

Random, T and F show the window that was drawn. The others show a span of as many tokens around the token that
they were chosen for, most of it before: a feature is a function of what stands before. The span may cross the
borders of windows, and holds all activations there; it ends where the context or a dropped window does.

Quantile and interval strata are filled from the reservoirs of tokens by octave: each kept token stands
for (tokens in the octave / tokens kept) tokens; the quantiles are those of this weighted sample; within
a stratum the tokens of smallest hash are taken, and its probability is their share of the tokens that
the stratum stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from autointerp.config.evidence import Evidence
from autointerp.extract.summary.events import centred
from autointerp.extract.summary.segments import rank_in_run, sort_by
from autointerp.extract.summary.smallest_keys import Kept
from autointerp.extract.summary.statistics import OCTAVES, PER_OCTAVE, octave
from autointerp.extract.summary.summary import EXPLAIN, Summary, random_key, window_key
from autointerp.hashing import hash64, stream_key
from autointerp.records import SPLITS, Bool, GramTable, Int32, Int64, Split
from autointerp.subject.tokens import TokenFile

SCALE = float(1 << 63)
NEVER = (1 << 63) - 1
BLOCK_VALUES = 1 << 19
"""Features x windows of the pool that are worked on at once."""
WINDOWS_AT_ONCE = 1 << 17
"""Windows of the select or score split that are worked on at once."""
SPANS_AT_ONCE = 1 << 13
"""Contexts with a dropped window that are looked at together."""
NEAR_MISS_TOKENS = 20
"""A near miss holds one of this many heaviest tokens of the feature."""


@dataclass(frozen=True)
class Exemplars:
    """Rows of the table `exemplars` of one summary, without activations where the window is silent."""

    feature: Int64  # [n] number in the dictionary
    split: str
    stratum: list[str]
    rank: Int64
    window: Int64  # the window that was drawn, or that holds the peak
    start: Int32  # first token shown, position in the context
    n_tokens: Int32  # tokens shown
    peak: Int32
    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray
    u: np.ndarray
    length: Int32  # activations of each window
    place: Int32  # [sum of length] position in the context
    value: np.ndarray  # [sum of length]

    def portions(self, n: int) -> Iterator[Exemplars]:
        """The same rows, `n` at a time."""
        ends = np.concatenate([[0], np.cumsum(self.length, dtype=np.int64)])
        for first in range(0, len(self.feature), n):
            rows = slice(first, first + n)
            inner = slice(ends[first], ends[min(first + n, len(self.feature))])
            yield Exemplars(
                split=self.split,
                **{item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name not in WHOLE},
                place=self.place[inner],
                value=self.value[inner],
            )


WHOLE = ("split", "place", "value")
"""Fields of Exemplars that have no element a row."""


def _numbers(summary: Summary, kept: Kept) -> Int64:
    """The features' numbers in their dictionary, where each is a group."""
    return np.asarray(kept.group.long().cpu().numpy() + summary.plan.first)


def _whole_windows(tokens: TokenFile, window: Int64) -> tuple[Int32, Int32]:
    """First token and number of tokens of windows; the padding after a short context is none."""
    context = window // tokens.windows_per_context
    start = (window % tokens.windows_per_context) * tokens.window
    length = np.minimum(tokens.n_valid[context] - start, tokens.window)
    return start.astype(np.int32), length.astype(np.int32)


def _spans(summary: Summary, tokens: TokenFile, window: Int64, peak: np.ndarray) -> tuple[Int32, Int32]:
    """First token and number of tokens of the spans around `peak`."""
    context = window // tokens.windows_per_context
    first, stop = np.zeros(len(window), dtype=np.int64), tokens.n_valid[context].astype(np.int64)
    cut = np.flatnonzero(tokens.has_dropped[context])
    for part in range(0, len(cut), SPANS_AT_ONCE):
        rows = cut[part : part + SPANS_AT_ONCE]
        which, of = np.unique(context[rows], return_inverse=True)
        first[rows], stop[rows] = (side[of, peak[rows]] for side in tokens.shown_runs(which))
    place, low, high = (torch.from_numpy(column) for column in (peak.astype(np.int64), first, stop))
    start, end = centred(place, low, high, summary.plan.left, summary.plan.window)
    return start.int().numpy(), (end - start).int().numpy()


def _from_kept(
    summary: Summary,
    kept: Kept,
    shown: tuple[Int32, Int32],
    split: str,
    stratum: list[str],
    rank: Tensor,
    probability: np.ndarray,
    u: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Exemplars:
    """`shown`: first token and number of tokens of each."""
    empty = np.full(len(kept.group), np.nan)
    return Exemplars(
        start=shown[0],
        n_tokens=shown[1],
        feature=_numbers(summary, kept),
        split=split,
        stratum=stratum,
        rank=rank.cpu().numpy(),
        window=kept.window.cpu().numpy(),
        peak=kept.peak.cpu().numpy(),
        low=empty if low is None else low,
        high=empty if high is None else high,
        probability=probability,
        u=u,
        length=kept.length.int().cpu().numpy(),
        place=kept.place.cpu().numpy(),
        value=kept.value.cpu().numpy(),
    )


def explain_exemplars(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: Evidence, features: Int64
) -> Iterator[Exemplars]:
    """All strata of the explain split; `features` and `heavy` count from the summary's first feature."""
    yield from _top_stratum(summary, tokens)
    yield from _token_strata(summary, tokens, evidence)
    yield from _pool_strata(summary, tokens, heavy, evidence, features)


def _top_stratum(summary: Summary, tokens: TokenFile) -> Iterator[Exemplars]:
    top = summary.top.kept()
    u = hash64(window_key(summary.plan.seed), _numbers(summary, top), top.window.cpu().numpy()) / SCALE
    if len(u):
        shown = _spans(summary, tokens, top.window.cpu().numpy(), top.peak.cpu().numpy())
        yield _from_kept(summary, top, shown, "explain", ["top"] * len(u), rank_in_run(top.group), np.ones(len(u)), u)


def _token_strata(summary: Summary, tokens: TokenFile, evidence: Evidence) -> Iterator[Exemplars]:
    kept = summary.octaves.kept()
    if len(kept.group) == 0:
        return
    kept = replace(kept, group=kept.group // OCTAVES)
    kept = kept.take(sort_by(kept.group, descending_free(kept.peak_value)))
    feature = kept.group.long()
    in_octave = summary.statistics.histogram[EXPLAIN].view(-1, OCTAVES, PER_OCTAVE).sum(dim=2).double()
    octaves = octave(kept.peak_value)
    n_kept = torch.bincount(feature * OCTAVES + octaves, minlength=in_octave.numel()).view(-1, OCTAVES)
    weight = in_octave[feature, octaves] / n_kept[feature, octaves]
    total = summary.statistics.n_firing[EXPLAIN].double()[feature]
    before = torch.cumsum(weight, 0) - weight
    first = (rank_in_run(feature) == 0).nonzero().squeeze(1)
    run = torch.cumsum((rank_in_run(feature) == 0).long(), 0) - 1
    share = (before - before[first][run] + weight / 2) / total  # of the feature's firing tokens below this one
    maximum = summary.statistics.maximum[EXPLAIN][feature]
    for name, n, each, position in (
        ("quantile", evidence.quantiles.n, evidence.quantiles.each, share),
        ("interval", evidence.intervals.n, evidence.intervals.each, kept.peak_value / maximum),
    ):
        if n and each:
            bucket = (position.double() * n).long().clamp(0, n - 1)
            yield _smallest_in_buckets(summary, tokens, kept, name, n, each, bucket, weight, maximum)


def descending_free(value: Tensor) -> Tensor:
    """Positive float32 values as integers that sort upwards."""
    return value.view(torch.int32).long()


def _smallest_in_buckets(
    summary: Summary,
    tokens: TokenFile,
    kept: Kept,
    name: str,
    n: int,
    each: int,
    bucket: Tensor,
    weight: Tensor,
    maximum: Tensor,
) -> Exemplars:
    group = kept.group.long() * n + bucket
    order = sort_by(group, kept.key)
    rank = rank_in_run(group[order])
    chosen, rank = order[rank < each], rank[rank < each]
    n_groups = int(group.max()) + 1
    stands_for = torch.zeros(n_groups, dtype=torch.float64, device=group.device).index_add_(0, group, weight)
    n_chosen = torch.bincount(group[chosen], minlength=n_groups)
    probability = (n_chosen[group[chosen]] / stands_for[group[chosen]]).clamp(max=1.0).cpu().numpy()
    if name == "interval":
        low = (bucket[chosen] * maximum[chosen] / n).cpu().numpy()
        high = ((bucket[chosen] + 1) * maximum[chosen] / n).cpu().numpy()
    else:
        empty = torch.full((n_groups,), torch.inf, device=group.device)
        low = empty.scatter_reduce(0, group, kept.peak_value, "amin")[group[chosen]].cpu().numpy()
        high = (-empty).scatter_reduce(0, group, kept.peak_value, "amax")[group[chosen]].cpu().numpy()
    numbers = bucket[chosen].cpu().tolist()
    taken = kept.take(chosen)
    return _from_kept(
        summary,
        taken,
        _spans(summary, tokens, taken.window.cpu().numpy(), taken.peak.cpu().numpy()),
        "explain",
        [f"{name}_{number:02d}" for number in numbers],
        rank,
        probability,
        kept.key[chosen].cpu().numpy() / SCALE,
        low,
        high,
    )


def _pool_strata(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: Evidence, features: Int64
) -> Iterator[Exemplars]:
    """Random windows and near misses, from the shared pool."""
    pool = summary.pool.cpu().numpy()
    if len(pool) == 0 or len(features) == 0:
        return
    kept = summary.random.kept()
    start = np.searchsorted(kept.group.cpu().numpy(), np.arange(summary.plan.n_features + 1))
    holders = _Holders(tokens, pool, summary.plan.d_vocab)
    beside = _Beside(summary, tokens, pool)
    share = len(pool) / len(tokens.scored_windows("explain"))
    blocks = np.array_split(features, -(-len(features) * len(pool) // BLOCK_VALUES))
    for block in blocks:
        yield _pool_block(summary, kept, start, holders, beside, share, tokens, heavy, evidence, block)


def _pool_block(
    summary: Summary,
    kept: Kept,
    start: Int64,
    holders: _Holders,
    beside: _Beside,
    share: float,
    tokens: TokenFile,
    heavy: GramTable,
    evidence: Evidence,
    features: Int64,
) -> Exemplars:
    pool = holders.pool
    fires_near = summary.explain_pool.fires(features)
    fires = fires_near[:, beside.own]
    # Of the windows where a feature fires, `kept` holds those of smallest hash: the ones chosen here come first.
    numbers = features[:, None] + summary.plan.first
    u_random = hash64(random_key(summary.plan.seed), numbers, pool)
    chosen = _smallest(u_random, evidence.random)
    active = np.take_along_axis(fires, chosen, axis=1)
    item = np.where(active, start[features][:, None] + np.cumsum(active, axis=1) - 1, -1)
    # Near misses: silent windows that hold a heavy token, chosen for the heaviest; silent too where the span around
    # it reaches into the window before or after.
    held_at = holders.positions(heavy, features)
    near = (held_at >= 0) & ~fires
    row, column = near.nonzero()
    near[row, column] = ~beside.fires(fires_near, row, column, held_at[row, column])
    u_near = hash64(stream_key(summary.plan.seed, "near miss"), numbers, pool)
    missed = _smallest(np.where(near, u_near, np.uint64(NEVER)), evidence.near_miss)
    n_near = near.sum(axis=1, keepdims=True)

    both = np.concatenate([chosen, missed], axis=1)
    is_row = np.concatenate([np.ones_like(active), np.take_along_axis(near, missed, axis=1)], axis=1)
    window = pool[both][is_row]
    item = np.concatenate([item, np.full(missed.shape, -1)], axis=1)[is_row]
    probability = np.concatenate(
        [
            np.full(chosen.shape, chosen.shape[1] / len(pool) * share),
            np.broadcast_to(np.minimum(missed.shape[1], n_near) / np.maximum(n_near, 1) * share, missed.shape),
        ],
        axis=1,
    )
    u = np.concatenate([np.take_along_axis(u_random, chosen, 1), np.take_along_axis(u_near, missed, 1)], axis=1)
    beginning = (window % tokens.windows_per_context) * tokens.window
    peak = np.concatenate([np.full(chosen.shape, -1), np.take_along_axis(held_at, missed, axis=1)], axis=1)[is_row]
    peak = np.where(peak >= 0, peak, beginning).astype(np.int32)
    fired = item >= 0
    mine = kept.take(torch.from_numpy(item[fired]).to(kept.key.device))
    peak[fired] = mine.peak.cpu().numpy()
    length = np.zeros(len(window), dtype=np.int32)
    length[fired] = mine.length.int().cpu().numpy()
    empty = np.full(len(window), np.nan)
    first, n_tokens = _whole_windows(tokens, window)
    is_near = np.broadcast_to(np.arange(both.shape[1]) >= chosen.shape[1], both.shape)[is_row]
    first[is_near], n_tokens[is_near] = _spans(summary, tokens, window[is_near], peak[is_near])
    rank = np.concatenate([np.arange(chosen.shape[1]), np.arange(missed.shape[1])])
    return Exemplars(
        feature=np.broadcast_to(numbers, both.shape)[is_row],
        split="explain",
        stratum=np.array(["random", "near_miss"])[is_near.astype(int)].tolist(),
        rank=np.broadcast_to(rank, both.shape)[is_row],
        window=window,
        start=first,
        n_tokens=n_tokens,
        peak=peak,
        low=empty,
        high=empty,
        probability=probability[is_row],
        u=u[is_row] / SCALE,
        length=length,
        place=mine.place.cpu().numpy(),
        value=mine.value.cpu().numpy(),
    )


def _smallest(u: np.ndarray, n: int) -> Int64:
    """Columns of the `n` smallest values of each row, rising. [rows, min(n, columns)]"""
    n = min(n, u.shape[1])
    some = np.argpartition(u, n - 1, axis=1)[:, :n] if n else np.zeros((len(u), 0), dtype=np.int64)
    order = np.argsort(np.take_along_axis(u, some, axis=1), axis=1)
    return np.take_along_axis(some, order, axis=1)


class _Beside:
    """Which other window of a context the span around a token of a pool window reaches into."""

    def __init__(self, summary: Summary, tokens: TokenFile, pool: Int64) -> None:
        near = summary.explain_pool.pool.cpu().numpy()
        self._window = tokens.window
        self._per_context = tokens.windows_per_context
        self._pool = pool
        self.own = np.searchsorted(near, pool)
        """Places of the pool's windows among those of `Summary.explain_pool`."""
        column = np.arange(self._window)
        window = np.repeat(pool, self._window)
        place = np.repeat(pool % self._per_context * self._window, self._window) + np.tile(column, len(pool))
        inside = place < tokens.n_valid[window // self._per_context]
        start, length = _spans(summary, tokens, window, np.where(inside, place, 0))
        context = window - window % self._per_context
        low, high = context + start // self._window, context + (start + np.maximum(length, 1) - 1) // self._window
        other = np.where(low != window, low, high)
        found = np.minimum(np.searchsorted(near, other), len(near) - 1)
        reaches = inside & (other != window) & (near[found] == other)
        self._other = np.where(reaches, found, -1).reshape(len(pool), self._window)  # [pool, window]

    def fires(self, near: Bool, row: Int64, column: Int64, place: Int64) -> Bool:
        """Whether a feature fires in the window that the span around `place` of a pool window reaches into.

        `near` [features, windows of explain_pool]; `row` a feature, `column` a pool window.
        """
        offset = place - self._pool[column] % self._per_context * self._window
        other = self._other[column, offset]
        return np.asarray((other >= 0) & near[row, other])


class _Holders:
    """Which windows of the pool hold a token, and where: CSR by token."""

    def __init__(self, tokens: TokenFile, pool: Int64, d_vocab: int) -> None:
        self.pool = pool
        windows = tokens.windows(pool)
        row, column = windows.scored.nonzero()
        token = windows.tokens[row, column].astype(np.int64)
        key, first = np.unique(token * len(pool) + row, return_index=True)  # row by row: the first is leftmost
        self._start = np.searchsorted(key, np.arange(d_vocab + 1) * len(pool))
        self._window = key % len(pool)
        self._position = ((pool[row] % tokens.windows_per_context) * tokens.window + column)[first]

    def positions(self, heavy: GramTable, features: Int64) -> Int64:
        """[len(features), len(pool)]: first position of the heaviest token of the feature there; -1 if none is."""
        found = np.full((len(features), len(self.pool)), -1, dtype=np.int64)
        for rank in range(NEAR_MISS_TOKENS - 1, -1, -1):  # heavier tokens over lighter ones
            entry = heavy.start[features] + rank
            row = np.flatnonzero(entry < heavy.start[features + 1])
            token = heavy.token[entry[row]]
            length = self._start[token + 1] - self._start[token]
            shift = np.repeat(self._start[token] - (np.cumsum(length) - length), length)
            index = shift + np.arange(len(shift))
            found[np.repeat(row, length), self._window[index]] = self._position[index]
        return found


def held_out_exemplars(summary: Summary, tokens: TokenFile, split: Split) -> Iterator[Exemplars]:
    """T: the top windows of the select or score split. F: uniform among the other firing windows, by rising u."""
    top_windows, firing_windows = (
        (summary.select_top, summary.select_firing) if split == "select" else (summary.score_top, summary.score_firing)
    )
    top, firing = top_windows.kept(), firing_windows.kept()
    if len(top.group) == 0:
        return
    u = hash64(window_key(summary.plan.seed), _numbers(summary, top), top.window.cpu().numpy()) / SCALE
    shown = _whole_windows(tokens, top.window.cpu().numpy())
    yield _from_kept(summary, top, shown, split, ["T"] * len(u), rank_in_run(top.group), np.ones(len(u)), u)
    most = int(max(top.window.max(), firing.window.max())) + 1
    is_top = torch.isin(firing.group.long() * most + firing.window, top.group.long() * most + top.window)
    others = (~is_top).nonzero().squeeze(1)
    n_top = torch.bincount(top.group, minlength=summary.plan.n_features)
    n_others = summary.statistics.n_firing_windows[SPLITS.index(split)] - n_top
    n_kept = torch.bincount(firing.group[others], minlength=summary.plan.n_features)
    share = n_kept / n_others.clamp(min=1)
    rank = rank_in_run(firing.group[others])
    for first in range(0, len(others), WINDOWS_AT_ONCE):
        portion = slice(first, first + WINDOWS_AT_ONCE)
        some = firing.take(others[portion])
        probability = share[some.group].double().cpu().numpy()
        u = some.key.cpu().numpy() / SCALE
        shown = _whole_windows(tokens, some.window.cpu().numpy())
        yield _from_kept(summary, some, shown, split, ["F"] * len(u), rank[portion], probability, u)
