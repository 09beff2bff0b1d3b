"""Tokens to dollars, and what a run will cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autointerp.config.llm_model import LLMModel, Price
from autointerp.errors import ConfigError
from autointerp.llm.asks import Ask
from autointerp.llm.money.estimate import estimate
from autointerp.llm.money.prices import Prices
from autointerp.reply_log import Usage

HAIKU = LLMModel(provider="anthropic", model="claude-haiku-5-5")


def test_listed_prices_are_a_requests() -> None:
    prices = Prices(HAIKU)
    plain = prices.cost(Usage(2000, 300))
    assert plain == pytest.approx(2000 * 0.10e-6 + 300 * 0.50e-6)
    assert prices.cost(Usage(2000, 300, cache_read_tokens=1500)) < plain
    assert prices.cost(Usage(2000, 300, cache_write_tokens=1500)) > plain
    assert prices.cost(Usage(2000, 300), "batch") == pytest.approx(plain / 2)
    tier = prices.cost(Usage(200_000, 0))
    assert tier > 1.5 * 2 * prices.cost(Usage(100_000, 0)), "a long prompt has a tier of its own"
    assert prices.worst(2000, 300) >= prices.cost(Usage(2000, 300, cache_write_tokens=2000))


def test_stated_prices_go_first() -> None:
    price = Price(input=1, output=2, cache_read=0.1, cache_write=1.25, batch=0.5)
    prices = Prices(HAIKU.model_copy(update={"price": price}))
    assert prices.cost(Usage(1000, 100, 600, 200)) == pytest.approx((200 + 600 * 0.1 + 200 * 1.25 + 100 * 2) / 1e6)
    assert prices.cost(Usage(1000, 0), "batch") == pytest.approx(500 / 1e6)


def test_an_unknown_price_is_an_error_that_says_what_to_state() -> None:
    for model in (
        HAIKU.model_copy(update={"model": "claude-none-such"}),
        LLMModel(provider="openai", model="gpt-6-luna", base_url="https://some.gateway/v1"),
    ):
        with pytest.raises(ConfigError, match=r"price = \{ input = "):
            Prices(model)


def test_a_loopback_server_costs_nothing_unless_stated() -> None:
    local = LLMModel(provider="openai", model="mine", base_url="http://localhost:8000/v1")
    assert Prices(local).free
    assert Prices(local).cost(Usage(10**6, 10**6)) == 0
    assert Prices(local.model_copy(update={"price": Price(input=1, output=1)})).cost(Usage(10**6, 0)) == 1


def test_an_estimate_before_and_after_replies(
    server: Any, log: Any, ask: Callable[..., Any], make_asks: Callable[..., list[Ask]]
) -> None:
    model = server.model("openai", price=Price(input=1, output=10))
    asks = [*make_asks(30), *make_asks(10)]
    [before] = estimate(asks, model, log)
    assert (before.kind, before.calls, before.cached) == ("simulate", 30, 10)
    assert before.output_tokens == 3000
    assert before.cost_usd == before.most_usd == pytest.approx((before.input_tokens + 30_000) / 1e6)
    ask(make_asks(20), model)
    [after] = estimate(asks, model, log)
    assert (after.calls, after.cached) == (10, 30)
    count = server.count()
    assert after.output_tokens == round(count["output_tokens"] / 20) * 10
    assert after.input_tokens == pytest.approx(count["input_tokens"] / 2, rel=0.15)
    assert after.cost_usd < after.most_usd
