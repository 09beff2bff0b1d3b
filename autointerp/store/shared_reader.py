"""Readers for a process that answers many questions about one store: DuckDB is started once, not for each of them.

The file is attached while somebody reads it and let go when nobody does: an attached file keeps a writer out, as an
open one does. Readers that overlap share it. Where they have overlapped for LONGEST seconds, a new one first waits a
moment for the file to be let go of, so that a writer gets its turn.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from autointerp.store.opening import attach_for_reading, start_reading
from autointerp.store.reader import SHARED, StoreReader, store_or_snapshot

if TYPE_CHECKING:
    import duckdb

LONGEST, MOMENT = 2.0, 0.2
"""Seconds."""
NAME = "store"
"""Under which the file is attached."""


class SharedReader:
    """Opens readers of one store, from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._duckdb: duckdb.DuckDBPyConnection | None = None
        self._turn = threading.Condition()
        self._n_open, self._since = 0, 0.0
        self._notice: str | None = None

    def open(self) -> StoreReader:
        """Raises StoreError as `open_reader` does."""
        with self._turn:
            if self._n_open and time.monotonic() - self._since > LONGEST:
                self._turn.wait(MOMENT)
            if self._duckdb is None:
                self._duckdb = start_reading(self.path)
                atexit.register(self._end)
            started = self._duckdb
            if not self._n_open:
                attach = partial(attach_for_reading, started, name=NAME)
                _, self._notice = store_or_snapshot(self.path, attach)
                self._since = time.monotonic()
            cursor = started.cursor()
            cursor.execute(f"USE {NAME}")
            self._n_open += 1
            return StoreReader(self.path, cursor, self._notice, self._let_go)

    def _end(self) -> None:
        """DuckDB complains of what is open when the process ends."""
        if self._duckdb is not None:
            self._duckdb.close()
            self._duckdb = None

    def _let_go(self) -> None:
        with self._turn:
            self._n_open -= 1
            if not self._n_open:
                assert self._duckdb is not None
                self._duckdb.execute(f"DETACH {NAME}")
                self._turn.notify_all()


def share_readers(path: Path) -> None:
    """From here on `open_reader` reads this store by one DuckDB, as long as the process lives."""
    SHARED.setdefault(os.path.abspath(path), SharedReader(path).open)
