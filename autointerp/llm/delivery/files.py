"""Other ways for requests to travel than one by one: files that are answered elsewhere (and batch APIs, `batch.py`).

A courier hands out replies that have come and takes requests along; what it took has status `waiting` until, in a later
run of the same command, its reply is there.
"""

from __future__ import annotations

from pathlib import Path

from autointerp.llm.delivery.batch_jsonl import ReplyFiles, RequestFiles
from autointerp.llm.session.attempt import Job, Line
from autointerp.llm.wire.connection import Sent


class OutFiles:
    """`--batch-out DIR`: requests are written, nothing is sent."""

    channel = "offline"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = RequestFiles(folder)

    async def begin(self, line: Line) -> None:
        """Nothing to fetch."""

    def reply(self, job: Job) -> Sent | None:
        """None has come."""
        return None

    def holds(self, job: Job) -> bool:
        """Nothing comes back here."""
        return False

    def take(self, job: Job, line: Line) -> str | None:
        """Writes it."""
        self.files.add(job)
        return f"written to {self.folder}: answer them, then run with --batch-in {self.folder}"

    async def end(self, line: Line) -> None:
        """Gives the files their names."""
        self.files.close()


class InFiles:
    """`--batch-in DIR`: replies are read from files, nothing is sent."""

    channel = "offline"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.replies = ReplyFiles(folder)

    async def begin(self, line: Line) -> None:
        """They are there."""

    def reply(self, job: Job) -> Sent | None:
        """The reply in the files."""
        return self.replies.get(job.key, job.filed + 1, job.request.provider)

    def holds(self, job: Job) -> bool:
        """Whether the files have a reply that was not read yet."""
        return self.reply(job) is not None

    def take(self, job: Job, line: Line) -> str | None:
        """Nothing is sent."""
        return f"without a reply in {self.folder}: write them with --batch-out"

    async def end(self, line: Line) -> None:
        """Nothing to send."""
