"""Where the grams of some windows stand, sorted once, so that many lookups can be read off the same windows.

`lookup.match` seeks every token of the windows among the entries of a lookup. Windows that several explanations are
looked up in have more tokens than a lookup has entries: here every entry is sought among the tokens, and the longest
match is what is written last. The windows of many features, each with a lookup of its own, are read side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from autointerp.explain.lookup import EMPTY, Entries, entry_keys
from autointerp.records import ANY_TOKEN, Float32, Windows
from autointerp.score.side_by_side import FeatureRows

KEPT = 1024
"""Features whose index is kept for the next explanations; of more than these it is made again, so many at a time."""


class LookedUpWindows:
    """Windows of some features, to look many explanations up in."""

    def __init__(self, windows: Mapping[int, Windows]) -> None:
        self._windows = windows
        features = list(windows)
        self._features = [features[first : first + KEPT] for first in range(0, len(features), KEPT)]

    @cached_property
    def _kept(self) -> GramIndex:
        return GramIndex(list(self._windows.values()))

    def look_up(self, lookups: Mapping[int, Entries]) -> dict[int, tuple[Float32, Float32]]:
        """By feature what its lookup predicts: `GramIndex.look_up`; where it has none, nothing anywhere."""
        made: dict[int, tuple[Float32, Float32]] = {}
        for features in self._features:
            few = len(self._features) == 1
            index = self._kept if few else GramIndex([self._windows[feature] for feature in features])
            said = index.look_up([lookups.get(feature, EMPTY) for feature in features])
            made |= dict(zip(features, said, strict=True))
        return made


class GramIndex:
    """The scored tokens by gram of the windows of n features: [S, L] each, S as many as each has."""

    def __init__(self, windows: Sequence[Windows]) -> None:
        self._sizes = np.cumsum([len(of) for of in windows])
        rows = FeatureRows([of.tokens.size for of in windows])
        self._length = windows[0].tokens.shape[1] if windows else 0
        tokens, previous, scored = (
            np.concatenate([np.zeros(0, dtype), *(getattr(of, name).ravel() for of in windows)])
            for name, dtype in (("tokens", np.int32), ("previous", np.int32), ("scored", np.bool_))
        )
        place = np.flatnonzero(scored)
        self._n_vocabulary = 1 + max(int(tokens.max(initial=0)), int(previous.max(initial=0)))
        keys = entry_keys(rows.of[place], previous[place], tokens[place], self._n_vocabulary)
        order = np.argsort(keys, kind="stable")
        self._keys, self._place = keys[order], place[order]

    def look_up(self, lookups: Sequence[Entries]) -> list[tuple[Float32, Float32]]:
        """Of each feature, by its own lookup, value and probability of firing at each token; 0 where not scored:
        [S, L], [S, L]."""
        row = FeatureRows([len(entries) for entries in lookups]).of
        orders = [entries.by_key[0] for entries in lookups]
        previous, token, value, probability = (
            np.concatenate([np.zeros(0, dtype), *(getattr(of, name)[o] for of, o in zip(lookups, orders, strict=True))])
            for name, dtype in (
                ("previous", np.int32),
                ("token", np.int32),
                ("value", np.float32),
                ("probability", np.float32),
            )
        )
        known = np.flatnonzero(np.maximum(previous, token) < self._n_vocabulary)
        loose = previous[known] == ANY_TOKEN
        keys = entry_keys(row[known], previous[known], token[known], self._n_vocabulary)
        start = np.searchsorted(self._keys, keys)
        # a token's keys are one run, whatever is before
        n = np.searchsorted(self._keys, np.where(loose, keys + self._n_vocabulary, keys), side="right") - start
        values, probabilities = (np.zeros((self._n_windows, self._length), dtype=np.float32) for _ in range(2))
        for some in (np.flatnonzero(loose & (n > 0)), np.flatnonzero(~loose & (n > 0))):  # pairs over tokens
            many = n[some]
            inside = np.arange(many.sum()) + np.repeat(start[some] - (np.cumsum(many) - many), many)
            at = self._place[inside]
            values.ravel()[at] = np.repeat(value[known[some]], many)
            probabilities.ravel()[at] = np.repeat(probability[known[some]], many)
        return list(zip(np.split(values, self._sizes[:-1]), np.split(probabilities, self._sizes[:-1]), strict=True))

    @property
    def _n_windows(self) -> int:
        return int(self._sizes[-1]) if len(self._sizes) else 0
