"""What an answer that is no reply means: wait, try again, give this one up, or stop the run.

wait     a limit (429, 529, a server that says that it is busy): everybody waits, nobody's attempts are counted
again    the server's or the network's fault (5xx, 408, 409, resets, timeouts, bodies that are none): bounded
give_up  this one request cannot be answered: too long, or turned away for its content
stop     nothing that follows can be: a bad key, no credit, an unknown model; and, `unclear`, a request that was turned
         away in words that nobody here knows: whether that is about one request or about all, what the server
         answered before and after it shows (`session/doubts.py`)

Servers and the gateways before them share neither statuses nor codes, so their words decide first: what is said of
credit, keys and models is of all requests, what is said of length and content is of one.
"""

from __future__ import annotations

import email.utils
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from autointerp.llm.wire.error_bodies import read_error

Meaning = Literal["wait", "again", "give_up", "stop"]

BELIEVED_S = 60.0
"""A longer Retry-After is not waited for by a whole run: we ask again on our own schedule, which grows to this."""


_WORDS = {
    about: re.compile("|".join(patterns))
    for about, patterns in tomllib.loads(
        (Path(__file__).parent / "fault_words.toml").read_text(encoding="utf-8")
    ).items()
}


@dataclass(frozen=True)
class Fault:
    """Why there is no reply."""

    meaning: Meaning
    status: str
    """What `llm_calls.status` says: rate_limited, server_error, no_connection, timeout, broken_body ..."""
    reason: str
    http_status: int | None = None
    wait_s: float | None = None
    """Seconds that the server asked for, where it did and where it is believed."""
    maybe_paid: bool = False
    """True where the request may have been answered, and billed, without our seeing it."""
    unclear: bool = False
    """Of `stop`: nothing says whether it is about this request or about all."""
    setting: bool = False
    """Of `stop`: the server does not take something that is asked for beside the prompt."""


def fault_of(status: int, headers: Mapping[str, str], body: str) -> Fault:
    """The fault behind an HTTP status that is not 200."""
    error = read_error(body)
    fault = _meaning(status, error.said)
    return replace(
        fault,
        reason=f"HTTP {status}: {error.message}",
        http_status=status,
        wait_s=retry_after(headers) if fault.meaning in ("wait", "again") else None,
    )


def fault_in_200(body: str) -> Fault:
    """The fault that a gateway tells in the body of a 200: what the status in it, and its words, would mean."""
    error = read_error(body)
    fault = _meaning(error.status, error.said)
    again = fault.meaning == "again"
    reason = f"HTTP 200 with an error: {error.message}"
    if error.status is not None and str(error.status) not in error.message:
        reason += f" ({error.status})"
    status = "broken_body" if again else fault.status
    return replace(fault, status=status, reason=reason, http_status=200, maybe_paid=again)


_STOP = Fault("stop", "api_error", "")
_UNCLEAR = Fault("stop", "api_error", "", unclear=True)
_SETTING = Fault("stop", "api_error", "", setting=True)
_WAIT = Fault("wait", "rate_limited", "")
_AGAIN = Fault("again", "server_error", "")


def _meaning(status: int | None, said: str) -> Fault:
    """By the words, then by the status; None: there are only words."""
    about = {name for name, words in _WORDS.items() if words.search(said)}
    if status == 402 or "no_credit" in about:
        return _STOP
    if status in (429, 529) and not ("too_long" in about and _too_large_for_limit(said)):
        return _WAIT
    if status == 401 or "bad_key" in about:
        return _STOP
    if status == 413 or "too_long" in about:
        return Fault("give_up", "api_error", "")
    if "no_model" in about:
        return _STOP
    return Fault("give_up", "refused", "") if "content" in about else _by_status(status, about)


def _by_status(status: int | None, about: set[str]) -> Fault:
    if "busy" in about and status not in (404, 422):
        return _WAIT
    if status is None:
        return _SETTING if "setting" in about else _AGAIN
    if "unformed" in about or status in (408, 409, 424, 425, 499) or status >= 500:
        return _AGAIN
    if "setting" in about:
        return _SETTING
    return _STOP if status == 404 else _UNCLEAR


def _too_large_for_limit(said: str) -> bool:
    """A 429 for a request that is larger than what may be sent in a minute: waiting does not help it."""
    return "request too large" in said or "request_too_large" in said


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait by `retry-after-ms` or `retry-after` (seconds or an HTTP date).

    None where the server names none, names nonsense, or names more than is believed.
    """
    seconds = _number(headers.get("retry-after-ms"), 1e-3)
    if seconds is None:
        given = headers.get("retry-after", "")
        seconds = _number(given, 1.0)
        if seconds is None and given:
            date = email.utils.parsedate_tz(given)
            if date is not None:
                seconds = max(0.0, email.utils.mktime_tz(date) - (time.time() if now is None else now))
    return seconds if seconds is not None and 0 <= seconds <= BELIEVED_S else None


def _number(text: str | None, unit: float) -> float | None:
    try:
        return float(text) * unit if text else None
    except ValueError:
        return None
