"""Where the grams of some windows stand, sorted once, so that many lookups can be read off the same windows.

`lookup.match` seeks every token of the windows among the entries of a lookup. Windows that several explanations are
looked up in have more tokens than a lookup has entries: here every entry is sought among the tokens, and the longest
match is what is written last.
"""

from __future__ import annotations

import numpy as np

from autointerp.explain.lookup import Entries, gram_key
from autointerp.records import ANY_TOKEN, Float32, Int64, Windows

LAST_PREVIOUS = (1 << 32) - 2
"""The largest token that `gram_key` takes as the one before: a token's keys are one run, whatever is before."""


class GramIndex:
    """The scored tokens of windows [S, L] by gram."""

    def __init__(self, windows: Windows) -> None:
        self._shape = windows.tokens.shape
        place = np.flatnonzero(windows.scored)
        keys = gram_key(windows.previous.ravel()[place], windows.tokens.ravel()[place])
        order = np.argsort(keys, kind="stable")
        self._keys, self._place = keys[order], place[order]

    def match(self, entries: Entries) -> Int64:
        """Index of the longest match at each token, -1 where there is none or it is not scored: [S, L]."""
        order, keys = entries.by_key
        loose = entries.previous[order] == ANY_TOKEN
        start = np.searchsorted(self._keys, keys)
        last = np.where(loose, keys + (LAST_PREVIOUS + 1), keys)
        n = np.searchsorted(self._keys, last, side="right") - start
        of_place = np.full(len(self._keys), -1, dtype=np.int64)
        for some in (np.flatnonzero(loose & (n > 0)), np.flatnonzero(~loose & (n > 0))):  # pairs over tokens
            many = n[some]
            inside = np.arange(many.sum()) + np.repeat(start[some] - (np.cumsum(many) - many), many)
            of_place[inside] = np.repeat(order[some], many)
        index = np.full(self._shape, -1, dtype=np.int64)
        index.ravel()[self._place] = of_place
        return index

    def look_up(self, lookup: Entries) -> tuple[Float32, Float32]:
        """Value and probability of firing at each token; 0 where not scored: [S, L], [S, L]."""
        index = self.match(lookup)
        return np.append(lookup.value, np.float32(0))[index], np.append(lookup.probability, np.float32(0))[index]
