"""Scores as rows of `scores`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.score.scores import ScoreTable

_WORDS = ("explainer", "scorer", "metric", "design")
_NUMBERS = ("value", "ci_low", "ci_high", "n", "n_failed")


def score_columns(run: str, dictionary: str, scores: Sequence[ScoreTable]) -> dict[str, Any]:
    """Rows of `scores`; `run` is the work of stage score that computed them."""
    tables = [table for table in scores if len(table.features)]
    status = np.concatenate([np.zeros(0, dtype=object), *(table.measured.status for table in tables)])
    columns: dict[str, Any] = {"run": run, "dictionary": dictionary}
    columns["feature"] = np.concatenate([np.zeros(0, np.int64), *(table.features for table in tables)]).astype(np.int32)
    for name in _WORDS:
        words = [pa.repeat(pa.scalar(getattr(table, name)), len(table.features)) for table in tables]
        columns[name] = pa.chunked_array(words, type=pa.string())
    for name in _NUMBERS:
        columns[name] = np.concatenate([np.zeros(0), *(getattr(table.measured, name) for table in tables)])
    return columns | {
        "n": columns["n"].astype(np.int64),
        "n_failed": columns["n_failed"].astype(np.int64),
        "status": pa.array(status.tolist(), type=pa.string()),
    }
