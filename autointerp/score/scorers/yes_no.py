"""Items shown to a judge that says of each whether it is right: what detection and fuzzing share.

    json        one object, a key an item, 0 or 1; a probability where the reply has log probabilities
    decisions   a typed question an item, answered by a probability

A judge sees the explanation and the items, never the truth. An answer that lacks an item, or has one too many, is a
failure of its whole group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from autointerp.config.judging import Judge
from autointerp.explain.marking import MARKS, Marks, choose_marks, mark
from autointerp.explain.template import Template
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Windows
from autointerp.score.predictions import Items, JudgeCall, Judged
from autointerp.score.scorers.prompt_windows import one_line, template
from autointerp.score.scorers.protocol import Questions, ShownExplanation, TestFeature, Usual
from autointerp.score.scorers.reply_values import (
    ReplyValues,
    call_of,
    in_order,
    integer_schema,
    read_decisions,
    read_integers,
)

ITEMS = 32
"""Items of a feature, on average: 20 in pairs and 12 that stand for silent windows."""
Kind = Literal["detect", "fuzz"]
"""The file of the prompt, and `Ask.kind`."""
Form = Literal["json", "decisions"]
ANSWERS = range(0, 2)
_MARKED = {"open": False, "close": False}


@cache
def _template(kind: Kind) -> Template:
    return template(
        kind,
        system=_MARKED,
        prompt={**_MARKED, "explanation": True, "items": True},
        question={**_MARKED, "item": True},
    )


def judge_asks(
    kind: Kind, explanation: str, items: Items, vocab: Sequence[str], *, form: Form = "json", logprobs: int = 0
) -> list[Ask]:
    """One question a group of items."""
    words, asks = _template(kind), []
    for rows in group_rows(items):
        names = [f"e{i}" for i in range(1, len(rows) + 1)]
        lines, marks = _lines(items, rows, names, vocab)
        prompt = {"explanation": one_line(explanation), "items": lines, **marks}
        if form == "decisions":
            text = words.fill("system", marks).rsplit("\n\nReply with one JSON object", 1)[0]
            asks.append(_decisions(kind, f"{text}\n\n{words.fill('prompt', prompt)}", names, words, marks))
        else:
            asks.append(
                Ask(
                    kind,
                    words.fill("system", marks),
                    words.fill("prompt", prompt),
                    max_tokens=100 + 10 * len(names),
                    schema=integer_schema(names, ANSWERS),
                    logprobs=logprobs,
                    parse=_parser(names),
                )
            )
    return asks


def _parser(names: Sequence[str]) -> Any:
    return lambda reply: read_integers(reply, names, ANSWERS)


def _decisions(kind: Kind, prompt: str, names: Sequence[str], words: Template, marks: dict[str, str]) -> Ask:
    questions = [
        {"type": "predicate", "name": name, "instructions": words.fill("question", {"item": name, **marks})}
        for name in names
    ]
    return Ask(
        kind,
        "",
        prompt,
        max_tokens=0,
        form="decisions",
        questions=tuple(questions),
        parse=lambda reply: read_decisions(reply, names, "predicate"),
    )


def _lines(items: Items, rows: Sequence[int], names: Sequence[str], vocab: Sequence[str]) -> tuple[str, dict[str, str]]:
    shown = []
    for row in rows:
        scored = items.windows.scored[row]
        shown.append(([vocab[token] for token in items.windows.tokens[row][scored]], items.marks[row][scored].tolist()))
    marks: Marks = choose_marks((token for tokens, _ in shown for token in tokens), MARKS)
    lines = [f"{name}: {mark(tokens, marked, marks)}" for name, (tokens, marked) in zip(names, shown, strict=True)]
    return "\n".join(lines), {"open": marks.open, "close": marks.close}


def group_rows(items: Items) -> list[list[int]]:
    """Rows of each group, in the order they are asked."""
    ends = np.cumsum([0, *items.groups]).tolist()
    return [list(range(first, last)) for first, last in pairwise(ends)]


def read_judgements(items: Items, answers: Sequence[Answer], form: Form = "json") -> Judged:
    """The judgements of all groups, in the order of the items."""
    probability = np.full(len(items), np.nan)
    status = ["ok"] * len(items)
    calls: list[JudgeCall | None] = [None] * len(items)
    reason = ""
    for rows, answer in zip(group_rows(items), answers, strict=True):
        reply = _said(answer, form)
        for row in rows:
            calls[row] = call_of(answer)
        if reply.values is None:
            reason = reason or reply.reason
            for row in rows:
                status[row] = reply.status
        else:
            probability[rows] = reply.values
    return Judged(items, probability, tuple(status), reason, tuple(calls))


def _said(answer: Answer, form: Form) -> ReplyValues:
    if form == "decisions" and answer.status == "ok":
        return ReplyValues(tuple(answer.data))
    return in_order(answer, ANSWERS)


def items_questions(kind: Kind, shown: ShownExplanation, feature: TestFeature, items: Items, judge: Judge) -> Questions:
    """What a judge is asked about a feature's items; nothing where there are none."""
    asks = judge_asks(
        kind,
        shown.explanation.text,
        items,
        feature.corpus.vocabulary.texts,
        form=judge.judgements,
        logprobs=judge.logprobs,
    )
    return Questions(asks, lambda answers: read_judgements(items, answers, judge.judgements))


def items_usual(kind: Kind, judge: Judge, input_tokens: int, output_tokens: int) -> Usual:
    """What a feature's items cost."""
    return Usual(kind, -(-ITEMS // (judge.items_per_call or ITEMS)), input_tokens, output_tokens)


def items_example(kind: Kind, judge: Judge) -> list[Ask]:
    """A question about one item of one token."""
    token = np.zeros((1, 1), np.int32)
    windows = Windows(token[0], token[0], token[0], token, token, np.ones((1, 1), bool))
    items = Items(0, windows, np.ones(1, bool), np.zeros((1, 1), bool), (1,))
    return judge_asks(kind, "x", items, ["x"], form=judge.judgements, logprobs=judge.logprobs)
