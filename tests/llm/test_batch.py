"""Batch APIs: submit now, collect later, pay once, lose nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.config.llm_model import Price
from autointerp.errors import ProviderError
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.delivery.batches import BatchCourier
from autointerp.store.batches import StoreBatches

Run = Callable[..., list[Answer]]
Make = Callable[..., list[Ask]]
PROVIDERS = ("anthropic", "openai")


@pytest.fixture
def batch(log: Any, ask: Run, tmp_path: Path) -> Callable[..., Counter[str]]:
    """Runs `run --batch` once: a new session and courier over the same store."""

    def run(asks: list[Ask], model: Any, most: int = 20_000, **session: Any) -> Counter[str]:
        limits = dict.fromkeys(PROVIDERS, (most, 10**8))
        courier = BatchCourier(StoreBatches(log.store), tmp_path / "spool", limits=limits, pause_s=0.01)
        answers = ask(asks, model, courier=courier, **session)
        assert len(answers) == len(asks)
        return Counter(answer.status for answer in answers)

    return run


@pytest.mark.parametrize("provider", PROVIDERS)
def test_submit_now_collect_tomorrow(
    server: Any, log: Any, batch: Callable[..., Counter[str]], make_asks: Make, provider: str
) -> None:
    server.set(batches_end=False, cut_downloads=True)
    model = server.model(provider, price=Price(input=1, output=10, batch=0.5))
    asks = make_asks(25)
    assert batch(asks, model, most=10) == {"waiting": 25}
    assert server.count()["batches"] == 3
    assert batch(asks, model) == {"waiting": 25}, "what is out is not sent again"
    assert [one.status for one in StoreBatches(log.store).batches()] == ["submitted"] * 3
    # not `set`: that would forget the batches
    server.change(batches_end=True)
    assert batch(asks, model) == {"ok": 25}
    assert batch(asks, model) == {"ok": 25}
    count = server.count()
    assert (count["batches"], count["billed"], count["requests"]) == (3, 25, 0)
    [ledger] = log.ledger()
    assert (ledger.channel, ledger.ok, ledger.input_tokens) == ("batch", 25, count["input_tokens"])
    assert ledger.cost_usd == pytest.approx((ledger.input_tokens + 10 * ledger.output_tokens) / 2e6)


def test_batches_that_are_out_count_towards_the_ceiling_until_they_are_collected(
    server: Any, log: Any, batch: Callable[..., Counter[str]], ask: Run, make_asks: Make
) -> None:
    server.set(batches_end=False)
    model = server.model("openai", price=Price(input=1, output=10, batch=0.5))
    book, other = StoreBatches(log.store), make_asks(5, system="Others.")
    assert batch(make_asks(20), model) == {"waiting": 20}
    out = book.out_usd()
    assert out > 0
    [_] = ask(make_asks(1, system="one costs"), model, max_usd=1.0)
    cost_usd = log.ledger()[-1].cost_usd
    answers = ask(other, model, max_usd=out + 2 * cost_usd, spent_usd=cost_usd, out_usd=out)
    assert Counter(answer.status for answer in answers) == {"over_budget": 5}
    assert "are out in batches" in answers[0].reason
    assert batch(other, model, max_usd=out + 2 * cost_usd, spent_usd=cost_usd, out_usd=out) == {"over_budget": 5}
    server.change(batches_end=True)
    assert batch(make_asks(20), model, max_usd=out + 2 * cost_usd, spent_usd=cost_usd, out_usd=out) == {"ok": 20}
    assert book.out_usd() == 0
    paid = sum(row.cost_usd for row in log.ledger())
    assert paid < out


def test_a_download_is_deleted_when_all_of_it_is_in_the_log(
    server: Any, log: Any, batch: Callable[..., Counter[str]], make_asks: Make, tmp_path: Path
) -> None:
    server.set()
    spool, courier = tmp_path / "spool", BatchCourier(StoreBatches(log.store), tmp_path / "spool")
    asks = make_asks(20)
    assert batch(asks, server.model("openai")) == {"waiting": 20}
    assert batch(asks[:12], server.model("openai")) == {"ok": 12}
    courier.tidy()
    assert len(list(spool.glob("replies-*.jsonl"))) == 1, "eight replies stand nowhere else"
    assert batch(asks, server.model("openai")) == {"ok": 20}
    courier.tidy()
    assert list(spool.glob("replies-*.jsonl")) == []
    assert batch(asks, server.model("openai")) == {"ok": 20}
    assert server.count()["billed"] == 20


@pytest.mark.parametrize("provider", PROVIDERS)
def test_lines_that_failed_are_filed_again(
    server: Any, log: Any, batch: Callable[..., Counter[str]], make_asks: Make, provider: str
) -> None:
    """Expired, cancelled and failed lines, and replies that are no answer; refusals are final."""
    server.set(share=0.5, faults=["expired", "canceled", "errored", "malformed", "refusal"], seed=3)
    asks = make_asks(40)
    assert batch(asks, server.model(provider)) == {"waiting": 40}
    ended: Counter[str] = Counter()
    for _ in range(8):
        ended = batch(asks, server.model(provider))
        if not ended["waiting"]:
            break
    assert ended["waiting"] == 0
    n_batches = server.count()["batches"]
    assert batch(asks, server.model(provider)) == ended, "what ended stands, answered or not"
    assert server.count()["batches"] == n_batches
    assert ended["ok"] >= 25
    assert set(ended) <= {"ok", "refused", "unparseable", "api_error"}
    count = server.count()
    [ledger] = log.ledger()
    assert (ledger.input_tokens, ledger.output_tokens) == (count["input_tokens"], count["output_tokens"])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_that_was_out_when_we_died_is_found_again(
    server: Any, log: Any, batch: Callable[..., Counter[str]], make_asks: Make, provider: str
) -> None:
    server.set(always="cut_submit")
    with pytest.raises(ProviderError, match="looked for first"):
        batch(make_asks(10), server.model(provider))
    assert [one.status for one in StoreBatches(log.store).batches()] == ["submitting"]
    server.change(always=None)
    assert batch(make_asks(10), server.model(provider)) == {"ok": 10}
    assert server.count()["batches"] == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_that_is_refused_says_why(
    server: Any, batch: Callable[..., Counter[str]], make_asks: Make, provider: str
) -> None:
    server.set(always="refuse_batch")
    with pytest.raises(ProviderError, match="no batches today"):
        batch(make_asks(3), server.model(provider))
    server.change(always=None)
    assert batch(make_asks(3), server.model(provider)) == {"waiting": 3}


def test_a_refreshed_batch_is_collected(
    server: Any, log: Any, batch: Callable[..., Counter[str]], make_asks: Make
) -> None:
    model = server.model("openai")
    batch(make_asks(5), model)
    assert batch(make_asks(5), model) == {"ok": 5}
    assert batch(make_asks(5), model, refresh=True) == {"waiting": 5}
    assert batch(make_asks(5), model) == {"ok": 5}
    assert batch(make_asks(5), model) == {"ok": 5}
    assert log.ledger()[0].ok == server.count()["billed"] == 10


def test_a_batch_keeps_to_the_budget(server: Any, batch: Callable[..., Counter[str]], make_asks: Make) -> None:
    model = server.model("openai", price=Price(input=1, output=10, batch=0.5))
    found = batch(make_asks(30), model, max_usd=0.01)
    assert found["waiting"] > 0
    assert found["over_budget"] > 0
    assert server.count()["billed"] == found["waiting"]


def test_what_was_written_and_never_entered_is_sent(
    server: Any, batch: Callable[..., Counter[str]], make_asks: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its requests were written, before the store knew of the batch."""

    def killed(*_: Any) -> None:
        raise KeyError("killed")

    model = server.model("openai")
    with monkeypatch.context() as patched:
        patched.setattr(StoreBatches, "enter", killed)
        patched.setattr(BatchCourier, "_request_file", killed)
        with pytest.raises(KeyError):
            batch(make_asks(5), model)
    assert list((tmp_path / "spool" / "requests").glob("*.jsonl"))
    assert batch(make_asks(5), model) == {"waiting": 5}
    assert batch(make_asks(5), model) == {"ok": 5}
    assert server.count()["billed"] == 5
