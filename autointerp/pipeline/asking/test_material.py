"""What explanations are tested on: of one dictionary's sampled features the windows and the tokens asked about.

Everything here is the same for all explainers that were first tested together; one that came later is tested on some
windows of its own besides (`rows/list_rows.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from autointerp.explain.triggers import tokens_by_text
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline.asking.evidence import clamped_features
from autointerp.pipeline.rows.list_rows import NO_LISTS, SampleLists
from autointerp.records import SPLITS, Int64, Split, Windows
from autointerp.score.pool import Pool
from autointerp.score.sampled import Candidates, candidates, top_tokens
from autointerp.score.sampling import firing_limits
from autointerp.score.scorers.intervention import TextOfFeature
from autointerp.score.scorers.logit_effects import LAST_RANK
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.protocol import (
    Distractors,
    EffectTruth,
    OtherFeature,
    Panel,
    Scorer,
    TestCorpus,
    TestFeature,
    no_panel,
)
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
_RANKED = """
SELECT feature, direction = 'suppressed' AS other_side, list(token ORDER BY rank) AS tokens FROM logit_effects
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) GROUP BY ALL
"""
_DISTRACTORS = """
SELECT feature, direction = 'suppressed' AS other_side, kind, tokens, made_like FROM logit_distractors
WHERE dictionary = $dictionary AND feature IN (SELECT unnest($features)) ORDER BY feature, rowid
"""
_CHANGED = """
SELECT feature, side = 'fallen' AS other_side,
       list(token ORDER BY rank) FILTER (split = 'explain' AND rank <= 10) AS shown,
       list(token ORDER BY rank) FILTER (split = 'score') AS asked
FROM current_token_changes
WHERE dictionary = $dictionary AND direction = 'feature' AND feature IN (SELECT unnest($features)) GROUP BY ALL
"""
_CHANGED_DISTRACTORS = """
SELECT d.feature, d.side = 'fallen' AS other_side, d.kind, d.tokens, d.made_like FROM token_change_distractors d
SEMI JOIN current_works c ON c.stage = 'token_changes' AND c.dictionary = d.dictionary AND c.work = d.run
WHERE d.dictionary = $dictionary AND d.feature IN (SELECT unnest($features)) ORDER BY d.feature, d.rowid
"""
_STEERED = """
SELECT feature, number, tokens FROM current_steered_texts WHERE dictionary = $dictionary ORDER BY feature, number
"""
"""Of the measured: shown are the tokens of the explain split, asked about those of the score split."""
_NEIGHBOURS = """
WITH wanted AS (
    SELECT neighbour AS feature, rank FROM feature_neighbours WHERE dictionary = $dictionary AND feature = $feature
    UNION ALL
    SELECT feature, 1000 + row_number() OVER () AS rank FROM (SELECT unnest($others) AS feature)
)
SELECT w.feature, pools_of(p.listed, p.bits) AS pools FROM wanted w JOIN pool_firing p
     ON p.dictionary = $dictionary AND p.split = 'score' AND p.feature = w.feature
