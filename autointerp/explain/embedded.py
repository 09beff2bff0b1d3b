"""The explainers that need no LLM: evidence in tables -> explanations and the lookups that they simulate by.

One row each in EMBEDDED; to add one, write a function from `EvidenceTables` to `Explained` and give it a row and a word
(`words.EMBEDDED`). The controls of a dictionary are made here too, together and of the `lexical` explanations, whatever
explainers a run has: so no explainer's rows depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from autointerp.explain.controls import Explained, constant, generic, shuffled
from autointerp.explain.lexical import (
    lexical_explanations,
    lexical_lookup,
    token_lookup,
    token_lookup_explanations,
)
from autointerp.explain.sentence import EffectsToName
from autointerp.records import Float64, GramTable, Int64, LookupTable


@dataclass(frozen=True)
class EvidenceTables:
    """What an embedded explainer sees of one dictionary: the explain split only."""

    vocabulary: Sequence[str]  # [V] texts
    special: Sequence[int]  # token ids
    features: Int64  # [n] those that were extracted, rising
    tokens: GramTable  # activation mass by token
    pairs: GramTable  # by (previous token, token)
    total_mass: Float64  # [F] by feature
    promoted: Mapping[int, Sequence[int]]  # feature -> tokens, the strongest first
    promoted_z: Mapping[int, Sequence[float]]
    seed: int

    @cached_property
    def lexical(self) -> Explained:
        """What `lexical` makes of it; the controls are made of that."""
        lookup = lexical_lookup(self.tokens, self.pairs)
        texts = lexical_explanations(
            self.tokens,
            self.pairs,
            lookup,
            self.vocabulary,
            self.features,
            total_mass=self.total_mass,
            effects=EffectsToName(self.promoted, promoted_z=self.promoted_z),
            special=self.special,
        )
        return Explained(texts, lookup)

    @cached_property
    def token_lookup(self) -> LookupTable:
        """Each token's mean activation."""
        return token_lookup(self.tokens)


class EmbeddedExplainer(Protocol):
    """An embedded explainer of the user's own: `{ python = "module:Class", embedded = true }` among
    `explain.explainers`, made without arguments."""

    def explain_all(self, tables: EvidenceTables) -> Explained:
        """An explanation of each of `tables.features`, and the lookup that each simulates by."""
        ...


def _lexical(tables: EvidenceTables) -> Explained:
    return tables.lexical


def _token_lookup(tables: EvidenceTables) -> Explained:
    texts = token_lookup_explanations(tables.tokens, tables.vocabulary, tables.features, total_mass=tables.total_mass)
    return Explained(texts, tables.token_lookup)


EMBEDDED: dict[str, Callable[[EvidenceTables], Explained]] = {"lexical": _lexical, "token_lookup": _token_lookup}
"""By the name that a run file gives."""


def controls_of(tables: EvidenceTables) -> list[Explained]:
    """`shuffled`, `constant` and `generic`."""
    lexical = tables.lexical
    return [
        shuffled(lexical.explanations, lexical.lookup, tables.tokens, tables.seed),
        constant(lexical.explanations, lexical.lookup.n_features),
        generic(lexical.explanations, tables.token_lookup, tables.vocabulary),
    ]
