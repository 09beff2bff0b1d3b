"""The explainers that need no LLM: evidence in tables -> explanations and the lookups that they simulate by.

One row each in EMBEDDED; to add one, write a function from `EvidenceTables` to `Explained` and give it a row and a word
(`words.EMBEDDED`). The controls of a dictionary are made here too, together and of the `lexical` explanations, whatever
explainers a run has: so no explainer's rows depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from autointerp.explain.context_lookup import context_lookup, token_lookup
from autointerp.explain.controls import Explained, constant, generic, shuffled
from autointerp.explain.lexical import Promoted, label_lookup, lexical_explanations
from autointerp.explain.lookup import entries_of
from autointerp.explain.output_labels import TwoSides, direct_labels, input_label, labels_of_all, measured_labels
from autointerp.explain.portions import made_in_portions
from autointerp.explain.sentence import table_text, token_names
from autointerp.records import Explanation, Float64, GramTable, Int64, LookupTable
from autointerp.words import (
    CONTEXT_LOOKUP,
    LEXICAL,
    LEXICAL_ALL,
    LEXICAL_DIRECT,
    LEXICAL_INPUT,
    LEXICAL_MEASURED,
    TOKEN_LOOKUP,
)


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
    direct: Mapping[int, TwoSides] = field(default_factory=dict)
    """What features with a direct path to the logits raise and lower by it."""
    measured: Mapping[int, TwoSides] = field(default_factory=dict)
    """What measurably rises and falls where a feature is clamped; of those that were measured."""

    @property
    def n_features(self) -> int:
        """Of the dictionary, extracted or not."""
        return len(self.tokens.start) - 1

    @cached_property
    def names(self) -> list[str]:
        """[V] what texts call each token."""
        return token_names(self.vocabulary)

    @cached_property
    def lexical(self) -> Explained:
        """What `lexical` makes of it; the controls are made of that."""
        lookup = made_in_portions(label_lookup, self.tokens, self.pairs)
        promoted = Promoted(self.promoted, self.promoted_z)
        return Explained(lexical_explanations(self.tokens, lookup, self.names, self.features, promoted), lookup)

    @cached_property
    def inputs(self) -> Explained:
        """The same without what is promoted."""
        lookup = self.lexical.lookup
        return Explained(lexical_explanations(self.tokens, lookup, self.names, self.features), lookup)

    @cached_property
    def context_lookup(self) -> LookupTable:
        """Each token's mean activation, and each pair's where the token before matters."""
        return made_in_portions(context_lookup, self.tokens, self.pairs)

    @cached_property
    def token_lookup(self) -> LookupTable:
        """Each token's mean activation."""
        return made_in_portions(lambda tokens, _: token_lookup(tokens), self.tokens, self.pairs)


class EmbeddedExplainer(Protocol):
    """An embedded explainer of the user's own: `{ python = "module:Class", embedded = true }` among
    `explain.explainers`, made without arguments."""

    def explain_all(self, tables: EvidenceTables) -> Explained:
        """An explanation of each of `tables.features`, and the lookup that each simulates by."""
        ...


def _lexical(tables: EvidenceTables) -> Explained:
    return tables.lexical


def _context_lookup(tables: EvidenceTables) -> Explained:
    return _table(tables, CONTEXT_LOOKUP, "context_table", tables.context_lookup)


def _token_lookup(tables: EvidenceTables) -> Explained:
    return _table(tables, TOKEN_LOOKUP, "token_table", tables.token_lookup)


def _table(tables: EvidenceTables, explainer: str, clause: str, lookup: LookupTable) -> Explained:
    """A table, with a text that says what it is. A feature that never fires has none."""
    said = []
    for feature in tables.features.tolist():
        fires = bool(tables.tokens.n_firing[tables.tokens.start[feature] : tables.tokens.start[feature + 1]].any())
        text = table_text(clause, entries_of(lookup, feature), tables.names) if fires else ""
        said.append(Explanation(feature, explainer, text, "ok" if fires else "dead"))
    return Explained(said, lookup)


EMBEDDED: dict[str, Callable[[EvidenceTables], Explained]] = {
    LEXICAL: _lexical,
    LEXICAL_INPUT: lambda tables: input_label(tables.inputs),
    LEXICAL_DIRECT: lambda tables: direct_labels(tables.features, tables.n_features, tables.direct, tables.names),
    LEXICAL_MEASURED: lambda tables: measured_labels(tables.n_features, tables.measured, tables.names),
    LEXICAL_ALL: lambda tables: labels_of_all(tables.inputs, tables.measured, tables.direct, tables.names),
    CONTEXT_LOOKUP: _context_lookup,
    TOKEN_LOOKUP: _token_lookup,
}
"""By the name that a run file gives."""


def controls_of(tables: EvidenceTables) -> list[Explained]:
    """`shuffled`, `constant` and `generic`."""
    lexical = tables.lexical
    return [
        shuffled(lexical.explanations, lexical.lookup, tables.context_lookup, tables.tokens, tables.seed),
        constant(lexical.explanations, lexical.lookup.n_features),
        generic(lexical.explanations, tables.token_lookup, tables.names),
    ]
