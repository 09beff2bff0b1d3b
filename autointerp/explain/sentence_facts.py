"""What a sentence can say of a feature, counted: what fires it, what stands before that, and what each holds.

1. Tokens become units: a token, or all line breaks that differ only in their indentation. Before a token, all special
   tokens are one unit too: the start of a context.
2. Units are named, the heaviest first, until they hold NAMED_SHARE of the feature's activation.
3. A unit's contexts are the units before it with which it fires more than by itself, and that hold enough.
4. One unit before many others is a fact about the whole feature; so is a kind that most of its tokens are of.

`sentence.py` decides which of these facts are said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autointerp.explain.lookup import entry_keys, rows_of
from autointerp.explain.token_text import KINDS, kind_of
from autointerp.records import ANY_TOKEN, Bool, Float64, GramTable, Int32, Int64, LookupTable

NAMED_SHARE = 0.8
"""Tokens are named until they hold this share of the activation ..."""
NAMED, LEAST_NAMED = 4, 0.04
"""... or until there are this many, each with at least this share."""
KIND_SHARE, KIND_TOKENS, KIND_ADDS = 0.6, 4, 0.1
"""A kind of token is named where it holds this share, on at least so many tokens, this much more than those named."""
PREVIOUS_SHARE, PREVIOUS_TOKENS, PREVIOUS_ONE = 0.25, 3, 0.6
"""A token before is named for the whole feature from this share, before at least so many tokens, none too heavy."""
LIFT = 1.25
"""A context is one only where the activation is so many times its token's mean."""
CONTEXTS, LEAST_CONTEXT, CONTEXT_SHARE = 3, 0.02, 0.05
"""Contexts of a token that are named: how many, the least share of each, the least share of all of them."""
MOSTLY, ALWAYS = 0.5, 0.8
"""Of the token's activation: contexts with less are a clause of their own; those with more replace the token."""

_INDENTATION = re.compile(r"\s*[\n\r][^\S\n\r]+")
_SPECIAL = re.compile(r"<\|.*\|>", re.DOTALL)


def named_tokens(tokens: GramTable, feature: int) -> Int32:
    """The tokens that carry NAMED_SHARE of the listed activation of one feature, heaviest first."""
    own = slice(int(tokens.start[feature]), int(tokens.start[feature + 1]))
    weight = np.abs(tokens.mass[own])
    return tokens.token[own][: _enough(weight, float(weight.sum()))]


def _enough(weight: Float64, total: float) -> int:
    """How many of the heaviest entries hold NAMED_SHARE of the total."""
    return min(len(weight), 1 + int(np.searchsorted(np.cumsum(weight), NAMED_SHARE * total - 1e-12 * total)))


@dataclass(frozen=True)
class FiringUnits:
    """What a feature fires on, heaviest first."""

    unit: Int64
    mass: Float64
    n_firing: Int64
    n_seen: Int64
    heaviest: Int64  # the token of each that holds most
    weight: Float64  # its mass
    n_tokens: Int64


@dataclass(frozen=True)
class FeaturePairs:
    """What stood before what, of one feature: starts of contexts without a token before are left out."""

    before: Int64  # unit of the token before
    unit: Int64
    previous: Int32
    mass: Float64
    n_firing: Int64
    n_seen: Int64
    strong: Bool  # in the lookup, and LIFT times the token's mean

    def take(self, index: Int64 | Bool) -> FeaturePairs:
        return FeaturePairs(
            self.before[index],
            self.unit[index],
            self.previous[index],
            self.mass[index],
            self.n_firing[index],
            self.n_seen[index],
            self.strong[index],
        )


@dataclass(frozen=True)
class NamedUnit:
    """A unit that is named, and the contexts that are named with it."""

    share: float  # stated beside it
    n_firing: int
    n_seen: int
    contexts: str = ""  # "", "stronger", "mostly" (half or more), "always" (share and counts are theirs)
    part: float = 0.0  # share that the contexts hold
    before: tuple[int, ...] = ()  # the units that stand before it in them, heaviest first
    pairs: FeaturePairs | None = None  # of these contexts


