"""Does a server do what it is asked for? Found out once a (server, model, wish), at its first replies.

A server that answers 200 without log probabilities, or ignores the schema, is the worst case: every reply would be
paid for and useless. So until a wish has been fulfilled once, requests that have it go out one at a time; a reply
without what was asked for ends the run with that cause. What was found is kept in the store.

Prompt log probabilities get a check of their own: some servers have given them in the wrong order (vLLM PR 42245).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from autointerp.llm.asks import Ask, TokenChoice

ServerWish = tuple[str, str, str]
"""(server, model, what that server must do)."""

MISSES = 8
"""Replies in a row that are not what the schema says, before the server is said to ignore it."""

ORDER_PROMPTS = ("One two three four five six seven.", "Rivers run down to the sea, and the sea is never full.")
ORDER_TOLERANCE = 0.05
"""Natural logarithm: half-precision servers differ by about 0.01 with what else is in the batch."""


def wishes_of(ask: Ask, server: str, model: str) -> list[ServerWish]:
    """What has to come back beside a text."""
    wished: list[str] = []
    if ask.form != "chat":
        wished.append(ask.form)
    elif ask.schema is not None:
        wished.append("schema")
    if ask.form == "chat" and ask.logprobs:
        wished.append("logprobs")
    return [(server, model, what) for what in wished]


class ServerChecks:
    """What is known of the servers. Belongs to one event loop."""

    def __init__(self, known: Iterable[ServerWish]) -> None:
        self._fulfilled = set(known)
        self._turn: dict[ServerWish, asyncio.Lock] = {}
        self._misses: Counter[ServerWish] = Counter()
        self._without: Counter[ServerWish] = Counter()

    def open(self, wishes: list[ServerWish]) -> list[ServerWish]:
        """Those that are not known to be fulfilled."""
        return [wish for wish in wishes if wish not in self._fulfilled]

    def turn(self, wish: ServerWish) -> asyncio.Lock:
        """Held by the one request that is out while the wish is open."""
        return self._turn.setdefault(wish, asyncio.Lock())

    def fulfilled(self, wishes: list[ServerWish]) -> None:
        """A good reply came."""
        self._fulfilled.update(wishes)

    def give_way(self, wishes: list[ServerWish]) -> None:
        """A request ended without a reply to judge by; after some of those the others need not wait in line."""
        self._without.update(wishes)
        self._fulfilled.update(wish for wish in wishes if self._without[wish] >= MISSES)

    def missed(self, wishes: list[ServerWish]) -> bool:
        """A reply came that is not what was asked for; True where that is too many in a row."""
        self._misses.update(wishes)
        return any(self._misses[wish] >= MISSES for wish in wishes)


def order_asks() -> list[Ask]:
    """Two prompts, and the same two in the other order."""
    return [
        Ask("probe", "", ORDER_PROMPTS[which], 1, form="echo", logprobs=1, sample=sample)
        for which, sample in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]


def order_fault(replies: list[tuple[TokenChoice, ...] | None]) -> str | None:
    """Why the replies to `order_asks` cannot be relied on; None where they can."""
    if any(tokens is None for tokens in replies):
        return "the server gives no log probabilities of the prompt"
    for first, again in ((replies[0], replies[3]), (replies[1], replies[2])):
        if [token.text for token in first or ()] != [token.text for token in again or ()]:
            return "the same prompt came back as other tokens when it was asked in another order"
        for earlier, later in zip(first or (), again or (), strict=True):
            if (earlier.logprob is None) != (later.logprob is None):
                return "log probabilities of the prompt are missing when it is asked again (prefix caching?)"
            if abs((earlier.logprob or 0.0) - (later.logprob or 0.0)) > ORDER_TOLERANCE:
                return (
                    f"the same prompt got other log probabilities when asked in another order "
                    f"({earlier.logprob} and {later.logprob} for {earlier.text!r})"
                )
    return None
