"""What a simulator that costs nothing predicts: operations on `LookupTable`.

1. A gram is (previous, token); its key is token << 32 | previous + 1, so that the entry for a token after
   anything (previous = ANY_TOKEN = -1) sorts before the same token's entries for a known previous token.
2. The prediction at a token is that of the longest match: its entry (previous, token), else its entry
   (ANY_TOKEN, token), else 0. At the start of a context previous is -1, which matches the second kind only.
3. Every entry predicts something: value != 0 and probability > 0. So a lookup is silent exactly where no
   entry matches, and `triggers` needs no values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from autointerp.hashing import content_hash
from autointerp.records import ANY_TOKEN, Bool, Float32, Int32, Int64, LookupTable


@dataclass(frozen=True)
class Entries:
    """The lookup of one feature, as the store keeps it: most explaining entry first."""

    previous: Int32  # [entries] ANY_TOKEN, or the token that must stand before
    token: Int32  # [entries]
    value: Float32  # [entries] expected activation, in the dictionary's own scale; never 0
    probability: Float32  # [entries] expected share of occurrences that fire; above 0

    def __len__(self) -> int:
        return len(self.token)

    @cached_property
    def by_key(self) -> tuple[Int64, Int64]:
        """The order of the grams' keys, and the keys in it: they are sought window after window."""
        keys = gram_key(self.previous, self.token)
        order = np.argsort(keys, kind="stable")
        return order, keys[order]


EMPTY = Entries(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))
"""Predicts 0 everywhere: the lookup of `constant` and of a feature without an explanation."""


def gram_key(previous: npt.ArrayLike, token: npt.ArrayLike) -> Int64:
    """One sortable integer for each (previous, token)."""
    return (np.asarray(token, dtype=np.int64) << 32) | (np.asarray(previous, dtype=np.int64) + 1)


def rows_of(start: Int64) -> Int64:
    """The row of each entry of a CSR table."""
    return np.repeat(np.arange(len(start) - 1, dtype=np.int64), np.diff(start))


def entry_keys(row: npt.ArrayLike, previous: npt.ArrayLike, token: npt.ArrayLike, n_vocabulary: int) -> Int64:
    """One integer for each (row, token, previous), sorting in this order; fits for 2^26 rows and 2^18 tokens."""
    whole = np.asarray(row, dtype=np.int64) * n_vocabulary + np.asarray(token, dtype=np.int64)
    return whole * (n_vocabulary + 1) + np.asarray(previous, dtype=np.int64) + 1


def find_keys(keys: Int64, wanted: Int64) -> Int64:
    """Index of each wanted key among sorted, distinct keys; -1 where it is not there. Any shape -> the same shape."""
    if len(keys) == 0:
        return np.full(wanted.shape, -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def entries_of(lookup: LookupTable, feature: int) -> Entries:
    """The entries of one feature (its row in the table)."""
    own = slice(int(lookup.start[feature]), int(lookup.start[feature + 1]))
    return Entries(lookup.previous[own], lookup.token[own], lookup.value[own], lookup.probability[own])


def to_lists(lookup: LookupTable) -> list[Entries]:
    """The table as one record a feature."""
    return [entries_of(lookup, feature) for feature in range(lookup.n_features)]


def from_lists(rows: Iterable[Entries]) -> LookupTable:
    """One record a feature as a table; entries that predict nothing are a bug of whoever made them."""
    kept = list(rows)
    table = LookupTable(
        start=np.concatenate([[0], np.cumsum([len(row) for row in kept])]).astype(np.int64),
        previous=np.concatenate([EMPTY.previous, *(row.previous for row in kept)]).astype(np.int32, copy=False),
        token=np.concatenate([EMPTY.token, *(row.token for row in kept)]).astype(np.int32, copy=False),
        value=np.concatenate([EMPTY.value, *(row.value for row in kept)]).astype(np.float32, copy=False),
        probability=np.concatenate([EMPTY.probability, *(row.probability for row in kept)]).astype(
            np.float32, copy=False
        ),
    )
    if np.any(table.value == 0) or np.any(table.probability <= 0):
        raise ValueError("a lookup entry predicts nothing: value 0 or probability 0")
    return table


def entries_hash(entries: Entries) -> str:
    """Content hash of one feature's entries, whatever their order: the key of table `lookups`."""
    return _hash_of(entries) if len(entries) else _hash_of_none()


@cache
def _hash_of_none() -> str:
    """Of no entries: all that `constant` has."""
    return _hash_of(EMPTY)


def _hash_of(entries: Entries) -> str:
    order = np.argsort(gram_key(entries.previous, entries.token), kind="stable")
    columns = (
        (entries.previous, "<i4"),
        (entries.token, "<i4"),
        (entries.value, "<f4"),
        (entries.probability, "<f4"),
    )
    # hexadecimal bytes: decimal floats of 512 entries cost 0.6 ms, these 0.02
    return content_hash([column[order].astype(dtype).tobytes().hex() for column, dtype in columns], tag="lookup")


def predict(
    lookup: LookupTable, feature: int, tokens: npt.ArrayLike, previous: npt.ArrayLike
) -> tuple[Float32, Float32]:
    """Value and probability at each token of some windows: [W, L], [W, L] -> [W, L], [W, L]."""
    own = entries_of(lookup, feature)
    index = match(own, tokens, previous)
    value = np.append(own.value, np.float32(0))[index]
    probability = np.append(own.probability, np.float32(0))[index]
    return value, probability


def triggers(lookup: LookupTable, feature: int, tokens: npt.ArrayLike, previous: npt.ArrayLike) -> Bool:
    """Where the lookup predicts anything but 0: [W, L] -> [W, L]."""
    return match(entries_of(lookup, feature), tokens, previous) >= 0


def match(entries: Entries, tokens: npt.ArrayLike, previous: npt.ArrayLike) -> Int64:
    """Index of the longest match at each token, -1 where there is none: any shape -> the same shape."""
    return match_keys(entries, *gram_keys(tokens, previous))


def gram_keys(tokens: npt.ArrayLike, previous: npt.ArrayLike) -> tuple[Int64, Int64]:
    """The keys of tokens after any other, and after the previous ones: any shape -> the same shape."""
    return gram_key(ANY_TOKEN, tokens), gram_key(previous, tokens)


def match_keys(entries: Entries, after_any: Int64, after_previous: Int64) -> Int64:
    """`match` of tokens by their `gram_keys`, which several lookups may share."""
    order, keys = entries.by_key
    loose, exact = find_keys(keys, after_any), find_keys(keys, after_previous)
    return np.append(order, -1)[np.where(exact >= 0, exact, loose)]
