"""What an answer that is no reply means: wait, try again, give this one up, or stop the run.

wait     a limit (429, 529): everybody waits, nobody's attempts are counted
again    the server's or the network's fault (5xx, 408, 409, resets, timeouts, bodies that are none): bounded
give_up  this one request cannot be answered: too long, or turned away for its content
stop     nothing that follows can be: a bad key, no credit, a wrong request, an unknown model
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from autointerp.llm.wire.text import whole_characters

Meaning = Literal["wait", "again", "give_up", "stop"]

BELIEVED_S = 60.0
"""A longer Retry-After is not waited for by a whole run: we ask again on our own schedule, which grows to this."""

_NO_CREDIT = (
    "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated",
    "spend_limit", "spending_limit", "enforced_spend_limit", "contract_spend_limit", "ramp_limit",
    "credit_balance", "credit balance", "billing_error",
)  # fmt: skip
_LIMITS = ("overloaded_error", "rate_limit_error", "rate_limit_exceeded", "insufficient_quota", "429", "529")
_TOO_LONG = ("context_length_exceeded", "request_too_large", "string_above_max_length", "prompt is too long")
_CONTENT = ("content_policy_violation", "content_filter", "invalid_prompt", "responsibleaipolicyviolation")


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


def fault_of(status: int, headers: Mapping[str, str], body: str) -> Fault:
    """The fault behind an HTTP status that is not 200."""
    code, message = _error_in(body)
    reason = f"HTTP {status}: {message}"
    said = f"{code} {message}".lower()
    wait = retry_after(headers)
    if status == 402 or (status in (400, 403, 429) and any(word in said for word in _NO_CREDIT)):
        return Fault("stop", "api_error", reason, status)
    if status in (429, 529):
        return Fault("wait", "rate_limited", reason, status, wait)
    if status in (408, 409, 425) or status >= 500:
        return Fault("again", "server_error", reason, status, wait, maybe_paid=False)
    if status == 413 or any(word in said for word in _TOO_LONG):
        return Fault("give_up", "api_error", reason, status)
    if status in (400, 403) and any(word in said for word in _CONTENT):
        return Fault("give_up", "refused", reason, status)
    return Fault("stop", "api_error", reason, status)


def fault_in_200(body: str) -> Fault:
    """The fault that a gateway tells in the body of a 200: a limit is waited for, all else is tried again."""
    code, message = _error_in(body)
    limited = any(word in code.lower().split() for word in _LIMITS)
    fault = fault_of(429 if limited else 500, {}, body)
    status = fault.status if limited else "broken_body"
    reason = f"HTTP 200 with an error: {message}"
    return replace(fault, status=status, reason=reason, http_status=200, maybe_paid=not limited)


def _error_in(body: str) -> tuple[str, str]:
    """(codes, message) of an error body of either API; the start of anything else."""
    try:
        error: Any = json.loads(body)["error"]
        if isinstance(error, str):
            return "", _one_line(error)
        details = error.get("details") or {}
        codes = [error.get("type"), error.get("code"), details.get("error_code") if isinstance(details, dict) else None]
        return " ".join(str(code) for code in codes if code), _one_line(str(error.get("message") or error))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", _one_line(body) or "no message"


def _one_line(text: str) -> str:
    return whole_characters(" ".join(text.split())[:300])


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
