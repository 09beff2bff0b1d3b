"""A real server of inference: questions of every form are asked of llama-cpp-python's server with a small model.

A model of 135 million parameters knows nothing of features: what is tested is that its replies are valid, counted and
stored, and read as the server meant them, not that they are right.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import inference_server as server
import numpy as np
import pytest
from inference_server import model_at

from autointerp.config.llm_model import LLMModel
from autointerp.errors import ConfigError
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.session.client import Session
from autointerp.records import Windows
from autointerp.score.predictions import Items
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.reply_values import object_schema
from autointerp.score.scorers.simulators.choose import simulator_named
from autointerp.score.scorers.yes_no import judge_asks, read_judgements
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(server.missing()), reason=f"not installed: {server.missing()}"),
]

EXPLANATION = 'Fires on " river" and on words for water.'
WINDOWS = [
    ShownWindow((" The", " river", " ran", " high"), (True,) * 4, before=(" day", ".")),
    ShownWindow((" a", " bridge", " of", " stone"), (True,) * 4),
]
ALTERNATIVES = 10


def asked(path: Path, asks: Sequence[Ask], model: dict[str, Any]) -> tuple[list[Answer], list[dict[str, Any]]]:
    """The answers in the order of the asks, and the rows of the log."""
    with StoreWriter.open(path) as store, StoreReplyLog(store) as log, Session(log) as session:
        settings = LLMModel.model_validate(model)
        session.settle(settings, asks)
        answers = {id(answer.ask): answer for answer in session.answers(asks, settings)}
        log.flush()
        return [answers[id(ask)] for ask in asks], store.rows("SELECT * FROM llm_calls ORDER BY called_at")


@pytest.mark.parametrize("name", ["sparse", "dense", "digits", "token"])
def test_simulation_in_each_form_of_reply(server_url: str, tmp_path: Path, name: str) -> None:
    windows = WINDOWS[:1] if name == "token" else WINDOWS
    simulator = simulator_named(name)
    asks = simulator.asks(EXPLANATION, windows)
    answers, rows = asked(tmp_path / "store.duckdb", asks, model_at(server_url))
    replies = simulator.read(answers, windows)
    print(name, [reply.values or reply.reason for reply in replies])
    if name != "digits":  # a string of n digits is not in the schema: a small model miscounts
        assert [(reply.status, reply.reason) for reply in replies] == [("ok", "")] * len(windows)
    assert [len(reply.values) for reply in replies if reply.values is not None] == [4] * sum(
        reply.status == "ok" for reply in replies
    )
    mine = [row for row in rows if row["kind"] == "simulate"]
    assert len({row["request"] for row in mine}) == len(asks)
    assert all(row["input_tokens"] > 100 and row["output_tokens"] > 0 and row["reply"] for row in mine)
    assert {row["cost_usd"] for row in rows} == {0.0}


def test_the_form_is_found(server_url: str, tmp_path: Path) -> None:
    """json_schema is refused with a 500, json_object with a schema beside it is a grammar."""
    asks = simulator_named("sparse").asks(EXPLANATION, WINDOWS)
    _, rows = asked(tmp_path / "store.duckdb", asks, model_at(server_url))
    first = [row["kind"] for row in rows].index("simulate")
    assert [row["status"] for row in rows[:first]] == ["server_error"] * 3 + ["ok"]
    assert [row["status"] for row in rows[first + 1 :]] == ["ok"] * 3  # does it read long texts whole?
    with StoreWriter.open(tmp_path / "store.duckdb") as store:
        assert "form json_object" in {row["wish"] for row in store.rows("SELECT wish FROM llm_probes")}


# --- log probabilities ------------------------------------------------------------------------------


def mean(top: Sequence[tuple[str, float]], allowed: range) -> float | None:
    """The expected value over the alternatives that are one of `allowed`, the likeliest spelling of each only."""
    chances: dict[int, float] = {}
    for text, logprob in top:
        if re.fullmatch(r" *\d+ *", text) and int(text) in allowed:
            chances.setdefault(int(text), math.exp(logprob))
    return sum(value * chance for value, chance in chances.items()) / sum(chances.values()) if chances else None


def means_in_log(row: dict[str, Any], places: str, allowed: range) -> list[float]:
    """The twin: a stored reply is walked through, and at each place that the pattern finds stands the expected value
    over the alternatives of the token there; the written value where that token is not the value alone."""
    text, starts = "", {}
    for token, _, top in json.loads(row["tokens"]):
        starts[len(text)] = token, top
        text += token
    assert text.strip() == row["reply"].strip()
    found = []
    for match in re.finditer(places, text):
        token, top = starts.get(match.start(1), starts.get(match.start(1) - 1, ("", [])))
        expected = mean(top, allowed) if token.strip() == match[1] else None
        found.append(float(match[1]) if expected is None else expected)
    return found


def with_logprobs(url: str) -> dict[str, Any]:
    return model_at(url, context_tokens=server.CONTEXT_WITH_LOGPROBS)


def reply_row(rows: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    [row] = [row for row in rows if row["kind"] == kind and row["status"] == "ok"]
    return row


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_simulated_values_are_expected_values(logprobs_url: str, tmp_path: Path, name: str) -> None:
    short = WINDOWS[:1]  # for each token the server sorts its whole vocabulary
    simulator = simulator_named(name, logprobs=ALTERNATIVES)
    answers, rows = asked(tmp_path / "s.duckdb", simulator.asks(EXPLANATION, short), with_logprobs(logprobs_url))
    [reply] = simulator.read(answers, short)
    assert reply.values is not None, reply.reason
    row = reply_row(rows, "simulate")
    if name == "dense":
        expected = means_in_log(row, r'"t\d+" *: *(\d+)', range(11))
    else:
        expected = [0.0] * 4
        values = means_in_log(row, r'"v" *: *(\d+)', range(1, 11))
        for hit, value in zip(json.loads(row["reply"])["fires"], values, strict=True):
            expected[hit["t"] - 1] = value
    np.testing.assert_allclose(reply.values, expected, rtol=1e-6)
    assert any(value != round(value) for value in reply.values), "expected values, not the digits as they are written"


def test_simulated_digits_are_expected_digits(logprobs_url: str, tmp_path: Path) -> None:
    """A small model writes words for digits: the server's grammar is told which strings there are."""
    short = WINDOWS[:1]
    simulator = simulator_named("digits", logprobs=ALTERNATIVES)
    strings = ["0000", "0900", "0070", "5005", "1234"]
    schema = object_schema({"w1": {"type": "string", "enum": strings}})
    asks = [replace(ask, schema=schema) for ask in simulator.asks(EXPLANATION, short)]
    answers, rows = asked(tmp_path / "s.duckdb", asks, with_logprobs(logprobs_url))
    [reply] = simulator.read(answers, short)
    assert reply.status == "ok", reply.reason
    assert reply.values is not None
    digits = means_in_log(reply_row(rows, "simulate"), r'(?<=["\d])(\d)', range(10))
    np.testing.assert_allclose(reply.values, np.array(digits) * 10 / 9, rtol=1e-6)
    assert any(digit != round(digit) for digit in digits)