WHERE w.feature <> $feature
QUALIFY row_number() OVER (PARTITION BY w.feature ORDER BY w.rank) = 1
ORDER BY w.rank
"""
"""The nearest features of one that were extracted, then others."""
MOST_KEPT = 1 << 12
"""Windows and tokens that scorers ask about that are kept: some 20 kB each."""
N_OTHERS, N_PANEL, WINDOWS_EACH = 8, 64, 12
"""Other features by hash beside the nearest ones; features of the panel, and windows of each."""


class Corpus:
    """What all dictionaries of a store share."""

    def __init__(self, store: Queryable, tokens: TokenFile, seed: int, threshold: float = 0.05) -> None:
        self.tokens, self.seed = tokens, seed
        self.threshold = threshold  # `score.threshold`, a share of each feature's largest activation
        vocab = read_vocab(store)
        self.vocabulary = Vocabulary(vocab, [row["usable"] for row in store.rows(_VOCAB)])
        self.traits = token_traits(vocab)
        self._store = store

    @cached_property
    def by_text(self) -> dict[str, list[int]]:
        """Tokens by their text."""
        return tokens_by_text(self.vocabulary.texts)

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
    ready: dict[int, TestFeature]  # those of them that are alive, as for an explainer of the first wave
    lists: SampleLists = NO_LISTS
    measured: frozenset[int] = frozenset()
    """Features of which it was measured what rises and falls."""
    _made: dict[tuple[str, int, int, int | None], Any] = field(default_factory=dict, repr=False, compare=False)

    def for_explainer(self, feature: int, explainer: str) -> TestFeature | None:
        """A feature as an explainer is tested on it; None: it is not alive."""
        ready = self.ready.get(feature)
        waves = self.lists.waves(feature, explainer)
        return ready if ready is None or len(waves) == len(ready.lists) else replace(ready, lists=waves)

    def of_scorer(self, scorer: Scorer, feature: TestFeature, group: int | None) -> Any:
        """`scorer.material`, which is the same for all explainers of a wave."""
        key = scorer.name, feature.feature, len(feature.lists), group
        if key not in self._made:
            if len(self._made) >= MOST_KEPT:
                self._made.clear()
            self._made[key] = scorer.material(feature, group)
        return self._made[key]


def read_material(
    store: Queryable, corpus: Corpus, dictionary: str, sample: Int64, lists: SampleLists = NO_LISTS
) -> TestMaterial:
    """Of the features `sample`, with what is listed of them."""
    rows = store.rows(_FEATURES, dictionary=dictionary)
    status = {row["feature"]: row["status"] for row in rows}
    maximum = {row["feature"]: row["max_activation"] for row in rows}
    alive = [feature for feature in sample.tolist() if status[feature] == "alive"]
    effects = read_effects(store, dictionary, alive)
    others = _Others(store, corpus, dictionary, [feature for feature, word in status.items() if word == "alive"])
    steered = read_steered(store, dictionary, corpus.vocabulary.texts)
    nothing = EffectTruth(np.zeros(0, np.int64))
    ready = {}
    for drawn in each_candidates(store, dictionary, alive, corpus, "score"):
        feature = drawn.feature
        mine = effects.get(feature, {})
        direct = mine.pop("direct", nothing)
        ready[feature] = TestFeature(
            dictionary,
            feature,
            maximum[feature],
            drawn,
            direct.ranked,
            corpus.shared,
            lists=lists.waves(feature, ""),
            distractors=direct.distractors,
            effects=mine,
            steered=steered,
            neighbours=partial(others.neighbours, feature),
            panel=others.panel,
        )
    return TestMaterial(
        corpus, dictionary, status, sample, ready, lists, frozenset(clamped_features(store, dictionary))
    )


def read_effects(store: Queryable, dictionary: str, features: Sequence[int]) -> dict[int, dict[str, EffectTruth]]:
    """By feature, what it does to tokens, by `logit_effects.Truth`; what is not known is not there."""
    about: dict[str, Any] = {"dictionary": dictionary, "features": features}
    ranked: dict[tuple[int, str], Int64] = {}
    for row in store.rows(_RANKED, **about):
        ranked[row["feature"], _truth("direct", row)] = np.asarray(row["tokens"], dtype=np.int64)
    for row in store.rows(_CHANGED, **about):
        shown, asked = (np.asarray(row[name] or (), dtype=np.int64) for name in ("shown", "asked"))
        asked = asked[~np.isin(asked, shown)]
        ranked[row["feature"], _truth("measured", row)] = np.concatenate([shown, asked])[:LAST_RANK]
    distractors: dict[tuple[int, str], list[Distractors]] = {}
    for effect, sql in (("direct", _DISTRACTORS), ("measured", _CHANGED_DISTRACTORS)):
        for row in store.rows(sql, **about):
            tokens, made_like = (np.asarray(row[name], dtype=np.int64) for name in ("tokens", "made_like"))
            own = distractors.setdefault((row["feature"], _truth(effect, row)), [])
            own.append(Distractors(row["kind"], tokens, made_like))
    effects: dict[int, dict[str, EffectTruth]] = {}
    for (feature, truth), tokens in ranked.items():
        own = distractors.get((feature, truth), [])
        effects.setdefault(feature, {})[truth] = EffectTruth(tokens, tuple(own))
    return effects


def read_steered(store: Queryable, dictionary: str, texts: Sequence[str]) -> dict[int, list[TextOfFeature]]:
    """What the model wrote with each feature's direction added, in the latest run that made it."""
    steered: dict[int, list[TextOfFeature]] = {}
    for row in store.rows(_STEERED, dictionary=dictionary):
        written = tuple(texts[token] for token in row["tokens"])
        steered.setdefault(row["feature"], []).append(TextOfFeature(row["number"], written))
    return steered


