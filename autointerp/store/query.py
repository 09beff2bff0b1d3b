"""One statement with bound parameters in, an Arrow table out: the one way to read, for writer and reader.

SQL is never built from strings: values are bound by name (`$feature`), and only by name.
"""

from __future__ import annotations

from collections.abc import Mapping
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


def run_query(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
    """Runs one reading statement to its end. Raises StoreError, in one line, for whatever is wrong with it."""
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise StoreError(f"one SQL statement is run at a time; this has {len(statements)}")
        kind = statements[0].type.name
        if kind not in _READING:
            raise StoreError(f"{kind} is not run here: the store is only read (SELECT, FROM, WITH, PIVOT, EXPLAIN ...)")
        answer: pa.Table = connection.sql(sql, params=dict(parameters) or None).to_arrow_table()
        return answer
    except duckdb.Error as error:
        raise StoreError(f"SQL: {one_line(error)}") from error


# PIVOT comes as MULTI. Neither a name nor this list is what keeps the file from harm: the file is open
# read-only, and nothing outside it can be reached (`reader.py`).
_READING = frozenset({"SELECT", "EXPLAIN", "MULTI"})


def one_line(error: Exception) -> str:
    """DuckDB's message without its copy of the query and its advice."""
    text = str(error).split("\n\nLINE ")[0].split("\n\nPossible solutions")[0]
    return " ".join(text.split())
