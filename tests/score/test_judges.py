"""Judges ask about every item, in their order, and accept no reply that lacks one."""

from __future__ import annotations

import json
import math
from typing import Any, get_args

import numpy as np
import pytest
from scoring import scores_of

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.explain.marking import MARKS, unmark
from autointerp.llm.asks import Answer, Ask, InvalidReply, TokenChoice
from autointerp.records import ANY_TOKEN, Windows
from autointerp.score.predictions import Items, Judged
from autointerp.score.scorers.detection import Detection
from autointerp.score.scorers.fuzzing import Fuzzing
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.scorers.yes_no import Kind, judge_asks, read_judgements
from autointerp.words import ASK_KINDS

ANY_FEATURE: Any = None
"""The items are all that the lookup needs."""
VOCAB = [" the", " cat", " sat", "\n", "«", "e2: 1"]
N, L = 12, 4


@pytest.fixture
def items() -> Items:
    tokens = np.array([[i % 6, (i + 1) % 6, 1, 2] for i in range(N)], dtype=np.int32)
    scored = np.ones((N, L), dtype=bool)
    scored[:, 3] = np.arange(N) % 2 == 0
    windows = Windows(
        np.arange(N), np.arange(N), np.zeros(N, np.int32), tokens, np.roll(tokens, 1, axis=1).astype(np.int32), scored
    )
    marks = np.zeros((N, L), dtype=bool)
    marks[np.arange(N), np.arange(N) % 3] = True
    return Items(3, windows, np.arange(N) % 3 == 0, marks, (5, 7))


def answers_to(asks: list[Ask], values: list[int]) -> list[Answer]:
    found, rest = [], iter(values)
    for ask in asks:
        assert ask.schema is not None
        assert ask.parse is not None
        reply = {name: next(rest) for name in ask.schema["properties"]}
        found.append(Answer(ask, "hash", "ok", text=json.dumps(reply), data=ask.parse(reply)))
    return found


def test_the_words_for_kinds_of_question_are_those_that_scorers_use() -> None:
    judge = Judge(provider="openai", model="m")
    asked = [ask.kind for scorer in SCORERS.values() for ask in scorer.examples(judge)]
    assert ("explain", *dict.fromkeys(asked), "lineup", "probe") == ASK_KINDS


@pytest.mark.parametrize("kind", ["detect", "fuzz"])
def test_each_group_is_a_question_and_each_item_a_key(kind: Any, items: Items) -> None:
    asks = judge_asks(kind, 'cats\n"x"', items, VOCAB)
    assert [list((ask.schema or {})["properties"]) for ask in asks] == [
        [f"e{i}" for i in range(1, 6)],
        [f"e{i}" for i in range(1, 8)],
    ]
    said = [i % 2 for i in range(N)]
    judged = read_judgements(items, answers_to(asks, said))
    assert judged.probability.tolist() == said
    assert set(judged.status) == {"ok"}
    lines = [line.split(": ", 1)[1] for ask in asks for line in ask.prompt.splitlines() if line.startswith("e")]
    assert len(lines) == N
    for row, line in enumerate(lines):
        marks = MARKS[1]  # a token holds the first set's
        pieces = unmark(line, marks)
        tokens = [VOCAB[token] for token in items.windows.tokens[row][items.windows.scored[row]]]
        assert "".join(piece.text for piece in pieces) == "".join(tokens)
        expected = [tokens[row % 3]] if kind == "fuzz" else []
        if kind == "fuzz":
            assert [piece.text for piece in pieces if piece.marked] == expected


def test_no_prompt_tells_what_is_right(items: Items) -> None:
    other = Items(items.feature, items.windows, ~items.right, items.marks, items.groups)
    for kind in get_args(Kind):
        for one, two in zip(judge_asks(kind, "x", items, VOCAB), judge_asks(kind, "x", other, VOCAB), strict=True):
            assert (one.system, one.prompt, one.schema) == (two.system, two.prompt, two.schema)


