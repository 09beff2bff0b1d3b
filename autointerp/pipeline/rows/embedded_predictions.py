"""Which predictions of embedded simulators and judges a store has: they are there once, whatever is scored again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from autointerp.store.query import Queryable

T = TypeVar("T")


@dataclass(frozen=True)
class StoredPredictions:
    """The features whose embedded predictions by one explanation are stored, by scorer."""

    features: dict[str, set[int]] = field(default_factory=dict)

    def without(self, scorer: str, of: dict[int, T]) -> dict[int, T]:
        """Those that are new."""
        return {feature: one for feature, one in of.items() if feature not in self.features.get(scorer, ())}


def read_stored(store: Queryable, dictionary: str, run: str | None = None) -> dict[str, StoredPredictions]:
    """What earlier scoring left, by explainer: the windows of a feature depend on nothing that scoring may change.

    `run`: what this piece of scoring left of scorers that keep their answers by themselves.
    """
    stored: dict[str, StoredPredictions] = {}
    for row in store.rows(_STORED, dictionary=dictionary, run=run):
        of = stored.setdefault(row["explainer"], StoredPredictions())
        of.features[row["scorer"]] = set(row["features"])
    return stored


_STORED = """
SELECT explainer, scorer, list(DISTINCT feature) AS features FROM (
    SELECT scorer, feature, dictionary, explainer, run FROM simulations
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM judgements
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM token_judgements
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM choices
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM picks
) WHERE dictionary = $dictionary AND run IS NOT DISTINCT FROM $run GROUP BY explainer, scorer
"""
