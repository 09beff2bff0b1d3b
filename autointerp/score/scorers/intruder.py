"""Intruders: of five windows with marked tokens, which does not belong? It needs no explanation.

    intruder            another feature's window among four of the feature: a unit whose windows have nothing in common
                        cannot be told from others, whatever its label says
    intruder_internal   a window of another strength among four of one strength: where it is told, the feature is about
                        something else where it fires weakly

So a bad unit is told from a bad label. Nobody's explanation is judged: the rows are of the explainer `unlabelled`, and
their control `shuffled:unlabelled` has five windows of which none belongs more than another (of five features; of one
strength). Chance is one in five.

1. A question takes five windows of one third of the feature's firing windows by strength, one third after the other,
   each with a partner of its own among what intrudes. All ten have as many scored tokens and as many marks, and the two
   of a pair about as many characters: a window without a partner is left out.
2. One of the five, by hash, gives its place to its partner, the intruder. So nothing but content tells it: over all
   five that it might have been, rules that go by length find it once in five (`tests/score/test_choices.py`).
3. Other features' windows are those of a panel, the same for all features of a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from autointerp.config.judging import Judge
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Ask
from autointerp.records import Bool, Int64
from autointerp.resources import prompt_text
from autointerp.score.predictions import N_OPTIONS, STRENGTHS, Choices
from autointerp.score.sampled import Candidates
from autointerp.score.scorers.choices import (
    OTHER,
    Kind,
    Option,
    QuestionList,
    choice_asks,
    example_asks,
    read_chosen,
)
from autointerp.score.scorers.items import strength_of, uniform_rows
from autointerp.score.scorers.protocol import Panel, Questions, Scorer, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.silent_windows import TokenTraits, shown_length
from autointerp.words import is_control

N_QUESTIONS = 6
SAME_LENGTH = 0.05
"""Share of its characters by which a window may be longer or shorter than its partner."""


class AlikeWindows:
    """The feature's uniform sample by third and the panel, with what a judge that does not read can see of each."""

    def __init__(self, of: Candidates, panel: Panel, traits: TokenTraits, seed: int) -> None:
        third, _ = strength_of(of)
        rows = uniform_rows(of)
        rows = rows[np.argsort(of.u[rows], kind="stable")]
        self.feature, self.third, self.panel = of.feature, third, panel
        self.thirds = [rows[third[rows] == part].tolist() for part in range(len(STRENGTHS))]
        self.marks = of.truth != 0
        self.length, self.looks = shown_length(of.kept, traits), _looks(self.marks, of.kept.scored)
        own = set(of.kept.window.tolist())
        free = np.array([number not in own for number in panel.windows.window.tolist()], dtype=np.bool_)
        _, first = np.unique(panel.windows.window, return_index=True)
        strangers = np.intersect1d(np.flatnonzero((panel.feature != of.feature) & free), first)
        turn = hash64(stream_key(seed, "strangers"), of.feature, panel.windows.window[strangers])
        self.strangers = strangers[np.argsort(turn, kind="stable")].tolist()
        self.panel_length = shown_length(panel.windows, traits)
        self.panel_looks = _looks(panel.fires, panel.windows.scored)

    def pairs(self, part: int, partners: _Partners) -> list[tuple[int, int]]:
        """Five windows of a third that look alike, each with its partner; fewer where there are none."""
        rows = self.thirds[part]
        for look in dict.fromkeys(self.looks[row] for row in rows):
            pairs: list[tuple[int, int]] = []
            for row in (row for row in rows if self.looks[row] == look):
                partner = partners(row, [other for _, other in pairs])
                pairs += [] if partner is None else [(row, partner)]
                if len(pairs) == N_OPTIONS:
                    return pairs
        return []

    def stranger(self, row: int, but: Sequence[int], apart: bool = False) -> int | None:
        """A window of the panel like a kept one, not one of `but`; `apart`: nor of their features."""
        features = {int(self.panel.feature[other]) for other in but} if apart else set()
        alike = [
            other
            for other in self.strangers
            if self.panel_looks[other] == self.looks[row]
            and other not in but
            and int(self.panel.feature[other]) not in features
        ]
        return _near(alike, self.panel_length, int(self.length[row]))

    def elsewhere(self, row: int, but: Sequence[int]) -> int | None:
        """A window of another third like a kept one, not one of `but`: of the third that is farthest, if it can be."""
        mine = int(self.third[row])
        for part in sorted({*range(len(STRENGTHS))} - {mine}, key=lambda part: -abs(part - mine)):
            alike = [other for other in self.thirds[part] if self.looks[other] == self.looks[row] and other not in but]
            partner = _near(alike, self.length, int(self.length[row]))
            if partner is not None:
                return partner
        return None

    def option(self, row: int, right: bool = False) -> Option:
        return Option(row, self.feature, STRENGTHS[self.third[row]], right)

    def other(self, row: int, right: bool = False) -> Option:
        return Option(row, int(self.panel.feature[row]), OTHER, right, own=False)


