"""How many features stand behind a mean, and how: counted once, when the mean is made, so that no page counts all
scores again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autointerp.pipeline.rows.stored_scores import About
from autointerp.store.query import Queryable

Counts = Mapping[str, int | float | None]
"""Columns of `dictionary_scores`."""


def read_counts(store: Queryable, run: str) -> dict[tuple[str, About], Counts]:
    """Of the scores that a piece of work gave, by explainer and by scorer, metric and design."""
    counts: dict[tuple[str, About], Counts] = {}
    for row in store.rows(_COUNTS, run=run):
        explainer, scorer, metric, design = (row.pop(name) for name in ("explainer", "scorer", "metric", "design"))
        counts[explainer, (scorer, metric, design)] = row
    return counts


def with_counts(rows: Sequence[dict[str, Any]], counts: Mapping[tuple[str, About], Counts]) -> list[dict[str, Any]]:
    """Rows of `dictionary_scores` with the counts of their scores."""
    return [{**row, **counts[row["explainer"], (row["scorer"], row["metric"], row["design"])]} for row in rows]


_COUNTS = """
SELECT explainer, scorer, metric, design, count(*) AS n_features, count(value) AS n_scored,
       count(*) FILTER (is_failure(status)) AS n_failed, count(*) FILTER (status = 'dead') AS n_dead,
       count(*) FILTER (status = 'rare') AS n_rare, median(value) AS median
FROM scores WHERE run = $run GROUP BY ALL
"""
