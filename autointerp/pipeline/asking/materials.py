"""What explanations are tested on, read from the store as it is asked for: a reader is enough."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autointerp.pipeline.asking.test_material import Corpus, Ground, lay_ground, read_corpus
from autointerp.pipeline.plan.prepare import Prepared, choose_scored
from autointerp.records import Int64
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.subject.tokens import TokenFile

_PARTNERS = "SELECT feature, matched_feature FROM features WHERE dictionary = $dictionary ORDER BY feature"


class Materials:
    """Of a prepared run; what all dictionaries share is read once."""

    def __init__(self, prepared: Prepared, tokens: TokenFile, store: Queryable) -> None:
        self._prepared, self._tokens, self._store = prepared, tokens, store
        self._corpus: Corpus | None = None

    def corpus(self) -> Corpus:
        """What all dictionaries share."""
        if self._corpus is None:
            self._corpus = read_corpus(self._store, self._tokens, self._prepared.config.seed)
        return self._corpus

    def ground(
        self, name: str, group: int | None = None, more: Iterable[int] = (), only: Iterable[int] | None = None
    ) -> Ground:
        """What everybody is tested on, of the sampled features and `more`; `only` these, where it is given."""
        sample = np.union1d(self.sample_of(name), np.array(list(more), np.int64))
        if only is not None:
            sample = np.intersect1d(sample, np.array(list(only), np.int64))
        return lay_ground(self._store, self.corpus(), name, sample, self._prepared.config.score.scorers, group)

    def sample_of(self, name: str) -> Int64:
        """Features for the sample design; a matched baseline's are the partners of its target's."""
        config, features = self._prepared.config, self._prepared.features[name]
        facts = dictionary_row(self._store, name)
        if facts["matched_to"] is not None:
            theirs = self.sample_of(facts["matched_to"])
            partners = self._store.rows(_PARTNERS, dictionary=name)
            return np.array([row["feature"] for row in partners if row["matched_feature"] in theirs], dtype=np.int64)
        return choose_scored(config.score.features, features, facts["n_features"], config.seed, name)
