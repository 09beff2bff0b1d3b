"""Discrimination: a judge picks the feature's window among those of its nearest neighbours, from the explanation alone.

It catches a label that fits a hundred features. Each question has one window in which the feature fires, and four in
which it was measured to be silent and in each of which another feature fires: the nearest ones by direction, and where
these have no such window, others by hash. All five are made like one of them (`choices.py`), which is drawn by hash.
Chance is one in five.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.llm.asks import Ask
from autointerp.records import Int64
from autointerp.resources import prompt_text
from autointerp.score.predictions import N_OPTIONS, STRENGTHS, Choices, Chosen
from autointerp.score.sampled import Candidates
from autointerp.score.sampled import judge as look_up_windows
from autointerp.score.scorers.choices import (
    OTHER,
    Option,
    QuestionList,
    choice_asks,
    example_asks,
    read_chosen,
)
from autointerp.score.scorers.items import across_strengths, strength_of
from autointerp.score.scorers.protocol import OtherFeature, Questions, Scorer, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.silent_windows import Silent, TokenTraits, shown_length

N_QUESTIONS = 6
LOOKED_AT = 8
"""Windows of each feature among which one of the wanted length is looked for."""


def discrimination_choices(
    of: Candidates, neighbours: Iterable[OtherFeature], pool: Silent, traits: TokenTraits, seed: int
) -> Choices:
    """The questions about one feature; `neighbours` the nearest first.

    Of each of the five features as many windows are looked at, so that none of them fits better than another's.
    """
    made = QuestionList(of.feature, "discrimination", seed)
    length, n_scored = shown_length(of.kept, traits), of.kept.scored.sum(axis=1)
    third, _ = strength_of(of)
    others = [(other.feature, _by_u(other.fires[of.silent[other.fires]], of)) for other in neighbours]
    left, taken = across_strengths(of), np.zeros(len(pool.n_scored), dtype=np.bool_)
    while left and len(made.questions) < N_QUESTIONS:
        own = [row for row in left if n_scored[row] == n_scored[left[0]]][:LOOKED_AT]
        free = ~taken & (pool.n_scored == n_scored[own[0]])
        rivals: list[tuple[int, list[int]]] = []
        for feature, rows in others:
            if len(rivals) == N_OPTIONS - 1:
                break
            alone = rows[free[rows]][:LOOKED_AT]
            rivals += [(feature, alone.tolist())] if len(alone) else []
            free[alone] = False  # a window in which two of them fire is one's
        if len(rivals) < N_OPTIONS - 1:
            left.remove(own[0])
            continue
        most = min(len(own), *(len(rows) for _, rows in rivals))
        lengths = [length, *[pool.length] * len(rivals)]
        rows_of = [own[:most], *(rows[:most] for _, rows in rivals)]
        model = made.hashed("model", len(made.questions), N_OPTIONS)
        wanted = int(lengths[model][rows_of[model][0]])
        chosen = [
            rows[0] if role == model else min(rows, key=lambda row: abs(int(lengths[role][row]) - wanted))
            for role, rows in enumerate(rows_of)
        ]
        left.remove(chosen[0])
        taken[chosen[1:]] = True
        options = [Option(chosen[0], of.feature, STRENGTHS[third[chosen[0]]], right=True)]
        for (feature, _), row in zip(rivals, chosen[1:], strict=True):
            options.append(Option(row, feature, OTHER, right=False, own=False))
        made.add(options)
    plain = [np.zeros(windows.tokens.shape, dtype=np.bool_) for windows in (of.kept, of.pool.windows)]
    return made.choices(of.kept, plain[0], of.pool.windows, plain[1])


def _by_u(rows: Int64, of: Candidates) -> Int64:
    return np.asarray(rows[np.argsort(of.pool_u[rows], kind="stable")], dtype=np.int64)


class Discrimination(Scorer):
    """The scorer `discrimination`."""

    name = "discrimination"
    shape = "chosen"
    sentence = "picks the window in which the feature fires among four of its nearest neighbours', from the explanation"
    settings = ("items_per_call",)
    embedded = "discrimination:lookup"

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text("score/discriminate.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries."""
        n_questions = N_QUESTIONS if judge.items_per_call is None else max(1, judge.items_per_call // N_OPTIONS)
        return Usual("discriminate", -(-N_QUESTIONS // n_questions), 1700, 30)

    def material(self, feature: TestFeature, group: int | None) -> tuple[Choices, int | None]:
        """The questions, and how many windows are shown together."""
        corpus = feature.corpus
        made = discrimination_choices(
            feature.candidates, feature.neighbours(), corpus.silent, corpus.traits, corpus.seed
        )
        return made, group

    def questions(
        self, shown: ShownExplanation, feature: TestFeature, material: tuple[Choices, int | None], judge: Judge
    ) -> Questions:
        """All questions together, or as many as fit."""
        choices, most = material
        asks = choice_asks("discriminate", shown.explanation.text, choices, feature.corpus.vocabulary.texts, most)
        return Questions(asks, lambda answers: read_chosen(choices, answers, most))

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About one question."""
        return example_asks("discriminate")

    def look_up(self, feature: TestFeature, material: tuple[Choices, int | None], text: str, lookup: Entries) -> Chosen:
        """How likely a token of the lookup fires somewhere in each window."""
        choices, _ = material
        _, probability = look_up_windows(lookup, choices.windows)
        return Chosen(choices, probability.astype(np.float64), ("ok",) * len(choices))
