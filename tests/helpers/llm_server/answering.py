"""One request over the wire: turned away, met by a fault, or answered; also replies that never arrive whole."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import time
from typing import Any

from aiohttp import web

from llm_server.replies import MESSAGES, ROUTES, without_usage
from llm_server.state import NO_USAGE, WAITS, WIRE, bill, count, fault_for, seen, settings, take_token


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
