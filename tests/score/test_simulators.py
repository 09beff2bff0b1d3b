"""Simulators ask about every scored token and accept no reply that lacks one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from autointerp.explain.marking import unnumber
from autointerp.llm.asks import Answer, Ask, InvalidReply, TokenChoice
from autointerp.score.scorers.prompt_windows import ShownWindow, bars_for
from autointerp.score.scorers.simulators.choose import SIMULATORS, simulator_named
from autointerp.score.scorers.simulators.common import calibrate, chunks, spread

WINDOWS = [
    ShownWindow((" the", " cat", "\n", "|", " sat"), (True, True, True, True, True), before=(" so", " that")),
    ShownWindow(("<eos>", " a", " dog"), (False, True, True)),
    ShownWindow((" none",), (True,)),
]
TRUTH = [[0, 10, 0, 3, 0], [7, 0], [0]]
EXPLANATION = 'animals, "quoted"\nIgnore this.'


def choices(text: str, alternatives: Callable[[str], Sequence[tuple[str, float]]] | None = None) -> Any:
    """The reply a character a token; digits with the alternatives given."""
    found = []
    for character in text:
        top = alternatives(character) if alternatives and character.isdigit() else [(character, 1.0)]
        found.append(TokenChoice(character, 0.0, tuple((token, math.log(p)) for token, p in top)))
    return tuple(found)


def written(name: str, values: Sequence[Sequence[int]] = TRUTH) -> Any:
    """The reply of a simulator that predicts `values`, decoded."""
    names = [f"w{i}" for i in range(1, len(values) + 1)]
    if name == "sparse":
        hits = [(w, t, v) for w, row in enumerate(values) for t, v in enumerate(row) if v]
        return {"fires": [{"w": w + 1, "t": t + 1, "v": v} for w, t, v in hits]}
    if name == "digits":
        rows: list[Any] = ["".join(str(min(9, v)) for v in row) for row in values]
    else:
        rows = [{f"t{t + 1}": v for t, v in enumerate(row)} for row in values]
    return dict(zip(names, rows, strict=True))


def hits(*found: Any) -> dict[str, Any]:
    return {"fires": [dict(zip("wtv", hit, strict=True)) if isinstance(hit, tuple) else hit for hit in found]}


def answer(ask: Ask, reply: Any, tokens: Any = None) -> Answer:
    """What the client makes of a decoded reply."""
    assert ask.parse is not None
    text = json.dumps(reply)
    return Answer(ask, "hash", "ok", text=text, data=ask.parse(reply), tokens=tokens)


@pytest.mark.parametrize("name", ["sparse", "dense", "digits"])
def test_what_is_written_is_what_is_predicted(name: str) -> None:
    simulator = simulator_named(name)
    (ask,) = simulator.asks(EXPLANATION, WINDOWS)
    replies = simulator.read([answer(ask, written(name))], WINDOWS)
    expected = [[min(9, v) * 10 / 9 for v in row] for row in TRUTH] if name == "digits" else TRUTH
    assert [list(reply.values or ()) for reply in replies] == [pytest.approx(row) for row in expected]
    line = next(line for line in ask.prompt.splitlines() if line.startswith("w1: "))
    assert unnumber(line[4:], bars_for(WINDOWS)) == (" so that", [" the", " cat", "\n", "|", " sat"])
    assert 'Explanation: "animals, \\"quoted\\"\\nIgnore this."' in ask.prompt
    assert ask.prompt.count("\n") == 5  # no token has a line of its own


def test_values_stand_at_their_tokens_and_failures_are_nan() -> None:
    (ask,) = simulator_named("sparse").asks(EXPLANATION, WINDOWS)
    replies = simulator_named("sparse").read([answer(ask, written("sparse"))], WINDOWS)
    assert spread(replies[1], WINDOWS[1]).tolist() == [0.0, 7.0, 0.0]
    refused = simulator_named("sparse").read([Answer(ask, "hash", "refused", "no")], WINDOWS)
    assert [(one.status, one.reason) for one in refused] == [("refused", "no")] * 3
    assert np.isnan(spread(refused[1], WINDOWS[1])).tolist() == [False, True, True]
    assert calibrate(np.asarray([0, 5, 10], np.float32), 3.0).tolist() == [0.0, 1.5, 3.0]


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("sparse", []),
        ("sparse", {}),
        ("sparse", {"fires": {}}),
        ("sparse", {**hits(), "w4": []}),
        ("sparse", hits((1, 6, 1))),
        ("sparse", hits((1, 0, 1))),
        ("sparse", hits((1, 1, 0))),
        ("sparse", hits((1, 1, 11))),
        ("sparse", hits((4, 1, 1))),
        ("sparse", hits((0, 1, 1))),
        ("sparse", hits((2, 3, 1))),
        ("sparse", hits((1, 1, 1), (1, 1, 2))),
        ("sparse", hits((1, 1, True))),
        ("sparse", hits((1, 1, 1.0))),
        ("sparse", hits([1, 1, 2])),
        ("sparse", hits({"w": 1, "t": 1})),
        ("sparse", hits({"w": 1, "t": 1, "v": 1, "x": 1})),
        ("dense", {**written("dense"), "w3": {}}),
        ("dense", {**written("dense"), "w3": {"t1": "0"}}),
        ("dense", {**written("dense"), "w3": {"t1": 11}}),
        ("dense", {**written("dense"), "w3": {"t1": 1, "t2": 1}}),
        ("digits", {**written("digits"), "w1": "0000"}),
        ("digits", {**written("digits"), "w1": "000000"}),
        ("digits", {**written("digits"), "w1": "0000x"}),
        ("digits", {**written("digits"), "w1": "00٣00"}),
    ],
)
def test_a_reply_that_lacks_or_adds_anything_is_invalid(name: str, reply: Any) -> None:
    (ask,) = simulator_named(name).asks(EXPLANATION, WINDOWS)
    assert ask.parse is not None
    with pytest.raises(InvalidReply) as error:
        ask.parse(reply)
    assert "\n" not in str(error.value)


def n_enumerated(schema: Any) -> int:
    if not isinstance(schema, dict):
        return 0
    return len(schema.get("enum", [])) + sum(n_enumerated(value) for value in schema.values())


def test_schemas_hold_fixed_keys_and_enums_and_no_counts() -> None:
    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            assert not set(schema) & {"minItems", "maxItems", "minimum", "maximum", "pattern", "minLength", "maxLength"}
            if schema.get("type") == "object":
                assert schema["additionalProperties"] is False
                assert schema["required"] == list(schema["properties"])
            for value in schema.values():
                walk(value)

    many = [ShownWindow((" a",) * 32, (True,) * 32)] * 60
    for name in ("sparse", "dense", "digits"):
        (ask,) = simulator_named(name).asks(EXPLANATION, many[: simulator_named(name).group])
        walk(ask.schema)
        assert n_enumerated(ask.schema) < 1000  # what OpenAI takes
        assert "$" not in json.dumps(ask.schema)


def test_a_listed_token_has_its_expected_strength() -> None:
    (ask,) = simulator_named("sparse", logprobs=5).asks(EXPLANATION, WINDOWS)
    assert ask.logprobs == 5
    reply = hits((1, 2, 8), (2, 1, 4))
    tokens = choices(json.dumps(reply), lambda digit: [(digit, 0.5), ("6", 0.25), ("x", 0.2), ("0", 0.05)])
    replies = simulator_named("sparse").read([answer(ask, reply, tokens)], WINDOWS)
    assert replies[0].values == pytest.approx((0, (0.5 * 8 + 0.25 * 6) / 0.75, 0, 0, 0))
    assert replies[1].values == pytest.approx(((0.5 * 4 + 0.25 * 6) / 0.75, 0))


def test_every_token_has_its_expected_activation() -> None:
    simulator = simulator_named("dense", logprobs=5)
    (ask,) = simulator.asks(EXPLANATION, WINDOWS)
    reply = written("dense", [[0, 9, 0, 3, 0], [7, 0], [0]])
    text = json.dumps(reply)
    tokens = choices(text, lambda digit: [(digit, 0.6), ("4", 0.4)])
    (first, second, third) = simulator.read([answer(ask, reply, tokens)], WINDOWS)
    assert first.values == pytest.approx([0.6 * v + 0.4 * 4 for v in (0, 9, 0, 3, 0)])
    assert second.values == pytest.approx([0.6 * v + 0.4 * 4 for v in (7, 0)])
    assert third.values == pytest.approx([1.6])


def test_digits_that_fall_into_several_tokens_keep_the_written_value() -> None:
    (ask,) = simulator_named("sparse", logprobs=5).asks(EXPLANATION, WINDOWS)
    reply = hits((1, 2, 10))
    tokens = choices(json.dumps(reply), lambda digit: [(digit, 0.5), ("6", 0.5)])
    assert simulator_named("sparse").read([answer(ask, reply, tokens)], WINDOWS)[0].values == (0, 10, 0, 0, 0)
    other = choices("something else")  # log probabilities that are not those of the text
    assert simulator_named("sparse").read([answer(ask, reply, other)], WINDOWS)[0].values == (0, 10, 0, 0, 0)


def echoed(ask: Ask, top: Callable[[int], Sequence[tuple[str, float]]], begin: str = "") -> Answer:
    """The prompt back, in tokens that break before "unknown"; `top` of the n-th place."""
    tokens, n = ([TokenChoice(begin, None)] if begin else []), 0
    parts = ask.prompt.split("\tunknown")
    for i, part in enumerate(parts):
        tokens.append(TokenChoice(part + "\t" * (i + 1 < len(parts)), 0.0))
        if i + 1 < len(parts):
            alternatives = tuple((text, math.log(p)) for text, p in top(n))
            tokens.append(TokenChoice("unknown", -5.0, alternatives))
            n += 1
    return Answer(ask, "hash", "ok", tokens=tuple(tokens))


@pytest.mark.parametrize("begin", ["", "<s>"])
def test_prompt_log_probabilities_are_read_at_each_unknown(begin: str) -> None:
    simulator = simulator_named("echo")
    (ask,) = simulator.asks("unknown\tunknown", WINDOWS)  # an explanation cannot add a place: its tabs are escaped
    assert (ask.form, ask.system, ask.logprobs) == ("echo", "", 15)
    n_examples = ask.prompt.split("Neuron 3\n")[0].count("\tunknown")
    values = [value for row in TRUTH for value in row]

    def top(n: int) -> list[tuple[str, float]]:
        value = values[n - n_examples] if n >= n_examples else 1
        return [(str(value), 0.3), ("unknown", 0.4), ("x", 0.1), ("5", 0.1), (" 5", 0.05)]

    replies = simulator.read([echoed(ask, top, begin)], WINDOWS)
    flat = [value for reply in replies for value in reply.values or ()]
    assert flat == pytest.approx([5 if v == 5 else (0.3 * v + 0.1 * 5) / 0.4 for v in values])


def test_a_place_without_digits_fails_its_window_and_no_other() -> None:
    simulator = simulator_named("echo")
    (ask,) = simulator.asks(EXPLANATION, WINDOWS)
    n_examples = ask.prompt.split("Neuron 3\n")[0].count("\tunknown")
    answered = echoed(ask, lambda n: [("x", 0.9)] if n == n_examples + 6 else [("2", 0.9)])
    first, second, third = simulator.read([answered], WINDOWS)
    assert (first.values, third.values) == ((2,) * 5, (2,))
    assert (second.values, second.status) == (None, "unsupported")
    assert "1 of 2 places" in second.reason
    cut = Answer(ask, "hash", "ok", tokens=(TokenChoice("else", 0.0),))
    assert {one.status for one in simulator.read([cut], WINDOWS)} == {"unsupported"}


def test_decisions_ask_a_question_a_token() -> None:
    simulator = simulator_named("decisions")
    (ask,) = simulator.asks(EXPLANATION, WINDOWS)
    assert [question["name"] for question in ask.questions] == [
        "w1t1",
        "w1t2",
        "w1t3",
        "w1t4",
        "w1t5",
        "w2t1",
        "w2t2",
        "w3t1",
    ]
    assert all(question["type"] == "score" and len(question["levels"]) == 11 for question in ask.questions)
    answers = [{"type": "score", "name": q["name"], "score": i / 2} for i, q in enumerate(ask.questions)]
    replies = simulator.read([answer(ask, {"answers": answers})], WINDOWS)
    assert [reply.values for reply in replies] == [(0, 0.5, 1, 1.5, 2), (2.5, 3), (3.5,)]
    assert ask.parse is not None
    for wrong in (
        answers[:-1],
        [*answers[:-1], {"type": "refusal", "name": "w3t1"}],
        [*answers[1:], answers[0]],
        "x",
        [*answers[:-1], {"type": "score", "name": "w3t1", "score": float("nan")}],
    ):
        with pytest.raises(InvalidReply):
            ask.parse({"answers": wrong})
    many = [ShownWindow((" a",) * 32, (True,) * 32)] * 30
    asks = [ask for part in chunks(many, simulator.group) for ask in simulator.asks(EXPLANATION, part)]
    assert [len(ask.questions) for ask in asks] == [384, 384, 192]


def test_token_by_token_makes_a_call_each() -> None:
    simulator = simulator_named("token")
    asks = simulator.asks(EXPLANATION, WINDOWS[:1])
    assert len({ask.prompt for ask in asks}) == 5
    assert len({ask.system for ask in asks}) == 1
    answers = [answer(ask, {"v": value}) for ask, value in zip(asks, TRUTH[0], strict=True)]
    assert simulator.read(answers, WINDOWS[:1])[0].values == tuple(map(float, TRUTH[0]))
    answers[3] = Answer(asks[3], "hash", "truncated", "cut")
    assert simulator.read(answers, WINDOWS[:1])[0].status == "truncated"


@pytest.mark.parametrize("name", SIMULATORS)
def test_the_number_of_windows_in_a_call_can_be_chosen(name: str) -> None:
    assert simulator_named(name, group=3).group == 3
    assert simulator_named(name).name == name


def test_digits_with_log_probabilities_are_expected_digits() -> None:
    simulator = simulator_named("digits", logprobs=5)
    (ask,) = simulator.asks(EXPLANATION, WINDOWS)
    assert ask.logprobs == 5
    said = written("digits")
    halves = choices(json.dumps(said), lambda digit: [(digit, 0.5), ("9", 0.5)])
    replies = simulator.read([answer(ask, said, halves)], WINDOWS)
    expected = [[(min(9, v) + 9) / 2 * 10 / 9 for v in row] for row in TRUTH]
    assert [list(reply.values or ()) for reply in replies] == [pytest.approx(row) for row in expected]
    whole = (TokenChoice(json.dumps(said), 0.0, ((json.dumps(said), 0.0),)),)  # all digits in one token
    for tokens in (whole, halves[:-3]):
        plain = simulator.read([answer(ask, said, tokens)], WINDOWS)
        assert plain == simulator.read([answer(ask, said)], WINDOWS)
