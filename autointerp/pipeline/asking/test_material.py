"""What explanations are tested on: of one dictionary's sampled features the windows and the tokens asked about.

Everything here is the same for all explainers; only which silent windows a simulator sees depends on the explanation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from autointerp.records import SPLITS, Int64, Split, Windows
from autointerp.score.sampled import Candidates, Pool, candidates, top_tokens
from autointerp.score.sampling import firing_limits
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.protocol import TestCorpus, TestFeature
from autointerp.score.scorers.select_exam import Exam, halves, make_exam
from autointerp.score.scorers.silent_windows import Silent, token_traits
from autointerp.score.scorers.vocabulary import Vocabulary
from autointerp.store.evidence import (
    read_feature_windows,
    read_gram_tables,
    read_pool,
    read_pool_firing,
    read_vocab,
)
from autointerp.store.query import Queryable
from autointerp.subject.tokens import VALID, TokenFile

_FEATURES = "SELECT feature, status, max_activation FROM features WHERE dictionary = $dictionary ORDER BY feature"
_MAXIMA = """
SELECT feature, list(max_activation ORDER BY stratum, rank) AS maxima FROM exemplars
WHERE dictionary = $dictionary AND split = 'explain' AND stratum LIKE 'quantile%' GROUP BY feature
"""
_VOCAB = "SELECT NOT is_special AND n_explain + n_select + n_score > 0 AS usable FROM vocab ORDER BY token"
_PROMOTED = """
SELECT feature, list(token ORDER BY rank) AS tokens FROM logit_effects
WHERE dictionary = $dictionary AND direction = 'promoted' AND feature IN (SELECT unnest($features)) GROUP BY feature
"""


class Corpus:
    """What all dictionaries of a store share."""

    def __init__(self, store: Queryable, tokens: TokenFile, seed: int) -> None:
        self.tokens, self.seed = tokens, seed
        vocab = read_vocab(store)
        self.vocabulary = Vocabulary(vocab, [row["usable"] for row in store.rows(_VOCAB)])
        self.traits = token_traits(vocab)
        self._store = store

    @cached_property
    def pool(self) -> Pool:
        """The windows of the score split that all features share."""
        return read_shared_pool(self._store, self.tokens, "score")

    @cached_property
    def shared(self) -> TestCorpus:
        """As scorers see it."""
        silent = Silent(self.pool.windows, self.traits)
        return TestCorpus(self.vocabulary, self.traits, silent, self.seed, partial(shown_windows, self))

    @cached_property
    def permuted(self) -> TestCorpus:
        """The same with every token's text that of another: the control of logit effects."""
        texts = self.vocabulary.permuted(self.seed)
        return replace(self.shared, vocabulary=self.vocabulary.with_texts(texts))

    @cached_property
    def select_half(self) -> Int64:
        """Which half of the select split each context is of (`scorers/select_exam.py`), [C]; -1 in other splits."""
        mine = np.flatnonzero(self.tokens.document_split == SPLITS.index("select"))
        half = np.full(len(self.tokens.document_split), -1, dtype=np.int64)
        half[mine] = halves(np.bincount(self.tokens.document, minlength=len(half))[mine], self.seed)
        return np.asarray(half[self.tokens.document])


@dataclass(frozen=True)
class TestMaterial:
    """What explanations of one dictionary are tested on; the same for all explainers."""

    __test__ = False  # no test class

    corpus: Corpus
    dictionary: str
    status: dict[int, str]  # of every feature: alive, rare, dead
    sample: Int64  # features of the sample design
    ready: dict[int, TestFeature]  # those of them that are alive


