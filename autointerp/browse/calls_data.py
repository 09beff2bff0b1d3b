"""What calls of an LLM stand behind a feature's labels and judgements: a list of them, and one whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from autointerp.errors import StoreError
from autointerp.store.reader import StoreReader

MOST_CALLS = 500


@dataclass(frozen=True)
class ListedCall:
    """A row of the list."""

    request: str
    sample: int
    attempt: int
    kind: str
    about: dict[str, str]
    model: str
    status: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    called_at: datetime


@dataclass(frozen=True)
class CallsPage:
    """The calls about a feature, or about all."""

    notice: str | None
    dictionary: str
    feature: int | None
    explainer: str
    scorer: str
    n_calls: int
    cost_usd: float
    """Of those whose cost is known."""
    calls: tuple[ListedCall, ...]
    """The latest, MOST_CALLS at most."""


@dataclass(frozen=True)
class CallAttempt:
    """One attempt at a request: what came back and what it cost."""

    sample: int
    attempt: int
    kind: str
    about: dict[str, str]
    provider: str
    server: str
    model: str
    returned_model: str | None
    channel: str
    status: str
    reason: str
    http_status: int | None
    stop_reason: str | None
    reply: str | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    latency_ms: float
    called_at: datetime


@dataclass(frozen=True)
class CallPage:
    """A request with all attempts at it."""

    notice: str | None
    request: str
    prompt: str | None
    """The user's prompt."""
    shared: str
    """What the request shares with others, as JSON: the system prompt, the schema, the settings."""
    system: str
    """The part of it that is written for the model to read; empty where there is none."""
    attempts: tuple[CallAttempt, ...]


def load_calls(
    store: StoreReader, dictionary: str = "", feature: int | None = None, explainer: str = "", scorer: str = ""
) -> CallsPage:
    """The calls that are about these; empty: about any."""
    bound = {"dictionary": dictionary, "feature": feature, "explainer": explainer, "scorer": scorer}
    [counted] = store.rows(_ABOUT + _SUMS, **bound)
    rows = store.rows(_ABOUT + _LATEST, most=MOST_CALLS, **bound)
    calls = tuple(ListedCall(**{**row, "about": _about(row["about"])}) for row in rows)
    return CallsPage(store.notice, dictionary, feature, explainer, scorer, counted["n"], counted["usd"], calls)


def load_call(store: StoreReader, request: str) -> CallPage:
    """A request. Raises StoreError where the store has none of that name."""
    rows = store.rows(_ATTEMPTS, request=request)
    if not rows:
        raise StoreError(f'the store has no call "{request}"')
    shared = store.rows("SELECT text FROM llm_prefixes WHERE prefix = $prefix", prefix=rows[0].pop("prefix"))
    text = str(shared[0]["text"]) if shared else ""
    prompts = [row.pop("prompt") for row in rows]
    attempts = tuple(
        CallAttempt(**{name: row[name] for name in CallAttempt.__dataclass_fields__ if name != "about"},
                    about=_about(row["about"]))
        for row in rows
    )  # fmt: skip
    prompt = next((prompt for prompt in prompts if prompt is not None), None)
    return CallPage(store.notice, request, prompt, text, _system(text), attempts)


def _about(text: str | None) -> dict[str, str]:
    known = json.loads(text) if text else {}
    return {str(name): str(value) for name, value in known.items()} if isinstance(known, dict) else {}


def _system(shared: str) -> str:
    """The system prompt of either API: `system`, or a message of that role."""
    try:
        body = json.loads(shared)
    except json.JSONDecodeError:
        return ""
    texts: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            if value.get("role") in ("system", "developer") and value.get("content"):
                texts.append(_said(value["content"]))
            for name, inside in value.items():
                if name == "system" and inside:
                    texts.append(_said(inside))
                else:
                    look(inside)
        elif isinstance(value, list):
            for inside in value:
                look(inside)

    look(body)
    return "\n\n".join(texts)


def _said(content: object) -> str:
    if isinstance(content, list):
        return "\n\n".join(_said(part) for part in content)
    return str(content.get("text", "")) if isinstance(content, dict) else str(content)


_ABOUT = """
WITH asked AS (
    SELECT request, sample, attempt, kind, about, model, status, input_tokens, output_tokens, cost_usd, called_at
    FROM llm_calls
    WHERE ($dictionary = '' OR about ->> 'dictionary' = $dictionary)
          AND ($feature::INTEGER IS NULL OR (about ->> 'feature')::INTEGER = $feature)
          AND ($explainer = '' OR about ->> 'explainer' = $explainer)
          AND ($scorer = '' OR about ->> 'scorer' = $scorer)
)
"""

_SUMS = "SELECT count(*) AS n, coalesce(sum(cost_usd), 0) AS usd FROM asked"

_LATEST = "SELECT * FROM asked ORDER BY called_at DESC, request, sample, attempt DESC LIMIT $most"

_ATTEMPTS = "SELECT * FROM llm_calls WHERE request = $request ORDER BY sample, attempt"
