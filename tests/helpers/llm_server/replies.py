"""The replies of the four endpoints, each with what it used: a function of the request, and of its fault."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from llm_server.state import FAULTY, USELESS, seen, settings, unit

MESSAGES = "/v1/messages"


def instance(schema: dict[str, Any], name: str, at: str = "") -> Any:
    """A value of the schema, decided by `name`."""
    kind = schema["type"]
    if "enum" in schema:
        return schema["enum"][int(unit(name, at) * (len(schema["enum"]) - 1))]  # never the last: that is "out_of_range"
    if kind == "object":
        return {key: instance(inner, name, f"{at}.{key}") for key, inner in schema["properties"].items()}
    if kind == "array":
        return [instance(schema["items"], name, f"{at}[{i}]") for i in range(3)]
    return {
        "string": f"text {name[:8]}",
        "integer": int(10 * unit(name, at)),
        "number": unit(name, at),
        "boolean": unit(name, at) < 0.5,
    }[kind]


def spoilt(value: Any, fault: str) -> str:
    """The text of a reply with a fault in it."""
    whole = json.dumps(value)
    if fault == "malformed":
        return whole[: len(whole) // 2] + FAULTY
    if fault == "fenced":
        return f"```json\n{whole}\n```"
    if fault == "trailing":
        return f"{whole}\nI hope that helps! {FAULTY}"
    if fault == "empty":
        return ""
    if fault == "half_character":
        return json.dumps([value, "\ud83d"]) if not isinstance(value, dict) else json.dumps(value | {"\ud83d": 1})
    if isinstance(value, dict):
        value = dict(value)
        first = next(iter(value))
        if fault == "missing_key":
            del value[first]
        elif fault == "extra_key":
            value["one_more"] = FAULTY
        elif fault == "wrong_leaf":
            value[first] = ["yes"]
        elif fault == "out_of_range":
            value[first] = 11 if isinstance(value[first], int) else None
    return json.dumps(value)


def split_tokens(text: str) -> list[str]:
    return [text[i : i + 4] for i in range(0, len(text), 4)]


def logprob_of(*parts: Any) -> float:
    return -0.01 - 5 * unit(*parts)


def written(schema: dict[str, Any] | None, fault: str | None, name: str) -> str:
    if settings["answer"] is not None:
        return str(settings["answer"])
    if schema is None or not settings["schema"]:
        text = f"some words about {name[:8]} " + "x" * settings["extra_text"]
        return text if fault not in USELESS else ("" if fault == "empty" else text)
    value = instance(schema, name)
    return spoilt(value, fault) if fault in USELESS else json.dumps(value)


def asked(body: dict[str, Any], name: str) -> str:
    """What decides the answer: with `by_content` the question alone, however it came."""
    if not settings["by_content"]:
        return name
    return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=16).hexdigest()


def prefix_tokens(text: str) -> int:
    return len(text) // 4


def messages(body: dict[str, Any], fault: str | None, name: str) -> tuple[Any, tuple[int, int, int, int]]:
    schema = body.get("output_config", {}).get("format", {}).get("schema")
    text = written(schema, fault, asked(body, name))
    system = body.get("system", [])
    cached = sum(prefix_tokens(block["text"]) for block in system if "cache_control" in block)
    plain = sum(prefix_tokens(block["text"]) for block in system if "cache_control" not in block)
    plain += prefix_tokens(body["messages"][-1]["content"]) + 3
    known = bool(cached) and (("warm", cached) in warm)
    warm.add(("warm", cached))
    stop = "end_turn"
    content: list[Any] = [{"type": "text", "text": text}]
    extra: dict[str, Any] = {}
    if fault == "refusal":
        stop, content, extra = "refusal", [], {"stop_details": {"type": "refusal", "category": "bio"}}
    if fault == "truncated":
        stop, content = "max_tokens", [{"type": "text", "text": text[: len(text) // 2]}]
    out = len(text) // 4 + 1
    read, write = (cached, 0) if known else (0, cached)
    usage = {
        "input_tokens": plain,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write,
        "output_tokens": out,
        "service_tier": "standard",
    }
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"] + "-2026",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }
    return reply | extra, (plain + cached, out, read, write)


warm: set[Any] = set()


def chat(body: dict[str, Any], fault: str | None, name: str) -> tuple[Any, tuple[int, int, int, int]]:
    wanted = body.get("response_format") or {}
    schema = wanted.get("json_schema", {}).get("schema") or wanted.get("schema")
    text: str | None = written(schema, fault, asked(body, name))
    finish, refusal = "stop", None
    if fault == "refusal":
        refusal, text = "I cannot help with that.", None
    if fault == "truncated":
        finish, text = "length", text[: len(text) // 2] if text else text
    logprobs = None
    if body.get("logprobs") and settings["logprobs"]:
        logprobs = {"content": [chat_token(token, i, body, name) for i, token in enumerate(split_tokens(text or ""))]}
    total = sum(prefix_tokens(message["content"]) for message in body["messages"]) + 3
    out = len(text or "") // 4 + 1
    usage = {
        "prompt_tokens": total,
        "completion_tokens": out,
        "total_tokens": total + out,
        "prompt_tokens_details": {"cached_tokens": total // 2},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}
    reply = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"] + "-2026",
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
    }
    return reply, (total, out, total // 2, 0)


def chat_token(token: str, i: int, body: dict[str, Any], name: str) -> dict[str, Any]:
    value = logprob_of(name, i)
    top = [{"token": token, "logprob": value, "bytes": None}]
    top += [{"token": f"alt{j}", "logprob": value - j, "bytes": None} for j in range(1, body.get("top_logprobs", 1))]
    return {"token": token, "logprob": value, "bytes": None, "top_logprobs": top}


def completions(body: dict[str, Any], _fault: str | None, _name: str) -> tuple[Any, tuple[int, int, int, int]]:
    prompt = body["prompt"]
    tokens = split_tokens(prompt)
    salt = seen.total() if settings["shuffle_echo"] else 0
    values = [None, *(logprob_of(prompt[: 4 * i], salt) for i in range(1, len(tokens)))]
    offsets = [4 * i for i in range(len(tokens))]
    if body["max_tokens"]:
        tokens, values, offsets = [*tokens, " new"], [*values, -1.0], [*offsets, len(prompt)]
    top = [None if value is None else {token: value} for token, value in zip(tokens, values, strict=True)]
    logprobs: dict[str, Any] | None = None
    if body.get("echo") and settings["logprobs"]:
        logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": top, "text_offset": offsets}
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 0, "total_tokens": len(tokens)}
    choice = {"index": 0, "text": prompt, "finish_reason": "length", "logprobs": logprobs}
    reply = {"id": "c", "object": "text_completion", "created": 1, "model": body["model"], "choices": [choice]}
    return reply | {"usage": usage}, (len(tokens), 0, 0, 0)


def decisions(body: dict[str, Any], fault: str | None, name: str) -> tuple[Any, tuple[int, int, int, int]]:
    answers: list[Any] = []
    for number, question in enumerate(body["questions"]):
        chance = unit(name, number)
        kind = question["type"]
        reply: dict[str, Any] = {"type": kind, "name": question.get("name")}
        if kind == "predicate":
            reply["probability"] = chance
        else:
            options = [
                option.get("label", option.get("value")) for option in question.get("levels") or question["choices"]
            ]
            each = [{"probability": 1 / len(options), "value": i, "label": option} for i, option in enumerate(options)]
            reply |= {"probabilities": each, "confidence": 1 / len(options)}
            reply |= {"score": chance * (len(options) - 1)} if kind == "score" else {"choice": options[0]}
        answers.append(reply)
    if fault == "missing_key":
        answers = answers[1:]
    if fault == "refusal":
        answers = [{"type": "refusal", "name": question.get("name")} for question in body["questions"]]
    total = prefix_tokens(body["input"]) + 3
    usage = {
        "input_tokens": total,
        "output_tokens": 0,
        "total_tokens": total,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {"answers": answers, "model": body["model"], "usage": usage}, (total, 0, 0, 0)


ROUTES = {
    MESSAGES: messages, "/v1/chat/completions": chat, "/v1/completions": completions, "/v1/decisions": decisions,
}  # fmt: skip


def without_usage(usage: dict[str, Any], fault: str) -> Any:
    """What no number of tokens is; what was paid is not known then."""
    value = {"usage_negative": -50_000, "usage_huge": 1e30, "usage_infinite": float("inf"), "usage_words": "many"}
    if fault == "usage_none":
        return None
    return {name: value[fault] if isinstance(tokens, int) else tokens for name, tokens in usage.items()}
