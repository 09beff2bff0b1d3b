"""Scores as rows of `scores`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autointerp.records import Score

_SCORE = ("feature", "explainer", "scorer", "metric", "design", "value", "ci_low", "ci_high", "n", "n_failed", "status")


def score_columns(run: str, dictionary: str, scores: Sequence[Score]) -> dict[str, Any]:
    """Rows of `scores`; `run` is the work of stage score that computed them."""
    return {"run": run, "dictionary": dictionary} | {name: [getattr(one, name) for one in scores] for name in _SCORE}
