"""The client against a server on real sockets, through the real SDKs."""

from __future__ import annotations

import _thread
import asyncio
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asked import Make, Run, rows, statuses

from autointerp.config.llm_model import CapabilityChanges, LLMModel, Price
from autointerp.errors import ConfigError, ProviderError, UserError
from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.llm.session.client import Session

PROVIDERS = ("anthropic", "openai")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_answers_are_logged_and_replayed(server: Any, log: Any, ask: Run, make_asks: Make, provider: str) -> None:
    model = server.model(provider, price=Price(input=1, output=10, cache_read=0.1, cache_write=2))
    first = ask(make_asks(40), model)
    assert statuses(first) == {"ok": 40}
    assert sorted(answer.ask.about["feature"] for answer in first) == list(range(40))
    assert all(set(answer.data) == {"t0", "t1", "t2", "t3"} and not answer.cached for answer in first)
    count = server.count()
    assert (count["requests"], count["billed"]) == (40, 40)
    [ledger] = log.ledger()
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert getattr(ledger, name) == count[name], name
    assert ledger.cost_usd == pytest.approx(sum(answer.cost_usd for answer in first))
    assert ledger.cost_usd > 0
    row = rows(log)[0]
    assert (row["status"], row["reason"], row["http_status"], row["attempt"]) == ("ok", "", 200, 1)
    assert row["returned_model"] == first[0].model == f"{model.model}-2026"
    assert row["latency_ms"] > 0
    assert "feature" in json.loads(row["about"])
    prefixes = rows(log, "SELECT * FROM llm_prefixes")
    assert [one["prefix"] for one in prefixes] == [row["prefix"]], "what is shared is kept once"

    again = ask(make_asks(40), model)
    assert {(a.request, a.text, str(a.data)) for a in again} == {(a.request, a.text, str(a.data)) for a in first}
    assert all(answer.cached and answer.cost_usd == 0 for answer in again)
    assert server.count()["requests"] == 40

    anew = ask(make_asks(40), model, refresh=True)
    assert not any(answer.cached for answer in anew)
    assert server.count()["requests"] == 80
    assert [one["n"] for one in rows(log, "SELECT max(attempt) AS n FROM llm_calls")] == [2]


