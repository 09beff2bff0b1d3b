"""What may still be spent: before a call its worst case is set aside, after it only its cost is kept.

So the sum of what was spent and what may at worst still be charged never passes `max_usd`; that is counted of batches
too that earlier runs have sent and nobody has collected.
"""

from __future__ import annotations

import asyncio


class SpendingLimit:
    """A ceiling in dollars; none: no ceiling. Belongs to one event loop."""

    def __init__(self, max_usd: float | None, spent_usd: float = 0.0, out_usd: float = 0.0) -> None:
        self.max_usd = max_usd
        self.spent_usd = spent_usd
        self.out_usd = out_usd
        """At worst, of batches that are out; nothing here waits for them."""
        self.set_aside_usd = 0.0
        self.exhausted = False
        self._changed: list[asyncio.Future[None]] = []

    async def set_aside(self, worst_usd: float) -> bool:
        """False where the call could pass the ceiling. Waits for calls that are out, which settle for less."""
        if self.max_usd is None or worst_usd == 0:
            self.set_aside_usd += worst_usd
            return True
        while not self.exhausted:
            if self._fits(worst_usd):
                self.set_aside_usd += worst_usd
                return True
            if self.set_aside_usd <= 1e-12:
                self.exhausted = True
                self._tell()
                break
            change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._changed.append(change)
            await change
        return False

    def take(self, worst_usd: float) -> bool:
        """`set_aside` for what is not settled in this run: False where it does not fit now."""
        if not self._fits(worst_usd):
            self.exhausted = True
            return False
        self.set_aside_usd += worst_usd
        return True

    def collected(self, worst_usd: float) -> None:
        """A batch has come back: its replies are paid for one by one."""
        self.out_usd = max(0.0, self.out_usd - worst_usd)

    def _fits(self, worst_usd: float) -> bool:
        most = self.spent_usd + self.out_usd + self.set_aside_usd + worst_usd
        return self.max_usd is None or most <= self.max_usd + 1e-12

    def settle(self, worst_usd: float, cost_usd: float) -> None:
        """The call is over: its worst case is free again, its cost is spent."""
        self.set_aside_usd -= worst_usd
        if self.set_aside_usd < 1e-12:
            self.set_aside_usd = 0.0
        self.spent_usd += cost_usd
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, []
        for change in changed:
            if not change.done():
                change.set_result(None)

    def line(self) -> str:
        """What a user is told when it stopped."""
        out = f", at most ${self.out_usd:.4f} more are out in batches" if self.out_usd else ""
        return (
            f"stopped at max_usd = {self.max_usd:g}: ${self.spent_usd:.4f} is spent{out}, the next call could pass it: "
            "everything is kept, a higher --max-usd goes on from here"
        )
