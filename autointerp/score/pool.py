"""The run's pool of windows: where tokens and pairs stand in it, and what a lookup predicts of each window."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import Entries, gram_key
from autointerp.records import ANY_TOKEN, Bool, Float64, Int64, Windows


class Pool:
    """The shared windows, and in which of them a token or a pair stands at a scored place."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        row, column = np.nonzero(windows.scored)
        keys = gram_key(windows.previous[row, column], windows.tokens[row, column])
        order = np.argsort(keys, kind="stable")
        self._keys, self._row = keys[order], row[order]
        self._value = np.zeros(len(keys))  # of each place, while it is looked up
        self._marked = np.zeros(len(keys), dtype=np.bool_)  # of places, likewise
        self.n_scored = windows.scored.sum(axis=1)  # [W]

    def holding(self, previous: npt.ArrayLike, token: npt.ArrayLike) -> Bool:
        """Where any of the grams stands: [grams], [grams] -> [W]. `previous` ANY_TOKEN is any token before."""
        places, _ = self._places(np.asarray(previous, dtype=np.int64), np.asarray(token, dtype=np.int64))
        holds = np.zeros(len(self.windows), dtype=np.bool_)
        holds[self._row[places]] = True
        return holds

    @cached_property
    def windows_with(self) -> Int64:
        """In how many windows each token stands at a scored place, by id up to the largest that does."""
        return windows_with(self.windows)

    def predicted(self, entries: Entries) -> tuple[Float64, Float64]:
        """Sums of what a lookup predicts, and of its square, over the scored tokens of each window: [W], [W].

        Every entry predicts something: the second is above 0 where any of them stands.
        """
        loose = entries.previous == ANY_TOKEN
        places = []
        for own in (loose, ~loose):  # the longer match has the last word
            where, n = self._places(entries.previous[own].astype(np.int64), entries.token[own].astype(np.int64))
            self._value[where] = np.repeat(entries.value[own].astype(np.float64), n)
            places.append(where)
        both = np.concatenate(places)
        if not loose.all() and np.isin(entries.token[~loose], entries.token[loose]).any():
            # a pair's places are among its token's
            self._marked[both] = True
            once = np.flatnonzero(self._marked)
            self._marked[both] = False
            both = once
        value, row = self._value[both], self._row[both]
        n_windows = len(self.windows)
        first, second = (np.bincount(row, weight, n_windows).astype(np.float64) for weight in (value, value * value))
        return first, second

    def _places(self, previous: Int64, token: Int64) -> tuple[Int64, Int64]:
        """Where grams stand, gram after gram, and how often each."""
        last = np.where(previous == ANY_TOKEN, (1 << 32) - 2, previous)  # a token's keys are one run
        start = np.searchsorted(self._keys, gram_key(previous, token), side="left")
        n = np.searchsorted(self._keys, gram_key(last, token), side="right") - start
        return np.arange(n.sum()) + np.repeat(start - (np.cumsum(n) - n), n), n


def windows_with(windows: Windows, n_tokens: int = 0) -> Int64:
    """In how many of the windows each token stands at a scored place, by id up to the largest that does, and of
    `n_tokens` at least."""
    tokens = np.sort(np.where(windows.scored, windows.tokens, -1), axis=1)
    first = np.diff(tokens, axis=1, prepend=-1) != 0  # of equal tokens in a window; none of what is not scored
    return np.bincount(tokens[first], minlength=n_tokens).astype(np.int64)
