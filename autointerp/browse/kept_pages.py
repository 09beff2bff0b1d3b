"""Pages that were made already, of a store that nobody has written since: shown again they cost no question to it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from pathlib import Path

from autointerp.store.opening import snapshot_path

MOST_BYTES = 8_000_000
"""Of all pages that are kept; those asked for longest ago go first."""

MOMENT = 100_000_000
"""Nanoseconds: longer than the step by which a file system's clock goes."""

State = tuple[tuple[int, int, int] | None, ...]
Address = tuple[str, str]
"""What stands before the ? and behind it."""


def state_of(store: Path) -> State | None:
    """Of each file that a page may be read from: which file, how large, written when (ns); None for one that there is
    not. None in place of all: one was written a moment ago, and the next write may get the same time."""
    state = tuple(_state(path) for path in (store, store.with_name(store.name + ".wal"), snapshot_path(store)))
    newest = max((written for found in state if found is not None for written in found[2:]), default=0)
    return state if time.time_ns() - newest > MOMENT else None


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        file_stat = path.stat()
    except OSError:
        return None
    return file_stat.st_ino, file_stat.st_size, file_stat.st_mtime_ns


class KeptPages:
    """Pages by address, all of one state of the store; may be asked from any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._turn = threading.Lock()
        self._state: object = None
        self._pages: OrderedDict[Address, bytes] = OrderedDict()
        self._n_bytes = 0

    def find(self, state: object, address: Address) -> bytes | None:
        """The page as it was made of that state; None: it was not, or is kept no longer, or the state is unknown."""
        with self._turn:
            if state is None or state != self._state or address not in self._pages:
                return None
            self._pages.move_to_end(address)
            return self._pages[address]

    def keep(self, state: object, address: Address, page: bytes) -> None:
        """Keeps a page; `state` was seen before the page was read. Pages of another state are let go. Of a state that
        nobody can tell nothing is kept."""
        if state is None:
            return
        with self._turn:
            if state != self._state:
                self._pages.clear()
                self._state, self._n_bytes = state, 0
            self._n_bytes += len(page) - len(self._pages.pop(address, b""))
            self._pages[address] = page
            while self._n_bytes > self._most_bytes:
                self._n_bytes -= len(self._pages.popitem(last=False)[1])
