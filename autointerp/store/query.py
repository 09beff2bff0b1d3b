"""One statement with bound parameters in, an Arrow table out: the one way to read, for writer and reader.

SQL is never built from strings: values are bound by name (`$feature`), and only by name.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from autointerp.errors import StoreError


class Queryable(Protocol):
    """What a stage that only reads needs: a StoreWriter and a StoreReader both are one."""

    def query(self, sql: str, /, **parameters: Any) -> pa.Table:
        """The rows as an Arrow table."""

    def rows(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows as dictionaries by column name."""


def run_query(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Mapping[str, Any],
    fetch: Callable[[duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation], pa.Table] | None = None,
) -> pa.Table:
    """Runs one reading statement to its end. Raises StoreError, in one line, for whatever is wrong with it.

    `fetch` takes the rows; default: DuckDB, in one call.
    """
    try:
        reading_statement(connection, sql)
        relation = connection.sql(sql, params=dict(parameters) or None)
        with interruptible():
            answer: pa.Table = fetch(connection, relation) if fetch else relation.to_arrow_table()
        return answer
    except duckdb.Error as error:
        raise StoreError(f"SQL: {one_line(error)}") from error


def brief_rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of `run_query` as dictionaries by column name. For statements of a few rows: a relation is bound when it
    is made and again when it is run, which here takes as long as to read; this binds once."""
    try:
        statement = reading_statement(connection, sql)
        with interruptible():
            answer = connection.execute(statement, dict(parameters) or None)
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    except duckdb.Error as error:
        raise StoreError(f"SQL: {one_line(error)}") from error


def reading_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    """The one statement that the SQL is. Raises StoreError where it is another number, or would write.

    A page asks the same statements again and again, and to parse a long one takes as long as to answer it: the latest
    are kept. A statement is of no connection and is not changed where it is run.
    """
    with _parsing:
        if (known := _PARSED.pop(sql, None)) is None:
            known = _parse(connection, sql)
        if len(sql) <= _LONGEST_KEPT:
            _PARSED[sql] = known  # the latest stands last
            if len(_PARSED) > _MOST_KEPT:
                del _PARSED[next(iter(_PARSED))]
    return known


_PARSED: dict[str, duckdb.Statement] = {}
_MOST_KEPT, _LONGEST_KEPT = 256, 20_000
_parsing = threading.Lock()


def _parse(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise StoreError(f"one SQL statement is run at a time; this has {len(statements)}")
    kind = statements[0].type.name
    if kind not in _READING:
        raise StoreError(f"{kind} is not run here: the store is only read (SELECT, FROM, WITH, PIVOT, EXPLAIN ...)")
    return statements[0]


def fetch_interruptibly(connection: duckdb.DuckDBPyConnection, relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """All rows of a relation; Ctrl-C ends the query. For SQL of a user's: half a millisecond slower.

    DuckDB looks for signals between the rows that it hands out, not while it sorts before the first one. So the main
    thread, which alone is told of them, waits while another thread runs the query.
    """
    if threading.current_thread() is not threading.main_thread():
        rows: pa.Table = relation.to_arrow_table()
        return rows
    answer: Future[pa.Table] = Future()
    thread = threading.Thread(target=_settle, args=(answer, relation.to_arrow_table), name="query", daemon=True)
    thread.start()
    try:
        return answer.result()
    except KeyboardInterrupt:
        connection.interrupt()
        thread.join()
        raise


def _settle(answer: Future[pa.Table], work: Callable[[], pa.Table]) -> None:
    try:
        answer.set_result(work())
    except BaseException as error:
        answer.set_exception(error)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A signal that DuckDB noticed is KeyboardInterrupt again."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error


# PIVOT comes as MULTI. Neither a name nor this list is what keeps the file from harm: the file is open
# read-only, and nothing outside it can be reached (`reader.py`).
_READING = frozenset({"SELECT", "EXPLAIN", "MULTI"})


def one_line(error: Exception) -> str:
    """DuckDB's message without its copy of the query and its advice."""
    text = str(error).split("\n\nLINE ")[0].split("\n\nPossible solutions")[0]
    return " ".join(text.split())
