"""What the LLM client gives the store to keep: one record an attempt at a call, and what it reads back.

The client (`llm`) makes these records, the store keeps them; neither imports the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

CallKey = tuple[str, int]
"""(hash of the whole rendered request, sample number)."""

Landed = Callable[[Exception | None], None]
"""Told, from the writer's thread, that the row is on disk, or why it is not."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one reply as the provider counted them."""

    input_tokens: int
    """All tokens of the prompt, those read from and written to a cache among them."""
    output_tokens: int
    """All tokens written, reasoning among them."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Call:
    """One attempt at one request: a row of `llm_calls`."""

    request: str
    sample: int
    attempt: int  # from 1, over all runs
    kind: str
    about: str | None  # JSON
    provider: str
    server: str  # base URL
    model: str  # as asked for
    channel: str  # live | batch | offline
    status: str
    reason: str
    prefix: str  # hash; its text goes beside the row
    prompt: str | None  # not kept where the server turned the request away
    called_at: datetime
    latency_ms: float
    http_status: int | None = None
    returned_model: str | None = None
    stop_reason: str | None = None
    reply: str | None = None  # what the model wrote, or the body as it came where it could not be read
    tokens: str | None = None  # JSON: tokens with log probabilities
    usage: Usage | None = None  # none: not reported
    cost_usd: float | None = None  # none: not known


@dataclass(frozen=True)
class LoggedReply:
    """What the log holds for a key: the latest good reply, if there is one, and how often it was tried."""

    attempts: int
    filed: int = 0  # of the attempts, those in batches and files
    reply: str | None = None
    tokens: str | None = None
    returned_model: str = ""
    stop_reason: str = ""
    last: tuple[str, str, str] = ("", "", "")  # channel, status and reason of the latest attempt

    @property
    def good(self) -> bool:
        """Whether there is a reply to replay."""
        return self.reply is not None


@dataclass(frozen=True)
class LedgerRow:
    """What one kind of call has cost, over all runs of a store."""

    kind: str
    model: str
    channel: str
    attempts: int
    ok: int
    unknown: int  # attempts whose cost nobody reported: cut bodies, timeouts, resets
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Batch:
    """One batch at a provider, as it was last heard of."""

    file: str  # hash of its requests: our own name for it
    provider: str
    server: str
    model: str
    path: str
    n_requests: int
    status: str  # submitting | submitted | ended | failed
    batch: str = ""  # the provider's id, once it is known
    since: datetime | None = None
    worst_usd: float = 0.0
    """What it may cost at most."""


class BatchBook(Protocol):
    """Which requests are in which batch. `store/batches.py` is the one on disk."""

    def enter(self, batch: Batch, custom_ids: Sequence[str] = ()) -> None:
        """Commits what is now known of a batch; with its requests when it is entered first."""

    def batches(self) -> list[Batch]:
        """The latest of each."""

    def custom_ids(self, files: Sequence[str]) -> set[str]:
        """The requests in these batches."""

    def read_through(self) -> set[str]:
        """Batches that have ended and whose replies are all in the reply log."""


class ReplyLookup(Protocol):
    """The reply log, to be read: `store/replies.py` reads one on disk."""

    def look_up(self, keys: Sequence[CallKey]) -> dict[CallKey, LoggedReply]:
        """What was kept for these keys; keys without a row are absent."""

    def ledger(self) -> list[LedgerRow]:
        """What was spent so far, by kind, model and channel."""

    def tokens_per_char(self, server: str, model: str) -> float | None:
        """Prompt tokens a character, from the usage that this model reported; none where there is too little."""

    def typical_output(self, server: str, model: str) -> dict[str, float]:
        """Mean tokens written, by kind of call, where enough replies tell."""

    def probed(self) -> Iterable[tuple[str, str, str]]:
        """(server, model, wish) that a server is known to fulfil, what was found last at the end."""


class ReplyLog(ReplyLookup, Protocol):
    """The reply log as the client needs it."""

    def append(self, call: Call, prefix_text: str, landed: Landed | None = None) -> None:
        """Queues a row; `landed` is called once it is committed. Raises what the writer died of."""

    def flush(self) -> None:
        """Returns when everything queued is committed."""

    def keep_probe(self, server: str, model: str, wish: str) -> None:
        """Remembers that the server does what was asked for."""
