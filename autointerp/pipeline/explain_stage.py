"""Explaining: evidence from the store -> explanations and lookups, the controls among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from autointerp.explain.controls import Control, constant, generic, shuffled
from autointerp.explain.lexical import (
    lexical_explanations,
    lexical_lookup,
    token_lookup,
    token_lookup_explanations,
)
from autointerp.explain.lookup import Entries, entries_hash, from_lists, to_lists
from autointerp.pipeline.work import CONTROLS
from autointerp.records import Explanation, LookupTable
from autointerp.store.columns import csr_list
from autointerp.store.evidence import read_gram_tables, read_vocab
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction

_FEATURES = "SELECT feature, mean * n_tokens AS mass FROM features WHERE dictionary = $dictionary ORDER BY feature"
_EFFECTS = """
SELECT feature, direction, list(token ORDER BY rank) AS tokens, list(z ORDER BY rank) AS z FROM logit_effects
WHERE dictionary = $dictionary AND rank <= 10 GROUP BY feature, direction
"""
_EXPLANATIONS = """
SELECT feature, explainer, text, status, lookup, donor FROM current_explanations
WHERE dictionary = $dictionary AND explainer = $explainer ORDER BY feature
"""
_LOOKUPS = """
SELECT lookup, any_value(previous) AS previous, any_value(tokens) AS tokens, any_value(value) AS value,
       any_value(probability) AS probability
FROM lookups SEMI JOIN (
    SELECT lookup FROM explanations WHERE dictionary = $dictionary AND explainer = $explainer
) USING (lookup) GROUP BY lookup
"""


def explain(store: Queryable, dictionary: str, explainers: Sequence[str], seed: int) -> dict[str, list[Control]]:
    """The explanations of one dictionary by explainer, CONTROLS among them. Reads evidence (explain split) only."""
    vocab = read_vocab(store)
    tokens, pairs = read_gram_tables(store, dictionary)
    rows = store.rows(_FEATURES, dictionary=dictionary)
    features = np.array([row["feature"] for row in rows], dtype=np.int64)
    mass = np.zeros(len(tokens.start) - 1)
    mass[features] = [row["mass"] for row in rows]
    effects: dict[str, dict[int, list[int]]] = {"promoted": {}, "suppressed": {}}
    sizes: dict[str, dict[int, list[float]]] = {"promoted": {}, "suppressed": {}}
    for row in store.rows(_EFFECTS, dictionary=dictionary):
        effects[row["direction"]][row["feature"]] = row["tokens"]
        sizes[row["direction"]][row["feature"]] = row["z"]
    special = [row["token"] for row in store.rows("SELECT token FROM vocab WHERE is_special")]

    made: dict[str, list[Control]] = {}
    if "token_lookup" in explainers:
        texts = token_lookup_explanations(tokens, vocab, features, total_mass=mass)
        made["token_lookup"] = [Control(texts, token_lookup(tokens))]
    if {"lexical", CONTROLS} & set(explainers):
        lookup = lexical_lookup(tokens, pairs)
        texts = lexical_explanations(
            tokens, pairs, lookup, vocab, features, total_mass=mass,
            promoted=effects["promoted"], promoted_z=sizes["promoted"], special=special,
        )  # fmt: skip
        made["lexical"] = [Control(texts, lookup)]
        made[CONTROLS] = [
            shuffled(texts, lookup, tokens, seed),
            constant(texts, lookup.n_features),
            generic(texts, token_lookup(tokens), vocab),
        ]
    return {explainer: made[explainer] for explainer in explainers}


def stored_lookups(store: Queryable) -> set[str]:
    """The lookups that the store holds: each is there once, whoever explains by it."""
    return {row["lookup"] for row in store.rows("SELECT lookup FROM lookups")}


def write_explanations(transaction: Transaction, dictionary: str, made: Sequence[Control], stored: set[str]) -> int:
    """Rows of `explanations`, and of `lookups` those not `stored`, which are then put there."""
    lookups: dict[str, Entries] = {}
    n = 0
    for control in made:
        entries = to_lists(control.lookup)
        hashes = [entries_hash(entries[explanation.feature]) for explanation in control.explanations]
        of_hash = {key: entries[e.feature] for key, e in zip(hashes, control.explanations, strict=True)}
        lookups |= {key: of_hash[key] for key in of_hash if key not in stored}
        n += transaction.append(
            "explanations",
            {
                "dictionary": dictionary,
                "feature": [e.feature for e in control.explanations],
                "explainer": [e.explainer for e in control.explanations],
                "text": [e.text or None for e in control.explanations],
                "status": [e.status for e in control.explanations],
                "lookup": hashes,
                "donor": [e.donor for e in control.explanations],
                "promotes": None,
                "triggers": None,
                "prompt": None,
                "request": None,
                "model": None,
                "again": 0,
            },
        )
    stored.update(lookups)
    table = from_lists(list(lookups.values()))
    n += transaction.append(
        "lookups",
        {
            "lookup": list(lookups),
            "previous": csr_list(table.start, table.previous, pa.int32()),
            "tokens": csr_list(table.start, table.token, pa.int32()),
            "value": csr_list(table.start, table.value, pa.float32()),
            "probability": csr_list(table.start, table.probability, pa.float32()),
        },
    )
    return n


REASONS = {"no_disjoint_feature": "no other feature has an explanation without a token of this one's"}
"""Statuses of explanations that are failures; dead and rare features are not."""


def write_failures(transaction: Transaction, dictionary: str, made: Sequence[Control]) -> int:
    """Rows of `failures`: explanations that could not be given."""
    failed = [e for control in made for e in control.explanations if e.status in REASONS]
    if not failed:
        return 0
    return transaction.append(
        "failures",
        {
            "stage": "explain",
            "dictionary": dictionary,
            "feature": [e.feature for e in failed],
            "explainer": [e.explainer for e in failed],
            "scorer": None,
            "status": [e.status for e in failed],
            "reason": [REASONS[e.status] for e in failed],
            "again": 0,
        },
    )


def read_explanations(
    store: Queryable, dictionary: str, explainer: str, n_features: int
) -> tuple[list[Explanation], LookupTable]:
    """What an explainer said, and the lookup of each feature (a row for every feature of the dictionary)."""
    explanations, lookup_of = [], {}
    for row in store.rows(_EXPLANATIONS, dictionary=dictionary, explainer=explainer):
        explanations.append(
            Explanation(row["feature"], row["explainer"], row["text"] or "", row["status"], donor=row["donor"])
        )
        lookup_of[row["feature"]] = row["lookup"]
    entries = {
        row["lookup"]: Entries(
            np.array(row["previous"], np.int32), np.array(row["tokens"], np.int32),
            np.array(row["value"], np.float32), np.array(row["probability"], np.float32),
        )
        for row in store.rows(_LOOKUPS, dictionary=dictionary, explainer=explainer)
    }  # fmt: skip
    none = Entries(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    table = from_lists([entries.get(lookup_of.get(feature, ""), none) for feature in range(n_features)])
    return explanations, table
