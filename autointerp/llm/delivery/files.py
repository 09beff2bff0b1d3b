"""`--batch-out` and `--batch-in`: requests are written to files, somebody answers them elsewhere, replies are read.

A request that was written has status `waiting` until a later run of the same command finds its reply.
"""

from __future__ import annotations

from pathlib import Path

from autointerp.llm.delivery.batch_jsonl import ReplyFiles, RequestFiles
from autointerp.llm.session.attempt import Errand, Route
from autointerp.llm.wire.connection import Sent


class OutFiles:
    """`--batch-out DIR`: requests are written, nothing is sent."""

    channel = "offline"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = RequestFiles(folder)

    async def begin(self, _route: Route) -> None:
        """Nothing to fetch."""

    def reply(self, _errand: Errand) -> Sent | None:
        """None has come."""
        return None

    def holds(self, _errand: Errand) -> bool:
        """Nothing comes back here."""
        return False

    def take(self, errand: Errand, _route: Route) -> str | None:
        """Writes it."""
        self.files.add(errand)
        return f"written to {self.folder}: answer them, then run with --batch-in {self.folder}"

    async def end(self, _route: Route) -> None:
        """Gives the files their names."""
        self.files.close()


class InFiles:
    """`--batch-in DIR`: replies are read from files, nothing is sent."""

    channel = "offline"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.replies = ReplyFiles(folder)

    async def begin(self, _route: Route) -> None:
        """They are there."""

    def reply(self, errand: Errand) -> Sent | None:
        """The reply in the files."""
        return self.replies.get(errand.key, errand.filed + 1, errand.request.provider)

    def holds(self, errand: Errand) -> bool:
        """Whether the files have a reply that was not read yet."""
        return self.reply(errand) is not None

    def take(self, _errand: Errand, _route: Route) -> str | None:
        """Nothing is sent."""
        return f"without a reply in {self.folder}: write them with --batch-out"

    async def end(self, _route: Route) -> None:
        """Nothing to send."""
