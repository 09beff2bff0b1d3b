"""Generation: from the explanation a judge writes texts on which the feature should fire and texts on which it should
not; the subject reads them.

It tests what a label says beyond the corpus, and no window of it is shown. What a text reaches is the share of the
feature's own firing windows, a uniform sample of them, whose largest activation is no larger than the text's. Features
differ in scale, so no absolute number is asked for: `generation_accuracy` counts a text as fired on where it reaches
the median. A label of another feature, and one that says the same of both kinds, are at one half; the sign is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from autointerp.config.judging import Judge
from autointerp.explain.template import Template
from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.records import Float64
from autointerp.resources import prompt_text
from autointerp.score.predictions import UNREAD, Generated
from autointerp.score.scorers.items import uniform_rows
from autointerp.score.scorers.prompt_windows import one_line, template
from autointerp.score.scorers.protocol import Questions, Scorer, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.reply_values import object_schema

N_EACH = 4
"""Texts that should fire, and as many that should not."""
LONGEST = 1000
"""Characters of a text that are taken."""
NAMES = (*(f"fires{i}" for i in range(1, N_EACH + 1)), *(f"silent{i}" for i in range(1, N_EACH + 1)))


@cache
def _template() -> Template:
    return template("generate", system={}, prompt={"explanation": True})


def generation_ask(explanation: str) -> Ask:
    """The question."""
    words = _template()
    return Ask(
        "generate",
        words.fill("system", {}),
        words.fill("prompt", {"explanation": one_line(explanation)}),
        max_tokens=1500,
        schema=object_schema({name: {"type": "string"} for name in NAMES}),
        parse=read_texts,
    )


def read_texts(reply: Any) -> list[str]:
    """The texts in the order of NAMES. Raises InvalidReply."""
    if not isinstance(reply, dict):
        raise InvalidReply("the reply is not an object")
    if missing := [name for name in NAMES if not isinstance(reply.get(name), str) or not reply[name].strip()]:
        raise InvalidReply(f'{len(missing)} of {len(NAMES)} texts are missing, "{missing[0]}" first')
    if unknown := sorted(set(reply) - set(NAMES)):
        raise InvalidReply(f'the key "{unknown[0]}" was not asked for')
    return [reply[name][:LONGEST] for name in NAMES]


def read_generated(feature: int, maxima: Float64, firing_share: float, answer: Answer) -> Generated:
    """The texts of a reply, not read yet."""
    n = len(NAMES)
    good = answer.status == "ok"
    return Generated(
        feature,
        tuple(answer.data) if good else ("",) * n,
        np.arange(n) < N_EACH,
        maxima,
        firing_share,
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.zeros(n, np.int64),
        ((UNREAD if good else answer.status),) * n,
        "" if good else answer.reason,
    )


class Generation(Scorer):
    """The scorer `generation`."""

    name = "generation"
    shape = "generated"
    sentence = (
        "writes four texts on which the feature should fire and four on which it should not; the subject reads them"
    )

    def prompts(self, judge: Judge) -> Sequence[str]:
        """Its one prompt."""
        return [prompt_text("score/generate.md")]

    def usual(self, judge: Judge) -> Usual:
        """Measured on the bundled dictionaries."""
        return Usual("generate", 1, 600, 300)

    def material(self, feature: TestFeature, group: int | None) -> tuple[Float64, float]:
        """Largest activations in a uniform sample of the feature's firing windows, and the share of such windows."""
        of = feature.candidates
        maxima = np.sort(of.maximum[uniform_rows(of)].astype(np.float64))
        return maxima, of.n_firing_windows / max(of.n_windows, 1)

    def questions(
        self, shown: ShownExplanation, feature: TestFeature, material: tuple[Float64, float], judge: Judge
    ) -> Questions:
        """One question."""
        number = feature.feature
        return Questions(
            [generation_ask(shown.explanation.text)],
            lambda answers: read_generated(number, *material, answers[0]),
        )

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """About nothing."""
        return [generation_ask("x")]