@dataclass(frozen=True)
class UnitBefore:
    """A unit that stands before many tokens, whose pairs hold a share of the feature's activation."""

    unit: int
    share: float
    pairs: FeaturePairs


@dataclass(frozen=True)
class KindHeld:
    """The kind that most of a feature's tokens are of."""

    name: str
    share: float  # of the feature's activation


class FeatureFacts:
    """What all sentences of a dictionary are counted from. Without `pairs` and `lookup` there are no contexts."""

    def __init__(
        self,
        vocab: Sequence[str],
        tokens: GramTable,
        pairs: GramTable | None,
        lookup: LookupTable | None,
        special: Collection[int] | None = None,
    ) -> None:
        self._tokens, self._pairs = tokens, pairs
        kinds = [kind_of(text) for text in vocab]
        self._kinds = [name for name, _ in KINDS]
        self._kind = np.asarray([self._kinds.index(kind) if kind else -1 for kind in kinds], dtype=np.int64)
        self._matters = _in_lookup(pairs, lookup) if pairs is not None and lookup is not None else None
        n = len(vocab)
        self.indentation, self.start = n, n + 1
        """The units that are no single token."""
        indented = np.asarray([_INDENTATION.fullmatch(text) is not None for text in vocab], dtype=np.bool_)
        self.unit = np.where(indented, self.indentation, np.arange(n)).astype(np.int64)
        """[V] the unit of each token"""
        if special is None:
            special = [token for token, text in enumerate(vocab) if _SPECIAL.fullmatch(text)]
        self._before = self.unit.copy()
        self._before[list(special)] = self.start
        self._mean = np.zeros(n + 2)

    def units(self, token: Int32, weight: Float64, own: slice) -> FiringUnits:
        """The units of one feature; `own` are its entries of the table, `weight` the mass of each."""
        n_firing, n_seen, unit = self._tokens.n_firing[own], self._tokens.n_seen[own], self.unit[token]
        if int((unit == self.indentation).sum()) < 2:  # the table is in order
            return FiringUnits(unit, weight, n_firing, n_seen, token.astype(np.int64), weight, np.ones_like(unit))
        ids, first, which = np.unique(unit, return_index=True, return_inverse=True)  # first: the heaviest
        mass: Float64 = np.bincount(which, weight).astype(np.float64)
        order = np.lexsort((first, -mass))
        n_firing = np.bincount(which, n_firing).astype(np.int64)
        n_seen = np.bincount(which, n_seen).astype(np.int64)
        heaviest = token[first].astype(np.int64)
        return FiringUnits(
            ids[order],
            mass[order],
            n_firing[order],
            n_seen[order],
            heaviest[order],
            weight[first][order],
            np.bincount(which)[order],
        )

    def pairs(self, feature: int, units: FiringUnits) -> FeaturePairs | None:
        """What stood before them; None where nobody counted."""
        if self._pairs is None or self._matters is None:
            return None
        own = slice(int(self._pairs.start[feature]), int(self._pairs.start[feature + 1]))
        real = np.flatnonzero(self._pairs.previous[own] != ANY_TOKEN) + own.start
        previous, mass, n_seen = self._pairs.previous[real], np.abs(self._pairs.mass[real]), self._pairs.n_seen[real]
        unit = self.unit[self._pairs.token[real]]
        self._mean[units.unit] = units.mass / np.maximum(units.n_seen, 1)
        strong = self._matters[real] & (mass > LIFT * self._mean[unit] * n_seen)
        self._mean[units.unit] = 0
        return FeaturePairs(self._before[previous], unit, previous, mass, self._pairs.n_firing[real], n_seen, strong)

    def named(self, units: FiringUnits, total: float) -> int:
        """How many units are named: at least one."""
        large = int((units.mass >= LEAST_NAMED * total).sum())
        return max(1, min(NAMED, _enough(units.mass, total), large))

    def kind(self, token: Int32, share: Float64, units: FiringUnits, named: int) -> KindHeld | None:
        """The kind of most tokens and what it holds, where that says more than the tokens named."""
        kind = self._kind[token]
        held = np.bincount(kind[kind >= 0], share[kind >= 0], minlength=len(self._kinds))
        best = int(held.argmax())
        of_best = kind == best
        said = float(share[of_best & _any_of(self.unit[token], units.unit[:named].tolist())].sum())
        if held[best] < KIND_SHARE or of_best.sum() < KIND_TOKENS or held[best] < said + KIND_ADDS:
            return None
        return KindHeld(self._kinds[best], float(held[best]))

    def before(self, pairs: FeaturePairs | None, total: float) -> UnitBefore | None:
        """The unit before that holds most, where it matters and no single token explains it."""
        if pairs is None or not pairs.strong.any():
            return None
        for unit, held in heaviest(pairs.before, pairs.mass):
            if held < PREVIOUS_SHARE * total:
                break
            here = pairs.take(pairs.before == unit)
            if (
                float(here.mass[here.strong].sum()) >= MOSTLY * held
                and len(np.unique(here.unit[here.strong])) >= PREVIOUS_TOKENS
                and heaviest(here.unit, here.mass)[0][1] <= PREVIOUS_ONE * held
            ):
                return UnitBefore(unit, held / total, here)
        return None

    def item(self, units: FiringUnits, i: int, pairs: FeaturePairs | None, total: float) -> NamedUnit:
        """A unit and the contexts that hold a share of its activation."""
        mass = float(units.mass[i])
        alone = NamedUnit(mass / total, int(units.n_firing[i]), int(units.n_seen[i]))
        if pairs is None:
            return alone
        here = pairs.take(pairs.strong & (pairs.unit == units.unit[i]))
        held = dict(heaviest(here.before, here.mass)[:CONTEXTS])
        best = [unit for unit, part in held.items() if part >= LEAST_CONTEXT * total]
        part = sum(held[unit] for unit in best)
        if not best or part < CONTEXT_SHARE * total:
            return alone
        here, share = here.take(_any_of(here.before, best)), part / total
        if part >= ALWAYS * mass:
            n_firing, n_seen = int(here.n_firing.sum()), int(here.n_seen.sum())
            return NamedUnit(share, n_firing, n_seen, "always", share, tuple(best), here)
        contexts = "mostly" if part >= MOSTLY * mass else "stronger"
        return replace(alone, contexts=contexts, part=share, before=tuple(best), pairs=here)


def _any_of(ids: Int64, wanted: Sequence[int]) -> Bool:
    """np.isin for a few."""
    is_wanted = np.zeros(len(ids), dtype=np.bool_)
    for number in wanted:
        is_wanted |= ids == number
    return is_wanted


def heaviest(unit: Int64, mass: Float64) -> list[tuple[int, float]]:
    """Units and the mass of each, heaviest first."""
    units, which = np.unique(unit, return_inverse=True)
    held = np.bincount(which, mass)
    order = np.argsort(-held, kind="stable")
    return list(zip(units[order].tolist(), held[order].tolist(), strict=True))


def _in_lookup(pairs: GramTable, lookup: LookupTable) -> Bool:
    """Which pairs have an entry of their own."""
    width = 1 + max(pairs.token.max(initial=0), pairs.previous.max(initial=0), lookup.token.max(initial=0))
    listed = entry_keys(rows_of(pairs.start), pairs.previous, pairs.token, int(width))
    entries = entry_keys(rows_of(lookup.start), lookup.previous, lookup.token, int(width))
    return np.asarray(np.isin(listed, entries) & (pairs.previous != ANY_TOKEN), dtype=np.bool_)
