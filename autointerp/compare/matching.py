"""Which feature of dictionary B is this feature of A: from correlations to pairs, and what became of each feature.

**Best match**: of each feature the one of the other dictionary with the highest correlation. Several may share one.
**One-to-one**: pairs of largest total correlation, no feature in two, none below `LEAST` of `extract/correlate.py`
(the assignment problem, solved on the graph of these correlations by the Jonker-Volgenant algorithm).

What became of a feature, the first that fits:

    rare      fires too seldom on these tokens to be compared
    split     of A: it is the best match of two or more features of B, each at PART or more; together they explain WHOLE
              of its variance or more, none of them ALONE of it; and they do not overlap: their shares add up to at most
              OVERLAP. (Parts that never fire together are uncorrelated, and their shares r^2 then add up to what they
              explain together.) The features of B are its `part`s.
    merge     the same of B: one feature for two or more of A, which are `merged`
    matched   has a partner, one to one, at SAME or more
    missing   of A, `new` of B: no feature of the other dictionary reaches PART
    unclear   everything between

The four numbers are choices, not estimates; they stand in the JSON beside the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from autointerp.records import Float64, Int64, Matches

SAME, PART, WHOLE, ALONE, OVERLAP = 0.5, 0.3, 0.5, 0.8, 1.1
RULES = {"same": SAME, "part": PART, "whole": WHOLE, "alone": ALONE, "overlap": OVERLAP}


@dataclass(frozen=True)
class Fate:
    """What became of one feature in the other dictionary."""

    feature: int
    n_firing: int
    """Firings on the tokens read."""
    status: str
    best: int | None
    """The feature of the other dictionary with the highest correlation; None where it cannot be compared."""
    best_r: float | None
    partner: int | None
    """One to one; None where there is none."""
    partner_r: float | None


@dataclass(frozen=True)
class Group:
    """One feature of a dictionary that stands for several of the other."""

    whole: int
    parts: tuple[int, ...]
    """By falling correlation."""
    correlations: tuple[float, ...]
    explained: float
    """Sum of the squared correlations: the share of its variance that parts which never fire together explain."""


@dataclass(frozen=True)
class Matching:
    """Both dictionaries; features by number."""

    n_tokens: int
    a: tuple[Fate, ...]
    b: tuple[Fate, ...]
    splits: tuple[Group, ...]
    """Features of A that are several in B."""
    merges: tuple[Group, ...]
    """Features of B that are several in A."""

    def counts(self, side: str) -> dict[str, int]:
        """How many features of `a` or `b` have each status, in the order of STATUSES."""
        fates = self.a if side == "a" else self.b
        each = [fate.status for fate in fates]
        return {status: each.count(status) for status in STATUSES[side]}


STATUSES = {
    "a": ("matched", "split", "merged", "missing", "unclear", "rare"),
    "b": ("matched", "part", "merge", "new", "unclear", "rare"),
}


def one_to_one(a: Int64, b: Int64, r: Float64, n_a: int, n_b: int) -> dict[int, tuple[int, float]]:
    """The pairs of largest total correlation from the pairs (a, b, r) [n] given, r positive: A feature -> (B, r)."""
    if len(r) == 0:
        return {}
    # a place of its own for each feature of A that stays alone, at no gain; costs are positive: zeros are no edges
    index = np.concatenate([a, np.arange(n_a)]), np.concatenate([b, np.arange(n_a) + n_b])
    cost = sparse.csr_array((np.concatenate([2.0 - r, np.full(n_a, 2.0)]), index), shape=(n_a, n_b + n_a))
    rows, columns = min_weight_full_bipartite_matching(cost)
    worth = dict(zip(zip(a.tolist(), b.tolist(), strict=True), r.tolist(), strict=True))
    pairs = [(row, column) for row, column in zip(rows.tolist(), columns.tolist(), strict=True) if column < n_b]
    return {row: (column, worth[row, column]) for row, column in pairs}


def match(of: Matches, features_a: Sequence[int], features_b: Sequence[int]) -> Matching:
    """Of the features that are extracted, by number."""
    pairs = one_to_one(of.edge_a, of.edge_b, of.edge_r, len(of.best_of_a), len(of.best_of_b))
    back = {b: (a, r) for a, (b, r) in pairs.items()}
    splits = _groups(of.edge_a, of.edge_b, of.edge_r, of.best_of_b)
    merges = _groups(of.edge_b, of.edge_a, of.edge_r, of.best_of_a)
    parts = {part for group in splits for part in group.parts}
    merged = {part for group in merges for part in group.parts}
    a = _fates(
        features_a, of.n_firing_a, of.best_of_a, of.r_of_a, pairs, splits, merged, ("split", "merged", "missing")
    )
    b = _fates(features_b, of.n_firing_b, of.best_of_b, of.r_of_b, back, merges, parts, ("merge", "part", "new"))
    kept_a, kept_b = set(features_a), set(features_b)
    return Matching(
        of.n_tokens,
        a,
        b,
        tuple(group for group in splits if group.whole in kept_a),
        tuple(group for group in merges if group.whole in kept_b),
    )


def _groups(whole: Int64, part: Int64, r: Float64, best_whole_of: Int64) -> list[Group]:
    """By the rule of `split`; `best_whole_of` [parts] is the best match of each part."""
    parts_of: dict[int, list[tuple[float, int]]] = defaultdict(list)
    strong = (r >= PART) & (best_whole_of[part] == whole)
    for mine, other, value in zip(whole[strong].tolist(), part[strong].tolist(), r[strong].tolist(), strict=True):
        parts_of[mine].append((value, other))
    groups = []
    for mine, parts in sorted(parts_of.items()):
        parts.sort(key=lambda item: (-item[0], item[1]))
        shares = [value * value for value, _ in parts]
        if len(parts) >= 2 and WHOLE <= sum(shares) <= OVERLAP and shares[0] < ALONE:
            numbers, values = tuple(other for _, other in parts), tuple(value for value, _ in parts)
            groups.append(Group(mine, numbers, values, sum(shares)))
    return groups


def _fates(
    features: Sequence[int],
    n_firing: Int64,
    best: Int64,
    r: Float64,
    partner: dict[int, tuple[int, float]],
    groups: Sequence[Group],
    parts: set[int],
    words: tuple[str, str, str],
) -> tuple[Fate, ...]:
    whole = {group.whole for group in groups}
    is_whole, is_part, is_missing = words

    def status(feature: int) -> str:
        if best[feature] < 0:
            return "rare"
        if feature in whole:
            return is_whole
        if feature in parts:
            return is_part
        if feature in partner and partner[feature][1] >= SAME:
            return "matched"
        return is_missing if r[feature] < PART else "unclear"

    fates = []
    for feature in map(int, features):
        known = best[feature] >= 0
        mine = partner.get(feature)
        fates.append(
            Fate(
                feature,
                int(n_firing[feature]),
                status(feature),
                int(best[feature]) if known else None,
                float(r[feature]) if known else None,
                None if mine is None else mine[0],
                None if mine is None else mine[1],
            )
        )
    return tuple(fates)
