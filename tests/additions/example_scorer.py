"""A scorer: a judge says which of some windows hold the strongest firings, to tell strong from weak ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from autointerp import (
    Answer,
    Ask,
    InvalidReply,
    Items,
    Judge,
    Judged,
    Questions,
    Scorer,
    ShownExplanation,
    TestFeature,
    Usual,
)

PROMPT = "Which excerpts fit the description best? 1 for the better half, 0 for the others. Reply with one JSON object."
N_WINDOWS = 12


class Strongest(Scorer):
    """Asks one question a feature."""

    name = "strongest"
    shape = "judged"
    sentence = "says in which windows the feature fires most strongly"

    def prompts(self, judge: Judge) -> Sequence[str]:
        return [PROMPT]

    def usual(self, judge: Judge) -> Usual:
        return Usual("strongest", calls=1, input_tokens=900, output_tokens=60)

    def material(self, feature: TestFeature, group: int | None) -> Items:
        """Some firing windows of the score split, drawn by hash; right are those above the median."""
        of = feature.candidates
        rows = np.argsort(of.u, kind="stable")[:N_WINDOWS]
        right = of.maximum[rows] >= np.median(of.maximum[rows]) if len(rows) else np.zeros(0, dtype=np.bool_)
        windows = type(of.kept)(**{field.name: getattr(of.kept, field.name)[rows] for field in fields(of.kept)})
        return Items(feature.feature, windows, right, np.zeros(windows.tokens.shape, dtype=np.bool_), (len(rows),))

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: Items, judge: Judge) -> Questions:
        n, texts = len(material), feature.corpus.vocabulary.texts
        if n == 0:
            return Questions([], lambda _answers: Judged(material, np.zeros(0), ()))
        names = [f"e{i}" for i in range(n)]
        windows = ["".join(texts[token] for token in row) for row in material.windows.tokens.tolist()]
        lines = [f"{name}: {window!r}" for name, window in zip(names, windows, strict=True)]
        one = {"type": "integer", "enum": [0, 1]}
        schema = {
            "type": "object",
            "properties": dict.fromkeys(names, one),
            "required": names,
            "additionalProperties": False,
        }

        def parse(reply: Any) -> list[float]:
            if not isinstance(reply, dict) or sorted(reply) != sorted(names):
                raise InvalidReply("an excerpt is missing, or there is one too many")
            return [float(reply[name]) for name in names]

        def read(answers: list[Answer]) -> Judged:
            [answer] = answers
            if answer.status != "ok":
                return Judged(material, np.full(n, np.nan), (answer.status,) * n, answer.reason)
            return Judged(material, np.array(answer.data, dtype=np.float64), ("ok",) * n)

        prompt = f"Description: {shown.explanation.text!r}\n" + "\n".join(lines)
        return Questions([Ask("strongest", PROMPT, prompt, max_tokens=200, schema=schema, parse=parse)], read)
