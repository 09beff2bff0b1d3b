"""Fuzzing: a judge says from the explanation in which of some windows the marked tokens are those that fire.

Wrong windows have tokens of the same kinds marked at the same places; others stand for the silent windows of the split,
with look-alikes marked (`items.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.config.judging import Judge
from autointerp.llm.asks import Ask
from autointerp.records import Float32, Windows
from autointerp.resources import prompt_text
from autointerp.score.predictions import Items, Judged
from autointerp.score.scorers.items import fuzzing_items
from autointerp.score.scorers.protocol import LooksUpWindows, Questions, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.yes_no import items_example, items_questions, items_usual


class Fuzzing(LooksUpWindows):
    """The scorer `fuzzing`."""

    name = "fuzzing"
    shape = "judged"
    sentence = "says of about 30 windows with marked tokens whether the feature fires on these"
    version = 2
    settings = ("judgements", "logprobs", "items_per_call")
    embedded = "fuzzing:lookup"

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text("score/fuzz.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries."""
        return items_usual("fuzz", judge, 1900, 80)

    def material(self, feature: TestFeature, group: int | None) -> Items:
        """Windows with their firing tokens marked, and others with as many tokens marked."""
        corpus = feature.corpus
        of = feature.candidates
        return fuzzing_items(of, corpus.silent, corpus.traits, corpus.seed, group, claims=feature.cells)

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: Items, judge: Judge) -> Questions:
        """One question a group of items."""
        return items_questions("fuzz", shown, feature, material, judge)

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About one item."""
        return items_example("fuzz", judge)

    def looked_at(self, material: Items) -> Windows:
        """Those of the items."""
        return material.windows

    def said_of(self, material: Items, value: Float32, probability: Float32) -> Judged:
        """How likely the marked tokens all fire, by the lookup."""
        n_marks = material.marks.sum(axis=1)
        all_fire = (probability * material.marks).sum(axis=1, dtype=np.float64) / np.maximum(n_marks, 1)
        return Judged(material, all_fire.astype(np.float64), ("ok",) * len(material))
