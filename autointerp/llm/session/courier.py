"""What a session needs of a way to send many requests at once; `llm/delivery` has the ways there are."""

from __future__ import annotations

from typing import Protocol

from autointerp.llm.session.attempt import Errand, Route
from autointerp.llm.wire.connection import Sent


class Courier(Protocol):
    """Takes requests along and hands out the replies that have come.

    A request that was taken has status `waiting` until, in a later run of the same command, its reply is there.
    """

    channel: str
    """batch or offline: what `llm_calls.channel` says."""

    async def begin(self, route: Route, /) -> None:
        """Fetches what has come. Called before the first request of a stream."""

    def reply(self, errand: Errand, /) -> Sent | None:
        """The reply to the errand's next filing, if it has come."""

    def holds(self, errand: Errand, /) -> bool:
        """Whether the errand's next filing is out, or its reply has come: then it was asked for anew (--refresh)."""

    def take(self, errand: Errand, route: Route, /) -> str | None:
        """Takes a request along; returns where it is now, for the user, or None where it must not be sent (budget)."""

    async def end(self, route: Route, /) -> None:
        """Sends off what was taken. Called after the last request of a stream."""
