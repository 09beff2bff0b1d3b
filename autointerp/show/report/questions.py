"""What the report asks of a store: statements with bound values, and their answers.

Each statement is a file of `sql/`; its first line says what it asks. It stands in the report with its values, so a
reader can ask the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.show.score_kind import ScoreKind
from autointerp.store.query import Queryable

FOLDER = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class QueryAnswer:
    """A statement, the values bound in it, and its rows."""

    name: str
    sql: str
    parameters: Mapping[str, Any]
    rows: list[dict[str, Any]]


def ask(store: Queryable, name: str, **parameters: Any) -> QueryAnswer:
    """The answer to the question of that name."""
    sql = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    return QueryAnswer(name, sql, parameters, store.rows(sql, **parameters))


def about(kind: ScoreKind) -> dict[str, str]:
    """The values that choose a kind of score."""
    return {"explainer": kind.explainer, "scorer": kind.scorer, "metric": kind.metric, "design": kind.design}