def test_judgements_are_probabilities(logprobs_url: str, tmp_path: Path) -> None:
    vocabulary = [" river", " stone", " ran"]
    tokens = np.array([[0, 2], [1, 2]], np.int32)
    number = np.zeros(2, np.int64)
    windows = Windows(number, number, number.astype(np.int32), tokens, tokens, np.ones((2, 2), bool))
    marks = np.array([[True, False], [True, False]])
    items = Items(0, windows, np.array([True, False]), marks, (2,))
    for kind in ("detect", "fuzz"):
        asks = judge_asks(kind, EXPLANATION, items, vocabulary, logprobs=ALTERNATIVES)
        answers, rows = asked(tmp_path / f"{kind}.duckdb", asks, with_logprobs(logprobs_url))
        judged = read_judgements(items, answers)
        assert judged.status == ("ok", "ok"), judged.reason
        expected = means_in_log(reply_row(rows, kind), r'"e\d+" *: *(\d+)', range(2))
        np.testing.assert_allclose(judged.probability, expected, rtol=1e-6)
        assert all(0 < chance < 1 for chance in judged.probability)


def test_an_echoed_prompt_is_read_at_its_unknowns(logprobs_url: str, tmp_path: Path) -> None:
    """Bills et al.'s one pass. A small model thinks of no digit at some places: a failure with its reason. With a digit
    put beside its own alternatives each place is read; the twin finds the places in the server's own reply."""
    windows = [*WINDOWS, ShownWindow((" sea", " ran"), (True, True), before=(" the",))]
    echo = simulator_named("echo")
    [ask] = echo.asks(EXPLANATION, windows)
    [answer], rows = asked(tmp_path / "echo.duckdb", [ask], with_logprobs(logprobs_url))
    assert answer.status == "ok", answer.reason
    [row] = [row for row in rows if row["kind"] == "simulate"]
    assert row["output_tokens"] == 1, "a prompt is only read"
    body = {"prompt": ask.prompt, "max_tokens": 1, "echo": True, "logprobs": ask.logprobs, "temperature": 0.0}
    choice = server.posted(logprobs_url, "/completions", body)["choices"][0]
    assert choice["text"].startswith(ask.prompt)
    texts = choice["logprobs"]["tokens"]
    tops = [top for _, _, top in json.loads(row["tokens"])]
    assert [text for text, _, _ in json.loads(row["tokens"])] == texts[: len(tops)]
    own = ask.prompt.rindex("Neuron 3")
    places = [found.start(1) for found in re.finditer(r"\t(unknown)", "".join(texts)) if found.start() > own]
    assert len(places) == sum(window.n_scored for window in windows)
    starts = np.cumsum([0, *map(len, texts)]).tolist()
    digit = ("0", -3.0)
    for added in ([], [digit]):
        tokens = [replace(token, top=(*token.top, *added)) for token in answer.tokens or ()]
        expected = iter([mean([*tops[starts.index(place)], *added], range(11)) for place in places])
        for window, reply in zip(windows, echo.read([replace(answer, tokens=tuple(tokens))], windows), strict=True):
            values = [next(expected) for _ in range(window.n_scored)]
            print("echo", reply.values or reply.reason, values)
            if None in values:
                assert not added
                assert reply.status == "unsupported"
                assert f"{values.count(None)} of {len(values)} places" in reply.reason
            else:
                assert reply.values == pytest.approx(values, rel=1e-6)


def test_what_the_server_cannot_do_is_said_before_the_first_question(server_url: str, tmp_path: Path) -> None:
    for simulator in (simulator_named("digits", logprobs=5), simulator_named("echo")):
        store = tmp_path / f"{simulator.name}.duckdb"
        with pytest.raises(ConfigError, match="log probabilities") as caught:
            asked(store, simulator.asks(EXPLANATION, WINDOWS), model_at(server_url))
        assert "\n" not in str(caught.value)
