"""Simulation: an LLM predicts the activation of every token of some windows from the explanation alone.

Which windows it sees is decided by what all explanations of the feature list (`score/sampled.py`); how it is asked is a
setting (`simulators/`). `lexical`'s lookup stands beside it on the very same windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.config.judging import Judge
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Float32, Windows
from autointerp.resources import prompt_text
from autointerp.score.predictions import Drawn, Simulated
from autointerp.score.quotas import QUOTAS_60
from autointerp.score.sampled import simulate
from autointerp.score.scorers.fitting import fit_windows
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.protocol import LooksUpWindows, Questions, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.reply_values import ReplyValues
from autointerp.score.scorers.simulators.choose import GROUPS, PROMPTS, simulator_named
from autointerp.score.scorers.simulators.common import calibrate, chunks, spread

WINDOWS = sum(QUOTAS_60)


class Simulation(LooksUpWindows):
    """The scorer `simulation`."""

    name = "simulation"
    shape = "simulated"
    sentence = "predicts the activation of every token of about 60 windows from the explanation alone"
    settings = ("simulate", "logprobs", "windows_per_call", "context")
    embedded = "simulation"

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Only that of the way to ask which the judge is set to."""
        return [judge.simulate, prompt_text(f"score/{PROMPTS[judge.simulate]}.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries with all windows in one call; fewer take their share."""
        group = judge.windows_per_call or GROUPS[judge.simulate]
        share = min(1.0, group / WINDOWS)
        return Usual("simulate", -(-WINDOWS // group), int(800 + 4700 * share), int(500 * share))

    def material(self, feature: TestFeature, group: int | None) -> Drawn:
        """The windows of the sample."""
        return feature.drawn

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: Drawn, judge: Judge) -> Questions:
        """Windows in an order that says nothing of their classes, some in each call."""
        drawn = material
        texts = feature.corpus.show(drawn.windows, judge.context)
        key = stream_key(feature.corpus.seed, "order", "simulation")
        order = np.argsort(hash64(key, feature.feature, drawn.windows.window), kind="stable").tolist()
        ordered, said = [texts[row] for row in order], shown.explanation.text

        def asks_of(size: int) -> list[Ask]:
            sized = simulator_named(judge.simulate, judge.logprobs, size)
            return [ask for part in chunks(ordered, size) for ask in sized.asks(said, part)]

        most = judge.windows_per_call or GROUPS[judge.simulate]
        simulator = simulator_named(judge.simulate, judge.logprobs, fit_windows(asks_of, most, judge))
        parts = list(chunks(ordered, simulator.group))
        groups = [simulator.asks(said, part) for part in parts]

        def read(answers: list[Answer]) -> Simulated:
            rest = iter(answers)
            replies = [
                reply
                for part, asks in zip(parts, groups, strict=True)
                for reply in simulator.read([next(rest) for _ in asks], part)
            ]
            by_row = dict(zip(order, replies, strict=True))
            return _simulated(drawn, texts, [by_row[row] for row in range(len(texts))], feature.maximum)

        return Questions([ask for asks in groups for ask in asks], read, beside=lambda lookup: simulate(drawn, lookup))

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About a window of one token."""
        simulator = simulator_named(judge.simulate, judge.logprobs)
        return simulator.asks("x", [ShownWindow(("x",), (True,))])

    def looked_at(self, material: Drawn) -> Windows:
        """Those of the sample."""
        return material.windows

    def said_of(self, material: Drawn, value: Float32, probability: Float32) -> Simulated:
        """The lookup's predictions on them."""
        return Simulated(material, value)


def _simulated(drawn: Drawn, texts: Sequence[ShownWindow], replies: Sequence[ReplyValues], maximum: float) -> Simulated:
    steps = np.zeros((len(replies), drawn.truth.shape[1]), dtype=np.float32)
    for row, (window, reply) in enumerate(zip(texts, replies, strict=True)):
        steps[row, : len(window.tokens)] = spread(reply, window)
    broken = next((reply for reply in replies if reply.values is None), None)
    return Simulated(
        drawn,
        calibrate(steps, maximum),
        tuple(reply.status for reply in replies),
        "" if broken is None else broken.reason,
    )
