"""Explainers that must score low: `shuffled`, `constant` and `generic`. Each is a lookup and texts, like any other.

`shuffled`: another feature's explanation of the same explainer, one that has nothing to do with this feature.
1. Features with an explanation stand in a circle, in the order of hash64(seed, feature).
2. The donor is the first one clockwise with a disjoint token set: none of the tokens in its table `context_lookup` is
   in this feature's. So each feature gives about one explanation away.
3. Where there is none, the first with disjoint heaviest tokens (those that carry 80 % of the activation) is taken.
4. Where there is none either, the status is `no_disjoint_feature`.

`constant`: the same prediction everywhere, which a lookup without entries makes. (It is 0: another constant would
gain from the framed Pearson, where predictions in residual windows count as 0.)

`generic`: one label for the whole dictionary, of the form of `lexical`'s: the tokens that fire its features on average,
by the mean over features of token lookups divided by their maximum. It names GENERIC_NAMED of them at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.explain.clauses import Clauses
from autointerp.explain.lexical import in_strengths, strengths_of
from autointerp.explain.lookup import EMPTY, Entries, entries_of, from_lists, rows_of
from autointerp.explain.sentence import strength_groups
from autointerp.hashing import hash64, stream_key
from autointerp.records import ANY_TOKEN, Bool, Explanation, GramTable, Int32, Int64, LookupTable

GENERIC_NAMED = 20
"""Tokens that `generic` names at most."""
HEAVIEST_SHARE = 0.8
"""The heaviest tokens of a feature carry this share of its activation."""
CIRCLE_AT_ONCE = 4096
"""Features of the circle whose sets are held as bits: 25 MB for a vocabulary of 50,000."""
NO_DISJOINT = "no_disjoint_feature"


@dataclass(frozen=True)
class Explained:
    """An explainer's whole output for one dictionary."""

    explanations: list[Explanation]
    lookup: LookupTable  # a row for every feature of the dictionary


def shuffled(
    explanations: Sequence[Explanation], lookup: LookupTable, table: LookupTable, tokens: GramTable, seed: int
) -> Explained:
    """The explanations of one explainer, each given to another feature, with its lookup; `table` says which tokens a
    feature has anything to do with."""
    donors = choose_donors(explanations, table, tokens, seed)
    of_feature = {explanation.feature: explanation for explanation in explanations}
    texts, rows = [], [EMPTY] * lookup.n_features
    for old in explanations:
        donor = donors.get(old.feature)
        if donor is not None:
            texts.append(Explanation(old.feature, "shuffled", of_feature[donor].text, "ok", donor=donor))
            rows[old.feature] = entries_of(lookup, donor)
        else:
            status = NO_DISJOINT if old.status == "ok" else old.status
            texts.append(Explanation(old.feature, "shuffled", "", status))
    return Explained(texts, from_lists(rows))


def choose_donors(
    explanations: Sequence[Explanation], table: LookupTable, tokens: GramTable, seed: int
) -> dict[int, int]:
    """The feature whose explanation each feature gets; none where it has none itself, or where none is disjoint."""
    explained = np.asarray([one.feature for one in explanations if one.status == "ok"], dtype=np.int64)
    own = {feature: entries_of(table, feature).token for feature in explained.tolist()}
    heaviest = {feature: heaviest_tokens(tokens, feature) for feature in explained.tolist()}
    circle = explained[np.argsort(hash64(stream_key(seed, "shuffled"), explained), kind="stable")]
    circle = circle[np.asarray([len(own[feature]) > 0 for feature in circle.tolist()], dtype=np.bool_)]
    donors: dict[int, int] = {}
    for sets in (own, heaviest):
        left = [feature for feature in explained.tolist() if feature not in donors]
        donors |= _first_disjoint(left, circle, sets)
    return donors


def heaviest_tokens(tokens: GramTable, feature: int) -> Int32:
    """The tokens that carry HEAVIEST_SHARE of the listed activation of one feature, heaviest first."""
    own = slice(int(tokens.start[feature]), int(tokens.start[feature + 1]))
    weight = np.abs(tokens.mass[own])
    enough = np.searchsorted(np.cumsum(weight), HEAVIEST_SHARE * weight.sum() * (1 - 1e-12))
    return tokens.token[own][: int(enough) + 1]


