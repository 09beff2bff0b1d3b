"""The silent windows that wrong items are taken from, and what a judge that does not read can see of windows.

Letters in shapes: W windows of the pool, L tokens of a window, V vocabulary.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.explain.marking import escape
from autointerp.explain.token_text import kind_of
from autointerp.records import Bool, Float64, Int64, Windows

LENGTHS = (1, 2, 4, 7)
"""Upper limits of what counts as about the same length of a token, characters."""


@dataclass(frozen=True)
class TokenTraits:
    """What a judge that does not read can see of each token of the vocabulary."""

    length: Int64  # [V] characters as shown
    kind: Int64  # [V] class: a kind of sign, the beginning of a word or the rest of one; and about how long it is


def token_traits(vocab: Sequence[str]) -> TokenTraits:
    """Of each token by id."""
    names: dict[tuple[str, int], int] = {}
    lengths, kinds = [], []
    for text in vocab:
        length = len(escape(text))
        kind = kind_of(text) or ("word" if text[:1] == " " else "part")
        lengths.append(length)
        kinds.append(names.setdefault((kind, sum(length > limit for limit in LENGTHS)), len(names)))
    return TokenTraits(np.array(lengths, dtype=np.int64), np.array(kinds, dtype=np.int64))


class Silent:
    """The pool by number of scored tokens, length and kinds, so that a partner is found without a look at all of it."""

    def __init__(self, windows: Windows, traits: TokenTraits) -> None:
        self.windows = windows
        self.n_scored = windows.scored.sum(axis=1)
        self.length = shown_length(windows, traits)
        self.kind = np.where(windows.scored, traits.kind[windows.tokens], -1)
        order = np.lexsort((self.length, self.n_scored))
        size = np.stack([self.n_scored[order], self.length[order]])
        first = np.flatnonzero(np.diff(size, axis=1, prepend=-1).any(axis=0))
        # rows of each length, rising, and the lengths that there are, by number of scored tokens
        self._rows: dict[int, list[Int64]] = {}
        self._lengths: dict[int, list[int]] = {}
        for rows, (n, length) in zip(np.split(order, first[1:]), size[:, first].T.tolist(), strict=True):
            self._rows.setdefault(n, []).append(np.sort(rows))
            self._lengths.setdefault(n, []).append(length)
        self._alike: dict[tuple[int, int, int], Int64] = {}

    def nearest(self, n_scored: int, length: int, free: Bool, u: Float64) -> int | None:
        """The free window [W] with as many scored tokens whose length is nearest, of equals that of smallest u [W]."""
        lengths, rows = self._lengths.get(n_scored, []), self._rows.get(n_scored, [])
        after = bisect_left(lengths, length)
        before = after - 1
        while before >= 0 or after < len(lengths):
            below = length - lengths[before] if before >= 0 else None
            above = lengths[after] - length if after < len(lengths) else None
            nearest = []
            if below is not None and (above is None or below <= above):
                nearest.append(rows[before])
                before -= 1
            if above is not None and (below is None or above <= below):
                nearest.append(rows[after])
                after += 1
            left = [some[free[some]] for some in nearest]
            nearby = np.sort(np.concatenate(left)) if len(left) > 1 else left[0]
            if len(nearby):
                return int(nearby[np.argmin(u[nearby])])
        return None

    def alike(self, n_scored: int, at: Int64, kinds: Int64) -> Int64:
        """Windows with as many scored tokens and tokens of these kinds [L] at the offsets `at`, rising."""
        first = int(at[0])
        key = (n_scored, first, int(kinds[first]))
        if key not in self._alike:
            self._alike[key] = np.flatnonzero((self.n_scored == n_scored) & (self.kind[:, first] == kinds[first]))
        return of_kinds(self._alike[key], self.kind, at[1:], kinds)


def shown_length(windows: Windows, traits: TokenTraits) -> Int64:
    """Characters of each window's scored tokens as shown."""
    return np.asarray((traits.length[windows.tokens] * windows.scored).sum(axis=1), dtype=np.int64)


def of_kinds(rows: Int64, kinds: Int64, at: Int64, like: Int64) -> Int64:
    """Those of the rows of [W, L] kinds that are like [L] at some offsets: one after the other, for few are left
    soon."""
    for offset in at.tolist():
        rows = rows[kinds[rows, offset] == like[offset]]
    return rows
