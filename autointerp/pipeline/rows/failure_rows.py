"""Rows of `failures`: what could not be done, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def failure_rows(
    stage: str,
    dictionary: str,
    features: Sequence[int | None],
    explainer: str | Sequence[str] | None,
    scorers: Sequence[str | None] | None,
    statuses: Sequence[str],
    reasons: Sequence[str],
    again: int = 0,
) -> dict[str, Any]:
    """One row a failure: features, statuses and reasons side by side; `explainer` is that of all, or of each.

    `again` is the number of the request that the work was done for; 0: none.
    """
    return {
        "stage": stage,
        "dictionary": dictionary,
        "feature": list(features),
        "explainer": [explainer] * len(features)
        if explainer is None or isinstance(explainer, str)
        else list(explainer),
        "scorer": [None] * len(features) if scorers is None else list(scorers),
        "status": list(statuses),
        "reason": list(reasons),
        "again": again,
    }
