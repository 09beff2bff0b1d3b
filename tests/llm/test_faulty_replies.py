"""Replies with a fault in them, errors, limits; what is tried again, what ends, what was paid."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asked import Make, Run, rows, statuses

from autointerp.config.llm_model import LLMModel, Price
from autointerp.errors import ProviderError
from autointerp.llm.asks import Answer, InvalidReply
from autointerp.llm.session.client import Session

PROVIDERS = ("anthropic", "openai")


NO_ANSWER = [
    ("refusal", "refused", 1), ("truncated", "truncated", 1), ("empty", "empty", 3), ("malformed", "unparseable", 3),
    ("fenced", "unparseable", 3), ("trailing", "unparseable", 3), ("missing_key", "invalid", 3),
    ("half_character", "unparseable", 3),
    ("extra_key", "invalid", 3), ("wrong_leaf", "invalid", 3), ("out_of_range", "invalid", 3),
]  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reply_that_is_no_answer_has_a_status_and_is_asked_again_next_time(
    server: Any, log: Any, ask: Run, make_asks: Make, provider: str
) -> None:
    model = server.model(provider, price=Price(input=1, output=1))
    for fault, status, attempts in NO_ANSWER:
        server.set(always=fault)
        asks = make_asks(1, prompt=fault, parse=below_eleven)
        [answer] = ask(asks, model)
        assert (answer.status, answer.data) == (status, None), fault
        assert answer.reason
        kept = [row for row in rows(log) if row["prompt"] == fault]
        assert [row["status"] for row in kept] == [status] * attempts
        assert all(row["reply"] is not None and row["stop_reason"] and row["cost_usd"] > 0 for row in kept)
        paid = sum(row["input_tokens"] for row in kept)
        assert paid == server.count()["input_tokens"], "what is no answer was paid for all the same"
        server.set()
        [answer] = ask(asks, model)
        assert (answer.status, answer.cached) == ("ok", False)


def below_eleven(value: Any) -> Any:
    if max(value.values()) > 10:
        raise InvalidReply("above 10")
    return value


BROKEN = [
    ("425", "server_error", 0.0), ("500", "server_error", 0.0), ("503", "server_error", 0.0),
    ("error_in_200", "broken_body", None), ("chunk_cut", "no_connection", None),
    ("chunk_nonsense", "no_connection", None), ("no_http", "no_connection", None),
    ("gzip_broken", "broken_body", None), ("no_utf8", "broken_body", None), ("reset_before", "no_connection", None),
    ("reset_mid", "no_connection", None), ("cut", "broken_body", None), ("html", "broken_body", None),
    ("empty_body", "broken_body", None), ("slow", "timeout", None),
]  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
def test_errors_are_tried_again_up_to_a_bound(server: Any, log: Any, make_asks: Make, provider: str) -> None:
    for fault, status, cost in BROKEN:
        timeout = 0.4 if fault == "slow" else 10.0
        model = server.model(provider, attempts=2, price=Price(input=1, output=1), timeout_s=timeout)

        async def work(model: LLMModel = model, fault: str = fault) -> list[Answer]:
            async with Session(log) as session:
                [_] = [one async for one in session.ask_all(make_asks(1, system=f"before {fault}"), model)]
                server.change(share=0.5, faults=[fault], slow_s=0.8, seed=2)
                return [one async for one in session.ask_all(make_asks(8, system=fault), model)]

        server.set()
        answers = asyncio.run(work())
        named = statuses(answers)
        assert set(named) == {"ok", "api_error"}, fault
        assert all("2 attempts failed" in answer.reason for answer in answers if answer.status == "api_error")
        sql = "SELECT status, cost_usd FROM llm_calls WHERE status NOT IN ('ok', 'rate_limited')"
        failed = [row for row in rows(log, sql) if row["status"] == status]
        assert failed, fault
        assert {row["cost_usd"] for row in failed} == {cost}, fault
    assert {row["status"] for row in rows(log)} == {"ok", *(status for _, status, _ in BROKEN)}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_usage_that_cannot_be_true_is_none(server: Any, log: Any, ask: Run, make_asks: Make, provider: str) -> None:
    """The answer is good; what it cost is not known, and counts as the most that it can have been."""
    for fault in ("usage_none", "usage_negative", "usage_huge", "usage_infinite", "usage_words"):
        server.set(always=fault)
        [answer] = ask(make_asks(1, prompt=fault), server.model(provider, price=Price(input=1, output=1)))
        assert (answer.status, answer.cost_usd) == ("ok", 0.0), fault
    assert {(row["input_tokens"], row["cost_usd"]) for row in rows(log)} == {(None, None)}


@pytest.mark.parametrize("fault", ["429_ms", "429_date", "429_absent", "429_absurd", "529"])
def test_waiting_for_a_limit_burns_no_attempts(server: Any, log: Any, ask: Run, make_asks: Make, fault: str) -> None:
    server.set(share=0.3, faults=[fault], seed=4)
    answers = ask(make_asks(12), server.model("anthropic", attempts=1, concurrency=6))
    assert statuses(answers) == {"ok": 12}
    turned_away = rows(log, "SELECT * FROM llm_calls WHERE status = 'rate_limited'")
    assert len(turned_away) == server.count()["faults"][fault] > 0
    assert all(row["cost_usd"] == 0 and row["prompt"] is None for row in turned_away)


def test_a_rate_is_kept_to_without_giving_up(server: Any, ask: Run, make_asks: Make) -> None:
    """600 a minute, 16 at once: SDK retries gave up 22 of 60 requests in 304 calls."""
    server.set(rpm=1200)
    answers = ask(make_asks(60), server.model("openai", concurrency=16))
    assert statuses(answers) == {"ok": 60}
    assert server.count()["requests"] < 200


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["400", "401", "402", "403", "404", "insufficient_quota", "spend_limit"])
def test_what_ends_a_run_ends_it_once_with_its_cause(
    server: Any, log: Any, ask: Run, make_asks: Make, monkeypatch: pytest.MonkeyPatch, provider: str, fault: str
) -> None:
    monkeypatch.setenv("THE_KEY", "sk-very-secret-1234")
    server.set(always=fault, latency_s=0.02)
    with pytest.raises(ProviderError, match="stopped the run") as caught:
        ask(make_asks(200, schema=None), server.model(provider, concurrency=8, key_env="THE_KEY"))
    assert server.count()["requests"] <= 8
    assert "sk-very-secret" not in str(caught.value)
    assert "HTTP" in str(caught.value)
    assert rows(log)[0]["status"] == "api_error"
    assert "sk-very-secret" not in str(rows(log))


@pytest.mark.parametrize(("fault", "status"), [("context_length", "api_error"), ("invalid_prompt", "refused")])
def test_what_is_wrong_with_one_request_ends_that_one(
    server: Any, ask: Run, make_asks: Make, fault: str, status: str
) -> None:
    server.set(share=0.3, faults=[fault])
    found = statuses(ask(make_asks(30), server.model("openai")))
    assert set(found) == {"ok", status}
    assert found["ok"] + found[status] == 30


def test_a_server_that_never_answers_ends_the_run(server: Any, log: Any, ask: Run, make_asks: Make) -> None:
    nobody = LLMModel(provider="openai", model="m", base_url="http://127.0.0.1:9/v1", attempts=2)
    with pytest.raises(ProviderError, match="has answered nothing; 2 attempts"):
        ask(make_asks(3), nobody)
    assert {row["cost_usd"] for row in rows(log)} == {0.0}, "nobody was reached, so nobody was paid"
    server.set(always="500")
    with pytest.raises(ProviderError, match="json_object"):
        ask(make_asks(3), server.model("openai", attempts=2))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_mixed_faults_all_end_and_the_ledger_is_the_servers_count(
    server: Any, log: Any, ask: Run, make_asks: Make, provider: str
) -> None:
    faults = [
        "429_ms",
        "429_seconds",
        "429_absent",
        "529",
        "500",
        "503",
        "reset_before",
        "reset_mid",
        "cut",
        "html",
        "empty_body",
        "malformed",
        "missing_key",
        "extra_key",
        "fenced",
        "trailing",
        "wrong_leaf",
        "empty",
        "refusal",
        "truncated",
        "error_in_200",
        "chunk_cut",
        "chunk_nonsense",
        "no_http",
        "gzip_broken",
        "no_utf8",
        "half_character",
        "usage_negative",
        "usage_huge",
    ]
    server.set(share=0.2, faults=faults, seed=1)
    answers = ask(make_asks(300), server.model(provider, price=Price(input=1, output=1)))
    found = statuses(answers)
    assert len(answers) == 300
    assert set(found) <= {"ok", "refused", "truncated", "empty", "unparseable", "invalid", "api_error"}
    assert found["ok"] > 260
    assert all("FAULTY" not in answer.text for answer in answers if answer.status == "ok")
    assert all(answer.reason for answer in answers if answer.status != "ok")
    count = server.count()
    kept = rows(log)
    assert len(kept) == count["requests"]
    [ledger] = log.ledger()
    assert (ledger.input_tokens, ledger.output_tokens) == (count["input_tokens"], count["output_tokens"])
    assert sum(row["input_tokens"] is not None for row in kept) == count["billed"] - count["lost"]
    unseen = faults[6:11] + [name for name in faults if name.startswith(("error_in", "chunk", "no_", "gzip", "usage"))]
    lost = sum(count["faults"].get(name, 0) for name in unseen)
    assert ledger.unknown == lost, "what may have been billed unseen is counted as such"
