"""Ask -> request body, and the hash that names it. Pure: how the request travels (live, batch, file) is not seen here.

A request is what all its like share (everything but the user's prompt: the prefix, kept once in the store) and the
prompt. Its hash covers provider, address, path and the whole body; a sample number tells draws of one request apart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from autointerp.config.llm_model import LLMModel, StructuredForm
from autointerp.hashing import bytes_hash
from autointerp.llm.asks import Ask, Form
from autointerp.llm.wire.capabilities import Capabilities, check_wishes, effort_of
from autointerp.llm.wire.structured import check_schema

Body = dict[str, Any]

PATHS: dict[tuple[str, Form], str] = {
    ("anthropic", "chat"): "/v1/messages",
    ("openai", "chat"): "/chat/completions",
    ("openai", "echo"): "/completions",
    ("openai", "decisions"): "/decisions",
}
"""Below the base URL; Anthropic's ends before /v1, OpenAI's after it."""

_NULL = {
    "/v1/messages": '"content":',
    "/chat/completions": '"content":',
    "/completions": '"prompt":',
    "/decisions": '"input":',
}
"""The key that has null for the user's prompt."""

CHARS_PER_TOKEN = 4
"""Before a model has said what it counts. Never recalibrated here: a request's hash must not move."""


@dataclass(frozen=True)
class Request:
    """One rendered request."""

    provider: str
    server: str
    path: str
    body: Body
    """Not to be changed: the hash is of it."""
    prefix: str
    """Hash of `prefix_text`."""
    prefix_text: str
    """Canonical JSON of the address and of the body with null for the user's prompt."""
    prompt: str
    """The user's prompt: with `prefix_text`, the whole request."""
    hash: str
    max_tokens: int
    """Tokens that a reply can have at most."""
    caches: bool
    """Whether the prefix is marked for the provider's cache."""

    @property
    def content(self) -> bytes:
        """`canonical(body)` as it is sent, put together from what `prefix_text` has of it already."""
        shared = self.prefix_text[len('{"body":') : self.prefix_text.rindex(',"path":')]
        before, _, after = shared.rpartition(f"{_NULL[self.path]}null")  # in a text its quotes would be escaped
        return f"{before}{_NULL[self.path]}{canonical(self.prompt)}{after}".encode()

    @property
    def chars(self) -> int:
        """Characters sent, nearly: what an estimate of the prompt's tokens goes by."""
        return len(self.prefix_text) + len(self.prompt)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def render(ask: Ask, model: LLMModel, known: Capabilities) -> Request:
    """Raises ConfigError where the ask wants what the model does not have, ValueError for a schema not portable."""
    check_wishes(ask, model, known)
    max_tokens = model.max_tokens or ask.max_tokens
    body, prompt = _BODIES[model.provider, ask.form](ask, model, known, max_tokens)
    path = PATHS[model.provider, ask.form]
    prefix_text = canonical({"provider": model.provider, "server": model.server, "path": path, "body": body})
    prefix = bytes_hash(prefix_text.encode())
    if ask.schema is not None:
        _check_once(prefix, ask.schema)
    request = bytes_hash(f"{prefix}\0{prompt}".encode())
    return Request(
        model.provider,
        model.server,
        path,
        _with_prompt(body, prompt),
        prefix,
        prefix_text,
        prompt,
        request,
        known.echo_max_tokens if ask.form == "echo" else max_tokens,
        known.cache == "blocks" and _long_enough(ask, known),
    )


def _check_once(prefix: str, schema: dict[str, Any]) -> None:
    """The prefix holds the schema: one check for all requests that share it."""
    if prefix not in _CHECKED:
        check_schema(schema)
        if len(_CHECKED) >= 10_000:
            _CHECKED.clear()
        _CHECKED.add(prefix)


_CHECKED: set[str] = set()


def _with_prompt(body: Body, prompt: str) -> Body:
    """The body with the prompt where it has null."""
    if "messages" in body:
        *before, last = body["messages"]
        return body | {"messages": [*before, last | {"content": prompt}]}
    return body | {"prompt" if "prompt" in body else "input": prompt}


def _anthropic_chat(ask: Ask, model: LLMModel, known: Capabilities, max_tokens: int) -> tuple[Body, str]:
    body: Body = {"model": model.model, "max_tokens": max_tokens, "messages": [{"role": "user", "content": None}]}
    if ask.system:
        block: Body = {"type": "text", "text": ask.system}
        if known.cache == "blocks" and _long_enough(ask, known):
            block["cache_control"] = {"type": "ephemeral"}
        body["system"] = [block]
    output: Body = {}
    if ask.schema is not None and known.structured == "json_schema":
        output["format"] = {"type": "json_schema", "schema": ask.schema}
    if effort := effort_of(model, known):
        output["effort"] = effort
    if output:
        body["output_config"] = output
    return body | _sampling(model), ask.prompt


def _openai_chat(ask: Ask, model: LLMModel, known: Capabilities, max_tokens: int) -> tuple[Body, str]:
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    body: Body = {
        "model": model.model,
        "messages": [*system, {"role": "user", "content": None}],
        known.max_tokens_field: max_tokens,
    }
    if ask.schema is not None:
        body |= _schema_as(known.structured, ask.kind, ask.schema)
    if ask.logprobs:
        body |= {"logprobs": True, "top_logprobs": ask.logprobs}
    if effort := effort_of(model, known):
        body["reasoning_effort"] = effort
    return body | _cache_key(ask, known) | _sampling(model), ask.prompt


def _schema_as(form: StructuredForm, name: str, schema: dict[str, Any]) -> Body:
    """The form that OpenAI has, that of llama.cpp, and the two of vLLM."""
    if form == "json_schema":
        named = {"name": name, "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if form == "json_object":
        return {"response_format": {"type": "json_object", "schema": schema}}
    if form == "structured_outputs":
        return {"structured_outputs": {"json": schema}}
    return {"guided_json": schema} if form == "guided_json" else {}


def _openai_echo(ask: Ask, model: LLMModel, known: Capabilities, _: int) -> tuple[Body, str]:
    """One text: the shared part stands in front of it, so the prompt is both."""
    body: Body = {
        "model": model.model,
        "prompt": None,
        "max_tokens": known.echo_max_tokens,
        "echo": True,
        "logprobs": max(1, ask.logprobs),
    }
    return body | _sampling(model), ask.system + ask.prompt


def _openai_decisions(ask: Ask, model: LLMModel, known: Capabilities, _: int) -> tuple[Body, str]:
    body: Body = {"model": model.model, "input": None, "questions": list(ask.questions)}
    return body | _cache_key(ask, known), ask.system + ask.prompt


def _sampling(model: LLMModel) -> Body:
    wanted = {name: getattr(model, name) for name in ("temperature", "top_p", "seed", "service_tier")}
    return {name: value for name, value in wanted.items() if value is not None}


def _long_enough(ask: Ask, known: Capabilities) -> bool:
    return len(ask.system) >= known.cache_prefix * CHARS_PER_TOKEN


def _cache_key(ask: Ask, known: Capabilities) -> Body:
    """Requests that share a prefix go to the same cache."""
    if known.cache != "key" or not _long_enough(ask, known):
        return {}
    return {"prompt_cache_key": bytes_hash(ask.system.encode())}


_BODIES = {
    ("anthropic", "chat"): _anthropic_chat,
    ("openai", "chat"): _openai_chat,
    ("openai", "echo"): _openai_echo,
    ("openai", "decisions"): _openai_decisions,
}
