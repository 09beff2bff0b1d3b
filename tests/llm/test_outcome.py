"""Reply bodies and what they are worth."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autointerp.llm.asks import Ask, InvalidReply
from autointerp.llm.wire.faults import fault_in_200
from autointerp.llm.wire.outcome import outcome_of
from autointerp.llm.wire.replies import BrokenBody, ProviderReply, read_body, replay, tokens_json
from autointerp.reply_log import LoggedReply, Usage

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer", "enum": [0, 1, 2]}, "b": {"type": "array", "items": {"type": "number"}}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


GOOD = '{"a": 1, "b": []}'


def anthropic(text: str, **more: Any) -> str:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 3}
    body = {"model": "m-1", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}
    return json.dumps(body | more)


def openai(text: str | None, finish: str | None = "stop", **message: Any) -> str:
    usage = {"prompt_tokens": 17, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
    choice = {"message": {"content": text, "refusal": None} | message, "finish_reason": finish}
    return json.dumps({"model": "m-1", "choices": [choice], "usage": usage})


def status(text: str, **ask: Any) -> tuple[str, str]:
    fields: dict[str, Any] = {"kind": "detect", "system": "", "prompt": "p", "max_tokens": 9, "schema": SCHEMA}
    outcome = outcome_of(Ask(**fields | ask), ProviderReply(text, "stop", "m", None))
    return outcome.status, outcome.reason


@pytest.mark.parametrize(
    "change",
    [
        None,
        [],
        {},
        {"tokens": -1},
        {"tokens": 1e30},
        {"tokens": "17"},
        {"tokens": 1.5},
        {"tokens": True},
        {"tokens": float("inf")},
        {"tokens": float("nan")},
        {"tokens": [17]},
        {"tokens": 0},
        {"tokens": None},
    ],
)
def test_a_usage_that_cannot_be_true_is_not_reported(change: Any) -> None:
    for provider, whole in (("anthropic", anthropic("x")), ("openai", openai("x"))):
        body = json.loads(whole)
        if change:
            body["usage"] |= dict.fromkeys(body["usage"], change["tokens"])
        else:
            body["usage"] = change
        reply = read_body(json.dumps(body), provider, "chat", "")
        assert (reply.text, reply.usage) == ("x", None)
    more_than_all = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}}
    body = json.loads(openai("x")) | {"usage": more_than_all}
    assert read_body(json.dumps(body), "openai", "chat", "").usage is None


@pytest.mark.parametrize("stop", ["tool_use", "pause_turn", "tool_calls", "error", None])
def test_what_stopped_for_something_else_is_no_answer(stop: str | None) -> None:
    for provider, whole in (("anthropic", anthropic("x", stop_reason=stop)), ("openai", openai("x", stop))):
        reply = read_body(whole, provider, "chat", "")
        assert outcome_of(Ask("explain", "", "p", 9), reply).status == "invalid"
    for provider, whole in (("anthropic", anthropic(GOOD, stop_reason=stop)), ("openai", openai(GOOD, stop))):
        outcome = outcome_of(Ask("detect", "", "p", 9, schema=SCHEMA), read_body(whole, provider, "chat", ""))
        assert outcome.status == ("invalid" if stop else "ok"), "no reason is given: the schema shows a cut"


@pytest.mark.parametrize(
    "choice",
    [
        {"finish_reason": "content_filter"},
        {"finish_reason": "content_filter", "message": None},
        {"finish_reason": "SAFETY", "message": {"content": None}},
        {"finish_reason": "content_filter: PROHIBITED_CONTENT", "message": {"content": ""}},
        {"finish_reason": "recitation", "message": {"content": "half an an"}},
        {"finish_reason": "sensitive", "message": {"content": ""}},
        {"finish_reason": "stop", "native_finish_reason": "BLOCKLIST", "message": {"content": ""}},
        {"finish_reason": "stop", "message": {"content": [{"type": "refusal", "refusal": "no"}]}},
        None,
    ],
)
def test_what_is_turned_away_for_its_content_in_whatever_form(choice: dict[str, Any] | None) -> None:
    filtered = [{"prompt_index": 0, "content_filter_results": {"violence": {"filtered": True}}}]
    body = {"choices": [choice]} if choice else {"choices": [], "prompt_filter_results": filtered}
    reply = read_body(json.dumps(body), "openai", "chat", "")
    assert outcome_of(Ask("explain", "", "p", 9), reply).status == "refused"


@pytest.mark.parametrize("stop", ["MAX_TOKENS", "max_tokens", "model_length", "length", "timeout", "cancelled"])
def test_words_for_a_cut_answer(stop: str) -> None:
    """As servers behind gateways call it: half a sentence is no label."""
    reply = read_body(openai("Fires on the", stop), "openai", "chat", "")
    assert outcome_of(Ask("explain", "", "p", 9), reply).status in ("truncated", "invalid")


@pytest.mark.parametrize("choices", [[], None])
def test_no_choice_is_no_reply(choices: Any) -> None:
    with pytest.raises(BrokenBody, match="it has no choice"):
        read_body(json.dumps({"choices": choices}), "openai", "chat", "")


def test_halves_of_characters_can_be_kept() -> None:
    body = json.dumps(
        {"model": "m", "choices": [{"message": {"content": "a\ud83d\ude00b\ud83dc"}, "finish_reason": "stop"}]}
    )
    reply = read_body(body, "openai", "chat", "")
    assert reply.text == "a\U0001f600b\ufffdc"
    assert status('{"a": 1, "b": [], "\\ud83d": 0}') == ("unparseable", "not text: half a character")
    assert status('{"a": 1, "b": [1e999]}')[0] == "invalid"
    assert len(status('{"a": ' + "9" * 3000 + ', "b": []}')[1]) < 300


def test_a_reply_without_a_models_name_is_one() -> None:
    body = json.loads(openai("x"))
    del body["model"]
    assert read_body(json.dumps(body), "openai", "chat", "").model == ""


def test_an_error_in_a_200_is_told_and_waited_for_where_it_is_a_limit() -> None:
    for provider in ("openai", "anthropic"):
        with pytest.raises(BrokenBody) as caught:
            read_body('{"error": {"type": "overloaded_error", "message": "Overloaded"}}', provider, "chat", "")
        assert caught.value.error
    for said, meaning in (
        ({"type": "overloaded_error", "message": "Overloaded"}, "wait"),
        ({"code": 429, "message": "slow down"}, "wait"),
        ({"code": "insufficient_quota", "message": "no credit"}, "stop"),
        ({"code": 502, "message": "upstream"}, "again"),
        ("words", "again"),
    ):
        fault = fault_in_200(json.dumps({"error": said}))
        assert (fault.meaning, fault.http_status) == (meaning, 200), said
        assert fault.reason.startswith("HTTP 200 with an error: ")


def test_both_providers_count_alike() -> None:
    one, other = read_body(anthropic("x"), "anthropic", "chat", ""), read_body(openai("x"), "openai", "chat", "")
    assert one.usage == Usage(17, 3, 5, 2)
    assert other.usage == Usage(17, 3, 5, 0)
    assert (one.text, one.model, other.text, other.model) == ("x", "m-1", "x", "m-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "b": [0.5, 1]}', "ok"),
        (' {"a": 1, "b": []}\n', "ok"),
        ('```json\n{"a": 1, "b": []}\n```', "unparseable"),
        ('{"a": 1, "b": []} I hope that helps!', "unparseable"),
        ('{"a": 1, "b": [', "unparseable"),
        ('{"a": 1, "b": [NaN]}', "unparseable"),
        ("[" * 100_000, "unparseable"),
        ("", "empty"),
        (" \n", "empty"),
        ('{"a": 3, "b": []}', "invalid"),
        ('{"a": "1", "b": []}', "invalid"),
        ('{"a": true, "b": []}', "invalid"),
        ('{"a": 1.0, "b": []}', "invalid"),
        ('{"a": 1, "b": [true]}', "invalid"),
        ('{"a": 1}', "invalid"),
        ('{"a": 1, "b": [], "c": 0}', "invalid"),
        ('{"a": 1, "a": 2, "b": []}', "invalid"),
        ("[]", "invalid"),
        ("null", "invalid"),
    ],
)
def test_a_structured_reply_is_read_strictly(text: str, expected: str) -> None:
    found, reason = status(text)
    assert found == expected
    assert bool(reason) == (expected != "ok")
    assert "\n" not in reason


def test_the_askers_own_ranges_count_and_its_mistakes_are_not_the_models() -> None:
    def too_long(_: Any) -> Any:
        raise InvalidReply("one too many")

    def wrong(value: Any) -> Any:
        return value["no such key"]

    assert status('{"a": 1, "b": []}', parse=too_long) == ("invalid", "one too many")
    with pytest.raises(KeyError):
        status('{"a": 1, "b": []}', parse=wrong)
    assert status("plain words", schema=None) == ("ok", "")


def test_refused_and_truncated() -> None:
    ask = Ask("detect", "", "p", 9, schema=SCHEMA)

    def of(body: str, provider: str) -> str:
        return outcome_of(ask, read_body(body, provider, "chat", "")).status

    details = {"stop_details": {"type": "refusal", "category": "bio"}}
    assert of(anthropic("", stop_reason="refusal", content=[], **details), "anthropic") == "refused"
    assert of(anthropic('{"a": 1', stop_reason="max_tokens"), "anthropic") == "truncated"
    assert of(anthropic('{"a": 1, "b": []}', stop_reason="max_tokens"), "anthropic") == "truncated"
    assert of(openai(None, refusal="I cannot"), "openai") == "refused"
    assert of(openai('{"a": 1', "length"), "openai") == "truncated"
    assert of(openai("", "content_filter"), "openai") == "refused"


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_200_that_is_no_reply(provider: str) -> None:
    good = anthropic("x") if provider == "anthropic" else openai("x")
    for body in ("<html>hello</html>", "", good[:40], "[]", "{}", "null", '"text"', '{"choices": [], "content": 3}'):
        with pytest.raises(BrokenBody) as caught:
            read_body(body, provider, "chat", "")
        assert caught.value.usage is None
    with pytest.raises(BrokenBody) as caught:
        read_body(good[:-1], provider, "chat", "")
    assert caught.value.usage is not None, "what was paid for is known where the usage stands before the cut"


def test_log_probabilities_come_through_the_log_unchanged() -> None:
    top = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]
    body = json.loads(openai("yes"))
    body["choices"][0]["logprobs"] = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": top}]}
    reply = read_body(json.dumps(body), "openai", "chat", "")
    assert reply.tokens is not None
    assert reply.tokens[0].top == (("yes", -0.1), ("no", -2.5))
    again = replay(LoggedReply(1, 0, reply.text, tokens_json(reply.tokens), "m-1", "stop"))
    assert (again.text, again.tokens) == (reply.text, reply.tokens)
    ask = Ask("detect", "", "p", 9, logprobs=2)
    assert outcome_of(ask, reply).status == "ok"
    assert outcome_of(ask, read_body(openai("yes"), "openai", "chat", "")).status == "unsupported"
    body["choices"][0]["logprobs"]["content"][0]["logprob"] = 3.0
    with pytest.raises(BrokenBody):
        read_body(json.dumps(body), "openai", "chat", "")


def test_an_echo_is_the_prompts_tokens_and_no_more() -> None:
    logprobs = {
        "tokens": ["a", " b", " new"],
        "token_logprobs": [None, -1.0, -2.0],
        "text_offset": [0, 1, 3],
        "top_logprobs": [None, {" b": -1.0}, {" new": -2.0}],
    }
    body = {"model": "m", "choices": [{"text": "a b new", "finish_reason": "length", "logprobs": logprobs}]}
    reply = read_body(json.dumps(body), "openai", "echo", "a b")
    assert [(token.text, token.logprob) for token in reply.tokens or ()] == [("a", None), (" b", -1.0)]
    ask = Ask("simulate", "a", " b", 1, form="echo", logprobs=1)
    assert outcome_of(ask, reply).status == "ok"
    assert outcome_of(Ask("simulate", "", "other words", 1, form="echo"), reply).status == "invalid"
    body["choices"][0]["logprobs"] = None  # type: ignore[index]
    assert outcome_of(ask, read_body(json.dumps(body), "openai", "echo", "a b")).status == "unsupported"


def test_decisions_are_checked_question_by_question() -> None:
    questions = (
        {"type": "predicate", "name": "one", "instructions": "?"},
        {"type": "score", "name": "two", "instructions": "?", "levels": []},
    )
    ask = Ask("detect", "", "p", 1, form="decisions", questions=questions)
    yes = {"type": "predicate", "name": "one", "probability": 0.25}
    level = {"type": "score", "name": "two", "score": 1.5, "confidence": 1, "probabilities": [{"probability": 1.0}]}

    def of(*answers: Any) -> str:
        body = {"model": "m", "answers": answers, "usage": {"input_tokens": 5, "output_tokens": 0}}
        return outcome_of(ask, read_body(json.dumps(body), "openai", "decisions", "p")).status

    assert of(yes, level) == "ok"
    assert of({"type": "refusal", "name": "one"}, level) == "ok", "one refusal is that question's alone"
    assert of({"type": "refusal", "name": "one"}, {"type": "refusal", "name": "two"}) == "refused"
    for wrong in ([yes], [level, yes], [yes | {"probability": 1.5}, level], [yes, level | {"score": None}], [yes, 3]):
        assert of(*wrong) == "invalid", wrong


def test_what_a_model_thinks_is_no_part_of_its_answer() -> None:
    ask = Ask("detect", "", "p", 9, schema=SCHEMA)
    for text in (f"<think>\nlet me see\n</think>\n\n{GOOD}", f" <think></think>{GOOD}"):
        reply = read_body(openai(text), "openai", "chat", "")
        assert (reply.text, outcome_of(ask, reply).status) == (GOOD, "ok")
    parts = json.loads(openai("x"))
    parts["choices"][0]["message"]["content"] = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "let me see"}]},
        {"type": "text", "text": GOOD},
    ]
    assert outcome_of(ask, read_body(json.dumps(parts), "openai", "chat", "")).status == "ok"
    nothing = outcome_of(ask, read_body(openai(None, reasoning_content="x" * 1200), "openai", "chat", ""))
    assert (nothing.status, nothing.reason.partition("; ")[2]) == (
        "empty",
        "1,200 characters of reasoning and no answer",
    )
