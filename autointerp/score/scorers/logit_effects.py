"""Logit effects: does the explanation tell the tokens that a feature promotes from random ones?

1. Shown to explainers: the ten tokens of largest direct effect. Asked about: those of ranks 11 to 60, and as many
   drawn by hash from the other tokens of the corpus. Case and space variants of a shown token are dropped, and so are
   random tokens that are variants of a promoted one.
2. A judge rates all of them from the explanation alone. Only the order counts (a forced ranking): the n_promoted
   highest are the ones it says yes to, so that a bias to say yes cannot matter; ties count by their share.
3. Metrics: `logit_accuracy_direct` (chance .5) and `logit_auprc_direct` (chance: the share of promoted ones).
   A judge that rates all alike scores at chance.

Source: Bricken et al. 2023, who take ranks 10 to 60 (rank 10 was shown, and that is 51 tokens) and ask yes or no.
Beside it stand two rankings without an explanation: `completion`, by similarity to the shown tokens in the unembedding,
and `unembedding_norm`, by the length of each token's row of the unembedding; and the control `permuted`, the same
question with every token's text that of another. The rankings do well here: `hard_logits.py` has wrong tokens that they
cannot tell.

Letters in shapes: V vocabulary, D width, n tokens asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.explain.marking import escape
from autointerp.explain.template import Template
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Float64, Int64
from autointerp.resources import prompt_text
from autointerp.score.predictions import Rated, TokenItems
from autointerp.score.scorers.prompt_windows import one_line, template
from autointerp.score.scorers.protocol import EffectTruth, Questions, Scorer, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.reply_values import in_order, integer_schema, read_integers
from autointerp.score.scorers.text_likeness import read_text
from autointerp.score.scorers.vocabulary import Vocabulary
from autointerp.words import COMPLETION, UNEMBEDDING_NORM

N_SHOWN, LAST_RANK = 10, 60
"""Ranks shown to explainers, and the last rank asked about."""
LEAST_TOKENS = 10
"""With fewer promoted tokens left, or fewer random ones, there is nothing to score."""
RATINGS = range(1, 10)
"""One digit each; with 100 tokens 900 enumerated values, and OpenAI takes 1,000 in a schema."""


def token_items(feature: int, promoted: npt.ArrayLike, vocabulary: Vocabulary, seed: int) -> TokenItems:
    """Step 1. `promoted` are the LAST_RANK tokens of largest direct effect, strongest first."""
    ranked = np.asarray(promoted, dtype=np.int64)[:LAST_RANK]
    shown, variant = ranked[:N_SHOWN], vocabulary.variant
    asked = ranked[N_SHOWN:]
    asked = asked[~np.isin(variant[asked], variant[shown])]
    others = vocabulary.usable[~np.isin(variant[vocabulary.usable], variant[ranked])]
    others = others[np.argsort(hash64(stream_key(seed, "distractors"), feature, others), kind="stable")]
    n = min(len(asked), len(others))
    if n < LEAST_TOKENS:
        n = 0
    token = np.concatenate([asked[:n], others[:n]])
    order = np.argsort(hash64(stream_key(seed, "order", "logits"), feature, token), kind="stable")
    return TokenItems(feature, token[order], (np.arange(2 * n) < n)[order], shown)


# --- judges -----------------------------------------------------------------------------------------


Kind = Literal["logits", "logits_hard"]
"""The file of the prompt, and `Ask.kind`."""
Truth = Literal["direct", "direct_suppressed", "measured", "measured_suppressed"]
"""Which effects are asked about: what a feature promotes or suppresses by the weights alone, or as it was measured."""


@cache
def _template(kind: Kind, side: str) -> Template:
    return template(kind + side, system={}, prompt={"explanation": True, "items": True})


def side_of(truth: Truth) -> str:
    """What stands behind the name of a prompt: nothing, or `_suppressed`."""
    return "_suppressed" if truth.endswith("_suppressed") else ""


def logit_ask(
    explanation: str,
    items: TokenItems,
    texts: Sequence[str],
    logprobs: int = 0,
    kind: Kind = "logits",
    truth: Truth = "direct",
) -> Ask:
    """The question about all tokens of a feature; `texts` of the vocabulary, or of the permuted one."""
    names = [f"t{i}" for i in range(1, len(items) + 1)]
    shown = (f'{name}: "{escape(texts[token], chr(34))}"' for name, token in zip(names, items.token, strict=True))
    words = _template(kind, side_of(truth))
    return Ask(
        kind,
        words.fill("system", {}),
        words.fill("prompt", {"explanation": one_line(explanation), "items": "\n".join(shown)}),
        max_tokens=100 + 10 * len(names),
        schema=integer_schema(names, RATINGS),
        logprobs=logprobs,
        parse=lambda reply: read_integers(reply, names, RATINGS),
    )


def read_ratings(items: TokenItems, answer: Answer) -> Rated:
    """The ratings of a reply: expected values where it has log probabilities."""
    said = in_order(answer, RATINGS)
    rating = np.full(len(items), np.nan) if said.values is None else np.array(said.values, dtype=np.float64)
    return Rated(items, rating, said.status, said.reason)


class CentredUnembedding:
    """What each token's logit reads, without what all tokens have in common."""

    def __init__(self, table: npt.ArrayLike) -> None:
        """[V, D]"""
        self._table = np.asarray(table)
        self._mean = self._table.mean(axis=0, dtype=np.float64)

    def rows(self, tokens: Int64) -> Float64:
        """[n, D]"""
        return np.asarray(self._table[tokens].astype(np.float64) - self._mean)


