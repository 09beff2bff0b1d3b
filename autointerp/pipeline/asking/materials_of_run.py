"""What explanations are tested on, read from the store as it is asked for: a reader is enough."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property, partial

import numpy as np

from autointerp.config.features import FeatureSample
from autointerp.explain.context_lookup import context_lookup
from autointerp.explain.lookup import entries_of
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline.asking.evidence import clamped_features
from autointerp.pipeline.asking.test_material import Corpus, TestMaterial, read_material
from autointerp.pipeline.feature_sample import draw_by_strata
from autointerp.pipeline.plan.prepare import Prepared, choose_scored
from autointerp.pipeline.rows.list_rows import Listed, SampleLists, read_lists
from autointerp.records import Int64
from autointerp.score.scorers.protocol import Scorer
from autointerp.score.scorers.registry import measured_by
from autointerp.store.evidence import dictionary_row, read_gram_tables
from autointerp.store.query import Queryable
from autointerp.subject.tokens import TokenFile
from autointerp.words import CONTEXT_LOOKUP, HUMAN, is_control, of_control

_PARTNERS = "SELECT feature, matched_feature FROM features WHERE dictionary = $dictionary ORDER BY feature"
_STATUS = "SELECT feature, status FROM features WHERE dictionary = $dictionary"
_LABELLED = """
SELECT DISTINCT feature FROM explanations WHERE dictionary = $dictionary AND explainer = $explainer ORDER BY feature
"""


class Materials:
    """Of a prepared run; what all dictionaries share is read once, and the last dictionary's material is kept."""

    def __init__(self, prepared: Prepared, tokens: TokenFile, store: Queryable) -> None:
        self._prepared, self._tokens, self._store = prepared, tokens, store
        self._last: TestMaterial | None = None
        self._lists: dict[str, SampleLists] = {}
        # read once: no stage that tests explanations changes them
        self.sample_of = cache(self._sample_of)
        self.tested_of = cache(self._tested_of)
        self.status_of = cache(self._status_of)
        self.clamped_of = cache(lambda name: clamped_features(store, name))

    @cached_property
    def corpus(self) -> Corpus:
        """What all dictionaries share."""
        config = self._prepared.config
        return Corpus(self._store, self._tokens, config.seed, config.score.threshold)

    def of(self, name: str) -> TestMaterial:
        """Of all features of the sample design, those that people labelled among them."""
        if self._last is None or self._last.dictionary != name:
            self._last = self.some(name, self._all_tested(name))
        return self._last

    def some(self, name: str, features: Iterable[int]) -> TestMaterial:
        """Of these features only."""
        wanted = np.unique(np.array(list(features), np.int64))
        return read_material(self._store, self.corpus, name, wanted, self.lists_of(name))

    def lists_of(self, name: str) -> SampleLists:
        """What is listed of all features that are tested, by explainers that a store knows already and by the run's."""
        if name not in self._lists:
            explain, tested = self._prepared.config.explain, self._all_tested(name)
            asked = [entry.name for entry in explain.asking]
            listers = [*explain.embedded, *asked, *explain.kept]
            by_text = self.corpus.by_text
            table = None
            if CONTEXT_LOOKUP not in explain.embedded:  # it is listed in every run
                every = context_lookup(*read_gram_tables(self._store, name))
                table = partial(entries_of, every)
            self._lists[name] = read_lists(self._store, name, tested, listers, by_text, table)
        return self._lists[name]

    def new_lists(self, name: str) -> list[Listed]:
        """Those that are no rows yet; from now on they are taken to be."""
        new = self.lists_of(name).new
        self._lists[name] = self._lists[name].written()
        return new

    def _all_tested(self, name: str) -> Int64:
        mine = self._labelled(name, HUMAN) if self._prepared.config.explain.human else np.zeros(0, np.int64)
        return np.union1d(self.sample_of(name), mine)

    def _sample_of(self, name: str) -> Int64:
        """Features for the sample design; a matched baseline's are the partners of its target's."""
        config, features = self._prepared.config, self._prepared.features[name]
        facts = dictionary_row(self._store, name)
        if facts["matched_to"] is not None:
            theirs = self.sample_of(facts["matched_to"])
            partners = self._store.rows(_PARTNERS, dictionary=name)
            return np.array([row["feature"] for row in partners if row["matched_feature"] in theirs], dtype=np.int64)
        choice = config.score.features
        if isinstance(choice, FeatureSample) and choice.strata:
            return draw_by_strata(self._store, name, choice.sample, config.seed)
        return choose_scored(choice, features, facts["n_features"], config.seed, name)

    def _tested_of(self, name: str, explainer: str, *, measured: bool = False) -> Int64:
        """The features whose explanations by this explainer a judge is asked about: the sample; of controls a few; what
        people labelled, sampled or not; of the sample what was imported, and of its control a few of these."""
        clamped = np.array(sorted(self.clamped_of(name)), dtype=np.int64)
        if explainer == HUMAN:
            mine = self._labelled(name, HUMAN)
            return np.intersect1d(mine, clamped) if measured else mine
        sample = self.sample_of(name)
        if measured:
            sample = np.intersect1d(sample, clamped)
        explain = self._prepared.config.explain
        if of_control(explainer) in explain.from_measured and len(clamped):
            sample = np.intersect1d(sample, clamped)
        if (labelled_by := of_control(explainer)) in explain.imported:
            sample = np.intersect1d(sample, self._labelled(name, labelled_by))
        judge = self._prepared.config.score.judge
        if not is_control(explainer) or judge is None:
            return sample
        order = np.argsort(hash64(stream_key(self._prepared.config.seed, "controls", name), sample), kind="stable")
        return np.sort(sample[order[: judge.controls]])

    def asked_of(self, name: str, explainer: str, scorer: Scorer) -> Int64:
        """`tested_of`; of a scorer of measured effects the measured ones."""
        return self.tested_of(name, explainer, measured=measured_by(scorer) is not None)

    def _status_of(self, name: str) -> dict[int, str]:
        """alive, rare or dead: of every feature that was extracted."""
        return {row["feature"]: row["status"] for row in self._store.rows(_STATUS, dictionary=name)}

    def _labelled(self, name: str, explainer: str) -> Int64:
        rows = self._store.rows(_LABELLED, dictionary=name, explainer=explainer)
        return np.array([row["feature"] for row in rows], dtype=np.int64)
