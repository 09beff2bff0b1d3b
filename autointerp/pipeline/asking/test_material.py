"""What everybody is tested on: of one dictionary's sampled features the windows, the items and the tokens asked about.

Everything here is the same for all explainers; only which silent windows a simulator sees depends on the explanation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autointerp.records import SPLITS, Int64, Split, Windows
from autointerp.score.sampled import Candidates, Pool, candidates, top_tokens
from autointerp.score.sampling import firing_limits
from autointerp.score.scorers.detection import Kind
from autointerp.score.scorers.items import Items, Silent, TokenTraits, detection_items, fuzzing_items, token_traits
from autointerp.score.scorers.logit_effects import TokenItems, Vocabulary, token_items
from autointerp.score.scorers.select_exam import Exam, halves, make_exam
from autointerp.score.scorers.shown import ShownWindow
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


@dataclass(frozen=True)
class Corpus:
    """What all dictionaries of a store share."""

    tokens: TokenFile
    vocabulary: Vocabulary
    traits: TokenTraits
    seed: int

    @cached_property
    def select_half(self) -> Int64:
        """Which half of the select split each context is of (`scorers/select_exam.py`), [C]; -1 in other splits."""
        mine = np.flatnonzero(self.tokens.document_split == SPLITS.index("select"))
        half = np.full(len(self.tokens.document_split), -1, dtype=np.int64)
        half[mine] = halves(np.bincount(self.tokens.document, minlength=len(half))[mine], self.seed)
        return np.asarray(half[self.tokens.document])


def read_corpus(store: Queryable, tokens: TokenFile, seed: int) -> Corpus:
    """The vocabulary with what is needed of every token."""
    vocab = read_vocab(store)
    usable = [row["usable"] for row in store.rows(_VOCAB)]
    return Corpus(tokens, Vocabulary(vocab, usable), token_traits(vocab), seed)


@dataclass(frozen=True)
class Ground:
    """Of one dictionary."""

    corpus: Corpus
    dictionary: str
    status: dict[int, str]  # of every feature: alive, rare, dead
    maximum: dict[int, float]  # largest activation on the explain split
    sample: Int64  # features of the sample design
    ready: dict[int, Candidates]  # those of them that are alive
    items: dict[Kind, dict[int, Items]]
    tokens: dict[int, TokenItems]
    scorers: tuple[str, ...]


def lay_ground(
    store: Queryable, corpus: Corpus, dictionary: str, sample: Int64, scorers: Sequence[str], group: int | None = None
) -> Ground:
    """`group` items are shown together at most; None: all of a feature."""
    rows = store.rows(_FEATURES, dictionary=dictionary)
    status = {row["feature"]: row["status"] for row in rows}
    alive = [feature for feature in sample.tolist() if status[feature] == "alive"]
    ready = sample_candidates(store, dictionary, alive, corpus.tokens, corpus.seed)
    items: dict[Kind, dict[int, Items]] = {}
    if ready and {"detection", "fuzzing"} & set(scorers):
        pool = Silent(next(iter(ready.values())).pool.windows, corpus.traits)
        if "detection" in scorers:
            items["detection"] = {
                f: detection_items(one, pool, corpus.traits, corpus.seed, group) for f, one in ready.items()
            }
        if "fuzzing" in scorers:
            items["fuzzing"] = {
                f: fuzzing_items(one, pool, corpus.traits, corpus.seed, group) for f, one in ready.items()
            }
    tokens: dict[int, TokenItems] = {}
    if "logits" in scorers:
        promoted = {
            row["feature"]: row["tokens"] for row in store.rows(_PROMOTED, dictionary=dictionary, features=alive)
        }
        none = np.zeros(0, np.int64)
        tokens = {f: token_items(f, promoted.get(f, none), corpus.vocabulary, corpus.seed) for f in alive}
    return Ground(
        corpus=corpus,
        dictionary=dictionary,
        status=status,
        maximum={row["feature"]: row["max_activation"] for row in rows},
        sample=sample,
        ready=ready,
        items=items,
        tokens=tokens,
        scorers=tuple(scorers),
    )


def sample_candidates(
    store: Queryable, dictionary: str, features: list[int], tokens: TokenFile, seed: int, split: Split = "score"
) -> dict[int, Candidates]:
    """What the samples of each of `features` are drawn from, on the split that is scored or the one to choose on."""
    return {one.feature: one for one in each_candidates(store, dictionary, features, tokens, seed, split)}


def each_candidates(
    store: Queryable, dictionary: str, features: Sequence[int], tokens: TokenFile, seed: int, split: Split
) -> Iterator[Candidates]:
    """The same, feature by feature: none of them is held."""
    pool = Pool(read_pool(store, tokens.window, tokens.windows_per_context, split))
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
            seed,
        )


def each_exam(store: Queryable, corpus: Corpus, dictionary: str, features: Sequence[int]) -> Iterator[Exam]:
    """What drafts of each of `features` are chosen by and revised with, in their order. All of the select split."""
    silent: Silent | None = None
    tokens, half = corpus.tokens, corpus.select_half
    for one in each_candidates(store, dictionary, features, tokens, corpus.seed, "select"):
        silent = silent or Silent(one.pool.windows, corpus.traits)
        exam = make_exam(one, silent, half, corpus.traits, corpus.seed)
        used = [set(tokens.document[part.windows.context].tolist()) for part in (exam.choosing, exam.shown)]
        splits = set(tokens.document_split[[*used[0], *used[1]]].tolist())
        assert splits <= {SPLITS.index("select")}, f"feature {one.feature}: a window that is not of the select split"
        assert not used[0] & used[1], f"feature {one.feature}: a document chooses and is shown"
        yield exam


def shown_windows(corpus: Corpus, windows: Windows, context: int) -> list[ShownWindow]:
    """Windows as text, with up to `context` tokens of what stands in front of each."""
    texts, tokens = corpus.vocabulary.texts, corpus.tokens
    shown = []
    starts = (windows.window - windows.context * tokens.windows_per_context) * tokens.window
    for row, (number, start) in enumerate(zip(windows.context.tolist(), starts.tolist(), strict=True)):
        before = slice(max(0, start - context), start)
        plain = np.asarray(tokens.marks[number, before] == VALID)
        inside = windows.scored[row].nonzero()[0]
        last = int(inside[-1]) + 1 if len(inside) else 0
        shown.append(
            ShownWindow(
                tuple(texts[token] for token in windows.tokens[row, :last].tolist()),
                tuple(windows.scored[row, :last].tolist()),
                tuple(texts[token] for token in tokens.tokens[number, before][plain].tolist()),
            )
        )
    return shown
