"""The one writer. All rows of a store come in here, whole stages at a time.

Invariant: a piece of work is in `stages` if and only if all its rows are in the store, because both are
committed together. That is the whole of resuming: after a kill at any moment, `done` tells what is left.

Nothing is ever updated or deleted, and there are no indexes: the latest score is a view. Rows come as
Arrow tables that DuckDB reads in place (1.4 million exemplars a CPU second; `executemany` does 1,200).
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from autointerp.errors import AutointerpError
from autointerp.store.columns import TableColumn, to_table
from autointerp.store.opening import open_for_writing
from autointerp.store.query import brief_rows, interruptible, one_line, run_query
from autointerp.store.snapshot import copy_to_snapshot, remove_snapshot

BULK_MEMORY = "128MiB"
"""What DuckDB may hold of rows that come in bulk; 5 % slower than without a limit."""
ROW_GROUP = 122_880
"""DuckDB's: whole ones are written to the file at once, others a second time at the next checkpoint."""
WAITING_BYTES, WAITING_BYTES_IN_BULK = 1 << 20, 1 << 25
"""Rows of a table that take more wait no longer."""

Marks = dict[tuple[str, str], datetime]
"""Stage and work of what is done -> when."""


def _on_stderr(message: str) -> None:
    print(message, file=sys.stderr)


