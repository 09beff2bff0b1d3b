"""Which token each promoted one takes of those that are still free, for many features at once.

A feature's own tokens choose one after the other, twice over, and what one has taken is free for no other: in this
order all features take a step together. `tests/helpers/slow_tokens.py` has the same, one feature at a time.

Letters in shapes: C features, P promoted tokens of each, k candidates by rising value, n tokens, m near ones of each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.records import Bool, Float32, Float64, Int64

Taken = tuple[list[Int64], list[Int64]]
"""Of each feature the tokens that were taken, in order; and who took each."""


def nearest_free(values: Float32 | Float64, tokens: Int64, wanted: Float32 | Float64, own: Int64) -> Taken:
    """Each promoted token, the one of largest value first, takes the free token of the nearest value, the lower one of
    two that are as near.

    `values` [C, k] fall, -inf where there is no candidate any more, and `tokens` [C, k] have them; `own` [C, P] are the
    promoted tokens, `wanted` [C, P] their values.
    """
    n_features, n = values.shape
    rows = np.arange(n_features)
    rising, names = np.full((n_features, n + 1), np.inf), tokens[:, ::-1]
    rising[:, :n] = values[:, ::-1]
    goal = wanted.astype(np.float64)
    least = n - np.isfinite(values).sum(axis=1)  # before it there are no candidates
    place = np.stack([np.searchsorted(row, goals) for row, goals in zip(rising[:, :n], goal, strict=True)])
    # where a free one may stand at or above each place, and below it: what is taken points on
    above, below = (np.tile(np.arange(n + 1), (n_features, 1)) for _ in range(2))
    order = np.argsort(-goal, axis=1, kind="stable")
    chosen: list[Int64] = []
    likes: list[Int64] = []
    for turn in np.concatenate([order, order], axis=1).T:
        at = np.maximum(place[rows, turn], least)
        right, left = _follow(above, rows, at), _follow(below, rows, at) - 1  # `below` is one further to the right
        none = left < least
        up, down = rising[rows, right] - goal[rows, turn], goal[rows, turn] - rising[rows, np.maximum(left, 0)]
        pick = np.where((right == n) | (~none & (down <= up)), left, right)
        gone = none & (right == n)
        some = np.flatnonzero(~gone)
        taken = pick[some]
        above[some, taken] = above[some, taken + 1]
        below[some, taken + 1] = below[some, taken]
        chosen.append(np.where(gone, -1, names[rows, np.where(gone, 0, pick)]))
        likes.append(own[rows, turn])
    return _without_none(chosen, likes)


def _follow(next_one: Int64, rows: Int64, at: Int64) -> Int64:
    """Where the pointers of each row lead to from a place; they are shortened on the way."""
    end = at
    while True:
        further = next_one[rows, end]
        if (further == end).all():
            next_one[rows, at] = end
            return np.asarray(end, dtype=np.int64)
        end = further


def first_free(near: Int64, own: Int64, is_far: Bool) -> Taken:
    """Each promoted token in turn takes the first of the tokens `near` it [n, m] that is far [C, n] and free; `own`
    [C, P]."""
    n_features = len(own)
    rows = np.arange(n_features)
    candidates = near[own]  # [C, P, m]
    free = is_far.copy()
    free[rows[:, None], own] = False
    chosen: list[Int64] = []
    likes: list[Int64] = []
    for turn in (*range(own.shape[1]), *range(own.shape[1])):
        mine = candidates[:, turn]
        open_ones = free[rows[:, None], mine]
        some = open_ones.any(axis=1) if mine.shape[1] else np.zeros(n_features, dtype=np.bool_)
        choice = mine[rows, open_ones.argmax(axis=1)] if mine.shape[1] else np.zeros(n_features, dtype=np.int64)
        free[rows[some], choice[some]] = False
        chosen.append(np.where(some, choice, -1))
        likes.append(own[:, turn])
    return _without_none(chosen, likes)


def of_others(others: Sequence[Sequence[int]], promoted: Int64, is_beyond: Bool, most: int) -> Taken:
    """Of each feature the tokens that its `others` promote, those beyond its own, the first `most`: the others in
    order, `promoted` [F, P] of each in order; each token once. Taken by: the feature that promotes it."""
    width = max(map(len, others), default=0)
    table = np.full((len(others), width), -1, dtype=np.int64)
    for row, numbers in zip(table, others, strict=True):
        row[: len(numbers)] = numbers
    rows = np.arange(len(others))[:, None]
    token = promoted[table].reshape(len(others), -1)
    of = np.repeat(table, promoted.shape[1], axis=1)
    token = np.where((of >= 0) & is_beyond[rows, token], token, -1)
    order = np.argsort(token, axis=1, kind="stable")
    ordered = token[rows, order]
    first = np.empty(token.shape, dtype=np.bool_)
    first[rows, order] = (np.diff(ordered, axis=1, prepend=-1) != 0) & (ordered >= 0)
    first &= np.cumsum(first, axis=1) <= most
    return (
        [of_feature[mine] for of_feature, mine in zip(token, first, strict=True)],
        [of_feature[mine] for of_feature, mine in zip(of, first, strict=True)],
    )


def _without_none(chosen: Sequence[Int64], likes: Sequence[Int64]) -> Taken:
    """Step after step, [C] each, as one list a feature; -1: nothing was left to take."""
    if not chosen:
        return [], []
    tokens, by = np.stack(chosen, axis=1), np.stack(likes, axis=1)
    return (
        [row[row >= 0] for row in tokens],
        [who[row >= 0] for row, who in zip(tokens, by, strict=True)],
    )
