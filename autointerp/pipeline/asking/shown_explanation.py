"""An explanation as a judge is shown it, with where a cheap simulator of it fires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.explain.lookup import EMPTY, Entries, entries_of
from autointerp.explain.triggers import either, entries_of_triggers, tokens_by_text
from autointerp.records import Explanation, LookupTable
from autointerp.store.query import Queryable
from autointerp.words import JUDGED_ALWAYS


@dataclass(frozen=True)
class Told:
    """An explanation as a judge is shown it."""

    explanation: Explanation
    triggers: Entries
    """Where a cheap simulator of it fires: the sample's class E."""

    @property
    def effects_text(self) -> str:
        """What a judge of logit effects reads: both answers."""
        said = self.explanation
        return f"{said.text} Promotes: {said.promotes}" if said.promotes else said.text


_TOLD = """
SELECT e.feature, e.text, e.status, e.donor, e.promotes, e.triggers, l.previous, l.tokens FROM current_explanations e
LEFT JOIN (
    SELECT lookup, any_value(previous) AS previous, any_value(tokens) AS tokens FROM lookups GROUP BY lookup
) l USING (lookup)
WHERE e.dictionary = $dictionary AND e.explainer = $explainer ORDER BY e.feature
"""


def read_told(
    store: Queryable, dictionary: str, explainer: str, vocab: Sequence[str], lexical: LookupTable
) -> list[Told]:
    """Explanations as judges are shown them, with where a cheap simulator of each fires.

    That is the explainer's own list of triggers joined with the token and context lookup (of the donor, for a
    shuffled one); nothing for `constant`, its own lookup for `generic`.
    """
    by_text, told = tokens_by_text(vocab), []
    for row in store.rows(_TOLD, dictionary=dictionary, explainer=explainer):
        said = Explanation(
            row["feature"],
            explainer,
            row["text"] or "",
            row["status"],
            row["donor"],
            row["promotes"] or "",
            tuple(row["triggers"] or ()),
        )
        own = EMPTY
        if row["previous"]:
            ones = np.ones(len(row["tokens"]), np.float32)
            own = Entries(np.array(row["previous"], np.int32), np.array(row["tokens"], np.int32), ones, ones)
        if explainer not in JUDGED_ALWAYS and row["status"] == "ok" and not row["previous"]:
            own = entries_of(lexical, row["feature"] if row["donor"] is None else row["donor"])
        told.append(Told(said, either(own, entries_of_triggers(said.triggers, by_text))))
    return told
