"""A server of both APIs for tests: scripted answers, injected faults, and a count of what would be billed.

    python tests/llm/server.py [SETTINGS AS JSON]        prints its port, serves until killed

POST /v1/messages, /v1/chat/completions, /v1/completions (echo), /v1/decisions; GET /count, POST /settings, GET /seen.

An answer is a function of the request; whether a request meets a fault is a function of (seed, request, how many times
it was seen). Everything that was generated is counted as billed under the request's hash; where the reply never
arrived whole, it is counted as `lost` too, because no client can know what it cost.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import sys
import time
from collections import Counter
from typing import Any

from aiohttp import web

MESSAGES = "/v1/messages"
WAITS = ("429_ms", "429_seconds", "429_date", "429_absent", "429_absurd", "429_nonsense", "529")
ERRORS = ("425", "500", "502", "503", "reset_before", "reset_mid", "cut", "html", "empty_body", "error_in_200")
WIRE = ("chunk_cut", "chunk_nonsense", "no_http", "gzip_broken", "no_utf8")
USELESS = ("malformed", "missing_key", "extra_key", "fenced", "trailing", "wrong_leaf", "out_of_range", "empty",
           "half_character")  # fmt: skip
ENDS = ("refusal", "truncated")
NO_USAGE = ("usage_none", "usage_negative", "usage_huge", "usage_infinite", "usage_words")  # the answer is good
FAULTS = WAITS + ERRORS + WIRE + USELESS + ENDS
FAULTY = "FAULTY"  # stands in every text of a faulted reply that could be mistaken for an answer

settings: dict[str, Any] = {
    "seed": 0, "faults": [], "share": 0.0, "latency_s": 0.0, "slow_s": 0.0, "always": None, "rpm": None,
    "logprobs": True, "schema": True, "shuffle_echo": False, "key": None, "answer": None, "extra_text": 0,
    "batches_end": True, "by_content": False, "cut_downloads": False, "credit": None,
}  # fmt: skip
count: dict[str, Any] = {}
seen: Counter[str] = Counter()
bucket = {"tokens": 0.0, "at": 0.0}


def reset_count() -> None:
    batches.clear()
    uploads.clear()
    seen.clear()
    count.clear()
    count.update(
        requests=0,
        billed=0,
        lost=0,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        lost_input_tokens=0,
        by_request={},
        faults={},
        in_flight=0,
        most_in_flight=0,
        bodies=[],
        starts=[],
    )


def unit(*parts: Any) -> float:
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


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


def fault_for(request_hash: str, nth: int) -> str | None:
    if settings["always"]:
        return str(settings["always"])
    kinds: list[str] = settings["faults"]
    if kinds and unit(settings["seed"], request_hash, nth, "fault") < settings["share"]:
        return kinds[int(unit(settings["seed"], request_hash, nth, "kind") * len(kinds))]
    return None


def turn_away(fault: str, anthropic: bool) -> web.Response:
    headers = {
        "429_ms": {"retry-after-ms": "40"},
        "429_seconds": {"retry-after": "0.05"},
        "429_date": {"retry-after": email.utils.formatdate(time.time() + 1, usegmt=True)},
        "429_absurd": {"retry-after": "86400"},
        "429_nonsense": {"retry-after": "soon"},
    }.get(fault, {})
    kind = "overloaded_error" if fault == "529" else "rate_limit_error"
    return error(529 if fault == "529" else 429, kind, "slow down", anthropic, headers)


def error(status: int, kind: str, message: str, anthropic: bool, headers: dict[str, str] | None = None) -> web.Response:
    inner = {"type": kind, "message": message} | ({} if anthropic else {"code": kind, "param": None})
    return web.json_response({"type": "error", "error": inner}, status=status, headers=headers)


async def broken(request: web.Request, fault: str, whole: bytes) -> web.StreamResponse:
    """Replies that never arrive whole."""
    assert request.transport is not None
    if fault == "reset_before":
        request.transport.abort()
        return web.Response()
    if fault == "gzip_broken":
        return web.Response(body=whole, headers={"content-encoding": "gzip"}, content_type="application/json")
    if fault == "no_utf8":
        return web.Response(body=whole.decode().encode("utf-16"), content_type="application/json")
    if fault in ("chunk_nonsense", "no_http"):
        start = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" if fault == "chunk_nonsense" else b"\0?\r\n"
        )
        assert request.transport is not None
        request.transport.write(start + whole)
        request.transport.close()
        return web.Response()
    if fault == "cut":  # a body that says it is whole, and is not
        return web.Response(body=whole[: len(whole) // 3], content_type="application/json")
    length = {} if fault == "chunk_cut" else {"content-length": str(len(whole))}
    response = web.StreamResponse(headers=length | {"content-type": "application/json"})
    if fault == "chunk_cut":
        response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(whole[: len(whole) // 3])
    request.transport.abort()
    return response


def key_of(request: web.Request) -> str:
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")


async def handle(request: web.Request) -> web.StreamResponse:
    count["in_flight"] += 1
    count["most_in_flight"] = max(count["most_in_flight"], count["in_flight"])
    try:
        return await answer(request)
    finally:
        count["in_flight"] -= 1


async def answer(request: web.Request) -> web.StreamResponse:
    raw = await request.read()
    body = json.loads(raw)
    request_hash = hashlib.blake2b(request.path.encode() + raw, digest_size=16).hexdigest()
    nth = seen[request_hash]
    seen[request_hash] += 1
    take_down(request, body)
    if (refused := refusal(request)) is not None:
        return refused
    fault = fault_for(request_hash, nth)
    if fault:
        count["faults"][fault] = count["faults"].get(fault, 0) + 1
    if settings["latency_s"]:
        await asyncio.sleep(settings["latency_s"])
    if fault == "slow":
        await asyncio.sleep(settings["slow_s"])
    if fault and (instead := no_reply(request, fault)) is not None:
        return instead
    reply, usage = ROUTES[request.path](body, fault, request_hash + (f"/{nth}" if body.get("temperature") else ""))
    lost = fault in ("reset_before", "reset_mid", "cut", "slow", *WIRE, *NO_USAGE)
    bill(request_hash, usage, lost)
    if fault in NO_USAGE:
        reply["usage"] = without_usage(reply["usage"], fault)
    whole = json.dumps(reply).encode()
    if fault in ("reset_before", "reset_mid", "cut", *WIRE):
        return await broken(request, fault, whole)
    return web.Response(body=whole, content_type="application/json")


def take_down(request: web.Request, body: Any) -> None:
    """Counts a request, and keeps the first bodies and times."""
    count["requests"] += 1
    if len(count["bodies"]) < 50:
        count["bodies"].append({"path": request.path, "body": body})
    if len(count["starts"]) < 5000:
        count["starts"].append(time.monotonic())


def refusal(request: web.Request) -> web.Response | None:
    """What the settings turn away, whatever is asked."""
    anthropic = request.path == MESSAGES
    if settings["key"] and key_of(request) != settings["key"]:
        return error(401, "authentication_error", f"Incorrect API key provided: {key_of(request)}.", anthropic)
    if settings["rpm"] and not take_token():
        return error(429, "rate_limit_error", "over the rate", anthropic, {"retry-after-ms": "50"})
    if settings["credit"] is not None and count["billed"] >= settings["credit"]:
        return error(402, "billing_error", "no credit left", anthropic)
    return None


PLAIN_ERRORS: dict[str, tuple[int, str, str, dict[str, str] | None]] = {
    "insufficient_quota": (429, "insufficient_quota", "You exceeded your current quota", {"retry-after": "1"}),
    "spend_limit": (429, "enforced_spend_limit_reached_error", "spend limit reached", None),
    "context_length": (400, "context_length_exceeded", "This model's maximum context length is 8192 tokens", None),
    "invalid_prompt": (400, "invalid_prompt", "flagged by our usage policy", None),
    "425": (425, "api_error", "internal", None),
    "500": (500, "api_error", "internal", None),
    "502": (502, "api_error", "internal", None),
    "503": (503, "api_error", "internal", {"retry-after": "0"}),
}


def no_reply(request: web.Request, fault: str) -> web.Response | None:
    """The answer to a fault that is no reply of a model; None where a model replies all the same."""
    anthropic = request.path == MESSAGES
    if fault in WAITS:
        return turn_away(fault, anthropic)
    if fault in ("400", "401", "402", "403", "404", "413"):
        return error(int(fault), "some_error", f"refused with {fault}; your key is {key_of(request)}", anthropic)
    if fault in PLAIN_ERRORS:
        status, code, message, headers = PLAIN_ERRORS[fault]
        return error(status, code, message, anthropic, headers)
    if fault == "error_in_200":
        return web.json_response({"error": {"message": "upstream is down", "code": 502}})
    if fault == "html":
        return web.Response(text="<html><body>Welcome to our proxy</body></html>", content_type="text/html")
    if fault == "empty_body":
        return web.Response(body=b"", content_type="application/json")
    return None


def without_usage(usage: dict[str, Any], fault: str) -> Any:
    """What no number of tokens is; what was paid is not known then."""
    value = {"usage_negative": -50_000, "usage_huge": 1e30, "usage_infinite": float("inf"), "usage_words": "many"}
    if fault == "usage_none":
        return None
    return {name: value[fault] if isinstance(tokens, int) else tokens for name, tokens in usage.items()}


def take_token() -> bool:
    now = time.monotonic()
    rate = settings["rpm"] / 60
    bucket["tokens"] = min(rate / 4, bucket["tokens"] + (now - bucket["at"]) * rate) if bucket["at"] else rate / 4
    bucket["at"] = now
    if bucket["tokens"] < 1:
        return False
    bucket["tokens"] -= 1
    return True


def bill(request_hash: str, usage: tuple[int, int, int, int], lost: bool) -> None:
    count["by_request"][request_hash] = count["by_request"].get(request_hash, 0) + 1
    count["billed"] += 1
    if lost:
        count["lost"] += 1
        return
    for name, tokens in zip(
        ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), usage, strict=True
    ):
        count[name] += tokens


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


batches: dict[str, dict[str, Any]] = {}
uploads: dict[str, bytes] = {}


def results_of(lines: list[dict[str, Any]], anthropic: bool) -> tuple[list[Any], list[Any]]:
    """(results, errors) of a batch, in another order than they came; each line may meet a fault."""
    good: list[Any] = []
    bad: list[Any] = []
    for line in sorted(lines, key=lambda one: unit(one["custom_id"])):
        name = line["custom_id"]
        seen[name] += 1
        fault = fault_for(name, seen[name])
        if fault:
            count["faults"][fault] = count["faults"].get(fault, 0) + 1
        body = line["params"] if anthropic else line["body"]
        if fault in ("expired", "errored", "canceled"):
            if anthropic:
                error = {"type": "error", "error": {"type": "api_error", "message": "internal"}}
                bad.append(
                    {"custom_id": name, "result": {"type": fault} | ({"error": error} if fault == "errored" else {})}
                )
            elif fault == "errored":
                failed = {"status_code": 500, "body": {"error": {"message": "internal"}}}
                bad.append({"custom_id": name, "response": failed, "error": None})
            else:
                bad.append(
                    {"custom_id": name, "response": None, "error": {"code": f"batch_{fault}", "message": "late"}}
                )
            continue
        reply, usage = (messages if anthropic else chat)(body, fault, name)
        bill(name, usage, False)
        if anthropic:
            good.append({"custom_id": name, "result": {"type": "succeeded", "message": reply}})
        else:
            good.append({"custom_id": name, "response": {"status_code": 200, "body": reply}, "error": None})
    return good, bad


def as_lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def create_batch(request: web.Request) -> web.Response:
    anthropic = "messages" in request.path
    body = await request.json()
    if settings["always"] == "refuse_batch":
        return error(400, "invalid_request_error", "no batches today", anthropic)
    name = f"batch_{len(batches) + 1}"
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if anthropic:
        good, bad = results_of(body["requests"], True)
        batches[name] = {"id": name, "n": len(body["requests"]), "results": as_lines(bad + good), "created_at": created}
    else:
        lines = [json.loads(line) for line in uploads[body["input_file_id"]].splitlines()]
        assert {line["url"] for line in lines} == {body["endpoint"]}
        good, bad = results_of(lines, False)
        uploads[f"{name}-out"], uploads[f"{name}-err"] = as_lines(good), as_lines(bad)
        batches[name] = {"id": name, "n": len(lines), "out": bool(good), "err": bool(bad), "metadata": body["metadata"]}
    count["batches"] = len(batches)
    if settings["always"] == "cut_submit":
        assert request.transport is not None
        request.transport.abort()
    return web.json_response({"id": name})


def batch_state(batch: dict[str, Any]) -> dict[str, Any]:
    over = settings["batches_end"]
    if "created_at" in batch:
        counts = {"succeeded": batch["n"] if over else 0, "processing": 0 if over else batch["n"], "errored": 0}
        state = {"id": batch["id"], "processing_status": "ended" if over else "in_progress", "request_counts": counts}
        return state | {"created_at": batch["created_at"]}
    return {
        "id": batch["id"],
        "status": "completed" if over else "in_progress",
        "metadata": batch["metadata"],
        "output_file_id": f"{batch['id']}-out" if batch["out"] and over else None,
        "error_file_id": f"{batch['id']}-err" if batch["err"] and over else None,
    }


async def get_batch(request: web.Request) -> web.Response:
    name = request.match_info.get("name")
    if name is None:
        anthropic = "messages" in request.path
        return web.json_response(
            {"data": [batch_state(one) for one in batches.values() if ("created_at" in one) == anthropic]}
        )
    return web.json_response(batch_state(batches[name]))


async def download(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    content = batches[name]["results"] if "messages" in request.path else uploads[name]
    seen[f"download {name}"] += 1
    if settings["cut_downloads"] and seen[f"download {name}"] == 1:
        return await broken(request, "reset_mid", content)
    return web.Response(body=content, content_type="application/x-jsonlines")


async def upload(request: web.Request) -> web.Response:
    form = await request.post()
    name = f"file_{len(uploads) + 1}"
    uploads[name] = form["file"].file.read()  # type: ignore[union-attr]
    return web.json_response(
        {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "x", "purpose": "batch"}
    )


async def get_count(_: web.Request) -> web.Response:
    return web.json_response(count)


async def post_settings(request: web.Request) -> web.Response:
    """New settings; the count starts again."""
    settings.update(await request.json())
    reset_count()
    return web.json_response(settings)


async def post_change(request: web.Request) -> web.Response:
    """New settings; nothing is forgotten."""
    settings.update(await request.json())
    return web.json_response(settings)


def main() -> None:
    settings.update(json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
    reset_count()
    app = web.Application(client_max_size=64_000_000)
    for path in ROUTES:
        app.router.add_post(path, handle)
    app.router.add_post("/v1/messages/batches", create_batch)
    app.router.add_get("/v1/messages/batches", get_batch)
    app.router.add_get("/v1/messages/batches/{name}", get_batch)
    app.router.add_get("/v1/messages/batches/{name}/results", download)
    app.router.add_post("/v1/files", upload)
    app.router.add_get("/v1/files/{name}/content", download)
    app.router.add_post("/v1/batches", create_batch)
    app.router.add_get("/v1/batches", get_batch)
    app.router.add_get("/v1/batches/{name}", get_batch)
    app.router.add_get("/count", get_count)
    app.router.add_post("/settings", post_settings)
    app.router.add_post("/change", post_change)

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
