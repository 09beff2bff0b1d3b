"""Work side by side on the cores of this machine: the arithmetic of torch and NumPy lets other threads run.

What comes out is the same with any number of threads: who does a piece decides nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Protocol, TypeVar, runtime_checkable

import torch

T = TypeVar("T")
S = TypeVar("S")


@runtime_checkable
class Threads(Protocol):
    """Who does it."""

    def ahead(self, items: Iterable[T]) -> Iterator[T]:
        """The items; each is made while its predecessor is in use."""
        ...

    def each(self, action: Callable[[S], T], of: Iterable[S]) -> Iterator[T]:
        """The action on each, in their order."""
        ...


class OneThread:
    """One thing after the other, in the thread that asks."""

    def ahead(self, items: Iterable[T]) -> Iterator[T]:
        return iter(items)

    def each(self, action: Callable[[S], T], of: Iterable[S]) -> Iterator[T]:
        return map(action, of)


class SeveralThreads:
    """As many at a time as the pool has threads."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def ahead(self, items: Iterable[T]) -> Iterator[T]:
        items = iter(items)
        coming = self._pool.submit(_next, items)
        while some := coming.result():
            coming = self._pool.submit(_next, items)
            yield from some

    def each(self, action: Callable[[S], T], of: Iterable[S]) -> Iterator[T]:
        return self._pool.map(action, of)


def _next(items: Iterator[T]) -> list[T]:
    """The next item; none where there is no more."""
    return list(islice(items, 1))


@contextmanager
def threads_of(device: torch.device) -> Iterator[Threads]:
    """As many threads as torch may take, each with arithmetic on one core; one thread where it may take one, and where
    the arithmetic is a GPU's."""
    n = torch.get_num_threads()
    if n == 1 or device.type != "cpu":
        yield OneThread()
        return
    pool = ThreadPoolExecutor(n, "pass-one", torch.set_num_threads, (1,))
    try:
        yield SeveralThreads(pool)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n)  # what the pool's threads said of themselves was heard by MKL for all
