"""Logit effects against tokens that are hard to tell from the promoted ones.

Against random tokens a ranking by similarity to the ten that were shown does well without any label, and so does one by
the length of the unembedding's rows. Here each promoted token of ranks 11 to 60 stands beside a wrong one:
1. a third of the wrong tokens are as similar to the shown ones as the promoted one, a third as common and of the same
   norm, a third promoted by a feature nearby (`logit_distractors`, made by `extract/hard_tokens.py`);
2. of the variants of one word one is asked about, none of a word that was shown, and no token that is not whole
   characters;
3. what the explanation quotes is not asked about, nor are the words that it says are promoted: with a token goes the
   one beside it.
A judge that rates all alike, or by anything that both sides share, is at chance. `completion`, `unembedding_norm` and
another feature's label (`shuffled`) stand beside every score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.hashing import hash64, stream_key
from autointerp.score.predictions import Rated, TokenItems
from autointerp.score.scorers.logit_effects import LAST_RANK, LEAST_TOKENS, N_SHOWN, LogitEffects
from autointerp.score.scorers.protocol import Distractors, Questions, ShownExplanation, TestFeature
from autointerp.score.scorers.text_likeness import quoted_texts
from autointerp.score.scorers.vocabulary import Vocabulary, word_family

_WORDS = re.compile(r"\w{3,}")


def hard_items(
    feature: int, promoted: npt.ArrayLike, distractors: Sequence[Distractors], vocabulary: Vocabulary, seed: int
) -> TokenItems:
    """Steps 1 and 2. `promoted` are the tokens of largest direct effect, strongest first."""
    ranked = np.asarray(promoted, dtype=np.int64)[:LAST_RANK]
    family, fragments = vocabulary.family, vocabulary.fragments
    taken = set(family[ranked[:N_SHOWN]].tolist())
    asked = []
    for token, own in zip(ranked[N_SHOWN:].tolist(), family[ranked[N_SHOWN:]].tolist(), strict=True):
        if own not in taken and not fragments[token]:
            taken.add(own)
            asked.append(token)
    taken |= set(family[ranked].tolist())
    order = np.argsort(hash64(stream_key(seed, "hard"), feature, np.array(asked, dtype=np.int64)), kind="stable")
    kinds_of = [_LogitCandidates(of, vocabulary) for of in distractors]
    pairs: list[tuple[int, int, str]] = []
    for place, number in enumerate(order.tolist()):
        for step in range(len(kinds_of)):
            kind = kinds_of[(place + step) % len(kinds_of)]
            wrong = kind.first(asked[number], taken)
            if wrong is not None:
                taken.add(wrong[1])
                pairs.append((asked[number], wrong[0], kind.kind))
                break
    if len(pairs) < LEAST_TOKENS:
        pairs = []
    token = np.array([one for pair in pairs for one in pair[:2]], dtype=np.int64)
    shuffled = np.argsort(hash64(stream_key(seed, "order", "logits_hard"), feature, token), kind="stable")
    kinds = [word for pair in pairs for word in ("promoted", pair[2])]
    return TokenItems(
        feature,
        token[shuffled],
        (np.arange(len(token)) % 2 == 0)[shuffled],
        ranked[:N_SHOWN],
        tuple(kinds[i] for i in shuffled.tolist()),
        (np.arange(len(token)) // 2)[shuffled],
    )


class _LogitCandidates:
    """Tokens of a kind that may be asked about, with their word families."""

    def __init__(self, of: Distractors, vocabulary: Vocabulary) -> None:
        whole = [not vocabulary.fragments[token] for token in of.token.tolist()]
        token = of.token[whole].tolist()
        self.kind = of.kind
        self._made_like = of.made_like[whole].tolist() if len(of.made_like) else [None] * len(token)
        self._tokens = list(zip(token, vocabulary.family[token].tolist() if token else [], strict=True))

    def first(self, promoted: int, taken: set[int]) -> tuple[int, int] | None:
        """The first whose family is not taken, those made like the promoted token before others; with its family."""
        rest = None
        for candidate, like in zip(self._tokens, self._made_like, strict=True):
            if candidate[1] in taken:
                continue
            if like == promoted:
                return candidate
            rest = rest or candidate
        return rest


def without_said(items: TokenItems, said: str, promotes: str, vocabulary: Vocabulary) -> TokenItems:
    """Step 3; no items where too few are left. `promotes` is the part of what is said that names promoted tokens."""
    if items.pair is None or not len(items):
        return items
    named: Iterable[str] = (*quoted_texts(said), *_WORDS.findall(promotes))
    families = {word_family(text) for text in named}
    hit = [vocabulary.shown_families[token] in families for token in items.token.tolist()]
    said_of = np.zeros(int(items.pair.max()) + 1, dtype=np.bool_)  # pairs
    said_of[items.pair[hit]] = True
    keep = ~said_of[items.pair]
    if keep.all():
        return items
    if keep.sum() < 2 * LEAST_TOKENS:
        keep[:] = False
    kinds = tuple(kind for kind, kept in zip(items.kind, keep.tolist(), strict=True) if kept)
    return replace(
        items, token=items.token[keep], promoted=items.promoted[keep], kind=kinds, pair=items.pair[keep]
    )  # fmt: skip


class HardLogits(LogitEffects):
    """The scorers `logits_hard`, one for each truth."""

    kind = "logits_hard"
    _sentence = "rates up to 100 tokens by whether the feature"
    _wrong = ", the wrong ones made to look like these"

    def material(self, feature: TestFeature, group: int | None) -> TokenItems:
        """Steps 1 and 2."""
        corpus, truth = feature.corpus, self.truth_of(feature)
        return hard_items(feature.feature, truth.ranked, truth.distractors, corpus.vocabulary, corpus.seed)

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: TokenItems, judge: Judge) -> Questions:
        """Step 3; nothing is asked where too few tokens are left."""
        vocabulary = feature.corpus.vocabulary
        items = without_said(material, shown.effects_text, shown.explanation.promotes, vocabulary)
        return super().questions(shown, feature, items, judge)

    def look_up(self, feature: TestFeature, material: TokenItems, text: str, lookup: Entries) -> Rated | None:
        """How much each token looks like those that the text names; None where there is no text."""
        items = without_said(material, text, "", feature.corpus.vocabulary) if text else material
        return super().look_up(feature, items, text, lookup)
