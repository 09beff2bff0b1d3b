"""What the LLM client costs and holds, against a local server in another process (tests/helpers/llm_server).

    python benchmarks/llm.py [instant] [latency] [faults] [healthy] [commits] [--n 10000]

instant   replies at once: requests/s a core with validation and durable commit, beside the bare SDK in the same run
latency   100 ms a reply, 64 at once: share of the 640/s that there could be
faults    requests with faults of every kind at 20 %: all end, nothing faulty is accepted, ledger equals server
healthy   20,000 calls without faults: how many stay unresolved
commits   commits of ten replies, and by turns the bytes that each wrote, written and synced as a plain file in the same
          folder, and a loop of about a millisecond: is a late commit late by us, by the disk, or by other processes?

CPU time is this process's, all threads (the writer's too). Rates depend on what else the machine does; CPU time less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from autointerp.config.llm_model import LLMModel, Price
from autointerp.llm.asks import Ask, InvalidReply
from autointerp.llm.session.client import Session
from autointerp.reply_log import Call
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter

HELPERS = Path(__file__).parents[1] / "tests" / "helpers"
KEYS = [f"t{number}" for number in range(8)]
SCHEMA = {
    "type": "object",
    "properties": {key: {"type": "integer", "enum": list(range(11))} for key in KEYS},
    "required": KEYS,
    "additionalProperties": False,
}
SYSTEM = "You are told what a feature of a language model fires on, and predict how strongly. " * 18
PROMPT = "the quick brown fox jumps over the lazy dog and runs on " * 36
Provider = Literal["anthropic", "openai"]
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")
CHECKED_FAULTS = (
    "429_ms", "429_seconds", "429_date", "429_absent", "429_absurd", "429_nonsense", "529", "500", "502", "503",
    "reset_before", "reset_mid", "cut", "html", "empty_body", "malformed", "missing_key", "extra_key", "fenced",
    "trailing", "wrong_leaf", "out_of_range", "empty", "refusal", "truncated", "425", "error_in_200", "chunk_cut",
    "chunk_nonsense", "no_http", "gzip_broken", "no_utf8", "half_character", "usage_negative", "usage_huge",
)  # fmt: skip


class Server:
    """The test server in a process of its own."""

    def __init__(self, **settings: Any) -> None:
        arguments = [sys.executable, "-m", "llm_server", json.dumps(settings)]
        self.process = subprocess.Popen(arguments, cwd=HELPERS, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def count(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/count") as reply:  # noqa: S310 - our own server
            return dict(json.load(reply))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def model(server: Server, provider: Provider, **more: Any) -> LLMModel:
    name, base = ("claude-haiku-5-5", "") if provider == "anthropic" else ("gpt-6-luna", "/v1")
    price = Price(input=0.1, output=0.5)
    return LLMModel(provider=provider, model=name, base_url=server.url + base, price=price, **more)


def in_range(value: Any) -> Any:
    if not all(0 <= number <= 10 for number in value.values()):
        raise InvalidReply("a value is out of range")
    return value


def asks(n: int) -> Iterator[Ask]:
    for number in range(n):
        yield Ask("simulate", SYSTEM, f"window {number}: {PROMPT}", 200, schema=SCHEMA, parse=in_range)


async def ask(log: StoreReplyLog, what: LLMModel, n: int) -> tuple[Counter[str], float, float]:
    """Counts of statuses, wall and CPU seconds."""
    statuses: Counter[str] = Counter()
    async with Session(log) as session:
        wall, cpu = time.perf_counter(), time.process_time()
        async for answer in session.ask_all(asks(n), what):
            statuses[answer.status] += 1
        return statuses, time.perf_counter() - wall, time.process_time() - cpu


@dataclass(frozen=True)
class Measured:
    """What some requests cost, and what the store's ledger says of them."""

    statuses: Counter[str]
    wall_s: float
    cpu_s: float
    commit_s: list[float]
    """The duration of each commit of the log."""
    ledger: dict[str, Any]


LEDGER = """
SELECT count(*) AS attempts, coalesce(sum(input_tokens), 0)::BIGINT AS input_tokens,
       coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens, count(input_tokens) AS reported,
       count(*) FILTER (WHERE cost_usd IS NULL) AS unknown, sum(cost_usd) AS cost_usd FROM llm_calls
"""


def run(what: LLMModel, n: int, warm_up: int = 0) -> Measured:
    with tempfile.TemporaryDirectory() as folder, StoreWriter.open(Path(folder) / "bench.duckdb") as store:
        with StoreReplyLog(store) as log:
            if warm_up:
                asyncio.run(ask(log, what.model_copy(update={"max_tokens": 7}), warm_up))
                log.commit_s.clear()
            statuses, wall, cpu = asyncio.run(ask(log, what, n))
        [ledger] = store.rows(LEDGER)
        return Measured(statuses, wall, cpu, list(log.commit_s), ledger)


async def bare_sdk(what: LLMModel, n: int, at_once: int) -> float:
    """CPU seconds of the SDK alone: create(), aiohttp transport, nothing checked, nothing kept."""
    from autointerp.llm.wire.capabilities import capabilities_of
    from autointerp.llm.wire.render import render

    todo = iter([render(one, what, capabilities_of(what)).body for one in asks(n)])
    if what.provider == "anthropic":
        import anthropic

        transport = anthropic.DefaultAioHttpClient()
        client: Any = anthropic.AsyncAnthropic(
            api_key="none", base_url=what.server, max_retries=0, http_client=transport
        )
        create = client.messages.create
    else:
        import openai

        client = openai.AsyncOpenAI(
            api_key="none", base_url=what.server, max_retries=0, http_client=openai.DefaultAioHttpClient()
        )
        create = client.chat.completions.create

    async def work() -> None:
        for body in todo:
            await create(**body)

    await create(**next(todo))
    cpu = time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    used = time.process_time() - cpu
    await client.close()
    return used