def completion(items: TokenItems, unembedding: CentredUnembedding) -> Rated:
    """The ranking by what was shown: mean cosine of each token to the shown ones, in the centred unembedding."""

    def unit(tokens: Int64) -> Float64:
        rows = unembedding.rows(tokens)
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30), dtype=np.float64)

    return Rated(items, np.asarray(unit(items.token) @ unit(items.shown).mean(axis=0), dtype=np.float64))


def norm_alone(items: TokenItems, unembedding: CentredUnembedding) -> Rated:
    """The blind ranking: the length of each token's row of the centred unembedding."""
    return Rated(items, np.asarray(np.linalg.norm(unembedding.rows(items.token), axis=1), dtype=np.float64))


RANKINGS: dict[str, Callable[[TokenItems, CentredUnembedding], Rated]] = {
    COMPLETION: completion,
    UNEMBEDDING_NORM: norm_alone,
}
"""Rankings without an explanation, by the explainer that their rows have."""


SENTENCES: dict[Truth, str] = {
    "direct": "promotes them",
    "direct_suppressed": "suppresses them",
    "measured": "raises them where it is clamped",
    "measured_suppressed": "lowers them where it is clamped",
}


class LogitEffects(Scorer):
    """The scorers `logits`, one for each truth."""

    kind: Kind = "logits"
    shape = "rated"
    settings = ("logprobs",)
    permuted = True

    def __init__(self, truth: Truth = "direct") -> None:
        self.truth: Truth = truth
        self.name = self.kind + "_" * (truth != "direct") + truth.removeprefix("direct").removeprefix("_")
        self.measured_by = "token_changes" if truth.startswith("measured") else None
        self.embedded = f"{self.name}:text"
        self.sentence = f"{self._sentence} {SENTENCES[truth]}{self._wrong}"

    _sentence, _wrong = "rates about 100 tokens it has not seen by whether the feature", ""

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text(f"score/{self.kind}{side_of(self.truth)}.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries."""
        return Usual(self.kind, 1, 2300, 250)

    def truth_of(self, feature: TestFeature) -> EffectTruth:
        """What is asked about; nothing where it was not measured."""
        if self.truth == "direct":
            return EffectTruth(feature.promoted, feature.distractors)
        return feature.effects.get(self.truth, EffectTruth(np.zeros(0, np.int64)))

    def material(self, feature: TestFeature, group: int | None) -> TokenItems:
        """Step 1."""
        return token_items(
            feature.feature, self.truth_of(feature).ranked, feature.corpus.vocabulary, feature.corpus.seed
        )

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: TokenItems, judge: Judge) -> Questions:
        """Step 2; nothing is asked where too few tokens are left."""
        if len(material) == 0:
            return Questions([], lambda _: Rated(material, np.zeros(0)))
        texts = feature.corpus.vocabulary.texts
        ask = logit_ask(shown.effects_text, material, texts, judge.logprobs, self.kind, self.truth)
        return Questions([ask], lambda answers: read_ratings(material, answers[0]))

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About one token."""
        none: Int64 = np.zeros(0, np.int64)
        tokens = TokenItems(0, np.zeros(1, np.int64), np.ones(1, bool), none)
        return [logit_ask("x", tokens, ["x"], judge.logprobs, self.kind, self.truth)]

    def look_up(self, feature: TestFeature, material: TokenItems, text: str, lookup: Entries) -> Rated | None:
        """How much each token looks like those that the text names; None where there is no text."""
        return read_text(text, material, feature.corpus.vocabulary.texts, side_of(self.truth)) if text else None
