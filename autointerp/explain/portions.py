"""Tables of lookups made some features at a time, so that what is held meanwhile does not grow with the dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from autointerp.records import Float64, GramTable, LookupTable

ENTRIES_AT_ONCE = 1 << 18
"""Entries of tokens and pairs that are worked on together, but for a feature that has more: about 40 MB."""


def made_in_portions(
    make: Callable[[GramTable, GramTable], LookupTable], tokens: GramTable, pairs: GramTable
) -> LookupTable:
    """What `make` makes of the tables of tokens and of pairs; it looks at each feature by itself."""
    made = [make(_part(tokens, own), _part(pairs, own)) for own in _portions(tokens, pairs)]
    lengths = [np.diff(one.start) for one in made]
    start = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]) if made else np.zeros(1)
    return LookupTable(
        start.astype(np.int64),
        np.concatenate([one.previous for one in made] or [np.zeros(0, np.int32)]),
        np.concatenate([one.token for one in made] or [np.zeros(0, np.int32)]),
        np.concatenate([one.value for one in made] or [np.zeros(0, np.float32)]),
        np.concatenate([one.probability for one in made] or [np.zeros(0, np.float32)]),
    )


def _portions(tokens: GramTable, pairs: GramTable) -> Iterator[slice]:
    """Runs of features that have so many entries together."""
    entries = tokens.start + pairs.start
    first, n_features = 0, len(entries) - 1
    while first < n_features:
        end = int(np.searchsorted(entries, entries[first] + ENTRIES_AT_ONCE, side="right")) - 1
        end = max(end, first + 1)
        yield slice(first, end)
        first = end


def _part(table: GramTable, features: slice) -> GramTable:
    """The rows of some features, uncopied but for where they begin."""
    start = table.start[features.start : features.stop + 1]
    own = slice(int(start[0]), int(start[-1]))
    share: Float64 | None = None if table.share is None else table.share[features]
    return GramTable(
        start - start[0],
        table.previous[own],
        table.token[own],
        table.mass[own],
        table.n_firing[own],
        table.n_seen[own],
        table.mass_error[features],
        share,
    )
