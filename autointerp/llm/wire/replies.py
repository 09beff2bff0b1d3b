"""Reply body -> what the model wrote, why it stopped, what it cost in tokens. Pure; one function a provider's form."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autointerp.llm.asks import Form, TokenChoice
from autointerp.llm.wire.error_bodies import events_of, tells_error
from autointerp.llm.wire.render import canonical
from autointerp.llm.wire.text import whole_characters
from autointerp.reply_log import LoggedReply, Usage


class BrokenBody(ValueError):
    """A 200 whose body is not a reply of this API; `usage` where it could still be read, `error` where it tells one."""

    def __init__(self, reason: str, usage: Usage | None = None, *, error: bool = False) -> None:
        super().__init__(reason)
        self.usage = usage
        self.error = error


@dataclass(frozen=True)
class ProviderReply:
    """One reply, the same for both providers."""

    text: str
    """What the model wrote; for decisions the answers as JSON, for an echo nothing."""
    stop_reason: str
    """As the provider says it."""
    model: str
    """The id that the server returned."""
    usage: Usage | None
    refused: str = ""
    """Why the model declined, where it did."""
    truncated: bool = False
    unfinished: bool = False
    """It stopped for something else than its end: a tool, a pause, an error of the server."""
    tokens: tuple[TokenChoice, ...] | None = None
    service_tier: str | None = None
    aside: int = 0
    """Characters that the server put elsewhere, as reasoning."""


_UNFINISHED = {
    "", "tool_calls", "function_call", "tool_use", "pause_turn", "error", "abort", "cancelled", "canceled", "timeout",
    "insufficient_system_resource", "malformed_function_call",
}  # fmt: skip
_CUT = {"length", "max_tokens", "max_output_tokens", "model_length", "token_limit"}
_TURNED_AWAY = re.compile(
    r"content_?filter|safety|recitation|prohibited|block|sensitive|guardrail|moderat|spii", re.IGNORECASE
)
"""Reasons to stop, of servers of OpenAI's API that speak another one behind it."""
_LONGEST_SENTENCE = 300


