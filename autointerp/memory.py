"""Free memory back to the system.

glibc keeps what was freed between blocks that are still in use. Pass 1 makes and drops arrays of many sizes beside
tables that grow: without this, a process holds two to three times what it uses.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Returns freed memory to the system; milliseconds, but what is used again then costs a page fault a page."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


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
