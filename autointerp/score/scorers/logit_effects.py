"""Logit effects: does the explanation tell the tokens that a feature promotes from random ones?

1. Shown to explainers: the ten tokens of largest direct effect. Asked about: those of ranks 11 to 60, and as many
   drawn by hash from the other tokens of the corpus. Case and space variants of a shown token are dropped, and so are
   random tokens that are variants of a promoted one.
2. A judge rates all of them from the explanation alone. Only the order counts (a forced ranking): the n_promoted
   highest are the ones it says yes to, so that a bias to say yes cannot matter; ties count by their share.
3. Metrics: `logit_accuracy_direct` (chance .5) and `logit_auprc_direct` (chance: the share of promoted ones).
   A judge that rates all alike scores at chance.

Source: Bricken et al. 2023, who take ranks 10 to 60 (rank 10 was shown, and that is 51 tokens) and ask yes or no.
Beside it stand the floor `completion`, a ranking by similarity to the shown tokens in the unembedding, without an
explanation; and the control `permuted`, the same question with every token's text that of another.
Sets against measured effects and matched (hard) ones will have names of their own behind the metric's.

Letters in shapes: V vocabulary, D width, n tokens asked about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from autointerp.explain.marking import escape, unescape
from autointerp.explain.template import Template
from autointerp.explain.token_text import kind_of
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Bool, Float64, Int64, Score
from autointerp.score import metrics
from autointerp.score.metrics import Value
from autointerp.score.scorers.shown import in_order, integer_schema, one_line, read_integers, template

N_SHOWN, LAST_RANK = 10, 60
"""Ranks shown to explainers, and the last rank asked about."""
LEAST_TOKENS = 10
"""With fewer promoted tokens left, or fewer random ones, there is nothing to score."""
RATINGS = range(1, 10)
"""One digit each; with 100 tokens 900 enumerated values, and OpenAI takes 1,000 in a schema."""
METRICS = ("logit_accuracy_direct", "logit_auprc_direct")
COMPLETION, PERMUTED = "completion", "permuted"
"""Explainers that are none: the floor, and the control with the vocabulary permuted."""


@dataclass(frozen=True)
class TokenItems:
    """The tokens that a judge is asked about for one feature, in the order it is asked."""

    feature: int
    token: Int64  # [n]
    promoted: Bool  # [n]
    shown: Int64  # tokens that explainers saw

    def __len__(self) -> int:
        return len(self.token)


@dataclass(frozen=True)
class Rated:
    """A judge's ratings; nan where it failed."""

    items: TokenItems
    rating: Float64  # [n]
    status: str = "ok"
    reason: str = ""


class Vocabulary:
    """Texts of tokens, and which are variants of each other."""

    def __init__(self, texts: Sequence[str], usable: npt.ArrayLike) -> None:
        self.texts = list(texts)
        self.usable = np.flatnonzero(np.asarray(usable, dtype=np.bool_))  # stand in the corpus, are not special
        names: dict[str, int] = {}
        self.variant = np.array([names.setdefault(_plain(text), len(names)) for text in self.texts], dtype=np.int64)

    def permuted(self, seed: int) -> list[str]:
        """Every usable token with the text of another: the control."""
        order = self.usable[np.argsort(hash64(stream_key(seed, "vocabulary"), self.usable), kind="stable")]
        texts = list(self.texts)
        for token, other in zip(order.tolist(), np.roll(order, 1).tolist(), strict=True):
            texts[token] = self.texts[other]
        return texts


def _plain(text: str) -> str:
    """Without case and space; a token of nothing but space is itself."""
    return text.strip().casefold() or text


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


@cache
def _template() -> Template:
    return template("logits", system={}, prompt={"explanation": True, "items": True})


