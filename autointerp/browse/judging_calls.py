"""The calls of an LLM behind single judgements, with prompt and reply; or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.store.query import Queryable

NO_LLM = "a table judged, not an LLM"
NOT_SAID = "its scorer does not say in which of its calls"
NOT_LOGGED = "the store's log of replies has no such call"

ITEMISED = ("detection", "fuzzing")
"""Scorers whose prompts show windows as e1, e2 ..., in the order of the rows."""


@dataclass(frozen=True)
class JudgingCall:
    """A call that windows were judged in: its latest attempt that was answered as asked, else its latest."""

    request: str
    sample: int
    attempt: int
    prompt: str | None
    """The user's prompt; None: not kept, because the server turned the request away unanswered."""
    reply: str | None


CallKey = tuple[str, int]
"""Request and sample."""


def key_of(row: Mapping[str, Any]) -> CallKey | None:
    """The call that a row of `judgements` names."""
    return None if row["request"] is None or row["sample"] is None else (row["request"], row["sample"])


def judging_calls(store: Queryable, keys: Sequence[CallKey]) -> dict[CallKey, JudgingCall]:
    """These calls, as far as the log has them."""
    if not keys:
        return {}
    rows = store.rows(_CALLS, requests=sorted({request for request, _ in keys}))
    calls = {(row["request"], row["sample"]): JudgingCall(**row) for row in rows}
    return {key: calls[key] for key in keys if key in calls}


def why_none(row: Mapping[str, Any], calls: Mapping[CallKey, JudgingCall]) -> str:
    """Why no call can be shown for a row of `judgements`; empty where one can."""
    key = key_of(row)
    if key is None:
        return NO_LLM if row["run"] is None else NOT_SAID
    return "" if key in calls else NOT_LOGGED


_CALLS = """
SELECT request, sample, max(attempt) AS attempt, arg_max(prompt, attempt) AS prompt, arg_max(reply, attempt) AS reply
FROM (FROM llm_calls WHERE request IN (SELECT unnest($requests::VARCHAR[]))
      QUALIFY (status = 'ok') = max(status = 'ok') OVER (PARTITION BY request, sample))
GROUP BY request, sample
"""
