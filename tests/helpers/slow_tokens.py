"""How tokens are taken, one feature and one token at a time: the slow twin of `extract/free_tokens.py`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

Taken = tuple[list[int], list[int]]


def nearest_free(values: Sequence[float], tokens: Sequence[int], wanted: Sequence[float], own: Sequence[int]) -> Taken:
    """`tokens` by falling `values`; the promoted ones `own` with theirs, `wanted`."""
    free, names = list(values[::-1]), list(tokens[::-1])
    chosen, likes = list[int](), list[int]()
    order = sorted(range(len(own)), key=lambda i: -wanted[i])
    for i in (*order, *order):
        if not free:
            break
        at = bisect_left(free, wanted[i])
        if at == len(free) or (at > 0 and wanted[i] - free[at - 1] <= free[at] - wanted[i]):
            at -= 1
        likes.append(own[i])
        chosen.append(names.pop(at))
        free.pop(at)
    return chosen, likes


def first_free(near: np.ndarray, own: Sequence[int], is_far: np.ndarray) -> Taken:
    """`near` [n, m], `is_far` [n]."""
    taken = set(own)
    chosen, likes = list[int](), list[int]()
    for token in (*own, *own):
        for one in near[token].tolist():
            if is_far[one] and one not in taken:
                taken.add(one)
                chosen.append(one)
                likes.append(token)
                break
    return chosen, likes


def of_others(others: Sequence[int], promoted: np.ndarray, is_beyond: np.ndarray, most: int) -> Taken:
    """`promoted` [F, P], `is_beyond` [n]."""
    chosen: dict[int, int] = {}
    for other in others:
        for token in promoted[other].tolist():
            if is_beyond[token] and len(chosen) < most:
                chosen.setdefault(token, other)
    return list(chosen), list(chosen.values())
