"""Ask -> request body, and the hash that names it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autointerp.config.llm_model import LLMModel
from autointerp.errors import ConfigError
from autointerp.llm.asks import Ask
from autointerp.llm.wire.capabilities import capabilities_of
from autointerp.llm.wire.render import Request, canonical, render

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
ASK = Ask("detect", "Shared words. " * 2000, "mine\n\t\\xff \u2028", 50, schema=SCHEMA)
CLAUDE = LLMModel(provider="anthropic", model="claude-haiku-5-5")
LUNA = LLMModel(provider="openai", model="gpt-6-luna")
LOCAL = LLMModel(provider="openai", model="mine", base_url="http://127.0.0.1:8000/v1")


def made(ask: Ask, model: LLMModel) -> Request:
    return render(ask, model, capabilities_of(model))


def test_anthropic_has_the_shared_part_first_and_marked() -> None:
    body = made(ASK, CLAUDE).body
    assert body == {
        "model": "claude-haiku-5-5",
        "max_tokens": 50,
        "system": [{"type": "text", "text": ASK.system, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": ASK.prompt}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }
    short = made(replace(ASK, system="short"), CLAUDE).body
    assert "cache_control" not in short["system"][0], "below the minimum a mark only costs"


def test_openai_has_the_shared_part_first_and_a_cache_key() -> None:
    body = made(replace(ASK, logprobs=5), LUNA).body
    assert body.pop("prompt_cache_key") == made(replace(ASK, prompt="other"), LUNA).body["prompt_cache_key"]
    assert body == {
        "model": "gpt-6-luna",
        "max_completion_tokens": 50,
        "messages": [{"role": "system", "content": ASK.system}, {"role": "user", "content": ASK.prompt}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "detect", "strict": True, "schema": SCHEMA}},
        "logprobs": True,
        "top_logprobs": 5,
        "reasoning_effort": "none",
    }


def test_a_compatible_server_gets_plain_parameters() -> None:
    body = made(ASK, LOCAL.model_copy(update={"temperature": 0.0})).body
    assert body["max_tokens"] == 50
    assert body["temperature"] == 0.0
    assert not {"prompt_cache_key", "reasoning_effort", "max_completion_tokens"} & set(body)


def test_the_kinds_of_structure() -> None:
    def form(structured: str) -> Any:
        model = LLMModel.model_validate(LOCAL.model_dump() | {"capabilities": {"structured": structured}})
        return made(ASK, model).body.get("response_format")

    assert form("json_object") == {"type": "json_object", "schema": SCHEMA}
    assert form("prompt") is None


def test_the_other_forms() -> None:
    echo = made(Ask("simulate", "s ", "p", 9, form="echo", logprobs=3), LOCAL)
    assert (echo.path, echo.max_tokens) == ("/completions", 0)
    assert echo.body == {"model": "mine", "prompt": "s p", "max_tokens": 0, "echo": True, "logprobs": 3}
    questions = ({"type": "predicate", "name": "q", "instructions": "?"},)
    decisions = made(Ask("detect", "s ", "p", 9, form="decisions", questions=questions), LUNA)
    assert (decisions.path, decisions.body["input"]) == ("/decisions", "s p")
    assert decisions.body["questions"] == list(questions)


def test_prefix_and_prompt_are_the_whole_request() -> None:
    for model in (CLAUDE, LUNA):
        request = made(ASK, model)
        whole = json.loads(request.prefix_text)
        assert whole["server"] == model.server
        whole["body"]["messages"][-1]["content"] = request.prompt
        assert whole["body"] == request.body == json.loads(request.content)
        assert made(replace(ASK, prompt="other"), model).prefix == request.prefix


@pytest.mark.parametrize("text", ['"content":null', '"content":', ',"path":', 'null\n"\\', "", "{}", "\u2028é", "\0"])
def test_what_is_sent_is_the_body_whatever_stands_in_the_texts(text: str) -> None:
    asks = [
        replace(ASK, system=text, prompt=f"{text} p"),
        Ask("simulate", text, text, 9, form="echo", logprobs=3),
        Ask("detect", text, "p", 9, form="decisions", questions=({"type": "predicate", "instructions": text},)),
    ]
    for ask, model in ((asks[0], CLAUDE), (asks[0], LUNA), (asks[1], LOCAL), (asks[2], LUNA)):
        request = made(ask, model)
        assert request.content == canonical(request.body).encode()


def test_the_hash_is_of_everything_that_is_sent_and_of_nothing_else() -> None:
    hashes = [made(ASK, CLAUDE).hash]
    changes: tuple[dict[str, Any], ...] = (
        {"system": "x"},
        {"prompt": "x"},
        {"max_tokens": 51},
        {"schema": None},
        {"schema": SCHEMA | {"properties": {"b": {"type": "string"}}, "required": ["b"]}},
    )
    models = (
        LLMModel(provider="anthropic", model="claude-opus-5-5"),
        LLMModel(provider="anthropic", model="claude-haiku-5-5", base_url="http://127.0.0.1:1"),
        LLMModel(provider="anthropic", model="claude-haiku-5-5", effort="low"),
        LLMModel(provider="anthropic", model="claude-haiku-5-5", max_tokens=900),
        LUNA,
        LOCAL,
        LOCAL.model_copy(update={"temperature": 0.5}),
        LOCAL.model_copy(update={"seed": 1}),
    )
    hashes += [made(replace(ASK, **change), CLAUDE).hash for change in changes]
    hashes += [made(ASK, model).hash for model in models]
    assert len(set(hashes)) == len(hashes)
    same = replace(ASK, sample=3, about={"feature": 1}, parse=str)
    busy = CLAUDE.model_copy(update={"concurrency": 7, "timeout_s": 3.0})
    assert made(same, busy).hash == hashes[0]


@pytest.mark.parametrize(
    ("settings", "wish", "words"),
    [
        ({"temperature": 0.0}, {}, "does not take temperature"),
        ({"effort": "none"}, {}, "does not take effort"),
        ({}, {"logprobs": 5}, "gives no log probabilities"),
        ({}, {"form": "decisions", "questions": ({},)}, "has no Decisions API"),
        ({}, {"form": "echo", "logprobs": 1}, "gives no log probabilities of the prompt"),
        ({"provider": "openai", "model": "gpt-6-luna"}, {"logprobs": 21}, "gives 20 alternatives"),
        ({"provider": "openai", "model": "gpt-6-luna", "effort": "low"}, {"logprobs": 5}, 'only at effort = "none"'),
        ({"provider": "openai", "model": "gpt-6-luna", "effort": "low", "seed": 1}, {}, "takes seed only at effort"),
        ({"provider": "openai", "model": "o3", "temperature": 1.0}, {}, "does not take temperature"),
        ({"provider": "openai", "model": "gpt-6-luna"}, {"form": "decisions"}, "takes 1 to 400 questions"),
    ],
)
def test_what_a_model_does_not_take_is_refused(settings: dict[str, Any], wish: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        made(replace(ASK, **wish), LLMModel(**CLAUDE.model_dump() | settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "minItems": 5},
        {"type": "integer", "maximum": 10},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": [], "additionalProperties": False},
        {"anyOf": [{"type": "string"}]},
    ],
)
def test_a_schema_that_not_all_enforce_is_a_mistake(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="schema"):
        made(replace(ASK, schema=schema), CLAUDE)


def test_addresses_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert LUNA.server == "https://api.openai.com/v1"
    assert LUNA.hosted
    assert LOCAL.loopback
    assert LOCAL.key() == "none"
    with pytest.raises(Exception, match="environment variable OPENAI_API_KEY"):
        LUNA.key()
    monkeypatch.setenv("MY_KEY", "secret")
    assert LUNA.model_copy(update={"key_env": "MY_KEY"}).key() == "secret"
    for wrong in ("localhost:8000", "http://me:secret@host/v1"):
        with pytest.raises(ValueError, match="base_url"):
            LLMModel(provider="openai", model="x", base_url=wrong)
