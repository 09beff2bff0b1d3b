"""The scores of dictionaries by one explainer after the other; what these share is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from autointerp.pipeline.rows.census_rows import SCORER, read_moments
from autointerp.pipeline.rows.stored_scores import (
    FRAMED,
    About,
    DictionaryScores,
    StoredScores,
    read_sample,
    read_scores,
)
from autointerp.records import Float64, Int64
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable

_FEATURES = """
SELECT feature, unit, matched_feature, match_status FROM features WHERE dictionary = $dictionary ORDER BY feature
"""

RunScores = Mapping[str, Mapping[About, StoredScores]]
"""What a piece of work of stage score gave: explainer -> scorer, metric and design -> scores."""


@dataclass(frozen=True)
class SharedFacts:
    """What is the same for all explainers of a dictionary."""

    kind: str
    hook: str
    n_features: int
    matched_to: str | None
    natural_of: str | None
    partner: Mapping[int, int]
    unit: Mapping[int, int]


class ScoreReader:
    """Reads a store whose dictionaries are whole: what it knows of one it does not read again."""

    def __init__(self, store: Queryable) -> None:
        self._store = store
        self._facts = cache(self._read_facts)

    def scores(self, run: str) -> RunScores:
        """The scores of a piece of work, by explainer."""
        return read_scores(self._store, run)

    def dictionary_scores(
        self, dictionary: str, explainer: str, scores: Mapping[About, StoredScores], judged: str | None = None
    ) -> DictionaryScores:
        """These scores of an explainer with their sums by document; `judged` is the piece of judging that they were
        made from, None for embedded explainers."""
        facts = self._facts(dictionary)
        moments_of: dict[str, tuple[Int64, Float64]] = {}
        if judged is None:
            moments = read_moments(self._store, dictionary, explainer, facts.n_features)
            if moments.size:
                moments_of["pearson"] = np.arange(facts.n_features), moments
        framed = [about for about in sorted(scores) if about[1:] == FRAMED]
        sampled = [feature for about in framed for feature in scores[about].features.tolist()]
        sample = read_sample(self._store, dictionary, explainer, sampled, framed[0][0] if framed else SCORER, judged)
        if len(sample.features):
            moments_of["pearson_framed"] = sample.features, sample.blocks
        return DictionaryScores(
            dictionary=dictionary,
            kind=facts.kind,
            hook=facts.hook,
            matched_to=facts.matched_to,
            natural_of=facts.natural_of,
            partner=facts.partner,
            unit=facts.unit,
            scores=scores,
            moments=moments_of,
            alarms=sample.alarms,
            limits=sample.limits,
        )

    def _read_facts(self, dictionary: str) -> SharedFacts:
        row = dictionary_row(self._store, dictionary)
        features = self._store.rows(_FEATURES, dictionary=dictionary)
        return SharedFacts(
            row["kind"],
            row["hook"],
            row["n_features"],
            row["matched_to"],
            row["natural_of"],
            {one["feature"]: one["matched_feature"] for one in features if one["match_status"] == "matched"},
            {one["feature"]: one["unit"] for one in features if one["unit"] is not None},
        )