def logit_ask(explanation: str, items: TokenItems, texts: Sequence[str], logprobs: int = 0) -> Ask:
    """The question about all tokens of a feature; `texts` of the vocabulary, or of the permuted one."""
    names = [f"t{i}" for i in range(1, len(items) + 1)]
    shown = (f'{name}: "{escape(texts[token], chr(34))}"' for name, token in zip(names, items.token, strict=True))
    words = _template()
    return Ask(
        "logits",
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


def completion(items: TokenItems, unembedding: npt.ArrayLike) -> Rated:
    """The floor: mean cosine of each token to the shown ones, in the centred unembedding [V, D]."""
    table = np.asarray(unembedding, dtype=np.float64)
    mean = table.mean(axis=0)

    def unit(tokens: Int64) -> Float64:
        rows = table[tokens] - mean
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30), dtype=np.float64)

    return Rated(items, np.asarray(unit(items.token) @ unit(items.shown).mean(axis=0), dtype=np.float64))


def read_text(explanation: str, items: TokenItems, texts: Sequence[str]) -> Rated:
    """The embedded judge: how much a token looks like those that the text quotes (as promoted, if it says so)
    or, where it quotes none, like its words."""
    named = _quoted(explanation)
    rating = np.array([_likeness(texts[token], named) for token in items.token.tolist()], dtype=np.float64)
    return Rated(items, rating)


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PROMOTED = re.compile(r"\bpromotes?\b:?(.*?)(?:\bsuppresses\b|$)", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"\w{3,}")
_LIKE_KIND = 0.2
"""Likeness of two tokens of the same kind (numbers, brackets ...)."""


def _quoted(explanation: str) -> list[str]:
    part = _PROMOTED.search(explanation)
    of_promoted = part[1] if part is not None else ""
    found = _QUOTED.findall(of_promoted) or _QUOTED.findall(explanation)
    return [unescape(text) for text in found] or _WORDS.findall(of_promoted or explanation)


_kind = cache(kind_of)


def _likeness(token: str, named: Sequence[str]) -> float:
    """The largest share of common letter pairs with a named token, and something for being of its kind."""
    best = 0.0
    kind, own = _kind(token), _pairs(token)
    for other in named:
        theirs = _pairs(other)
        common = len(own & theirs) / len(own | theirs) if own | theirs else 0.0
        best = max(best, common + _LIKE_KIND * (kind is not None and kind == _kind(other)))
    return best


@cache
def _pairs(text: str) -> frozenset[str]:
    plain = f"^{_plain(text)}$"
    return frozenset(plain[i : i + 2] for i in range(len(plain) - 1))


# --- metrics ----------------------------------------------------------------------------------------


def forced_accuracy(promoted: npt.ArrayLike, rating: npt.ArrayLike) -> Value:
    """Share of right answers where the n_promoted highest ratings are the yes ones; ties count by their share."""
    truth, value = np.asarray(promoted, dtype=np.bool_), np.asarray(rating, dtype=np.float64)
    n_yes = int(truth.sum())
    if len(truth) == 0:
        return Value(None, "failed")
    if n_yes == 0:
        return Value(None, "rare")
    limit = np.sort(value)[::-1][n_yes - 1]
    above, tied = value > limit, value == limit
    hits = float(truth[above].sum()) + float(truth[tied].mean()) * (n_yes - int(above.sum()))
    return Value((len(truth) - 2 * (n_yes - hits)) / len(truth), "ok")


_METRICS: dict[str, Callable[[npt.ArrayLike, npt.ArrayLike], Value]] = {
    "logit_accuracy_direct": forced_accuracy,
    "logit_auprc_direct": metrics.auprc,
}


def logit_scores(rated: Rated, explainer: str, scorer: str) -> list[Score]:
    """One row a metric; a judge that failed has no value."""
    n = len(rated.items)
    failed = int(np.isnan(rated.rating).sum())
    rows = []
    for metric, compute in _METRICS.items():
        if n == 0:
            value = Value(None, "no_items")
        elif failed:
            value = Value(None, "failed")
        else:
            value = compute(rated.items.promoted, rated.rating)
        rows.append(
            Score(
                rated.items.feature,
                explainer,
                scorer,
                metric,
                "sample",
                value.value,
                None,
                None,
                n - failed,
                failed,
                value.status,
            )
        )
    return rows
