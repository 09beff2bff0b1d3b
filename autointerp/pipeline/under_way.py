"""What all stages of a run that is under way share: what is missing, and the ground that scoring stands on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from autointerp.errors import AutointerpError
from autointerp.pipeline.ground import Corpus, Ground, lay_ground, read_corpus
from autointerp.pipeline.prepare import Prepared, choose_scored
from autointerp.pipeline.work import Work
from autointerp.progress import Reporter
from autointerp.records import Int64
from autointerp.store.evidence import dictionary_row
from autointerp.store.writer import StoreWriter, Transaction
from autointerp.subject.tokens import TokenFile

_PARTNERS = "SELECT feature, matched_feature FROM features WHERE dictionary = $dictionary ORDER BY feature"


class UnderWay:
    """A prepared run, its tokens and its store."""

    def __init__(self, prepared: Prepared, tokens: TokenFile, store: StoreWriter, report: Reporter) -> None:
        self.prepared, self.tokens, self.store, self.report = prepared, tokens, store, report
        self.config = prepared.config
        self._corpus: Corpus | None = None

    def missing(self, stage: str) -> list[Work]:
        """What is missing of a stage."""
        return [work for work in self.prepared.works if work.stage == stage and not self.store.done(stage, work.key)]

    def by_dictionary(self, stage: str) -> dict[str, list[Work]]:
        """What is missing of a stage that is done for one dictionary after the other."""
        found: dict[str, list[Work]] = {}
        for work in self.missing(stage):
            assert work.dictionary is not None
            found.setdefault(work.dictionary, []).append(work)
        return found

    def undone(self, work: Work) -> list[Work]:
        """Its links that are left to do, the oldest first."""
        return [link for link in work.links if not self.store.done(link.stage, link.key)]

    def n_features(self, names: Iterable[str]) -> int:
        """Features that are extracted."""
        return sum(len(self.prepared.features[name]) for name in names)

    def done(self, transaction: Transaction, work: Work, n_rows: int, seconds: float) -> None:
        """Says so, with the rows."""
        transaction.mark_done(work.stage, work.key, work.dictionary, n_rows, seconds, work.explainer)

    def publish(self) -> None:
        """Readers see the run's progress; a snapshot that cannot be made does not stop it."""
        try:
            self.store.publish_snapshot()
        except AutointerpError as error:
            self.report.say(f"no snapshot for readers: {error}")

    # --- what scores stand on

    def corpus(self) -> Corpus:
        """What all dictionaries share."""
        if self._corpus is None:
            self._corpus = read_corpus(self.store, self.tokens, self.config.seed)
        return self._corpus

    def ground(
        self, name: str, group: int | None = None, more: Iterable[int] = (), only: Iterable[int] | None = None
    ) -> Ground:
        """What everybody is tested on, of the sampled features and `more`; `only` these, where it is given."""
        sample = np.union1d(self.sample_of(name), np.array(list(more), np.int64))
        if only is not None:
            sample = np.intersect1d(sample, np.array(list(only), np.int64))
        return lay_ground(self.store, self.corpus(), name, sample, self.config.score.scorers, group)

    def sample_of(self, name: str) -> Int64:
        """Features for the sample design; a matched baseline's are the partners of its target's."""
        features = self.prepared.features[name]
        facts = dictionary_row(self.store, name)
        if facts["matched_to"] is not None:
            theirs = self.sample_of(facts["matched_to"])
            partners = self.store.rows(_PARTNERS, dictionary=name)
            return np.array([row["feature"] for row in partners if row["matched_feature"] in theirs], dtype=np.int64)
        return choose_scored(self.config.score.features, features, facts["n_features"], self.config.seed, name)
