"""Intervention: which of three texts was written with the feature's direction added?

The model wrote them behind the same beginning, with the directions of three features, each as long as moves its
prediction by the same KL (`extract/steered_texts.py`): the length was found on the split select, the texts are of the
split score. One is the feature's own; the others are of two features that are drawn by hash. The order is drawn by hash
too. A judge that does not read the label is right in one of three: nothing about a text but what it says can tell.

The embedded judge chooses the text whose tokens look most like those that the label says are promoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.explain.marking import escape
from autointerp.explain.template import Template
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Float64
from autointerp.resources import prompt_text
from autointerp.score.predictions import LEAST_QUESTIONS, N_TEXTS, Picked, TextOptions
from autointerp.score.scorers.prompt_windows import one_line, template
from autointerp.score.scorers.protocol import Questions, Scorer, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.reply_values import integer_schema, read_integers
from autointerp.score.scorers.text_likeness import likeness, named_texts
from autointerp.words import INTERVENTION

ANSWERS = range(1, N_TEXTS + 1)


@dataclass(frozen=True)
class TextOfFeature:
    """What the model wrote, token by token."""

    number: int
    """Of the beginning."""
    tokens: tuple[str, ...]


def text_options(feature: int, texts: Mapping[int, Sequence[TextOfFeature]], seed: int) -> TextOptions:
    """The questions about a feature: one for each of its texts, with those of two others behind the same beginning.
    None where it has no texts, or too few others have."""
    own = {text.number: text for text in texts.get(feature, ())}
    others = np.array(sorted(set(texts) - {feature}), dtype=np.int64)
    by_number = {other: {text.number: text for text in texts[other]} for other in others.tolist()}
    question, source, number, shown = list[int](), list[int](), list[int](), list[tuple[str, ...]]()
    for n, text in sorted(own.items()):
        order = np.argsort(hash64(stream_key(seed, INTERVENTION, "others"), feature, n, others), kind="stable")
        chosen = [other for other in others[order].tolist() if n in by_number[other]][: N_TEXTS - 1]
        if len(chosen) < N_TEXTS - 1:
            continue
        options = [(feature, text), *((other, by_number[other][n]) for other in chosen)]
        places = np.arange(N_TEXTS, dtype=np.int64)
        turn = np.argsort(hash64(stream_key(seed, INTERVENTION, "order"), feature, n, places), kind="stable")
        for place in turn.tolist():
            question.append(len(shown) // N_TEXTS)
            source.append(options[place][0])
            number.append(n)
            shown.append(options[place][1].tokens)
    if len(shown) < LEAST_QUESTIONS * N_TEXTS:
        question, source, number, shown = [], [], [], []
    asked, of, numbered = (np.array(column, dtype=np.int64) for column in (question, source, number))
    return TextOptions(feature, asked, of, numbered, of == feature, tuple(shown))


@cache
def _template() -> Template:
    return template("intervene", system={}, prompt={"explanation": True, "questions": True})


def intervention_ask(explanation: str, options: TextOptions) -> Ask:
    """The question about all of a feature's texts."""
    names = [f"q{n}" for n in range(1, options.n_questions + 1)]
    lines = []
    for row, tokens in enumerate(options.texts):
        if row % N_TEXTS == 0:
            lines.append(f"{names[row // N_TEXTS]}:")
        lines.append(f'{row % N_TEXTS + 1}: "{escape("".join(tokens), chr(34))}"')
    words = _template()
    return Ask(
        "intervene",
        words.fill("system", {}),
        words.fill("prompt", {"explanation": one_line(explanation), "questions": "\n".join(lines)}),
        max_tokens=100 + 10 * len(names),
        schema=integer_schema(names, ANSWERS),
        parse=lambda reply: read_integers(reply, names, ANSWERS),
    )


def read_picked(options: TextOptions, answer: Answer) -> Picked:
    """What was chosen."""
    n = len(options)
    if answer.status != "ok":
        return Picked(options, np.full(n, np.nan), answer.status, answer.reason)
    chosen = np.repeat(np.array([number - 1 for number in answer.data], dtype=np.int64), N_TEXTS)
    return Picked(options, (chosen == np.arange(n) % N_TEXTS).astype(np.float64))


class Intervention(Scorer):
    """The scorer `intervention`."""

    name = INTERVENTION
    shape = "picked"
    sentence = "picks, of three texts that the model wrote with a feature's direction added, the one of this feature"
    embedded = "intervention:text"
    measured_by = "steered_texts"

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text("score/intervene.md")]

    def usual(self, judge: Judge) -> Usual:
        """Four questions of three texts of 20 tokens."""
        return Usual("intervene", 1, 700, 40)

    def material(self, feature: TestFeature, group: int | None) -> TextOptions:
        """The questions, the same for every explainer."""
        return text_options(feature.feature, feature.steered, feature.corpus.seed)

    def questions(
        self, shown: ShownExplanation, feature: TestFeature, material: TextOptions, judge: Judge
    ) -> Questions:
        """All in one; nothing is asked where there are too few."""
        if not len(material):
            return Questions([], lambda _: Picked(material, np.zeros(0)))
        ask = intervention_ask(shown.effects_text, material)
        return Questions([ask], lambda answers: read_picked(material, answers[0]))

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About three texts of one token."""
        number = np.zeros(N_TEXTS, np.int64)
        options = TextOptions(0, number, number, number, np.arange(N_TEXTS) == 0, (("x",),) * N_TEXTS)
        return [intervention_ask("x", options)]

    def look_up(self, feature: TestFeature, material: TextOptions, text: str, lookup: Entries) -> Picked | None:
        """The text whose tokens look most like those named; None where there is no label."""
        if not text:
            return None
        return Picked(material, most_alike(material, named_texts(text)))


def most_alike(options: TextOptions, named: Sequence[str]) -> Float64:
    """[n] by option the probability that it is picked: the text whose tokens look most like those that are named."""
    alike = [float(likeness(tokens, named).mean()) if tokens else 0.0 for tokens in options.texts]
    return _highest(np.array(alike).reshape(-1, N_TEXTS))


def answered_by_tokens(
    texts: Mapping[int, Sequence[TextOfFeature]], named: Mapping[int, Sequence[str]], seed: int
) -> dict[int, Float64]:
    """By feature the probability that each of its questions is answered right, by the tokens `named` of it in the place
    of a label; features without either are left out."""
    answered = {}
    for feature in sorted(texts.keys() & named.keys()):
        options = text_options(feature, texts, seed)
        if len(options):
            answered[feature] = most_alike(options, named[feature])[options.right]
    return answered


def _highest(value: np.ndarray) -> np.ndarray:
    """1 for the highest of each row, shared by several, 0 for the others."""
    if not len(value):
        return np.zeros(0)
    highest = value == value.max(axis=1, keepdims=True)
    return np.asarray((highest / highest.sum(axis=1, keepdims=True)).ravel(), dtype=np.float64)
