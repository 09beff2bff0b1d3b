"""What the SQL page shows: a statement, its rows, the schema, and questions to begin with.

The statement is the reader's. It runs in a process of its own (`sql_child.py`) with a time limit, on a file that is
open read-only and locked down (`store/reader.py`): it writes nothing, attaches nothing, and reaches no other file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.browse.ready_sql import quoted
from autointerp.errors import UserError
from autointerp.resources import folder
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader

MOST_ROWS = 10_000
MOST_SECONDS = 10.0
MOST_BYTES = 20_000_000
"""Of an answer as JSON."""
LONGEST = 20_000
"""Characters of a statement."""
AT_ONCE = 2
"""Statements that run at the same time; others wait their turn, as long as a statement may take."""
CHILD = "autointerp.browse.sql_child"
FIRST_QUESTIONS = Path(__file__).parent / "first_questions.sql"
"""Those of docs/SQL.md, about the dictionaries of the demo."""


@dataclass(frozen=True)
class SchemaColumn:
    """A column of a table or view."""

    name: str
    type: str
    comment: str | None


@dataclass(frozen=True)
class SchemaTable:
    """A table or view."""

    name: str
    view: bool
    comment: str | None
    columns: tuple[SchemaColumn, ...]


@dataclass(frozen=True)
class ReadyQuestion:
    """A question and the statement that answers it."""

    question: str
    sql: str


@dataclass(frozen=True)
class SqlAnswer:
    """The rows of a statement."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    """Arrow's."""
    rows: tuple[tuple[Any, ...], ...]
    """Values as JSON has them."""
    more: bool
    """Whether there are rows behind these MOST_ROWS."""
    seconds: float


@dataclass(frozen=True)
class SqlPage:
    """All of the page."""

    notice: str | None
    sql: str
    """As asked; empty: nothing was asked."""
    answer: SqlAnswer | None
    error: str | None
    """Why there are no rows."""
    most_rows: int
    most_seconds: float
    first: tuple[ReadyQuestion, ...]
    ready: tuple[ReadyQuestion, ...]
    """Those of analysis/."""
    schema: tuple[SchemaTable, ...]


def load_sql(store: StoreReader, sql: str, seconds: float = MOST_SECONDS) -> SqlPage:
    """Asks, where a statement is given. A wrong statement is an error on the page, no exception."""
    answer, error = None, None
    if sql.strip():
        try:
            answer = run_statement(store.path, sql, seconds)
        except UserError as wrong:
            error = str(wrong)
    return SqlPage(
        notice=store.notice,
        sql=sql,
        answer=answer,
        error=error,
        most_rows=MOST_ROWS,
        most_seconds=seconds,
        first=first_questions(store),
        ready=ready_questions(),
        schema=_schema(store),
    )


def run_statement(path: Path, sql: str, seconds: float = MOST_SECONDS) -> SqlAnswer:
    """The first MOST_ROWS rows of one reading statement. Raises UserError, in one line, where there are none."""
    if len(sql) > LONGEST:
        raise UserError(f"SQL: {len(sql):,} characters; {LONGEST:,} are read here, `autointerp sql` takes more")
    asked = {"store": str(path), "sql": sql, "most_rows": MOST_ROWS, "most_bytes": MOST_BYTES}
    begun = time.monotonic()
    told = _in_child(asked, seconds)
    rows = tuple(tuple(row) for row in told["rows"])
    return SqlAnswer(tuple(told["columns"]), tuple(told["types"]), rows, told["more"], time.monotonic() - begun)


def features_where(
    path: Path, condition: str, dictionary: str, explainer: str, seconds: float = MOST_SECONDS
) -> list[int]:
    """The features of a dictionary for which a condition over the columns of `explained_features` holds, as that
    explainer has them. Raises UserError, in one line, where it is none."""
    if len(condition) > LONGEST:
        raise UserError(f"where: {len(condition):,} characters; {LONGEST:,} are read here")
    asked = {"store": str(path), "condition": condition, "dictionary": dictionary, "explainer": explainer}
    told = _in_child({**asked, "most_rows": sys.maxsize, "most_bytes": MOST_BYTES}, seconds)
    return [row[0] for row in told["rows"]]


def _in_child(asked: dict[str, Any], seconds: float) -> dict[str, Any]:
    if not _TURNS.acquire(timeout=seconds):
        raise UserError(f"SQL: {AT_ONCE} other statements are running; ask again")
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module; the statement goes in as data
            [sys.executable, "-m", CHILD],
            input=json.dumps(asked),
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"SQL: it took longer than {seconds:g} s and was ended; ask for less, or use `autointerp sql`, "
            "which has no limit"
        ) from error
    finally:
        _TURNS.release()
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise UserError(f"SQL: the statement ended its process: {why[0]}") from error
    if "error" in told:
        raise UserError(told["error"])
    return told


_TURNS = threading.BoundedSemaphore(AT_ONCE)


def ready_questions() -> tuple[ReadyQuestion, ...]:
    """The files of analysis/; the comment on top of each is its question."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder("analysis").glob("*.sql"))]
    return tuple(ReadyQuestion(text.splitlines()[0].removeprefix("--").strip(), text.strip()) for text in texts)


def first_questions(store: Queryable) -> tuple[ReadyQuestion, ...]:
    """Those of docs/SQL.md; where the store is not the demo's, with a dictionary and a feature of this store."""
    texts = FIRST_QUESTIONS.read_text(encoding="utf-8").strip().split("\n\n")
    pairs = [text.removeprefix("-- ").split("\n", 1) for text in texts]
    known = store.rows(_EXAMPLE)
    if known:
        name, feature = known[0]["dictionary"], known[0]["feature"]
        pairs = [
            [
                said.replace("feature 5 of mlp-1k", f"feature {feature} of {name}"),
                sql.replace("'mlp-1k'", quoted(name)).replace("feature = 5", f"feature = {feature}"),
            ]
            for said, sql in pairs
        ]
    return tuple(ReadyQuestion(said, sql) for said, sql in pairs)


_EXAMPLE = """
SELECT f.dictionary, f.feature FROM features f JOIN dictionaries d USING (dictionary) WHERE f.status = 'alive'
ORDER BY NOT (f.dictionary = 'mlp-1k' AND f.feature = 5), d.kind NOT IN ('sae', 'transcoder'), f.dictionary, f.feature
LIMIT 1
"""


def _schema(store: Queryable) -> tuple[SchemaTable, ...]:
    columns: dict[str, list[SchemaColumn]] = {}
    for row in store.rows(_COLUMNS):
        columns.setdefault(row.pop("table"), []).append(SchemaColumn(**row))
    return tuple(SchemaTable(columns=tuple(columns.get(row["name"], ())), **row) for row in store.rows(_TABLES))


_TABLES = """
SELECT table_name AS name, false AS view, comment FROM duckdb_tables() WHERE NOT internal
UNION ALL SELECT view_name, true, comment FROM duckdb_views() WHERE NOT internal ORDER BY view DESC, name
"""

_COLUMNS = """
SELECT table_name AS table, column_name AS name, data_type AS type, comment FROM duckdb_columns() WHERE NOT internal
ORDER BY table_name, column_index
"""
