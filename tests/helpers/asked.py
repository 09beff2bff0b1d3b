"""What tests of the LLM client share: how it is asked, and what the log then holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from autointerp.llm.asks import Answer, Ask

Run = Callable[..., list[Answer]]
Make = Callable[..., list[Ask]]


def rows(log: Any, sql: str = "SELECT * FROM llm_calls ORDER BY request, sample, attempt") -> list[dict[str, Any]]:
    return list(log.store.rows(sql))


def statuses(answers: list[Answer]) -> Counter[str]:
    return Counter(answer.status for answer in answers)
