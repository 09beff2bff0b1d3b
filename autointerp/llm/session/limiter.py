"""How many requests may be out at once: one limiter a server, which all that use the server share.

Concurrency is a sliding window. It opens by one a reply until the server first says "too many", then by one a
windowful; each "too many" closes it to 7/10. A cool-down is everybody's: nothing is sent until it is over, waiters
come back spread out (an exact Retry-After brings them back together), and what was sent before does not count twice.
A server that only fails (an outage) is treated alike: one request at a time, further and further apart.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque

START = 16
"""Requests at once before the first reply."""
CLOSE_BY = 0.7
FIRST_WAIT_S = 0.25
"""Where the server does not say how long; doubled each time until something is answered."""
LONGEST_WAIT_S = 16.0
"""One request is then sent to see: a server that is well again is not left alone for long."""
OUTAGE_AFTER = 8
"""Failures in a row, beyond those already out, that make an outage."""


class Limiter:
    """Grants leave to send. All methods belong to one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(min(START, most))
        self.in_flight = 0
        self.cool_downs = 0
        self.latest_wait_s = 0.0
        """Seconds that the latest cool-down lasts."""
        self._opening = True
        self._until = 0.0
        self._spread = 0.0
        self._cut_at = 0.0
        self._level = 0
        self._failures = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answered_at: float | None = None
        self._silent_since: float | None = None

    @property
    def answered(self) -> bool:
        """Whether the server has answered anything yet."""
        return self._answered_at is not None

    def silent_for(self) -> float:
        """Seconds for which the server has only failed or turned us away."""
        return 0.0 if self._silent_since is None else asyncio.get_running_loop().time() - self._silent_since

    async def acquire(self) -> float:
        """Waits for leave to send; returns the loop's time of sending, which `ok`, `throttled` and `failed` take."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            if now < self._until:
                await asyncio.sleep(self._until - now + random.random() * self._spread)  # noqa: S311 - timing only
            elif self.in_flight < max(1, int(self.limit)):
                self.in_flight += 1
                return now
            else:
                turn: asyncio.Future[None] = loop.create_future()
                self._waiting.append(turn)
                try:
                    await turn
                except asyncio.CancelledError:
                    if turn.done() and not turn.cancelled():
                        self._wake()  # leave given to us must not be lost
                    raise

    def release(self) -> None:
        """The request is over, whatever came of it."""
        self.in_flight -= 1
        self._wake()

    def ok(self, _sent: float) -> None:
        """A reply came."""
        self._answered_at = asyncio.get_running_loop().time()
        self._silent_since = None
        self._level = self._failures = 0
        self.limit = min(float(self.most), self.limit + (1.0 if self._opening else 1.0 / self.limit))
        self._wake()

    def throttled(self, sent: float, wait_s: float | None) -> None:
        """The server said "too many", or "overloaded"; `wait_s` where it says for how long."""
        self._begin_silence()
        if sent >= self._cut_at:
            self._opening = False
            self.limit = max(1.0, self.limit * CLOSE_BY)
        self._cool_down(sent, wait_s)

    def failed(self, sent: float, wait_s: float | None = None) -> None:
        """The server or the network failed."""
        self._begin_silence()
        self._failures += 1
        if wait_s is not None:
            self._cool_down(sent, wait_s)
        if self._failures >= OUTAGE_AFTER + self.in_flight:
            self._opening, self.limit = True, 1.0
            self._cool_down(sent, None)

    def _begin_silence(self) -> None:
        if self._silent_since is None:
            self._silent_since = asyncio.get_running_loop().time()

    def _cool_down(self, sent: float, wait_s: float | None) -> None:
        now = asyncio.get_running_loop().time()
        if sent < self._cut_at and wait_s is None:
            return  # sent before the wait that is already on
        if wait_s is None:
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._level)
            self._level += 1
        self.cool_downs += 1
        self._cut_at = now
        self.latest_wait_s = wait_s * (1 + 0.1 * random.random())  # noqa: S311 - timing only
        self._until = max(self._until, now + self.latest_wait_s)
        self._spread = min(1.0, 0.25 * wait_s)

    def _wake(self) -> None:
        free = max(1, int(self.limit)) - self.in_flight
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
