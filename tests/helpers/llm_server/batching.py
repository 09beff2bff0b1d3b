"""Batches of both APIs: filed, looked after, and their files."""

from __future__ import annotations

import json
import time
from typing import Any

from aiohttp import web

from llm_server.answering import broken, error
from llm_server.replies import chat, messages
from llm_server.state import batches, bill, count, fault_for, seen, settings, unit, uploads


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
