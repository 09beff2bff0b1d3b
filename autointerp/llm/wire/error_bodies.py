"""What an error body says, in whatever shape: its codes, its message, and the HTTP status that it names.

Known shapes: {"error": {...}} (OpenAI, Anthropic, llama.cpp, Azure, Groq, Together), {"error": "words"} (TGI, Ollama,
LM Studio), {"object": "error", "message": ...} (vLLM, SGLang, Mistral), {"detail": ...} (FastAPI), a list of errors
(Gemini), {"errors": [...]} (Cloudflare), {"base_resp": ...} (MiniMax), an error inside a choice, in the metadata or as
JSON inside a text (OpenRouter, LiteLLM), and any of them in an event stream. Only keys that hold an error's own words
are read: servers repeat the prompt under others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from autointerp.llm.wire.text import whole_characters

_WORDS = (
    "message", "msg", "detail", "error", "error_message", "error_msg", "errorMessage", "error_description",
    "status_msg", "errmsg", "title", "raw", "reason", "OriginalMessage",
)  # fmt: skip
_TELLING = ("message", "msg", "error_message", "error_msg", "errorMessage", "errmsg")
"""Keys whose words are an error's where there is no answer beside them."""
_CODES = (
    "code", "type", "status", "status_code", "error_code", "error_type", "errorCode", "err_code", "errno", "ErrorCode",
    "__type", "object",
)  # fmt: skip
_INSIDE = (
    "error", "errors", "detail", "details", "metadata", "innererror", "inner_error", "base_resp", "cause", "choices",
    "raw", "message",
)  # fmt: skip
_DEEPEST = 6
_MOST_PARTS = 8  # of a list
_LONGEST = 4000


@dataclass(frozen=True)
class ErrorBody:
    """What an error body says."""

    codes: str
    """All codes and types in it, with spaces between."""
    message: str
    """Its first words, on one line."""
    words: str
    """All words in it, those of the servers behind a gateway among them."""
    status: int | None
    """The HTTP status that it names, 400 to 599."""

    @property
    def said(self) -> str:
        """All of it in lower case, to look for words in."""
        return f"{self.codes} {self.words}".lower()


def read_error(body: str) -> ErrorBody:
    """What the body says; of one in no known shape, its beginning."""
    codes: list[str] = []
    words: list[str] = []
    for value in _values(body):
        _gather(value, codes, words, 0)
    numbers = [int(code) for code in codes if code.isdigit() and 400 <= int(code) <= 599]
    first = words[0] if words else "" if codes else body
    message = one_line(first or " ".join(codes)) or "no message"
    return ErrorBody(" ".join(codes), message, " ".join(words) if words else body[:_LONGEST], next(iter(numbers), None))


def tells_error(value: Any) -> bool:
    """Whether the JSON of a 200 is an error and no reply."""
    if isinstance(value, list):
        return bool(value) and tells_error(value[0])
    if not isinstance(value, dict):
        return False
    choices = value.get("choices")
    if isinstance(choices, list) and any(isinstance(one, dict) and one.get("error") for one in choices):
        return True
    if value.get("error") or value.get("errors") or value.get("object") == "error" or value.get("type") == "error":
        return True
    if choices or value.get("content") or value.get("answers"):
        return False
    told = value.get("detail") or value.get("base_resp") or value.get("success") is False
    return bool(told) or any(isinstance(value.get(key), str) and value[key] for key in _TELLING)


def events_of(body: str) -> list[Any]:
    """The JSON values of an event stream (`data: {...}` lines); empty where the body is none."""
    if not body.lstrip().startswith(("data:", "event:", ":")):
        return []
    values = []
    for line in body.splitlines():
        name, _, data = line.partition(":")
        if name.strip() == "data" and data.strip()[:1] in ("{", "["):
            try:
                values.append(json.loads(data))
            except (ValueError, RecursionError):
                continue
    return values


def one_line(text: str) -> str:
    """At most 300 characters, on one line, whole."""
    return whole_characters(" ".join(text.split())[:300])


def _values(body: str) -> list[Any]:
    try:
        return [json.loads(body)]
    except (ValueError, RecursionError):
        return [event for event in events_of(body) if tells_error(event)]


def _gather(value: Any, codes: list[str], words: list[str], depth: int) -> None:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for part in value[:_MOST_PARTS]:
            _gather(part, codes, words, depth + 1)
    elif isinstance(value, str):
        if value.lstrip()[:1] in ("{", "[") and (inner := _parsed(value)) is not None:
            _gather(inner, codes, words, depth + 1)
        elif value.strip():
            words.append(value[:_LONGEST])
    elif isinstance(value, dict):
        codes += [str(value[key]) for key in _CODES if _is_code(value.get(key))]
        for key in _WORDS:
            if isinstance(value.get(key), str):
                _gather(value[key], codes, words, depth + 1)
        for key in _INSIDE:
            if isinstance(value.get(key), dict | list):
                _gather(value[key], codes, words, depth + 1)
        reasons = value.get("reasons")  # OpenRouter: why its moderation turned a prompt away
        if isinstance(reasons, list) and reasons:
            codes.append("moderation")


def _is_code(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return (isinstance(value, str) and 0 < len(value) <= 200) or isinstance(value, int)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
