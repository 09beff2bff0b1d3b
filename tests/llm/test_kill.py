"""Killed with 64 requests out, run again: what was committed is paid once. The server counts."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autointerp.llm.asks import Ask
from autointerp.llm.wire.capabilities import capabilities_of
from autointerp.llm.wire.render import render
from autointerp.store.reader import open_reader
from autointerp.store.writer import StoreWriter

N, AT_ONCE = 1200, 64

RUN = """
import sys
from autointerp.llm.asks import Ask
from autointerp.llm.session.client import Session
from autointerp.config.llm_model import LLMModel
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter

model = LLMModel.model_validate_json(sys.argv[2])
asks = (Ask("explain", "shared", f"feature {n}", 50) for n in range(int(sys.argv[3])))
with StoreWriter.open(sys.argv[1]) as store, StoreReplyLog(store) as log, Session(log) as session:
    statuses = [answer.status for answer in session.answers(asks, model)]
    print(statuses.count("ok"))
"""


def good(path: Path) -> set[str]:
    """Requests with a committed answer; opening the file replays what the killed process left."""
    StoreWriter.open(path).close()
    with open_reader(path) as reader:
        return {row["request"] for row in reader.rows("SELECT request FROM llm_calls WHERE status = 'ok'")}


def killed_and_run_again(server: Any, path: Path, moments: list[int]) -> None:
    server.set(latency_s=0.15)
    model = server.model("openai", concurrency=AT_ONCE)
    known = capabilities_of(model)
    requests = [render(Ask("explain", "shared", f"feature {n}", 50), model, known) for n in range(N)]
    at_server = {
        request.hash: hashlib.blake2b(b"/v1/chat/completions" + request.content, digest_size=16).hexdigest()
        for request in requests
    }
    command = [sys.executable, "-c", RUN, str(path), model.model_dump_json(), str(N)]
    committed: set[str] = set()
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while server.count()["billed"] < moment:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        committed = good(path)
        assert moment < 500 or len(committed) > moment / 3
    before = server.count()
    assert AT_ONCE / 4 < before["most_in_flight"] <= AT_ONCE
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(N)]
    after = server.count()
    assert after["requests"] - before["requests"] == N - len(committed), "only what was not committed is asked again"
    times = [after["by_request"][at_server[request]] for request in committed]
    if len(moments) == 1:
        assert set(times) <= {1}, "what was committed is paid once"
    subprocess.run(command, capture_output=True, check=True)
    assert server.count()["requests"] == after["requests"], "and a whole run is paid no more"


def test_killed_once(server: Any, tmp_path: Path) -> None:
    killed_and_run_again(server, tmp_path / "run.duckdb", [500])


@pytest.mark.slow
@pytest.mark.parametrize("moments", [[100], [900], [300, 700, 1200], [200, 210, 220, 1000]])
def test_killed_at_many_moments(server: Any, tmp_path: Path, moments: list[int]) -> None:
    killed_and_run_again(server, tmp_path / "run.duckdb", moments)
