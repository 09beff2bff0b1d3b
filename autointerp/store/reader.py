"""Reading a store: opened per request, read-only, locked down, and let go.

An open reader blocks the writer, and a writer blocks all readers (DuckDB's lock). So a reader lives as
long as one question; while a run holds the file it reads the run's snapshot, and says so.

Whatever SQL a user gives, nothing can be changed and no other file can be reached: the file is open
read-only, `enable_external_access` is off, and `lock_configuration` keeps it off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb
import pyarrow as pa

from autointerp.errors import StoreError
from autointerp.store.opening import MOST_SPILLED, StoreHeld, open_for_reading, snapshot_path
from autointerp.store.query import Queryable, brief_rows, fetch_interruptibly, one_line, run_query

Opened = TypeVar("Opened")


class StoreReader:
    """A store, open for reading. Made by `open_reader`."""

    def __init__(
        self,
        path: Path,
        connection: duckdb.DuckDBPyConnection,
        notice: str | None = None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        """`closed` is called once, when it is let go."""
        self.path = path
        self._closed = closed
        self.notice = notice
        """What the user should be told: that this is a snapshot, of when, and who holds the file."""
        self._connection = connection

    @property
    def snapshot(self) -> bool:
        """True where a run holds the store and this is the snapshot that it published."""
        return self.notice is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def query(self, sql: str, /, **parameters: Any) -> pa.Table:
        """Runs one reading statement; values are bound by name: `query("... = $feature", feature=7)`.

        Raises StoreError, in one line, for wrong SQL, several statements, and anything that would write.
        """
        return run_query(self._connection, sql, parameters, fetch_interruptibly)

    def rows(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """`query`, as dictionaries by column name."""
        return list(self.query(sql, **parameters).to_pylist())

    def first_rows(self, sql: str, most: int) -> pa.Table:
        """The first `most` rows of one reading statement; what stands behind them is not read. Raises StoreError as
        `query` does."""
        return run_query(self._connection, sql, {}, lambda _, relation: relation.limit(most).to_arrow_table())

    def brief(self) -> Queryable:
        """The same store for statements that read a few rows each: Ctrl-C is noticed between them, and no thread stands
        by for it."""
        return _Brief(self._connection)

    def filtered(
        self, view: str, condition: str, called: str, only: Mapping[str, str] | None = None, columns: Sequence[str] = ()
    ) -> pa.Table:
        """The rows of a table or view for which a condition of the user's holds: one boolean expression, which is all
        that DuckDB's `filter` takes. `only`: values that columns must have beside it; `columns`: those that are wanted,
        default all.

        Raises StoreError, in one line that begins with `called`, for anything else.
        """
        relation = self._connection.view(view)
        names = relation.columns
        for name, value in (only or {}).items():
            relation = relation.filter(duckdb.ColumnExpression(name) == duckdb.ConstantExpression(value))
        try:
            kept = relation.filter(condition)
            kind = str(relation.project(condition).types[0])
            if kind != "BOOLEAN":
                raise StoreError(f"{called} {condition}: this is a {kind}, and a condition is true or false")
            return fetch_interruptibly(self._connection, kept.select(*columns) if columns else kept)
        except duckdb.Error as error:
            raise StoreError(f"{called} {condition}: {one_line(error)}; columns: {', '.join(names)}") from error

    def close(self) -> None:
        """Lets go of the file. May be called twice."""
        self._connection.close()
        closed, self._closed = self._closed, lambda: None
        closed()


class _Brief:
    """Reads in the thread that asks, and hands rows out without an Arrow table between."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, sql: str, /, **parameters: Any) -> pa.Table:
        return run_query(self._connection, sql, parameters)

    def rows(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        return brief_rows(self._connection, sql, parameters)


SHARED: dict[str, Callable[[], StoreReader]] = {}
"""What opens a store's readers in this process, by absolute path, where they share one DuckDB (`shared_reader.py`):
DuckDB lets nobody else of the process open that file beside it."""


def open_reader(path: str | Path, spilled: str = MOST_SPILLED) -> StoreReader:
    """Opens a store for reading, or its snapshot where a run holds the store. `spilled`: what queries may write to
    temporary files; the readers of one process that are open at once agree on it.

    Raises StoreError where there is none, where it is newer than this version, or where the file is held
    and nothing has been published yet.
    """
    path = Path(path)
    if (shared := SHARED.get(os.path.abspath(path))) is not None:
        return shared()
    connection, notice = store_or_snapshot(path, partial(open_for_reading, spilled=spilled))
    return StoreReader(path, connection, notice)


def store_or_snapshot(path: Path, opened: Callable[[Path], Opened]) -> tuple[Opened, str | None]:
    """What `opened` makes of the store, or of its snapshot where a run holds the store; then with what is to be said.

    Raises StoreError as `opened` does, and where the file is held and nothing has been published yet.
    """
    for wait in _WAITS:
        try:
            return opened(path), None
        except StoreHeld as held:
            published = snapshot_path(path)
            if published.exists():
                moment = datetime.fromtimestamp(published.stat().st_mtime)
                holder = f"PID {held.pid}" if held.pid else "another process"
                notice = f'"{path}" is being written by {holder}; this is its snapshot of {moment:%Y-%m-%d %H:%M:%S}'
                return opened(published), notice
            if not wait:
                raise StoreHeld(f"{held}; it has published no snapshot yet", held.pid) from held
            time.sleep(wait)  # a writer that is closing takes its snapshot away before it lets go
    raise AssertionError("unreachable")


_WAITS = (0.1, 0.2, 0.4, 0.0)
"""Seconds between attempts at a file that is held and has no snapshot."""