def test_probabilities_are_read_where_there_are_any(items: Items) -> None:
    asks = judge_asks("detect", "x", items, VOCAB, logprobs=5)
    answers = []
    for ask in asks:
        assert ask.logprobs == 5
        assert ask.parse is not None
        reply = dict.fromkeys((ask.schema or {})["properties"], 1)
        text = json.dumps(reply)
        top = (("1", math.log(0.6)), ("0", math.log(0.2)), ("2", math.log(0.2)))
        tokens = tuple(TokenChoice(c, 0.0, top if c == "1" else ()) for c in text)
        answers.append(Answer(ask, "h", "ok", text=text, data=ask.parse(reply), tokens=tokens))
    # in "e1" and "e10" stands a 1 too: only values are read
    assert read_judgements(items, answers).probability == pytest.approx(np.full(N, 0.75))


def test_decisions_are_predicates(items: Items) -> None:
    asks = judge_asks("fuzz", "x", items, VOCAB, form="decisions")
    assert [len(ask.questions) for ask in asks] == [5, 7]
    answers = []
    for ask in asks:
        assert ask.parse is not None
        assert "Reply with one JSON" not in ask.prompt
        reply = {"answers": [{"type": "predicate", "probability": i / 10} for i in range(len(ask.questions))]}
        answers.append(Answer(ask, "h", "ok", data=ask.parse(reply)))
    judged = read_judgements(items, answers, form="decisions")
    assert judged.probability.tolist() == pytest.approx([i / 10 for i in (*range(5), *range(7))])
    assert asks[0].parse is not None
    with pytest.raises(InvalidReply):
        asks[0].parse({"answers": [{"type": "predicate", "probability": 1.5}] * 5})


def test_a_failed_group_is_counted_and_never_scored(items: Items) -> None:
    asks = judge_asks("detect", "x", items, VOCAB)
    answers = answers_to(asks, [int(right) for right in items.right])
    answers[1] = Answer(asks[1], "h", "truncated", "cut at 100 tokens")
    judged = read_judgements(items, answers)
    assert judged.status == ("ok",) * 5 + ("truncated",) * 7
    assert judged.reason == "cut at 100 tokens"
    matched = {"balanced_accuracy_matched", "auroc_matched"}
    for score in scores_of(judged, "x", "detection:m"):
        if score.metric in matched:
            assert (score.value, score.n, score.n_failed, score.status) == (1.0, 5, 7, "ok")
        else:  # nobody says what these items stand for
            assert (score.value, score.status) in ((None, "no_weights"), (None, "no_items"))
    nothing = read_judgements(items, [Answer(ask, "h", "refused", "no") for ask in asks])
    for score in scores_of(nothing, "x", "detection:m"):
        if score.metric.startswith("recall"):
            assert (score.value, score.n, score.status) == (None, 0, "no_items")
        else:
            assert (score.value, score.n, score.n_failed, score.status) == (None, 0, 12, "failed")


def test_too_few_items_are_no_score(items: Items) -> None:
    none = Items(3, items.windows, items.right[:0], items.marks[:0], ())
    assert judge_asks("detect", "x", none, VOCAB) == []
    judged = Judged(none, np.zeros(0), ())
    assert {score.status for score in scores_of(judged, "x", "detection")} == {"no_items"}


def test_the_lookup_judges_windows_and_marks(items: Items) -> None:
    cat = Entries(
        np.array([ANY_TOKEN], np.int32),
        np.array([1], np.int32),
        np.array([2.0], np.float32),
        np.array([0.8], np.float32),
    )
    marked = Fuzzing().look_up(ANY_FEATURE, items, "", cat)
    held = [items.windows.tokens[row][items.marks[row]].tolist() == [1] for row in range(N)]
    assert isinstance(marked, Judged)
    assert marked.probability == pytest.approx(np.where(held, 0.8, 0.0))
    detected = Detection().look_up(ANY_FEATURE, items, "", cat)
    assert isinstance(detected, Judged)
    assert (detected.probability >= 0.8 - 1e-6).all()  # each window holds a cat
