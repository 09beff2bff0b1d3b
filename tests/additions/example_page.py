"""A page: which explainer each scorer likes best, a line a dictionary. SQL -> dataclass -> rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from autointerp.show.layout import Column, sheet
from autointerp.store.query import Queryable

BEST = """
SELECT dictionary, arg_max(explainer, mean) AS explainer, max(mean) AS mean FROM dictionary_summary
WHERE NOT is_control AND starts_with(scorer, $scorer || ':') AND metric = $metric AND mean IS NOT NULL
GROUP BY dictionary ORDER BY dictionary
"""


@dataclass(frozen=True)
class Best:
    """A line of the page."""

    dictionary: str
    explainer: str
    mean: float


def load_best(store: Queryable, scorer: str, metric: str) -> list[Best]:
    """What the page shows."""
    return [Best(**row) for row in store.rows(BEST, scorer=scorer, metric=metric)]


def render_best(rows: Sequence[Best]) -> RenderableType:
    """From the records to the page."""
    return sheet(
        "best explainers",
        [
            Column("dictionary", [row.dictionary for row in rows], key=True),
            Column("explainer", [row.explainer for row in rows]),
            Column("mean", [f"{row.mean:.3f}" for row in rows], right=True),
        ],
    )