class StoreWriter:
    """The store of a running pipeline. One at a time: DuckDB's lock keeps every other process out.

    Any thread may call it; transactions and checkpoints take turns.
    """

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self._connection = connection
        self._turn = threading.RLock()
        self._in_transaction = False
        self._closed = False
        self._memory: str = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]
        self._limited_to = self._memory
        self._schema = _read_schema(connection)
        self._marks: Marks = {
            (stage, work): at
            for stage, work, at in connection.execute("SELECT stage, work, finished_at FROM stages").fetchall()
        }

    @classmethod
    def open(cls, path: str | Path, *, say: Callable[[str], None] = _on_stderr) -> StoreWriter:
        """Opens the store, or creates it. `say` is told, in a line, when a damaged log was set aside.

        Raises StoreError where the file is held, newer than this version, or no store.
        """
        path = Path(path)
        return cls(path, open_for_writing(path, say))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # While an exception is on its way, one of closing (a full disk, again) must not hide it.
        with contextlib.suppress(AutointerpError) if kind else contextlib.nullcontext():
            self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All that is appended inside is committed together at its end, or, on any exception, not at all."""
        with self._between_transactions():
            with self._explained():
                self._connection.execute("BEGIN TRANSACTION")
            self._in_transaction = True
            try:
                transaction = self._new_transaction()
                yield transaction
                transaction.insert_waiting()
                with self._explained():
                    self._connection.execute("COMMIT")
                self._marks |= transaction.marks
            except BaseException:
                with contextlib.suppress(duckdb.Error), interruptible():  # a failed commit has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._in_transaction = False
                self._limit_memory(self._memory)

    def append(self, table: str, columns: Mapping[str, Any]) -> int:
        """Appends rows to one table and commits them: a transaction of one statement takes half as long."""
        with self._between_transactions():
            transaction = self._new_transaction()
            n = transaction.append(table, columns)
            transaction.insert_waiting()
            return n

    def done(self, stage: str, work: str) -> bool:
        """Whether this piece of work has been committed."""
        sql = "SELECT count(*) AS n FROM stages WHERE stage = $stage AND work = $work"
        return bool(self.rows(sql, stage=stage, work=work)[0]["n"])

    def query(self, sql: str, /, **parameters: Any) -> pa.Table:
        """Reads what has been committed; a transaction's own rows are seen after it."""
        with contextlib.closing(self._connection.cursor()) as cursor:
            return run_query(cursor, sql, parameters)

    def rows(self, sql: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """The rows as dictionaries by column name. For some thousands at most: columns are `query`'s."""
        with contextlib.closing(self._connection.cursor()) as cursor:
            return brief_rows(cursor, sql, parameters)

    def checkpoint(self) -> None:
        """Brings the log into the file. For idle moments: commits wait meanwhile."""
        with self._between_transactions(), self._explained():
            self._connection.execute("CHECKPOINT")

    def publish_snapshot(self) -> Path:
        """Copies the whole store to PATH.snapshot, which readers open while this process holds the file.

        Between transactions only: bulk rows reach the file before their commit does.
        """
        with self._between_transactions():
            self.checkpoint()
            return copy_to_snapshot(self.path)

    def close(self) -> None:
        """Brings the log into the file, removes the snapshot and lets go of the file. May be called twice."""
        if self._closed:
            return
        with self._between_transactions():
            self._closed = True
            try:
                self.checkpoint()
                remove_snapshot(self.path)  # before letting go: the next writer's snapshot is its own
            finally:
                self._connection.close()

    @contextlib.contextmanager
    def _between_transactions(self) -> Iterator[None]:
        with self._turn:
            if self._in_transaction:
                raise RuntimeError("a transaction is open: commit it first, by leaving its `with` block")
            yield

    def _new_transaction(self) -> Transaction:
        return Transaction(self._connection, self._schema, self._explained, self._limit_memory, self._marks)

    def _limit_memory(self, limit: str) -> None:
        if limit != self._limited_to:
            with contextlib.suppress(duckdb.Error):  # more is held, and cannot be let go of now
                self._connection.execute(f"SET memory_limit = '{limit}'")
                self._limited_to = limit

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with interruptible():
                yield
        except duckdb.Error as error:
            raise AutointerpError(f'the store "{self.path}" could not be written: {one_line(error)}') from error


class Transaction:
    """Rows on their way in. Made by `StoreWriter.transaction`."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        schema: Mapping[str, tuple[TableColumn, ...]],
        explained: Callable[[], AbstractContextManager[None]],
        limit_memory: Callable[[str], None],
        committed: Marks,
    ) -> None:
        """`explained` makes DuckDB's errors ours; `limit_memory` says what it may hold until the transaction ends;
        `committed` is the work that is done before it."""
        self._connection, self._schema = connection, schema
        self._explained, self._limit_memory = explained, limit_memory
        self._waiting: dict[str, list[pa.Table]] = {}
        self._waiting_bytes = WAITING_BYTES
        self._committed = committed
        self._latest = max(committed.values(), default=None)
        self.marks: Marks = {}
        """The work that is done with this transaction."""

    def append(self, table: str, columns: Mapping[str, Any]) -> int:
        """Appends rows, given by column (see `columns.py`), and returns how many.

        Raises ValueError where table or columns are not the schema's.
        """
        rows = self._rows(table, columns)
        self._gather(table, rows)
        return int(rows.num_rows)

    def _rows(self, table: str, columns: Mapping[str, Any]) -> pa.Table:
        if table not in self._schema:
            raise ValueError(f"the schema has no table {table!r}; it has {', '.join(self._schema)}")
        return to_table(table, self._schema[table], columns)

    def _gather(self, table: str, rows: pa.Table) -> None:
        """Inserts of the rows of a table what is whole row groups, or all where it is much: a statement takes longer
        than some rows."""
        waiting = self._waiting.pop(table, [])
        if waiting and waiting[0].schema != rows.schema:  # offsets of 32 or of 64 bits
            self._insert(table, pa.concat_tables(waiting))
            waiting = []
        waiting = [*waiting, rows]
        n = sum(part.num_rows for part in waiting)
        if whole := n - n % ROW_GROUP:
            joined = pa.concat_tables(waiting)
            self._insert(table, joined.slice(0, whole).combine_chunks())
            waiting = [joined.slice(whole)]
        elif sum(part.nbytes for part in waiting) > self._waiting_bytes:
            self._insert(table, pa.concat_tables(waiting))
            waiting = []
        if waiting:
            self._waiting[table] = waiting

    def insert_waiting(self) -> None:
        """Inserts the rows that wait. Called before the commit."""
        for table, rows in self._waiting.items():
            self._insert(table, pa.concat_tables(rows))
        self._waiting = {}

    def _insert(self, table: str, rows: pa.Table) -> None:
        with self._explained():
            # Not by `register`: the dropped view, and with it the rows, would live on until the commit.
            self._connection.from_arrow(rows).insert_into(table)

    def in_bulk(self) -> None:
        """To the end of the transaction, rows wait for whole row groups, and DuckDB lets go of what is on disk.

        What a read holds in memory is limited by it too: no queries over many rows until then.
        """
        self._limit_memory(BULK_MEMORY)
        self._waiting_bytes = WAITING_BYTES_IN_BULK

    def mark_done(
        self,
        stage: str,
        work: str,
        dictionary: str | None,
        n_rows: int,
        seconds: float,
        explainer: str | None = None,
        scorer: str | None = None,
    ) -> None:
        """Says, in this same transaction, that a piece of work is done. Raises ValueError if it was before."""
        mark = stage, work
        if mark in self._committed or mark in self.marks:
            raise ValueError(f"stage {stage!r}, work {work!r} is done already; ask `done` first")
        now = datetime.now(UTC).replace(tzinfo=None)
        # "The latest score" is the one finished last: a clock that was set back must not change which.
        self._latest = now if self._latest is None else max(now, self._latest + _TICK)
        self.marks[mark] = self._latest
        columns = {
            "stage": stage,
            "work": work,
            "dictionary": dictionary,
            "explainer": explainer,
            "scorer": scorer,
            "n_rows": n_rows,
            "seconds": float(seconds),
            "finished_at": self._latest,
        }
        self.append("stages", columns)


_TICK = datetime.resolution


Declared = tuple[tuple[str, str, str, bool], ...]
"""Table, column, type and whether NULL may stand there, of all columns in order."""
_SCHEMAS: dict[Declared, dict[str, tuple[TableColumn, ...]]] = {}
"""As read before: asking each table takes as long as opening the file."""


def _read_schema(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[TableColumn, ...]]:
    """Columns of each table, in order, from the file itself; without those that are computed when they are read."""
    sql = """
        SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns()
        JOIN duckdb_tables() USING (table_oid, table_name)
        WHERE NOT duckdb_columns.internal AND column_default IS NULL -- a default is the expression of a computed column
        ORDER BY table_oid, column_index
    """
    declared: Declared = tuple(connection.execute(sql).fetchall())
    if declared not in _SCHEMAS:
        nullable = {(table, column): null for table, column, _, null in declared}
        schema: dict[str, tuple[TableColumn, ...]] = {}
        for table in dict.fromkeys(table for table, *_ in declared):
            types = connection.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema  # noqa: S608 - ours
            schema[table] = tuple(
                TableColumn(field.name, field.type, nullable[table, field.name])
                for field in types
                if (table, field.name) in nullable
            )
        _SCHEMAS[declared] = schema
    return _SCHEMAS[declared]