def test_the_key_is_nowhere(
    server: Any, log: Any, ask: Run, make_asks: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret-5678")
    server.set(key="sk-ant-secret-5678", answer='{"t0": "sk-ant-secret-5678"}')
    answers = ask(make_asks(2), server.model("anthropic", replies=1))
    assert statuses(answers) == {"invalid": 2}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-wrong-5678")
    with pytest.raises(ProviderError, match=r"401.*\[key\]"):
        ask(make_asks(3), server.model("anthropic"))
    log.flush()
    for path in tmp_path.iterdir():
        assert b"-5678" not in path.read_bytes(), path
    assert "-5678" not in str(answers)


def test_a_key_that_is_missing_is_named_before_anything_is_sent(
    log: Any, ask: Run, make_asks: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    model = LLMModel(
        provider="anthropic", model="claude-haiku-5-5", base_url="http://192.0.2.1", price=Price(input=1, output=1)
    )
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY"):
        ask(make_asks(2), model)
    assert rows(log) == []


def test_wishes_are_refused_before_the_first_call(server: Any, ask: Run, make_asks: Make) -> None:
    with pytest.raises(ConfigError, match="gives no log probabilities"):
        ask(make_asks(5, logprobs=5), server.model("anthropic"))
    with pytest.raises(ConfigError, match="price"):
        ask(make_asks(5), LLMModel(provider="openai", model="x", base_url="http://192.0.2.1/v1"))
    assert server.count()["requests"] == 0


def test_a_server_that_answers_without_what_was_asked_for_is_found_out_at_once(
    server: Any, log: Any, ask: Run, make_asks: Make
) -> None:
    server.set(logprobs=False)
    with pytest.raises(ProviderError, match="does not give"):
        ask(make_asks(50, logprobs=5), server.model("openai"))
    assert server.count()["requests"] == 1
    server.set(schema=False)
    with pytest.raises(ProviderError, match="has not once answered in the form"):
        ask(make_asks(50), server.model("openai", replies=1))
    assert server.count()["requests"] == 8
    assert list(log.probed()) == []
    server.set()
    answers = ask(make_asks(20, logprobs=5), server.model("openai"))
    assert statuses(answers) == {"ok": 20}
    assert all("".join(token.text for token in answer.tokens or ()) == answer.text for answer in answers)
    assert {wish for _, _, wish in log.probed()} == {"schema", "logprobs"}
    [same] = [
        one for one in ask(make_asks(20, logprobs=5), server.model("openai")) if one.request == answers[0].request
    ]
    assert same.tokens == answers[0].tokens


def test_prompt_log_probabilities_are_checked_in_another_order(server: Any, ask: Run) -> None:
    asks = [Ask("simulate", "Read. ", f"window {n} of the text", 1, form="echo", logprobs=1) for n in range(5)]
    model = LLMModel(provider="openai", model="local", base_url=server.url + "/v1")
    server.set(shuffle_echo=True)
    with pytest.raises(ProviderError, match="asked in another order"):
        ask(asks, model)
    server.set()
    answers = ask(asks, model)
    assert statuses(answers) == {"ok": 5}
    assert server.count()["requests"] == 9, "four of them were the check"
    for answer in answers:
        assert "".join(token.text for token in answer.tokens or ()) == answer.ask.system + answer.ask.prompt
        assert answer.tokens is not None
        assert answer.tokens[0].logprob is None
    ask([replace(one, sample=1) for one in asks], model)
    assert server.count()["requests"] == 14, "checked once, and remembered"
    one_more = model.model_copy(update={"capabilities": CapabilityChanges(echo_max_tokens=1)})
    [answer] = ask(asks[:1], one_more)
    assert "".join(token.text for token in answer.tokens or ()) == asks[0].system + asks[0].prompt


def test_decisions(server: Any, ask: Run) -> None:
    questions = (
        {"type": "predicate", "name": "fires", "instructions": "Does it fire?"},
        {"type": "score", "name": "how", "instructions": "?", "levels": [{"label": "0"}, {"label": "1"}]},
    )
    asks = [Ask("detect", "", f"text {n}", 1, form="decisions", questions=questions) for n in range(5)]
    answers = ask(asks, server.model("openai"))
    assert statuses(answers) == {"ok": 5}
    assert all(0 <= answer.data[0]["probability"] <= 1 for answer in answers)
    server.set(always="missing_key")
    assert statuses(ask([replace(asks[0], prompt="other")], server.model("openai"))) == {"invalid": 1}


def test_the_same_request_is_paid_once_and_samples_each(server: Any, ask: Run, make_asks: Make) -> None:
    server.set(latency_s=0.02)
    same = [one for _ in range(5) for one in make_asks(10)]
    answers = ask(same, server.model("openai"))
    assert statuses(answers) == {"ok": 50}
    assert server.count()["requests"] == 10
    assert sum(not answer.cached for answer in answers) == 10
    assert sum(answer.cost_usd > 0 for answer in answers) <= 10
    draws = [replace(make_asks(1)[0], sample=sample) for sample in range(1, 5)]
    assert not any(answer.cached for answer in ask(draws, server.model("openai")))
    assert server.count()["requests"] == 14


def test_a_reader_that_has_become_stricter_asks_again(server: Any, ask: Run, make_asks: Make) -> None:
    ask(make_asks(3), server.model("openai"))

    def none_of_it(_: Any) -> Any:
        raise InvalidReply("no longer good enough")

    assert statuses(ask(make_asks(3, parse=none_of_it), server.model("openai"))) == {"invalid": 3}


def test_a_mistake_in_a_reader_loses_no_reply(server: Any, ask: Run, make_asks: Make) -> None:
    def wrong(value: Any) -> Any:
        return value["no such key"]

    with pytest.raises(KeyError):
        ask(make_asks(1, parse=wrong), server.model("openai"))
    with pytest.raises(KeyError):
        ask(make_asks(1, parse=wrong), server.model("openai"))
    assert server.count()["requests"] == 1
    [answer] = ask(make_asks(1), server.model("openai"))
    assert (answer.status, answer.cached) == ("ok", True)
    server.set(latency_s=0.05)
    twice = [*make_asks(1, prompt="other"), *make_asks(1, prompt="other", parse=wrong)]
    with pytest.raises(KeyError):
        ask(twice, server.model("openai"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_max_usd_is_never_passed_and_everything_is_kept(
    server: Any, log: Any, ask: Run, make_asks: Make, provider: str
) -> None:
    model = server.model(provider, price=Price(input=50, output=100), concurrency=16)
    long = {"schema": None, "system": "Many words to begin with. " * 100, "max_tokens": 20}
    make_asks = functools.partial(make_asks, **long)
    whole = sum(answer.cost_usd for answer in ask(make_asks(5), model)) / 5 * 60
    answers = ask(make_asks(60), model, max_usd=0.5 * whole)
    spent = sum(answer.cost_usd for answer in answers)
    assert 0 < spent <= 0.5 * whole
    counts = statuses(answers)
    assert counts["over_budget"] > 0
    assert counts["ok"] + counts["over_budget"] == 60
    assert sum(row["cost_usd"] for row in rows(log)) == pytest.approx(spent + whole / 12, rel=0.2)
    more = ask(make_asks(60), model, max_usd=2 * whole, spent_usd=spent)
    assert statuses(more) == {"ok": 60}
    assert sum(answer.cached for answer in more) == counts["ok"]


def test_memory_holds_what_is_out_and_no_more(server: Any, log: Any) -> None:
    """20,000 asks from a generator, of which the consumer takes few: no more are read than may be on their way."""
    taken = 0

    def endless() -> Iterator[Ask]:
        nonlocal taken
        for number in range(20_000):
            taken += 1
            yield Ask("simulate", "s", f"window {number}", 10)

    async def work() -> None:
        async with Session(log) as session:
            answers = session.ask_all(endless(), server.model("openai", concurrency=4))
            async for _ in answers:
                break
            await asyncio.sleep(0.3)
            await answers.aclose()  # type: ignore[attr-defined]

    asyncio.run(work())
    gc.collect()
    assert taken <= 5 * 256


def test_a_consumer_that_leaves_keeps_what_was_paid(server: Any, log: Any, make_asks: Make) -> None:
    server.set(latency_s=0.05)

    async def work() -> None:
        async with Session(log) as session:
            answers = session.ask_all(make_asks(100), server.model("openai", concurrency=16))
            async for _ in answers:
                break
            await answers.aclose()  # type: ignore[attr-defined]

    asyncio.run(work())
    assert len(rows(log)) == server.count()["billed"] > 1


def test_without_asynchronous_code(server: Any, log: Any, make_asks: Make) -> None:
    seen = []
    with Session(log, on_progress=lambda progress: seen.append((progress.done, progress.failed))) as session:
        one = list(session.answers(make_asks(30), server.model("openai")))
        two = list(session.answers(make_asks(30), server.model("anthropic")))
        with pytest.raises(ConfigError):
            list(session.answers(make_asks(1, logprobs=1), server.model("anthropic")))
    assert statuses(one + two) == {"ok": 60}
    assert seen[-1] == (60, 0)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also in a process that was told to ignore it, as the workers of a parallel test run are."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_consumer_keeps_what_was_paid(server: Any, log: Any, make_asks: Make) -> None:
    server.set(latency_s=0.05)
    timer = threading.Timer(0.5, _thread.interrupt_main)
    with Session(log) as session:
        warm = list(session.answers(make_asks(1, prompt="the SDK is loaded"), server.model("openai", concurrency=4)))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(session.answers(make_asks(400), server.model("openai", concurrency=4)))
    assert len(warm) == 1
    assert len(rows(log)) == server.count()["billed"] > 1


def test_nothing_asked(ask: Run, server: Any) -> None:
    assert ask([], server.model("openai")) == []


def test_the_first_request_warms_the_cache_alone(server: Any, log: Any, ask: Run, make_asks: Make) -> None:
    server.set(latency_s=0.03)
    long = "A long rubric that all requests share. " * 500
    assert statuses(ask(make_asks(20, system=long, schema=None), server.model("anthropic"))) == {"ok": 20}
    [ledger] = log.ledger()
    assert 0 < ledger.cache_write_tokens < len(long), "written once"
    assert ledger.cache_read_tokens == 19 * ledger.cache_write_tokens


def test_two_kinds_of_calls_share_a_limiter_and_their_requests(server: Any, log: Any, make_asks: Make) -> None:
    server.set(latency_s=0.02)
    model = server.model("openai", concurrency=8)

    async def work() -> list[list[Answer]]:
        async with Session(log) as session:

            async def all_of(asks: list[Ask]) -> list[Answer]:
                return [answer async for answer in session.ask_all(asks, model)]

            return list(await asyncio.gather(all_of(make_asks(40)), all_of(make_asks(40))))

    one, two = asyncio.run(work())
    assert statuses(one + two) == {"ok": 80}
    count = server.count()
    assert count["requests"] == 40
    assert count["most_in_flight"] <= 8


CACHED = """
import asyncio, sys
from autointerp.llm.asks import Ask
from autointerp.llm.session.client import Session
from autointerp.config.llm_model import LLMModel
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter

async def main():
    with StoreWriter.open(sys.argv[1]) as store, StoreReplyLog(store) as log:
        async with Session(log) as session:
            model = LLMModel(provider="anthropic", model="claude-haiku-5-5", base_url=sys.argv[2])
            asks = [Ask("explain", "s", f"feature {n}", 10) for n in range(20)]
            assert [a.cached async for a in session.ask_all(asks, model)] == [True] * 20
    assert not {"anthropic", "openai", "aiohttp", "torch"} & set(sys.modules)

asyncio.run(main())
"""


def test_a_fully_cached_run_needs_no_key_no_network_and_no_sdk(server: Any, tmp_path: Path, log: Any, ask: Run) -> None:
    asks = [Ask("explain", "s", f"feature {n}", 10) for n in range(20)]
    ask(asks, server.model("anthropic"))
    log.close()
    log.store.close()
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    server.set(always="500")
    arguments = [sys.executable, "-c", CACHED, str(tmp_path / "calls.duckdb"), server.url]
    subprocess.run(arguments, check=True, env=environment)
    assert server.count()["requests"] == 0