def _first_disjoint(wanting: Sequence[int], circle: Int64, sets: Mapping[int, Int32]) -> dict[int, int]:
    """For each feature the first of the circle, after itself, that shares no token with it; none where all do."""
    donors: dict[int, int] = {}
    if not wanting or len(circle) == 0:
        return donors
    place = {feature: i for i, feature in enumerate(circle.tolist())}
    n_blocks = -(-len(circle) // CIRCLE_AT_ONCE)
    left: list[list[int]] = [[] for _ in range(n_blocks)]  # by the block that the search begins in
    for feature in wanting:
        left[place.get(feature, 0) // CIRCLE_AT_ONCE].append(feature)
    for turn in range(n_blocks + 1):  # the last turn is for those before it in its own block
        for begun in range(n_blocks) if any(left) else ():
            if not left[begun]:
                continue
            first = (begun + turn) % n_blocks * CIRCLE_AT_ONCE
            block = circle[first : first + CIRCLE_AT_ONCE]
            holders = _TokenSets([sets[feature] for feature in block.tolist()])
            unfound = []
            for feature in left[begun]:
                free = np.flatnonzero(~holders.of_any(sets[feature])) + first
                own = place.get(feature, -1)
                if turn == 0:
                    free = free[free > own]
                elif turn == n_blocks:
                    free = free[free < own]
                if len(free):
                    donors[feature] = int(circle[free[0]])
                else:
                    unfound.append(feature)
            left[begun] = unfound
    return donors


class _TokenSets:
    """Which sets hold a token, a bit a set: 8,000 features of 500 tokens are compared in a second."""

    def __init__(self, sets: Sequence[Int32]) -> None:
        self.n = len(sets)
        start = np.concatenate([[0], np.cumsum([len(tokens) for tokens in sets])]).astype(np.int64)
        tokens = np.concatenate(list(sets)) if self.n else np.zeros(0, np.int32)
        self.tokens, which = np.unique(tokens, return_inverse=True)
        self.bits = np.zeros((len(self.tokens), (self.n + 7) // 8), dtype=np.uint8)
        member = rows_of(start)
        np.bitwise_or.at(self.bits, (which, member // 8), (128 >> (member % 8)).astype(np.uint8))

    def of_any(self, tokens: Int32) -> Bool:
        """Which sets hold any of the tokens: [n]."""
        known = np.searchsorted(self.tokens, tokens)
        known = known[(known < len(self.tokens)) & (np.append(self.tokens, -1)[known] == tokens)]
        held = np.bitwise_or.reduce(self.bits[known], axis=0)
        return np.unpackbits(held, count=self.n).astype(np.bool_)


def constant(explanations: Sequence[Explanation], n_features: int) -> Explained:
    """The same for every feature that has an explanation; the others keep their status."""
    return _everywhere("constant", Clauses()("constant"), EMPTY, explanations, n_features)


def generic(explanations: Sequence[Explanation], token_lookup: LookupTable, names: Sequence[str]) -> Explained:
    """What fires the dictionary's features on average, for every feature that has an explanation; `names` as
    `sentence.token_names` makes them of the vocabulary."""
    entries = entries_of(in_strengths(from_lists([_average(token_lookup)])), 0)
    groups = strength_groups(entries, strengths_of(entries.value).tolist(), names)
    text = Clauses()("generic", groups=groups) if groups else Clauses()("spread")
    return _everywhere("generic", text, entries, explanations, token_lookup.n_features)


def _everywhere(
    explainer: str, text: str, entries: Entries, explanations: Sequence[Explanation], n_features: int
) -> Explained:
    texts, rows = [], [EMPTY] * n_features
    for old in explanations:
        explained = old.status == "ok"
        texts.append(Explanation(old.feature, explainer, text if explained else "", old.status))
        rows[old.feature] = entries if explained else EMPTY
    return Explained(texts, from_lists(rows))


def _average(lookup: LookupTable) -> Entries:
    """The mean over features with entries of value / largest value, by token: the heaviest GENERIC_NAMED."""
    single = np.flatnonzero(lookup.previous == ANY_TOKEN)
    if len(single) == 0:
        return EMPTY
    row, token = rows_of(lookup.start)[single], lookup.token[single]
    size = np.abs(lookup.value[single].astype(np.float64))
    largest = np.zeros(lookup.n_features)
    np.maximum.at(largest, row, size)
    n = int((largest > 0).sum())
    value = np.bincount(token, size / largest[row]) / n
    probability = np.bincount(token, lookup.probability[single].astype(np.float64)) / n
    heaviest = np.argsort(-value, kind="stable")[:GENERIC_NAMED]
    heaviest = heaviest[value[heaviest] > 0]
    return Entries(
        np.full(len(heaviest), ANY_TOKEN, dtype=np.int32),
        heaviest.astype(np.int32),
        value[heaviest].astype(np.float32),
        probability[heaviest].astype(np.float32),
    )
