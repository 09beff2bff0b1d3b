"""Detection: a judge says from the explanation in which of some windows the feature fires.

Wrong windows are silent ones made like the right ones; others stand for the silent windows of the split (`items.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.config.judging import Judge
from autointerp.llm.asks import Ask
from autointerp.records import Float32, Windows
from autointerp.resources import prompt_text
from autointerp.score.predictions import Items, Judged
from autointerp.score.sampled import judged_by
from autointerp.score.scorers.items import detection_items
from autointerp.score.scorers.protocol import LooksUpWindows, Questions, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.yes_no import items_example, items_questions, items_usual


class Detection(LooksUpWindows):
    """The scorer `detection`."""

    name = "detection"
    shape = "judged"
    sentence = "says of about 30 windows whether the feature fires there, from the explanation alone"
    version = 2
    settings = ("judgements", "logprobs", "items_per_call")
    embedded = "detection:lookup"

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text("score/detect.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries."""
        return items_usual("detect", judge, 1700, 80)

    def material(self, feature: TestFeature, group: int | None) -> Items:
        """Windows that fire, silent ones like them, and silent ones that stand for others."""
        corpus = feature.corpus
        of = feature.candidates
        return detection_items(of, corpus.silent, corpus.traits, corpus.seed, group, claims=feature.cells)

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: Items, judge: Judge) -> Questions:
        """One question a group of items."""
        return items_questions("detect", shown, feature, material, judge)

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About one item."""
        return items_example("detect", judge)

    def looked_at(self, material: Items) -> Windows:
        """Those of the items."""
        return material.windows

    def said_of(self, material: Items, value: Float32, probability: Float32) -> Judged:
        """That a token of the lookup fires somewhere in the window."""
        _, anywhere = judged_by(probability)
        return Judged(material, anywhere, ("ok",) * len(material))
