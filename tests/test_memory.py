"""Freed memory goes back to the system when much of it has come together, and not for a little."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from autointerp import memory

BLOCK = 100_000
"""Bytes; glibc takes blocks of this size from its heap and keeps them there when they are freed."""


@pytest.fixture(autouse=True)
def _returned_before() -> None:
    if not sys.platform.startswith("linux") or memory.malloc_trim() is None:
        pytest.skip("not glibc on Linux")
    memory.resident_after[0] = 0
    memory.give_back()


def _torn_heap(n: int) -> list[np.ndarray]:
    """Every tenth of n blocks: the others, between them, were freed."""
    blocks = [np.ones(BLOCK, np.uint8) for _ in range(n)]
    return blocks[::10]


def test_much_goes_back() -> None:
    before = memory.resident()
    n = int(2 * memory.KEPT_FOR_REUSE / BLOCK)
    still_used = _torn_heap(n)
    assert memory.resident() - before > 1.5 * memory.KEPT_FOR_REUSE
    memory.give_back()
    assert memory.resident() - before < 0.5 * memory.KEPT_FOR_REUSE
    assert sum(int(block[0]) for block in still_used) == n // 10


def test_a_little_stays_for_reuse() -> None:
    still_used = _torn_heap(int(0.5 * memory.KEPT_FOR_REUSE / BLOCK))
    held = memory.resident()
    memory.give_back()
    assert memory.resident() == pytest.approx(held, rel=0.01)
    assert len(still_used)
