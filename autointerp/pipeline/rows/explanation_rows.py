"""Explanations as rows of `explanations`, `lookups` and `failures`, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.explain.controls import Explained
from autointerp.explain.description import description_length
from autointerp.explain.lookup import Entries, entries_hash, from_lists, to_lists
from autointerp.explain.output_labels import NO_DIRECT_PATH, NO_EFFECT
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.records import Explanation, Int64, LookupTable
from autointerp.store.columns import csr_list, to_csr
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.words import is_control

LOOKUPS_AT_ONCE = 1 << 11
"""Lookups whose rows are made at once: they have up to 512 entries each."""


@dataclass(frozen=True)
class Written:
    """An explanation with where it comes from."""

    explanation: Explanation
    reason: str = ""  # why there is none
    prompt: str | None = None
    request: str | None = None
    model: str | None = None
    left_out: int | None = None  # exemplars that the prompt leaves out for want of room


def write_written(transaction: Transaction, dictionary: str, written: Sequence[Written], again: int = 0) -> int:
    """Rows of `explanations` and, where there is none for a reason, of `failures`."""
    said = [one.explanation for one in written]
    rows: dict[str, Any] = {
        "dictionary": dictionary,
        "feature": [one.feature for one in said],
        "explainer": [one.explainer for one in said],
        "text": [one.text or None for one in said],
        "status": [one.status for one in said],
        "lookup": None,
        "donor": [one.donor for one in said],
        "promotes": [one.promotes or None for one in said],
        "triggers": [list(one.triggers) if one.status == "ok" else None for one in said],
        "prompt": [one.prompt for one in written],
        "request": [one.request for one in written],
        "model": [one.model for one in written],
        "again": again,
        "is_control": [is_control(one.explainer) for one in said],
        "description_length": [description_length(one) for one in said],
        "n_entries": None,
        "exemplars_left_out": [one.left_out for one in written],
    }
    n = transaction.append("explanations", rows)
    failed = [one for one in written if one.explanation.status not in ("ok", "dead")]
    if failed:
        said = [one.explanation for one in failed]
        n += transaction.append(
            "failures",
            failure_rows(
                "explain",
                dictionary,
                [e.feature for e in said],
                [e.explainer for e in said],
                None,
                [e.status for e in said],
                [one.reason or one.explanation.status for one in failed],
                again,
            ),
        )
    return n


_EXPLANATIONS = """
SELECT feature, explainer, text, status, lookup, donor FROM current_explanations
WHERE dictionary = $dictionary AND explainer IN (SELECT unnest($explainers)) ORDER BY feature
"""


_LOOKUPS = """
SELECT lookup, previous, tokens, value, probability
FROM lookups SEMI JOIN (
    SELECT lookup FROM explanations WHERE dictionary = $dictionary AND explainer IN (SELECT unnest($explainers))
          AND ($features IS NULL OR list_contains($features, feature))
) USING (lookup)
"""
"""Should one stand there twice, both are the same."""


def stored_lookups(store: Queryable) -> set[str]:
    """The lookups that the store holds: each is there once, whoever explains by it."""
    return {row["lookup"] for row in store.rows("SELECT lookup FROM lookups")}


def write_explanations(transaction: Transaction, dictionary: str, made: Sequence[Explained], stored: set[str]) -> int:
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
                "is_control": [is_control(e.explainer) for e in control.explanations],
                "description_length": [description_length(e, entries[e.feature]) for e in control.explanations],
                "n_entries": [len(entries[e.feature]) for e in control.explanations],
                "exemplars_left_out": None,
            },
        )
    stored.update(lookups)
    keys = list(lookups)
    for first in range(0, len(keys), LOOKUPS_AT_ONCE):
        some = keys[first : first + LOOKUPS_AT_ONCE]
        table = from_lists([lookups[key] for key in some])
        n += transaction.append(
            "lookups",
            {
                "lookup": some,
                "previous": csr_list(table.start, table.previous, pa.int32()),
                "tokens": csr_list(table.start, table.token, pa.int32()),
                "value": csr_list(table.start, table.value, pa.float32()),
                "probability": csr_list(table.start, table.probability, pa.float32()),
            },
        )
    return n


REASONS = {
    "no_disjoint_feature": "no other feature has an explanation without a token of this one's",
    NO_EFFECT: "no token's logit rises by more than three standard errors where it is clamped",
    NO_DIRECT_PATH: "there is no direct path from what it writes to the logits",
}
"""Statuses of explanations that are failures; dead and rare features are not."""


def write_failures(transaction: Transaction, dictionary: str, made: Sequence[Explained]) -> int:
    """Rows of `failures`: explanations that could not be given."""
    failed = [e for control in made for e in control.explanations if e.status in REASONS]
    if not failed:
        return 0
    statuses = [e.status for e in failed]
    rows = failure_rows(
        "explain",
        dictionary,
        [e.feature for e in failed],
        [e.explainer for e in failed],
        None,
        statuses,
        [REASONS[status] for status in statuses],
    )
    return transaction.append("failures", rows)


def read_explanations(
    store: Queryable, dictionary: str, explainer: str, n_features: int, features: Collection[int] | None = None
) -> tuple[list[Explanation], LookupTable]:
    """What an explainer said, and the lookup of each feature (a row for every feature of the dictionary); with
    `features`, of these alone."""
    return read_all_explanations(store, dictionary, [explainer], n_features, features)[explainer]


def read_all_explanations(
    store: Queryable,
    dictionary: str,
    explainers: Sequence[str],
    n_features: int,
    features: Collection[int] | None = None,
) -> dict[str, tuple[list[Explanation], LookupTable]]:
    """The same of several explainers, by name: two statements for all of them."""
    said = store.query(_EXPLANATIONS, dictionary=dictionary, explainers=list(explainers))
    columns: dict[str, list[Any]] = {name: said[name].to_pylist() for name in said.column_names}
    explanations: dict[str, list[Explanation]] = {explainer: [] for explainer in explainers}
    lookup_of: dict[str, dict[int, str]] = {explainer: {} for explainer in explainers}
    for feature, explainer, text, status, lookup, donor in zip(*columns.values(), strict=True):
        explanations[explainer].append(Explanation(feature, explainer, text or "", status, donor=donor))
        lookup_of[explainer][feature] = lookup
    wanted = None if features is None else sorted(features)
    rows = store.query(_LOOKUPS, dictionary=dictionary, explainers=list(explainers), features=wanted)
    number = {key: row for row, key in enumerate(rows["lookup"].to_pylist())}

    def table(lookups: Mapping[int, str]) -> LookupTable:
        row_of = [number.get(lookups.get(feature, ""), -1) for feature in range(n_features)]
        return _table(rows, np.array(row_of, dtype=np.int64))

    return {explainer: (explanations[explainer], table(lookup_of[explainer])) for explainer in explainers}


def _table(rows: pa.Table, row_of: Int64) -> LookupTable:
    """The lookups of features by their rows [F], -1: none."""
    first, previous = to_csr(rows["previous"])
    token, value, probability = (to_csr(rows[name])[1] for name in ("tokens", "value", "probability"))
    if np.any(value == 0) or np.any(probability <= 0):
        raise ValueError("a lookup entry predicts nothing: value 0 or probability 0")
    lengths = np.where(row_of >= 0, np.append(np.diff(first), 0)[row_of], 0)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    entry = np.arange(start[-1]) + np.repeat(first[row_of] - start[:-1], lengths)
    return LookupTable(
        start,
        previous[entry].astype(np.int32),
        token[entry].astype(np.int32),
        value[entry].astype(np.float32),
        probability[entry].astype(np.float32),
    )