def _truth(effect: str, row: Mapping[str, Any]) -> str:
    """`logit_effects.Truth` of a row."""
    return f"{effect}_suppressed" if row["other_side"] else effect


class _Others:
    """Other features of a dictionary, read when a scorer asks for them."""

    def __init__(self, store: Queryable, corpus: Corpus, dictionary: str, alive: Sequence[int]) -> None:
        self._store, self._corpus, self._dictionary = store, corpus, dictionary
        self._alive = np.array(alive, dtype=np.int64)
        self.panel = cache(self._panel)

    def neighbours(self, feature: int) -> list[OtherFeature]:
        """The nearest first, then some by hash."""
        key = stream_key(self._corpus.seed, "others", self._dictionary)
        order = np.argsort(hash64(key, feature, self._alive), kind="stable")
        some = self._alive[order[: N_OTHERS + 1]]
        about = {"dictionary": self._dictionary, "feature": feature, "others": some[some != feature].tolist()}
        return [
            OtherFeature(row["feature"], np.asarray(row["pools"], dtype=np.int64))
            for row in self._store.rows(_NEIGHBOURS, **about)
        ]

    def _panel(self) -> Panel:
        """Firing windows of some features, a uniform sample of each."""
        key = stream_key(self._corpus.seed, "panel", self._dictionary)
        features = np.sort(self._alive[np.argsort(hash64(key, self._alive), kind="stable")[:N_PANEL]]).tolist()
        tokens = self._corpus.tokens
        chosen = []
        for firing in read_feature_windows(
            self._store, self._dictionary, features, tokens.window, tokens.windows_per_context
        ):
            rows = np.flatnonzero(firing.stratum == "F")
            rows = rows[np.argsort(firing.u[rows], kind="stable")][:WINDOWS_EACH]
            chosen.append((np.full(len(rows), firing.feature), firing.window[rows], firing.truth[rows] != 0))
        if not chosen:
            return no_panel()
        feature, window, fires = (np.concatenate(column) for column in zip(*chosen, strict=True))
        return Panel(feature, tokens.windows(window), fires)


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
    largest = {row["feature"]: row["max_activation"] for row in store.rows(_FEATURES, dictionary=dictionary)}
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
            corpus.threshold * largest[feature],
        )


def each_exam(
    store: Queryable, corpus: Corpus, dictionary: str, features: Sequence[int], group: int | None = None
) -> Iterator[Exam]:
    """What drafts of each of `features` are chosen by and revised with, in their order. All of the select split.

    `group`: items in one question to the judge, at most; None: all of them.
    """
    silent: Silent | None = None
    tokens, half = corpus.tokens, corpus.select_half
    for drawn in each_candidates(store, dictionary, features, corpus, "select"):
        silent = silent or Silent(drawn.pool.windows, corpus.traits)
        exam = make_exam(drawn, silent, half, corpus.traits, corpus.seed, group)
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
