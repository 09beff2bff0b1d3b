"""Exemplars from the pool, whose windows all features share: random windows and near misses.

    random      windows of the pool, whether the feature fires there or not
    near_miss   one of the feature's usual tokens in a window of the pool, where all that is shown is silent; spread
                over these tokens (`near_misses.py`)

Which of them a feature gets is decided by a hash of feature and window; its inclusion probability is the share of the
windows that could have been chosen (of a near miss: for its token), times the pool's share of the split.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from autointerp.config.evidence import EvidenceSection
from autointerp.extract import near_misses
from autointerp.extract.exemplar_rows import SCALE, Exemplars, spans_around, whole_windows
from autointerp.extract.summary.segments import gathered
from autointerp.extract.summary.smallest_keys import Kept
from autointerp.extract.summary.summary import Summary, random_key
from autointerp.hashing import hash64, stream_key
from autointerp.records import Bool, Float64, GramTable, Int64
from autointerp.subject.tokens import TokenFile

BLOCK_VALUES = 1 << 19
"""Features x windows of the pool that are worked on at once."""
POSITION_BITS = 32


def pool_exemplars(
    summary: Summary, tokens: TokenFile, heavy: GramTable, evidence: EvidenceSection, features: Int64
) -> Iterator[Exemplars]:
    """Random windows and near misses, from the shared pool."""
    pool = summary.pool.cpu().numpy()
    if len(pool) == 0 or len(features) == 0:
        return
    kept = summary.random.kept()
    start = np.searchsorted(kept.group.cpu().numpy(), np.arange(summary.plan.n_features + 1))
    places = _TokenPlaces(tokens, pool, summary.plan.d_vocab)
    beside = _Beside(summary, tokens, pool)
    share = len(pool) / len(tokens.scored_windows("explain"))
    cumulated = near_misses.cumulated_mass(heavy)
    blocks = np.array_split(features, -(-len(features) * len(pool) // BLOCK_VALUES))
    for block in blocks:
        yield _pool_block(summary, kept, start, places, beside, share, tokens, heavy, cumulated, evidence, block)


def _pool_block(
    summary: Summary,
    kept: Kept,
    start: Int64,
    places: _TokenPlaces,
    beside: _Beside,
    share: float,
    tokens: TokenFile,
    heavy: GramTable,
    cumulated: Float64,
    evidence: EvidenceSection,
    features: Int64,
) -> Exemplars:
    pool = places.pool
    fires_near = summary.explain_pool.fires(features)
    fires = fires_near[:, beside.own]
    # Of the windows where a feature fires, `kept` holds those of smallest hash: the ones chosen here come first.
    numbers = features[:, None] + summary.plan.first
    u_random = hash64(random_key(summary.plan.seed), numbers, pool)
    chosen = _smallest(u_random, evidence.random)
    active = np.take_along_axis(fires, chosen, axis=1)
    item = np.where(active, start[features][:, None] + np.cumsum(active, axis=1) - 1, -1)
    # Near misses: silent windows that hold a usual token, candidates for the heaviest; silent too where the span around
    # it reaches into the window before or after.
    tokens_of, mass = near_misses.usual_tokens(heavy, features, cumulated)
    held, held_at = places.of(tokens_of)
    near = (held >= 0) & ~fires
    row, column = near.nonzero()
    near[row, column] = ~beside.fires(fires_near, row, column, held_at[row, column])
    u_near = hash64(stream_key(summary.plan.seed, "near miss"), numbers, pool)
    missed, share_near = near_misses.choose(np.where(near, held, -1), mass, u_near, min(evidence.near_miss, len(pool)))
    is_near = missed >= 0
    missed = np.maximum(missed, 0)

    both = np.concatenate([chosen, missed], axis=1)
    is_row = np.concatenate([np.ones_like(active), is_near], axis=1)
    window = pool[both][is_row]
    item = np.concatenate([item, np.full(missed.shape, -1)], axis=1)[is_row]
    probability = np.concatenate(
        [
            np.full(chosen.shape, chosen.shape[1] / len(pool) * share),
            share_near * share,
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
    first, n_tokens = whole_windows(tokens, window)
    is_near = np.broadcast_to(np.arange(both.shape[1]) >= chosen.shape[1], both.shape)[is_row]
    first[is_near], n_tokens[is_near] = spans_around(summary, tokens, window[is_near], peak[is_near])
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
        start, length = spans_around(summary, tokens, window, np.where(inside, place, 0))
        context = window - window % self._per_context
        low, high = context + start // self._window, context + (start + np.maximum(length, 1) - 1) // self._window
        other = np.where(low != window, low, high)
        place_in_near = np.minimum(np.searchsorted(near, other), len(near) - 1)
        reaches = inside & (other != window) & (near[place_in_near] == other)
        self._other = np.where(reaches, place_in_near, -1).reshape(len(pool), self._window)  # [pool, window]

    def fires(self, near: Bool, row: Int64, column: Int64, place: Int64) -> Bool:
        """Whether a feature fires in the window that the span around `place` of a pool window reaches into.

        `near` [features, windows of explain_pool]; `row` a feature, `column` a pool window.
        """
        offset = place - self._pool[column] % self._per_context * self._window
        other = self._other[column, offset]
        return np.asarray((other >= 0) & near[row, other])


class _TokenPlaces:
    """Which windows of the pool hold a token, and where: CSR by token, once for all features."""

    def __init__(self, tokens: TokenFile, pool: Int64, d_vocab: int) -> None:
        self.pool = pool
        windows = tokens.windows(pool)
        row, column = windows.scored.nonzero()
        token = windows.tokens[row, column].astype(np.int64)
        key, first = np.unique(token * len(pool) + row, return_index=True)  # row by row: the first is leftmost
        self._start = np.searchsorted(key, np.arange(d_vocab + 1) * len(pool))
        self._window = key % len(pool)
        self._position = ((pool[row] % tokens.windows_per_context) * tokens.window + column)[first]

    def of(self, tokens: Int64) -> tuple[Int64, Int64]:
        """Of each feature's tokens, heaviest first [features, n] (-1: none), the first that stands in each window, by
        its number, and its first position there. [features, windows] each; -1 where none does."""
        where = np.full((len(tokens), len(self.pool)), -1, dtype=np.int64)  # number and position as one
        for number in range(tokens.shape[1] - 1, -1, -1):  # heavier tokens over lighter ones
            row = np.flatnonzero(tokens[:, number] >= 0)
            token = tokens[row, number]
            length = self._start[token + 1] - self._start[token]
            index = gathered(self._start[token], length)
            cell = np.repeat(row * len(self.pool), length)
            cell += self._window[index]
            where.reshape(-1)[cell] = self._position[index] + (number << POSITION_BITS)
        return where >> POSITION_BITS, np.where(where < 0, -1, where & ((1 << POSITION_BITS) - 1))