_Partners = Callable[[int, Sequence[int]], int | None]
"""The partner of a window, none of those that others have."""


def _looks(marks: Bool, scored: Bool) -> list[tuple[int, int]]:
    """Marks and scored tokens of each window."""
    return list(zip(marks.sum(axis=1).tolist(), scored.sum(axis=1).tolist(), strict=True))


def _near(rows: Sequence[int], length: Int64, wanted: int) -> int | None:
    """The one of these rows whose length is nearest to what is wanted; none where that is not about the same."""
    near = min(rows, key=lambda row: abs(int(length[row]) - wanted), default=None)
    return None if near is None or abs(int(length[near]) - wanted) > SAME_LENGTH * wanted else near


def intruder_choices(of: Candidates, panel: Panel, traits: TokenTraits, seed: int, mixed: bool = False) -> Choices:
    """Another feature's window among four; `mixed`: five windows of five features."""
    look, made = AlikeWindows(of, panel, traits, seed), QuestionList(of.feature, "intruder", seed)
    for number in range(N_QUESTIONS):
        part = number % len(STRENGTHS)
        pairs = look.pairs(part, partial(look.stranger, apart=mixed))
        if not pairs:
            continue
        place = made.hashed("place", number, N_OPTIONS)
        own, stranger = pairs[place]
        look.thirds[part] = [row for row in look.thirds[part] if row not in dict(pairs)]
        gone = [other for _, other in pairs] if mixed else [stranger]
        look.strangers = [other for other in look.strangers if other not in gone]
        if mixed:
            made.add([look.other(other, other == stranger) for other in gone])
        else:
            made.add([look.other(stranger, right=True), *(look.option(row) for row, _ in pairs if row != own)])
    return made.choices(of.kept, look.marks, panel.windows, panel.fires)


def internal_choices(of: Candidates, panel: Panel, traits: TokenTraits, seed: int, mixed: bool = False) -> Choices:
    """A window of another strength among four of one; `mixed`: five of one strength."""
    look, made = AlikeWindows(of, panel, traits, seed), QuestionList(of.feature, "intruder_internal", seed)
    for number in range(N_QUESTIONS):
        part = number % len(STRENGTHS)
        pairs = look.pairs(part, look.elsewhere)
        if not pairs:
            continue
        own, intruder = pairs[made.hashed("place", number, N_OPTIONS)]
        gone = {*dict(pairs), *([] if mixed else [intruder])}
        look.thirds = [[row for row in rows if row not in gone] for rows in look.thirds]
        if mixed:
            made.add([look.option(row, row == own) for row, _ in pairs])
        else:
            made.add([look.option(intruder, right=True), *(look.option(row) for row, _ in pairs if row != own)])
    return made.choices(of.kept, look.marks, panel.windows, panel.fires)


class Intruder(Scorer):
    """The scorer `intruder`."""

    name = "intruder"
    shape = "chosen"
    sentence = "finds the one of five windows with marked tokens that is another feature's; no explanation is shown"
    settings = ("items_per_call",)
    reads_label = False
    kind: Kind = "intrude"

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text(f"score/{self.kind}.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries."""
        n_questions = N_QUESTIONS if judge.items_per_call is None else max(1, judge.items_per_call // N_OPTIONS)
        return Usual(self.kind, -(-N_QUESTIONS // n_questions), 1800, 30)

    def material(self, feature: TestFeature, group: int | None) -> int | None:
        """How many windows are shown together; the questions of the control are others."""
        return group

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: int | None, judge: Judge) -> Questions:
        """All questions together, or as many as fit."""
        corpus, mixed = feature.corpus, is_control(shown.explanation.explainer)
        choices = self.choices(feature.candidates, feature.panel(), corpus.traits, corpus.seed, mixed)
        asks = choice_asks(self.kind, "", choices, corpus.vocabulary.texts, material)
        return Questions(asks, lambda answers: read_chosen(choices, answers, material))

    def choices(self, of: Candidates, panel: Panel, traits: TokenTraits, seed: int, mixed: bool) -> Choices:
        """What is asked about a feature."""
        return intruder_choices(of, panel, traits, seed, mixed)

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About one question."""
        return example_asks(self.kind)


class InternalIntruder(Intruder):
    """The scorer `intruder_internal`."""

    name = "intruder_internal"
    sentence = (
        "finds the one of five windows of a feature in which it fires more or less strongly than in the others; no "
        "explanation is shown"
    )
    kind: Kind = "intrude_internal"

    def choices(self, of: Candidates, panel: Panel, traits: TokenTraits, seed: int, mixed: bool) -> Choices:
        """What is asked about a feature."""
        return internal_choices(of, panel, traits, seed, mixed)