def read_body(text: str, provider: str, form: Form, prompt: str) -> ProviderReply:
    """Reads a 200's body. Raises BrokenBody where it is HTML, cut, or of another shape."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        events = events_of(text)
        told = any(tells_error(event) for event in events) or _is_sentence(text)
        raise BrokenBody(_no_json(text, bool(events)), _usage_in(text, provider), error=told) from error
    if tells_error(body):
        usage = body.get("usage") if isinstance(body, dict) else None
        raise BrokenBody("HTTP 200 with an error", _usage(usage, provider), error=True)
    try:
        return _READERS[provider, form](body, prompt)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        usage = body.get("usage") if isinstance(body, dict) else None
        reason = f"HTTP 200 with a body of another shape ({type(error).__name__}: {error})"[:300]
        raise BrokenBody(reason, _usage(usage, provider)) from error


def _is_sentence(text: str) -> bool:
    """Whether a body that is no JSON may be an error in plain words."""
    return 0 < len(text.strip()) <= _LONGEST_SENTENCE and text.lstrip()[:1] not in ("{", "[", "<", "d", "e", ":")


def _no_json(text: str, stream: bool) -> str:
    if stream:
        return "HTTP 200 with a stream of events, which was not asked for"
    shown = "an HTML page" if text.lstrip()[:1] == "<" else "empty" if not text.strip() else "cut or not JSON"
    return f"HTTP 200 with a body that is {shown}"


def _anthropic_chat(body: dict[str, Any], _: str) -> ProviderReply:
    stop = _str(body["stop_reason"] or "")
    details = body.get("stop_details") or {}
    return ProviderReply(
        text="".join(_str(block["text"]) for block in body["content"] if block["type"] == "text"),
        stop_reason=stop,
        model=_str(body.get("model") or ""),
        usage=_usage(body.get("usage"), "anthropic"),
        refused=f"refusal ({details.get('category') or 'no category'})" if stop == "refusal" else "",
        truncated=stop in ("max_tokens", "model_context_window_exceeded"),
        unfinished=stop in _UNFINISHED,
        service_tier=_tier(body.get("usage")),
    )


def _openai_chat(body: dict[str, Any], _: str) -> ProviderReply:
    if not body.get("choices"):
        return _no_choice(body)
    choice = body["choices"][0]
    stop = _str(choice["finish_reason"] or "")
    turned_away = _TURNED_AWAY.search(stop)
    message = (choice.get("message") or {}) if turned_away else choice["message"]
    text = _answer(_content(message.get("content")))
    refusal = message.get("refusal") or _refusal_part(message.get("content"))
    if not refusal and turned_away:
        refusal = "content filter" if stop == "content_filter" else f"content filter ({stop})"
    native = choice.get("native_finish_reason")
    if not refusal and not text.strip() and isinstance(native, str) and _TURNED_AWAY.search(native):
        refusal = f"content filter ({native})"
    content = (choice.get("logprobs") or {}).get("content")
    return ProviderReply(
        text=text,
        stop_reason=stop,
        model=_str(body.get("model") or ""),
        usage=_usage(body.get("usage"), "openai"),
        refused=_str(refusal)[:200],
        aside=sum(len(message[name]) for name in _ASIDE if isinstance(message.get(name), str)),
        truncated=stop.lower() in _CUT,
        unfinished=stop.lower() in _UNFINISHED,
        tokens=None if content is None else tuple(_chat_token(token) for token in content),
        service_tier=_tier(body),
    )


def _no_choice(body: dict[str, Any]) -> ProviderReply:
    """A reply without an answer: turned away for the content of the prompt, where it says so."""
    told = body.get("prompt_filter_results") or body.get("promptFeedback") or body.get("prompt_feedback")
    if not told:
        raise ValueError("it has no choice")
    model, usage = _str(body.get("model") or ""), _usage(body.get("usage"), "openai")
    return ProviderReply("", "content_filter", model, usage, refused="content filter (of the prompt)")


def _refusal_part(content: Any) -> str:
    """A refusal among the parts of a content."""
    parts = content if isinstance(content, list) else []
    return next((_str(part["refusal"]) for part in parts if isinstance(part, dict) and part.get("refusal")), "")


_ASIDE = ("reasoning_content", "reasoning")
"""Where servers put what a model thinks before its answer."""
_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)


def _content(content: Any) -> str:
    """A text, or a list of parts of which those of text are the answer (Mistral)."""
    if isinstance(content, list):
        return "".join(_str(part["text"]) for part in content if part.get("type", "text") == "text")
    return _str(content or "")


def _answer(text: str) -> str:
    """Without the thoughts in front of it, which servers without a reasoning parser leave there."""
    thought = _THOUGHT.match(text)
    return text[thought.end() :] if thought else text


def _chat_token(token: dict[str, Any]) -> TokenChoice:
    top = tuple((_str(other["token"]), _logprob(other["logprob"])) for other in token.get("top_logprobs") or ())
    return TokenChoice(_str(token["token"]), _logprob(token["logprob"]), top)


def _openai_echo(body: dict[str, Any], prompt: str) -> ProviderReply:
    """The prompt's tokens; what a server wrote beyond the prompt (where max_tokens had to be 1) is dropped."""
    choice = body["choices"][0]
    logprobs = choice.get("logprobs") or {}
    texts = logprobs.get("tokens")
    tokens = None
    if texts:
        values, tops = logprobs["token_logprobs"], logprobs.get("top_logprobs") or [None] * len(texts)
        n = len(texts)
        offsets = logprobs.get("text_offset")
        if offsets and len(offsets) == n:
            n = sum(offset < len(prompt) for offset in offsets)
        if len(values) != len(texts) or len(tops) != len(texts):
            raise ValueError("tokens and log probabilities differ in number")
        tokens = tuple(
            TokenChoice(
                _str(text),
                None if value is None else _logprob(value),
                tuple((_str(name), _logprob(chance)) for name, chance in (top or {}).items()),
            )
            for text, value, top in zip(texts[:n], values[:n], tops[:n], strict=True)
        )
    stop = _str(choice.get("finish_reason") or "")
    return ProviderReply("", stop, _str(body.get("model") or ""), _usage(body.get("usage"), "openai"), tokens=tokens)


