"""Free memory back to the system.

glibc keeps what was freed between blocks that are still in use. Pass 1 makes and drops arrays of many sizes beside
tables that grow: without this, a process holds two to three times what it uses.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from functools import cache

KEPT_FOR_REUSE = 96e6
"""Bytes that a process may hold above what was left by the last return, before more is returned."""
resident_after = [0]
"""Bytes resident after the last return."""


def give_back() -> None:
    """Returns freed memory to the system where much has come together since the last time.

    A return takes milliseconds, and what is used again costs a page fault a page: with one after each piece of work,
    a sixth of pass 1's time went there.
    """
    trim = malloc_trim()
    if trim is not None and resident() - resident_after[0] > KEPT_FOR_REUSE:
        trim(0)
        resident_after[0] = resident()


def resident() -> int:
    """Bytes of this process that are in memory, on Linux."""
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * mmap.PAGESIZE


@cache
def malloc_trim() -> Callable[[int], int] | None:
    """None where the C library has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl
        return None
    return trim
