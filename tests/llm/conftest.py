"""A test server in a process of its own, models that point at it, and reply logs on disk."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from odd_server import OddServer

from autointerp.config.llm_model import LLMModel
from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.llm.session import attempt
from autointerp.llm.session.client import Session
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter

HELPERS = Path(__file__).parents[1] / "helpers"
KEYS = [f"t{number}" for number in range(4)]
SCHEMA = {
    "type": "object",
    "properties": {key: {"type": "integer", "enum": list(range(12))} for key in KEYS},
    "required": KEYS,
    "additionalProperties": False,
}
DEFAULTS: dict[str, Any] = {
    "seed": 0, "faults": [], "share": 0.0, "latency_s": 0.0, "slow_s": 0.0, "always": None, "rpm": None,
    "logprobs": True, "schema": True, "shuffle_echo": False, "key": None, "answer": None, "extra_text": 0,
    "batches_end": True, "cut_downloads": False, "by_content": False, "credit": None,
}  # fmt: skip


class Server:
    """tests/helpers/llm_server, running."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "llm_server"]
        self.process = subprocess.Popen(command, cwd=HELPERS, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def count(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/count") as reply:
            return dict(json.load(reply))

    def set(self, **settings: Any) -> None:
        """New settings, the others as by default; the count starts again."""
        data = json.dumps(DEFAULTS | settings).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/settings", data, method="POST")) as reply:
            reply.read()

    def change(self, **settings: Any) -> None:
        """Changes settings and forgets nothing."""
        request = urllib.request.Request(f"{self.url}/change", json.dumps(settings).encode(), method="POST")
        with urllib.request.urlopen(request) as reply:
            reply.read()

    def model(self, provider: str, **more: Any) -> LLMModel:
        name, base = ("claude-haiku-5-5", "") if provider == "anthropic" else ("gpt-6-luna", "/v1")
        settings: dict[str, Any] = {
            "provider": provider,
            "model": name,
            "base_url": self.url + base,
            "timeout_s": 10.0,
        }
        return LLMModel(**settings | more)


@pytest.fixture(scope="session")
def running_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two attempts in this process: what is tested is what is tried again, not how long a person waits."""
    monkeypatch.setattr(attempt, "FIRST_PAUSE_S", 0.02)


@pytest.fixture
def server(running_server: Server) -> Server:
    running_server.set()
    return running_server


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "empty.duckdb"
    StoreWriter.open(path).close()
    return path


@pytest.fixture
def log(tmp_path: Path, empty_store: Path) -> Iterator[StoreReplyLog]:
    shutil.copy(empty_store, tmp_path / "calls.duckdb")
    with StoreWriter.open(tmp_path / "calls.duckdb") as store, StoreReplyLog(store) as replies:
        yield replies


def in_range(value: Any) -> Any:
    if max(value.values()) > 10:
        raise InvalidReply("a value is above 10")
    return value


@pytest.fixture
def make_asks() -> Callable[..., list[Ask]]:
    """n asks with a schema, for numbers in a range."""

    def make(n: int, **more: Any) -> list[Ask]:
        fields: dict[str, Any] = {"kind": "simulate", "system": "Predict.", "max_tokens": 100, "schema": SCHEMA}
        asks = [
            Ask(**fields | {"prompt": f"window {number}", "about": {"feature": number}} | more) for number in range(n)
        ]
        return asks

    return make


@pytest.fixture
def ask(log: StoreReplyLog) -> Callable[..., list[Answer]]:
    """Asks in one session over `log`."""

    def run(asks: Iterable[Ask], model: LLMModel, **session: Any) -> list[Answer]:
        async def all_of() -> list[Answer]:
            async with Session(log, **session) as open_session:
                return [answer async for answer in open_session.ask_all(asks, model)]

        return asyncio.run(all_of())

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., OddServer]]:
    """Starts servers that do what a test says; they end with it."""
    running: list[OddServer] = []

    def begin(**settings: Any) -> OddServer:
        running.append(OddServer(**settings).__enter__())
        return running[-1]

    yield begin
    for server in running:
        server.__exit__()
