"""How the work of pass 1 is cut: contexts into shards, features into pieces that are summarised in rounds.

Shards are cut by the size of the corpus alone, at the borders of inner batches: what is folded shard by
shard (`grams.py`) is the same whoever does which shard. Pieces may be cut anywhere: no feature's summary
depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autointerp.subject.activations import INNER

SHARD_TOKENS = 1 << 18
MOST_SHARDS = 64


@dataclass(frozen=True)
class Shard:
    """Contexts `first` to `last` - 1."""

    number: int
    first: int
    last: int


def cut_shards(n_contexts: int, context_length: int, shard_tokens: int | None = None) -> list[Shard]:
    """Shards of `shard_tokens` tokens (SHARD_TOKENS); of more, where they would be more than MOST_SHARDS."""
    contexts = max(-(-(shard_tokens or SHARD_TOKENS) // context_length), -(-n_contexts // MOST_SHARDS))
    each = -(-contexts // INNER) * INNER
    return [Shard(i, first, min(first + each, n_contexts)) for i, first in enumerate(range(0, n_contexts, each))]


@dataclass(frozen=True)
class Piece:
    """Features `first` to `last` - 1 of a dictionary."""

    dictionary: str
    first: int
    last: int


def cut_rounds(widths: Mapping[str, int], at_once: int) -> list[list[Piece]]:
    """All features of all dictionaries, by name -> number of features; no round has more than `at_once` of them."""
    rounds: list[list[Piece]] = [[]]
    room = at_once
    for name, width in widths.items():
        first = 0
        while first < width:
            if not room:
                rounds.append([])
                room = at_once
            last = min(width, first + room)
            rounds[-1].append(Piece(name, first, last))
            room -= last - first
            first = last
    return rounds
