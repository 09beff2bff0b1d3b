"""Judges: an explanation and items to questions, replies to judgements with a probability.

    json        one object, a key an item, 0 or 1; a probability where the reply has log probabilities
    decisions   a typed question an item, answered by a probability

A judge sees the explanation and the items, never the truth. An answer that lacks an item, or has one too many, is a
failure of its whole group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from autointerp.explain.lookup import Entries
from autointerp.explain.marking import MARKS, Marks, choose_marks, mark
from autointerp.explain.template import Template
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Bool, Float64, Score
from autointerp.score import metrics
from autointerp.score.sampled import judge, look_up
from autointerp.score.scorers.items import LEAST_ITEMS, Items
from autointerp.score.scorers.shown import (
    Reply,
    in_order,
    integer_schema,
    one_line,
    read_decisions,
    read_integers,
    template,
)

Kind = Literal["detection", "fuzzing"]
Form = Literal["json", "decisions"]
ANSWERS = range(0, 2)
_FILES = {"detection": "detect", "fuzzing": "fuzz"}
_MARKED = {"open": False, "close": False}


@dataclass(frozen=True)
class Judged:
    """What a judge said about the items of one feature."""

    items: Items
    probability: Float64  # [n] that the item is right; 0 or 1 where the judge gives no more; nan where it failed
    status: tuple[str, ...]  # [n] ok, or why there is no judgement
    reason: str = ""  # of the first failure

    @property
    def answered(self) -> Bool:
        return np.asarray(~np.isnan(self.probability), dtype=np.bool_)


@cache
def _template(kind: Kind) -> Template:
    return template(
        _FILES[kind],
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
                    _FILES[kind],
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
        _FILES[kind],
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
    reason = ""
    for rows, answer in zip(group_rows(items), answers, strict=True):
        reply = _said(answer, form)
        if reply.values is None:
            reason = reason or reply.reason
            for row in rows:
                status[row] = reply.status
        else:
            probability[rows] = reply.values
    return Judged(items, probability, tuple(status), reason)


def _said(answer: Answer, form: Form) -> Reply:
    if form == "decisions" and answer.status == "ok":
        return Reply(tuple(answer.data))
    return in_order(answer, ANSWERS)


# --- the embedded judge -----------------------------------------------------------------------------


def look_up_judgements(kind: Kind, items: Items, lookup: Entries) -> Judged:
    """What the explanation's lookup says: that a token fires somewhere, or how likely the marked ones all do."""
    if kind == "detection":
        _, probability = judge(lookup, items.windows)
    else:
        _, of_token = look_up(lookup, items.windows)
        n_marks = items.marks.sum(axis=1)
        probability = (of_token * items.marks).sum(axis=1, dtype=np.float64) / np.maximum(n_marks, 1)
    return Judged(items, probability.astype(np.float64), ("ok",) * len(items))


# --- scores -----------------------------------------------------------------------------------------

METRICS = ("balanced_accuracy_matched", "auroc_matched")
"""Named apart from delphi's `balanced_accuracy`: its silent windows are random, these are matched."""


def judge_scores(judged: Judged, explainer: str, scorer: str) -> list[Score]:
    """Balanced accuracy of "probability at least 1/2", and the area under the curve; chance is .5 for both."""
    right, answered = judged.items.right, judged.answered
    n, failed = int(answered.sum()), int((~answered).sum())
    probability = judged.probability[answered]
    rows = []
    for metric in METRICS:
        if len(judged.items) < LEAST_ITEMS:
            value = metrics.Value(None, "no_items")
        elif n == 0:
            value = metrics.Value(None, "failed")
        elif metric == "auroc_matched":
            value = metrics.auroc(right[answered], probability)
        else:
            value = metrics.balanced_accuracy(right[answered], probability >= 0.5)
        rows.append(
            Score(
                judged.items.feature,
                explainer,
                scorer,
                metric,
                "sample",
                value.value,
                None,
                None,
                n,
                failed,
                value.status,
            )
        )
    return rows
