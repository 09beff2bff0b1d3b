"""One limiter a server: what all workers obey."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from autointerp.llm.money.budget import SpendingLimit
from autointerp.llm.session.limiter import OUTAGE_AFTER, START, Limiter


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def test_the_window_opens_with_replies_and_closes_once_a_throttling() -> None:
    async def work() -> None:
        limiter = Limiter(64)
        sent = [await limiter.acquire() for _ in range(START)]
        assert limiter.in_flight == START
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        assert not waiting.done()
        for at in sent:
            limiter.ok(at)
            limiter.release()
        await waiting
        assert limiter.limit == 2 * START
        at = await limiter.acquire()
        limiter.throttled(at, 0.01)
        limiter.throttled(at, 0.01)  # sent before the cut: the same event
        assert limiter.limit == 2 * START * 0.7
        limiter.release()
        limiter.ok(at)
        assert 0 < limiter.limit - 2 * START * 0.7 < 0.1, "after that it opens by one a windowful"

    run(work())


def test_a_cool_down_is_everybodys() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(8)
        at = await limiter.acquire()
        limiter.release()
        limiter.throttled(at, 0.2)
        begun = loop.time()
        times = []

        async def one() -> None:
            times.append(await limiter.acquire() - begun)
            await asyncio.sleep(0.001)
            limiter.ok(begun)
            limiter.release()

        await asyncio.gather(*(one() for _ in range(20)))
        assert min(times) >= 0.2
        assert max(times) - min(times) > 0.005, "they do not come back together"

    run(work())


def test_waits_that_are_not_stated_grow_and_start_again_after_a_reply() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(8)
        waits = []
        for _ in range(4):
            now = loop.time()
            limiter.throttled(now + 1e-6, None)
            waits.append(limiter.latest_wait_s)
        assert all(1.5 < b / a < 2.5 for a, b in itertools.pairwise(waits)), waits
        assert limiter.silent_for() > 0
        limiter.ok(0.0)
        assert limiter.silent_for() == 0
        limiter.throttled(loop.time() + 1e-6, None)
        assert limiter.latest_wait_s < 0.3

    run(work())


def test_an_outage_is_asked_about_by_one_at_a_time() -> None:
    async def work() -> None:
        limiter = Limiter(64)
        for _ in range(OUTAGE_AFTER):
            at = await limiter.acquire()
            limiter.release()
            limiter.failed(at)
        assert limiter.limit == 1
        assert (limiter.cool_downs, limiter.latest_wait_s > 0) == (1, True)

    run(work())


def test_a_cancelled_waiter_gives_its_leave_away() -> None:
    async def work() -> None:
        limiter = Limiter(1)
        at = await limiter.acquire()
        first, second = asyncio.create_task(limiter.acquire()), asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.ok(at)
        limiter.release()
        first.cancel()
        await second

    run(work())


def test_the_budget_counts_what_is_out_at_its_worst() -> None:
    async def work() -> None:
        budget = SpendingLimit(1.0, spent_usd=0.25)
        assert await budget.set_aside(0.5)
        waiting = asyncio.create_task(budget.set_aside(0.5))
        await asyncio.sleep(0)
        assert not waiting.done(), "0.25 + 0.5 + 0.5 could pass 1"
        budget.settle(0.5, 0.1)
        assert await waiting
        budget.settle(0.5, 0.45)
        assert not await budget.set_aside(0.21)
        assert budget.exhausted
        assert not await budget.set_aside(0.01), "once stopped, stopped"
        assert "0.8000" in budget.line()

    run(work())
