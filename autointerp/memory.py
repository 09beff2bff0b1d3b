"""Free memory back to the system.

glibc keeps what was freed between blocks that are still in use. Pass 1 makes and drops arrays of many sizes beside
tables that grow: without this, a process holds two to three times what it uses.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

SPARE = 192 << 20
"""Bytes that a process may have grown by before it gives back what is free. What a batch takes and drops the next takes
again, and a page that was given back costs a page fault."""


class _Heap:
    """Resident bytes when free memory was last given back, or less."""

    least = 0


def give_back() -> None:
    """Returns freed memory to the system, in milliseconds, where the process has grown by SPARE since the last time."""
    trim = _malloc_trim()
    if trim is None:
        return
    now = resident_bytes()
    if now - _Heap.least > SPARE:
        trim(0)
        now = resident_bytes()
        _Heap.least = now
    _Heap.least = min(_Heap.least, now)


def resident_bytes() -> int:
    """Bytes of memory that the process holds. Linux only."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """None where the C library has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl
        return None
    return trim
