"""The simulator `decisions`: a typed question a token, answered by an expected strength."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.llm.asks import Answer, Ask
from autointerp.score.scorers.prompt_windows import ShownWindow, one_line
from autointerp.score.scorers.reply_values import (
    ReplyValues,
    read_decisions,
)
from autointerp.score.scorers.simulators.common import (
    STEPS,
    all_failed,
    numbered_lines,
    simulator_template,
    window_names,
)

MOST_QUESTIONS = 400
"""The Decisions API takes so many in one call."""


@dataclass(frozen=True)
class Decisions:
    """A question a token, answered by an expected strength."""

    group: int = 12
    name: str = "decisions"

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        names = window_names(windows)
        lines, marks = numbered_lines(windows, names)
        words = simulator_template("simulate_decisions")
        levels = [{"label": str(step)} for step in STEPS]
        questions: list[dict[str, Any]] = []
        for name, window in zip(names, windows, strict=True):
            for k in range(1, window.n_scored + 1):
                instructions = words.fill("question", {"token": str(k), "window": name, **marks})
                question = {"type": "score", "name": f"{name}t{k}", "instructions": instructions, "levels": levels}
                questions.append(question)
        prompt = words.fill("prompt", {"explanation": one_line(explanation), "windows": lines, **marks})
        return [_decisions("simulate", prompt, part, "score") for part in _portions(questions)]

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        failed = next((answer for answer in answers if answer.status != "ok"), None)
        if failed is not None:
            return all_failed(failed, windows)
        values = iter([value for answer in answers for value in answer.data])
        return [ReplyValues(tuple(next(values) for _ in range(window.n_scored))) for window in windows]


def _portions(questions: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, len(questions), MOST_QUESTIONS):
        yield questions[first : first + MOST_QUESTIONS]


def _decisions(kind: str, prompt: str, questions: Sequence[dict[str, Any]], answer: str) -> Ask:
    names = [question["name"] for question in questions]
    return Ask(
        kind,
        "",
        prompt,
        max_tokens=0,
        form="decisions",
        questions=tuple(questions),
        parse=lambda reply: read_decisions(reply, names, answer),
    )