def _openai_decisions(body: dict[str, Any], _: str) -> ProviderReply:
    answers = body["answers"]
    if not isinstance(answers, list):
        raise TypeError("answers is no list")
    text = whole_characters(canonical(answers))
    return ProviderReply(text, "stop", _str(body.get("model") or ""), _usage(body.get("usage"), "openai"))


_READERS = {
    ("anthropic", "chat"): _anthropic_chat,
    ("openai", "chat"): _openai_chat,
    ("openai", "echo"): _openai_echo,
    ("openai", "decisions"): _openai_decisions,
}


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return whole_characters(value)


def _tier(told: Any) -> str | None:
    """The service tier that really served."""
    tier = told.get("service_tier") if isinstance(told, dict) else None
    return tier if isinstance(tier, str) else None


def _logprob(value: Any) -> float:
    """Servers write -9999 or null for "impossible"; NaN and positive ones are no log probabilities."""
    number = float(value) if value is not None else -math.inf
    if math.isnan(number) or number > 1e-3:
        raise ValueError(f"{value} is no log probability")
    return min(number, 0.0)


def _usage(usage: Any, provider: str) -> Usage | None:
    """Anthropic's input_tokens leave out what was cached, OpenAI's prompt_tokens do not: here all are counted.

    None where it is missing or cannot be true (negative, no prompt, more read from the cache than there was).
    """
    try:
        if provider == "anthropic":
            read, written = _n(usage.get("cache_read_input_tokens")), _cache_written(usage)
            details = usage.get("output_tokens_details") or {}
            told = Usage(
                _n(usage["input_tokens"]) + read + written,
                _n(usage["output_tokens"]),
                read,
                written,
                _n(details.get("thinking_tokens")),
            )
            return told if told.input_tokens else None
        names = ("prompt", "completion") if "prompt_tokens" in usage else ("input", "output")
        inside = usage.get(f"{names[0]}_tokens_details") or {}
        outside = usage.get(f"{names[1]}_tokens_details") or {}
        counted = Usage(
            _n(usage[f"{names[0]}_tokens"]),
            _n(usage.get(f"{names[1]}_tokens")),
            _n(inside.get("cached_tokens")),
            _n(inside.get("cache_write_tokens")),
            _n(outside.get("reasoning_tokens")),
        )
        cached = counted.cache_read_tokens + counted.cache_write_tokens
        return counted if counted.input_tokens and cached <= counted.input_tokens else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _n(count: Any) -> int:
    """A number of tokens; null is none."""
    if count is None:
        return 0
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count < 1e9 or count != int(count):
        raise ValueError(f"{count!r} is no number of tokens")
    return int(count)


def _cache_written(usage: Mapping[str, Any]) -> int:
    if (total := usage.get("cache_creation_input_tokens")) is not None:
        return _n(total)
    return sum(map(_n, (usage.get("cache_creation") or {}).values()))


def _usage_in(text: str, provider: str) -> Usage | None:
    """The usage in a body that was cut behind it: what was paid is known all the same."""
    start = text.rfind('"usage"')
    brace = text.find("{", start)
    if start < 0 or brace < 0:
        return None
    try:
        return _usage(json.JSONDecoder().raw_decode(text[brace:])[0], provider)
    except ValueError:
        return None


def tokens_json(tokens: tuple[TokenChoice, ...] | None) -> str | None:
    """Tokens with their log probabilities, as the log keeps them: [[text, logprob, [[text, logprob] ...]] ...]."""
    if tokens is None:
        return None
    rows = [[token.text, token.logprob, [list(other) for other in token.top]] for token in tokens]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def replay(logged: LoggedReply) -> ProviderReply:
    """A reply of the log as it was."""
    tokens = None
    if logged.tokens is not None:
        tokens = tuple(
            TokenChoice(text, logprob, tuple((name, value) for name, value in top))
            for text, logprob, top in json.loads(logged.tokens)
        )
    stop = logged.stop_reason
    return ProviderReply(
        logged.reply or "", stop, logged.returned_model, None, unfinished=stop in _UNFINISHED, tokens=tokens
    )
