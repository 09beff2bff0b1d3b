"""What an HTTP status means, and how long we wait."""

from __future__ import annotations

import email.utils
import json

import pytest

from autointerp.llm.wire.faults import fault_of, retry_after


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": email.utils.formatdate(1_000_005, usegmt=True)}, 5.0),
        ({"retry-after": email.utils.formatdate(999_000, usegmt=True)}, 0.0),
        ({"retry-after": "86400"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_every_form_of_retry_after(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers, now=1_000_000.0) == expected


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (429, "rate_limit_error", "wait"),
        (529, "overloaded_error", "wait"),
        (429, "insufficient_quota", "stop"),
        (429, "enforced_spend_limit_reached_error", "stop"),
        (400, "Your credit balance is too low", "stop"),
        (500, "api_error", "again"),
        (503, "api_error", "again"),
        (408, "timeout", "again"),
        (409, "conflict", "again"),
        (400, "invalid_request_error", "stop"),
        (401, "authentication_error", "stop"),
        (402, "payment", "stop"),
        (403, "permission_error", "stop"),
        (404, "not_found_error", "stop"),
        (422, "unprocessable", "stop"),
        (413, "request_too_large", "give_up"),
        (400, "context_length_exceeded", "give_up"),
        (400, "invalid_prompt", "give_up"),
        (400, "content_filter", "give_up"),
    ],
)
def test_what_a_status_means(status: int, code: str, meaning: str) -> None:
    fault = fault_of(status, {}, json.dumps({"error": {"type": code, "message": f"{code} happened"}}))
    assert fault.meaning == meaning
    assert fault.reason == f"HTTP {status}: {code} happened"
    assert (fault.status == "refused") == (code in ("invalid_prompt", "content_filter"))


def test_error_bodies_that_are_none() -> None:
    for body in ("", "<html>Bad\n gateway</html>", "[]", '{"error": "words"}', '{"error": null}', "null"):
        fault = fault_of(502, {}, body)
        assert fault.meaning == "again"
        assert "\n" not in fault.reason
