"""An OpenAI-compatible server in a thread of the test, which does what a test says, and remembers what it got."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any, Self

from local_server import LocalServer

from autointerp.config.llm_model import LLMModel
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.session.client import Session

Reply = tuple[int, Any]
"""Status and body."""


def value_of(schema: dict[str, Any]) -> Any:
    """The first value that a schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        return {name: value_of(inner) for name, inner in schema["properties"].items()}
    if schema["type"] == "array":
        return []
    return {"string": "words", "integer": 0, "number": 0.0, "boolean": False}[schema["type"]]


def schema_in(body: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """The form in which a request asks for JSON, and the schema."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return "json_schema", form["json_schema"]["schema"]
    if form.get("type") == "json_object":
        return "json_object", form.get("schema")
    if "structured_outputs" in body:
        return "structured_outputs", body["structured_outputs"]["json"]
    return ("guided_json", body["guided_json"]) if "guided_json" in body else ("", None)


def text_of(body: dict[str, Any]) -> str:
    """All that a chat request says."""
    return "".join(message["content"] for message in body["messages"])


@dataclass
class OddServer:
    """`forms` are those that it answers by the schema; one that is in `refused` gets that reply; others are ignored."""

    forms: tuple[str, ...] = ("json_schema",)
    refused: dict[str, Reply] = field(default_factory=dict)
    pages: dict[str, Any] = field(default_factory=dict)
    """Bodies of other paths, by path."""
    count: Callable[[str], int] = lambda text: len(text) // 4
    """Tokens that it says a text has."""
    logprobs: bool = True
    special: Callable[[dict[str, Any]], Reply | None] = lambda _body: None
    """A reply of its own to some chat requests."""
    completions: Callable[[dict[str, Any]], Reply] = lambda _body: (404, {"detail": "Not Found"})
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        odd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

            def do_GET(self) -> None:
                odd.paths.append(self.path)
                page = odd.pages.get(self.path)
                self.send(404 if page is None else 200, {} if page is None else page)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                odd.paths.append(self.path)
                if self.path in odd.pages:
                    return self.send(200, odd.pages[self.path])
                if not self.path.endswith("completions"):
                    return self.send(404, {})
                odd.bodies.append(body)
                return self.send(*(odd.chat(body) if "messages" in body else odd.completions(body)))

            def send(self, status: int, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._http = LocalServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        """What a run file gives as base_url."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def chat(self, body: dict[str, Any]) -> Reply:
        """One reply of the chat path."""
        if (own := self.special(body)) is not None:
            return own
        form, schema = schema_in(body)
        if form in self.refused:
            return self.refused[form]
        text = json.dumps(value_of(schema)) if schema is not None and form in self.forms else "Blue."
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }
        if body.get("logprobs") and self.logprobs:
            top = [{"token": text, "logprob": -0.1}]
            choice["logprobs"] = {"content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]}
        usage = {"prompt_tokens": self.count(text_of(body)), "completion_tokens": len(text) // 3}
        return 200, {"id": "x", "model": body["model"], "choices": [choice], "usage": usage}


def model(server: OddServer, **more: Any) -> LLMModel:
    """A model on it that no table knows."""
    return LLMModel.model_validate(
        {"provider": "openai", "model": "mine", "base_url": server.url, "timeout_s": 10.0} | more
    )


def settled(log: Any, asks: list[Ask], of: LLMModel) -> tuple[int | None, list[Answer]]:
    """The context that was found, and the answers to the asks."""
    with Session(log) as session:
        context = session.settle(of, asks)
        return context, list(session.answers(asks, of))