def read_material(store: Queryable, corpus: Corpus, dictionary: str, sample: Int64) -> TestMaterial:
    """Of the features `sample`."""
    rows = store.rows(_FEATURES, dictionary=dictionary)
    status = {row["feature"]: row["status"] for row in rows}
    maximum = {row["feature"]: row["max_activation"] for row in rows}
    alive = [feature for feature in sample.tolist() if status[feature] == "alive"]
    promoted = {
        row["feature"]: np.asarray(row["tokens"], dtype=np.int64)
        for row in store.rows(_PROMOTED, dictionary=dictionary, features=alive)
    }
    none = np.zeros(0, np.int64)
    ready = {
        drawn.feature: TestFeature(
            dictionary, drawn.feature, maximum[drawn.feature], drawn, promoted.get(drawn.feature, none), corpus.shared
        )
        for drawn in each_candidates(store, dictionary, alive, corpus, "score")
    }
    return TestMaterial(corpus, dictionary, status, sample, ready)


def read_shared_pool(store: Queryable, tokens: TokenFile, split: Split) -> Pool:
    """The windows of a split that all features share."""
    return Pool(read_pool(store, tokens.window, tokens.windows_per_context, split))


def each_candidates(
    store: Queryable, dictionary: str, features: Sequence[int], corpus: Corpus, split: Split
) -> Iterator[Candidates]:
    """What the samples of each of `features` are drawn from, on the split that is scored or the one to choose on;
    feature by feature: none of them is held."""
    tokens = corpus.tokens
    pool = corpus.pool if split == "score" else read_shared_pool(store, tokens, split)
    firing_in_pool = read_pool_firing(store, dictionary, split)
    heavy, _ = read_gram_tables(store, dictionary)
    maxima = {row["feature"]: row["maxima"] for row in store.rows(_MAXIMA, dictionary=dictionary)}
    for firing in read_feature_windows(store, dictionary, features, tokens.window, tokens.windows_per_context, split):
        feature = firing.feature
        yield candidates(
            firing,
            tokens.windows(firing.window),
            pool,
            firing_in_pool.pools[firing_in_pool.start[feature] : firing_in_pool.start[feature + 1]],
            firing_limits(maxima.get(feature, [])),
            top_tokens(heavy, feature),
            corpus.seed,
        )


def each_exam(store: Queryable, corpus: Corpus, dictionary: str, features: Sequence[int]) -> Iterator[Exam]:
    """What drafts of each of `features` are chosen by and revised with, in their order. All of the select split."""
    silent: Silent | None = None
    tokens, half = corpus.tokens, corpus.select_half
    for drawn in each_candidates(store, dictionary, features, corpus, "select"):
        silent = silent or Silent(drawn.pool.windows, corpus.traits)
        exam = make_exam(drawn, silent, half, corpus.traits, corpus.seed)
        used = [set(tokens.document[part.windows.context].tolist()) for part in (exam.choosing, exam.shown)]
        splits = set(tokens.document_split[[*used[0], *used[1]]].tolist())
        assert splits <= {SPLITS.index("select")}, f"feature {drawn.feature}: a window that is not of the select split"
        assert not used[0] & used[1], f"feature {drawn.feature}: a document chooses and is shown"
        yield exam


def shown_windows(corpus: Corpus, windows: Windows, n_before: int) -> list[ShownWindow]:
    """Windows as text, with up to `n_before` tokens of what stands in front of each."""
    texts, tokens = corpus.vocabulary.texts, corpus.tokens
    shown = []
    places = zip(windows.context.tolist(), tokens.window_start(windows).tolist(), strict=True)
    for row, (context, start) in enumerate(places):
        before = slice(max(0, start - n_before), start)
        plain = np.asarray(tokens.marks[context, before] == VALID)
        inside = windows.scored[row].nonzero()[0]
        last = int(inside[-1]) + 1 if len(inside) else 0
        shown.append(
            ShownWindow(
                tuple(texts[token] for token in windows.tokens[row, :last].tolist()),
                tuple(windows.scored[row, :last].tolist()),
                tuple(texts[token] for token in tokens.tokens[context, before][plain].tolist()),
            )
        )
    return shown
