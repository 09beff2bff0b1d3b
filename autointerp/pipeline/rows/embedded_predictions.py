"""Which predictions of embedded simulators and judges a store has: they are there once, whatever is scored again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from autointerp.store.query import Queryable

T = TypeVar("T")


@dataclass(frozen=True)
class StoredPredictions:
    """The features whose embedded predictions by one explanation are stored, by scorer."""

    features: dict[str, set[int]]

    def without(self, scorer: str, of: dict[int, T]) -> dict[int, T]:
        """Those that are new."""
        return {feature: one for feature, one in of.items() if feature not in self.features.get(scorer, ())}


def read_stored(store: Queryable, dictionary: str, explainer: str) -> StoredPredictions:
    """What earlier scoring left: the windows of a feature depend on nothing that scoring may change."""
    features: dict[str, set[int]] = {}
    for row in store.rows(_STORED, dictionary=dictionary, explainer=explainer):
        features.setdefault(row["scorer"], set()).add(row["feature"])
    return StoredPredictions(features)


_STORED = """
SELECT DISTINCT scorer, feature FROM (
    SELECT scorer, feature, dictionary, explainer, run FROM simulations
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM judgements
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM token_judgements
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM choices
) WHERE dictionary = $dictionary AND explainer = $explainer AND run IS NULL
"""
