"""How a session's requests travel, other than one by one (`delivery/` has the ways there are)."""

from __future__ import annotations

from typing import Protocol

from autointerp.llm.session.attempt import Job, Line
from autointerp.llm.wire.connection import Sent


class Courier(Protocol):
    """How a session's requests travel."""

    channel: str
    """batch or offline: what `llm_calls.channel` says."""

    async def begin(self, line: Line) -> None:
        """Fetches what has come. Called before the first request of a stream."""

    def reply(self, job: Job) -> Sent | None:
        """The reply to the job's next filing, if it has come."""

    def holds(self, job: Job) -> bool:
        """Whether the job's next filing is out, or its reply has come: then it was asked for anew (--refresh)."""

    def take(self, job: Job, line: Line) -> str | None:
        """Takes a request along; returns where it is now, for the user, or None where it must not be sent (budget)."""

    async def end(self, line: Line) -> None:
        """Sends off what was taken. Called after the last request of a stream."""
