"""Exemplars that do not repeat each other: a phrase once, and other documents before the same one again.

Candidates of a group (a stratum of a feature) are thinned in two steps, each with a known probability:

1. Of candidates with the same phrase, the PHRASE tokens that end at the peak, the first in an order drawn for this is
   left: one of s.
2. Those left are taken document after document: one of each, then a second of those that have one, and so on, until
   `each` are taken. Where the last round cannot serve all documents, it serves the first in an order of documents drawn
   for this. So a document with r candidates gives E = min(r, q) + [r > q] (each - served before) / (documents with more
   than q) of them, q full rounds being made; a candidate of it is among them with probability E / r.

The probability of a candidate, given the candidates, is E / (r s). Sums over all candidates are estimated without bias
by sums over those taken, each divided by its probability (`tests/extract/test_thinning.py`). Where the orders are not
drawn but are those of strength, the same steps give the strongest, and there is no probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp.extract.summary.segments import order_by
from autointerp.hashing import hash64, stream_key
from autointerp.records import Float64, Int64
from autointerp.subject.tokens import TokenFile

PHRASE = 6
"""Tokens up to and with the peak: where they are the same, two exemplars show the same."""
AT_ONCE = 1 << 18
"""Places whose phrases are read together."""
LATE = 255
"""Rounds that are put in order together with the documents; those from here on apart."""


@dataclass(frozen=True)
class Orders:
    """The orders in which candidates are taken: numbers, the smallest first, of equals the earlier candidate. [n] each

    Drawn ones are independent of each other: the first of a large phrase has a small number.
    """

    in_phrase: Int64
    in_document: Int64
    of_documents: Int64  # the same for all candidates of a document in a group

    @classmethod
    def of_strength(cls, n: int) -> Orders:
        """As they stand, for candidates of which the strongest are wanted."""
        return cls(*[np.arange(n)] * 3)


@dataclass(frozen=True)
class Thinned:
    """The candidates that are taken, group by group, each in the order in which it was taken."""

    index: Int64  # [n] among the candidates
    rank: Int64  # [n] in its group, from 0
    probability: Float64  # [n] of being taken, given the candidates


def phrases_of(tokens: TokenFile, context: Int64, place: Int64) -> Int64:
    """One number for the PHRASE tokens that end at each place; where a context begins there are fewer. [n]"""
    phrases = np.empty(len(context), dtype=np.int64)
    back = np.arange(PHRASE)
    for first in range(0, len(phrases), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        at = place[some, None] - back
        read = np.where(at >= 0, tokens.tokens[context[some, None], np.maximum(at, 0)], -1)
        phrases[some] = hash64(stream_key(0, "phrase"), *read.T).view(np.int64)
    return phrases


def thin(group: Int64, phrase: Int64, document: Int64, orders: Orders, each: int) -> Thinned:
    """At most `each` candidates of each group. `group`, `document`: from 0, below 2^31. All [n]."""
    # 1. The first of each phrase, in the drawn order.
    phrase = phrase & 0xFFFFFFFF
    in_phrase = order_by(group, phrase, orders.in_phrase)
    first, alike = _runs(((group << 32) | phrase)[in_phrase])
    left = in_phrase[first]
    # 2. Their places among those of the same document, in the drawn order.
    in_document = order_by(group[left], document[left], orders.in_document[left])
    left, alike = left[in_document], alike[in_document]
    first, n_here = _runs((group[left] << 32) | document[left])
    turn = np.arange(len(left)) - np.repeat(first, n_here)
    n_here = np.repeat(n_here, n_here)
    # Round after round.
    documents = orders.of_documents[left]
    bits = int(documents.max(initial=0)).bit_length()
    early = np.where(turn < LATE, (turn << 24) | (documents >> max(0, bits - 24)), LATE << 24)
    key = order_by(group[left], early, turn, documents)
    left, alike, n_here, turn = left[key], alike[key], n_here[key], turn[key]
    first, size = _runs(group[left])
    rank = np.arange(len(left)) - np.repeat(first, size)
    taken = rank < each
    expected = _expected(group[left], turn, n_here, rank, each)
    probability = expected / (n_here * alike)
    return Thinned(left[taken], rank[taken], probability[taken])


def _runs(tag: Int64) -> tuple[Int64, Int64]:
    """Where runs of equal tags begin, and their lengths."""
    if len(tag) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = np.flatnonzero(np.concatenate([[True], tag[1:] != tag[:-1]]))
    return first.astype(np.int64), np.diff(np.append(first, len(tag))).astype(np.int64)


def _expected(group: Int64, turn: Int64, n_here: Int64, rank: Int64, each: int) -> Float64:
    """E of each candidate's document. Candidates stand by group, then by turn."""
    first, size = _runs((group << 20) | np.minimum(turn, (1 << 20) - 1))  # the rounds of each group
    before = rank[first]  # served in earlier rounds
    full = before + size <= each
    partial = ~full & (before < each)
    # Full rounds of each group, and the share of documents that the round after them serves.
    begin, n_rounds = _runs(group[first])
    which = np.repeat(np.arange(len(begin)), n_rounds)
    n_full = np.bincount(which, full, len(begin))
    share = np.bincount(which, np.where(partial, (each - before) / size, 0.0), len(begin))
    of = np.repeat(which, size)
    return np.minimum(n_here, n_full[of]) + np.where(n_here > n_full[of], share[of], 0.0)