def shown_commits(measured: Measured) -> str:
    return f"{len(measured.commit_s)} commits: {quantiles(measured.commit_s)}"


def quantiles(seconds: list[float]) -> str:
    times = sorted(seconds)

    def at(share: float) -> str:
        return f"{1000 * times[min(len(times) - 1, int(share * len(times)))]:.1f}"

    return f"p50 {at(0.5)} p99 {at(0.99)} p99.9 {at(0.999)} ms"


def instant(n: int) -> None:
    for provider in PROVIDERS:
        with Server() as server:
            what = model(server, provider)
            measured = run(what, n, warm_up=200)
            bare = asyncio.run(bare_sdk(what, n, 64))
        print(
            f"instant, {provider}: {n / measured.cpu_s:.0f} requests/s a core "
            f"({1e6 * measured.cpu_s / n:.0f} us CPU a request, bare SDK {1e6 * bare / n:.0f} us), "
            f"{n / measured.wall_s:.0f}/s wall, {dict(measured.statuses)}; {shown_commits(measured)}"
        )


def latency(n: int) -> None:
    for provider in PROVIDERS:
        with Server(latency_s=0.1) as server:
            measured = run(model(server, provider), n, warm_up=200)
        rate = n / measured.wall_s
        print(
            f"100 ms, 64 at once, {provider}: {rate:.0f}/s, {100 * rate / 640:.0f} % of 640/s, "
            f"{1e6 * measured.cpu_s / n:.0f} us CPU a request, {dict(measured.statuses)}; {shown_commits(measured)}"
        )


def faults(n: int) -> None:
    for provider in PROVIDERS:
        with Server(share=0.2, faults=CHECKED_FAULTS, latency_s=0.01) as server:
            measured = run(model(server, provider, timeout_s=20), n)
            count = server.count()
        ledger = measured.ledger
        equal = all(ledger[name] == count[name] for name in ("input_tokens", "output_tokens"))
        equal = equal and ledger["attempts"] == count["requests"]
        equal = equal and ledger["reported"] == count["billed"] - count["lost"]
        print(
            f"faults 20 %, {provider}: {n} requests in {measured.wall_s:.0f} s, {dict(measured.statuses)}; the ledger "
            f"{'equals' if equal else 'DIFFERS FROM'} the server's count ({count['requests']} attempts, "
            f"{count['billed']} billed, {count['lost']} of them lost on the way; cost unknown {ledger['unknown']}); "
            f"{sum(count['faults'].values())} faults; {shown_commits(measured)}"
        )
        if sum(measured.statuses.values()) != n or not equal:
            sys.exit(1)


def healthy(_: int) -> None:
    with Server() as server:
        measured = run(model(server, "openai"), 20_000)
    unresolved = 20_000 - measured.statuses["ok"]
    print(f"healthy: 20,000 calls in {measured.wall_s:.0f} s, {unresolved} unresolved; {shown_commits(measured)}")


def commits(n: int) -> None:
    """`n` commits. Both files stand in the same folder; what the store's log grew by is what the file is given."""
    now = datetime(2026, 1, 1)
    written: list[float] = []
    spun: list[float] = []
    used: list[float] = []
    with tempfile.TemporaryDirectory(dir=".") as name, StoreWriter.open(Path(name) / "bench.duckdb") as store:
        wal, plain = Path(name) / "bench.duckdb.wal", (Path(name) / "plain").open("wb", buffering=0)
        with StoreReplyLog(store) as log, plain:
            for number in range(n):
                before, cpu = wal.stat().st_size if wal.exists() else 0, time.process_time()
                for i in range(10):
                    log.append(
                        Call(
                            request=f"{number}-{i}",
                            sample=0,
                            attempt=1,
                            kind="simulate",
                            about=None,
                            provider="openai",
                            server="s",
                            model="m",
                            channel="live",
                            status="ok",
                            reason="",
                            prefix="p",
                            prompt=PROMPT,
                            called_at=now,
                            latency_ms=1.0,
                            reply=PROMPT[:80],
                        ),
                        SYSTEM,
                    )
                log.flush()
                used.append(time.process_time() - cpu)
                begun = time.perf_counter()
                plain.write(bytes(max(wal.stat().st_size - before, 1)))
                os.fsync(plain.fileno())
                written.append(time.perf_counter() - begun)
                begun = time.perf_counter()
                sum(range(40_000))
                spun.append(time.perf_counter() - begun)
            took = list(log.commit_s)
        size = (Path(name) / "plain").stat().st_size / n
    print(
        f"{n} commits of ten replies, {size / 1e3:.1f} kB each: {quantiles(took)}; CPU of each {quantiles(used)}\n"
        f"the same bytes written and synced as a file: {quantiles(written)}\n"
        f"a loop that touches no disk: {quantiles(spun)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"instant": instant, "latency": latency, "faults": faults, "healthy": healthy, "commits": commits}
    parser.add_argument("parts", nargs="*", choices=[[], *parts], default=[])
    parser.add_argument("--n", type=int, default=10_000)
    arguments = parser.parse_args()
    for part in arguments.parts or parts:
        parts[part](arguments.n)


if __name__ == "__main__":
    main()
