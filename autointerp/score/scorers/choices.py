"""Questions in which one of some windows is to be chosen: what discrimination and intruders share.

A judge that does not read must be right in one of N_OPTIONS. So the options of a question have as many scored tokens,
as many marks and, as nearly as there are such windows, as many characters, all made like one of them that is drawn by
hash; their order is drawn by hash too. No window stands in two questions of a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np

from autointerp.explain.marking import MARKS, Marks, choose_marks, mark
from autointerp.explain.template import Template
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Bool, Float64, Windows
from autointerp.score.predictions import LEAST_QUESTIONS, N_OPTIONS, Choices, Chosen
from autointerp.score.sampled import join_windows, take
from autointerp.score.scorers.prompt_windows import one_line, template
from autointerp.score.scorers.reply_values import integer_schema, read_integers

Kind = Literal["discriminate", "intrude", "intrude_internal"]
"""The file of the prompt, and `Ask.kind`."""
ANSWERS = range(1, N_OPTIONS + 1)
_MARKED = {"open": False, "close": False}
OTHER = "other"
"""Stratum of another feature's window."""


@dataclass(frozen=True)
class Option:
    """A window that may be chosen."""

    row: int
    """In the windows that it is taken from."""
    source: int
    """The feature whose window it is."""
    stratum: str
    right: bool
    own: bool = True
    """Whether it is of the feature's kept windows; else of others, which are given beside."""


@dataclass
class QuestionList:
    """Questions of one feature as they are put together."""

    feature: int
    scorer: str
    seed: int
    questions: list[list[Option]] = field(default_factory=list)

    def hashed(self, what: str, number: int, n: int) -> int:
        """A number below n by hash, for the question of this number."""
        return int(hash64(stream_key(self.seed, self.scorer, what), self.feature, number)) % n

    def add(self, options: Sequence[Option]) -> None:
        """A question, its options in an order by hash."""
        assert len(options) == N_OPTIONS
        assert sum(option.right for option in options) == 1
        key = stream_key(self.seed, self.scorer, "order")
        turn = hash64(key, self.feature, len(self.questions), np.arange(N_OPTIONS, dtype=np.int64))
        self.questions.append([options[i] for i in np.argsort(turn, kind="stable").tolist()])

    def choices(self, own: Windows, own_marks: Bool, others: Windows, other_marks: Bool) -> Choices:
        """All of them; none where they are too few."""
        asked = self.questions if len(self.questions) >= LEAST_QUESTIONS else []
        options = [option for question in asked for option in question]
        rows = np.array([option.row + (0 if option.own else len(own)) for option in options], dtype=np.int64)
        return Choices(
            self.feature,
            take(join_windows(own, others), rows),
            np.concatenate([own_marks, other_marks])[rows],
            np.arange(len(options), dtype=np.int64) // N_OPTIONS,
            np.array([option.right for option in options], dtype=np.bool_),
            np.array([option.source for option in options], dtype=np.int64),
            tuple(option.stratum for option in options),
        )


# --- asking


@cache
def _template(kind: Kind) -> Template:
    explained = {"explanation": True} if kind == "discriminate" else {}
    return template(kind, system=_MARKED, prompt={**_MARKED, **explained, "questions": True})


def choice_asks(
    kind: Kind, explanation: str, choices: Choices, vocab: Sequence[str], most: int | None = None
) -> list[Ask]:
    """One question to the judge about all of them, or about so many that `most` windows are shown together."""
    words, asks = _template(kind), []
    for rows in question_rows(choices, most):
        shown = []
        for row in rows:
            scored = choices.windows.scored[row]
            texts = [vocab[token] for token in choices.windows.tokens[row][scored]]
            shown.append((texts, choices.marks[row][scored].tolist()))
        marks: Marks = choose_marks((token for tokens, _ in shown for token in tokens), MARKS)
        names = [f"q{number}" for number in range(1, len(rows) // N_OPTIONS + 1)]
        lines = []
        for place, (tokens, marked) in enumerate(shown):
            if place % N_OPTIONS == 0:
                lines += ["", f"{names[place // N_OPTIONS]}:"] if place else [f"{names[0]}:"]
            lines.append(f"{place % N_OPTIONS + 1}: {mark(tokens, marked, marks)}")
        values = {"open": marks.open, "close": marks.close}
        said = {"explanation": one_line(explanation)} if kind == "discriminate" else {}
        asks.append(
            Ask(
                kind,
                words.fill("system", values),
                words.fill("prompt", {**said, "questions": "\n".join(lines), **values}),
                max_tokens=100 + 10 * len(names),
                schema=integer_schema(names, ANSWERS),
                parse=lambda reply, names=names: read_integers(reply, names, ANSWERS),  # type: ignore[misc]
            )
        )
    return asks


def question_rows(choices: Choices, most: int | None) -> list[list[int]]:
    """Rows of the questions that are asked together."""
    each = choices.n_questions if most is None else max(1, most // N_OPTIONS)
    return [
        list(range(first * N_OPTIONS, min(first + each, choices.n_questions) * N_OPTIONS))
        for first in range(0, choices.n_questions, max(each, 1))
    ]


def read_chosen(choices: Choices, answers: Sequence[Answer], most: int | None = None) -> Chosen:
    """What was chosen in all questions, in their order."""
    probability: Float64 = np.full(len(choices), np.nan)
    status, reason = ["ok"] * len(choices), ""
    for rows, answer in zip(question_rows(choices, most), answers, strict=True):
        if answer.status != "ok":
            reason = reason or answer.reason
            for row in rows:
                status[row] = answer.status
            continue
        place = np.array([number - 1 for number in answer.data])
        said = place[:, None] == np.arange(N_OPTIONS)
        probability[rows] = said.ravel()
    return Chosen(choices, probability, tuple(status), reason)


def example_asks(kind: Kind) -> list[Ask]:
    """About one question of windows of one token."""
    token = np.zeros((N_OPTIONS, 1), np.int32)
    number = np.zeros(N_OPTIONS, np.int64)
    windows = Windows(number, number, number.astype(np.int32), token, token, np.ones((N_OPTIONS, 1), np.bool_))
    right = np.arange(N_OPTIONS) == 0
    choices = Choices(0, windows, np.zeros((N_OPTIONS, 1), np.bool_), number, right, number, (OTHER,) * N_OPTIONS)
    return choice_asks(kind, "x", choices, ["x"])
