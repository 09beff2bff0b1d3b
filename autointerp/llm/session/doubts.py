"""Is an error about one request, or about all? What the server answers before and after it tells.

Servers turn a request away in words that nobody foresaw. Where other requests are answered, that one is a failed row,
and the run goes on; where none is, the run ends with the server's words instead of failing request by request.
"""

from __future__ import annotations

import asyncio
import contextlib

MOST_BEFORE = 2
"""Such errors before the server has answered anything: the second is another request with the same fate."""
MOST_BETWEEN = 4
"""Such errors in a row of a server that has answered: by then something has changed for all."""


class Doubts:
    """What one model on one server has answered, and turned away in unknown words. Belongs to one event loop."""

    def __init__(self) -> None:
        self.n_answered = 0
        """Replies so far."""
        self._in_a_row = 0
        self._news = asyncio.Event()

    def answered(self) -> None:
        """A reply came."""
        self.n_answered, self._in_a_row = self.n_answered + 1, 0
        self._news.set()

    def about_all(self) -> bool:
        """A request was turned away in unknown words; True where that must be taken to be about all of them."""
        self._in_a_row += 1
        if self._in_a_row > 1:
            self._news.set()
        return self._in_a_row >= (MOST_BETWEEN if self.n_answered else MOST_BEFORE)

    async def wait_for_others(self, seconds: float) -> None:
        """Returns when another request has shown what the first such error meant, at the latest after `seconds`: until
        then nothing more is to be sent."""
        if not self.n_answered:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)
