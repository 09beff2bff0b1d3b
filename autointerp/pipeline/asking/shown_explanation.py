"""Explanations as judges are shown them, read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from autointerp.explain.lookup import EMPTY, Entries, entries_of
from autointerp.explain.triggers import either, entries_of_triggers
from autointerp.records import Explanation, LookupTable
from autointerp.score.scorers.protocol import ShownExplanation
from autointerp.store.query import Queryable
from autointerp.words import JUDGED_ALWAYS, of_permuted, without_label

_SAID = """
SELECT e.feature, e.text, e.status, e.donor, e.promotes, e.triggers, l.previous, l.tokens FROM current_explanations e
LEFT JOIN (
    SELECT lookup, any_value(previous) AS previous, any_value(tokens) AS tokens FROM lookups GROUP BY lookup
) l USING (lookup)
WHERE e.dictionary = $dictionary AND e.explainer = $explainer ORDER BY e.feature
"""


def read_shown(
    store: Queryable, dictionary: str, explainer: str, by_text: Mapping[str, Sequence[int]], table: LookupTable
) -> list[ShownExplanation]:
    """All that an explainer says of a dictionary, with where a cheap simulator of each explanation fires; `by_text`
    are the tokens of the vocabulary (`tokens_by_text`).

    That is the explainer's own list of triggers joined with the table `context_lookup` (of the donor, for a
    shuffled one); nothing for `constant`; of explainers with a lookup it is theirs.
    """
    if without_label(explainer):
        return [ShownExplanation(said, EMPTY) for said in read_said(store, dictionary, explainer)]
    shown = []
    of = of_permuted(explainer) or explainer
    for row in store.rows(_SAID, dictionary=dictionary, explainer=of):
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
            own = entries_of(table, row["feature"] if row["donor"] is None else row["donor"])
        shown.append(ShownExplanation(said, either(own, entries_of_triggers(said.triggers, by_text))))
    return shown


def read_said(store: Queryable, dictionary: str, explainer: str) -> list[Explanation]:
    """Status and text of all that an explainer says of a dictionary, by feature; a permuted control has its explainer's
    texts. Where no explanation is shown: of every feature."""
    if without_label(explainer):
        features = store.rows(_FEATURES, dictionary=dictionary)
        return [Explanation(row["feature"], explainer, "", "ok") for row in features]
    rows = store.rows(_STATUS, dictionary=dictionary, explainer=of_permuted(explainer) or explainer)
    return [Explanation(row["feature"], explainer, row["text"] or "", row["status"], row["donor"]) for row in rows]


_FEATURES = "SELECT feature FROM features WHERE dictionary = $dictionary ORDER BY feature"
_STATUS = """
SELECT feature, text, status, donor FROM current_explanations
WHERE dictionary = $dictionary AND explainer = $explainer ORDER BY feature
"""
