"""The items of detection and fuzzing: right and wrong ones that nothing but their content tells apart.

A judge that does not read must score at chance. So wrong items are made like the right ones, in pairs:
- detection: to a window that fires, a silent one of the shared pool with as many scored tokens and (as nearly as
  there is one) as many characters;
- fuzzing: to a window with its firing tokens marked, another window with the *same offsets* marked, where the
  marked tokens do not fire and are of the same class one by one. It is another firing window of the feature where one
  fits, else a silent one of the pool. Number, positions and classes of marks are thus the same on both sides, and so,
  as nearly as there is one, is how many of the marked tokens are repeats.
A window without a partner is left out with it, on both sides, and no window is used twice.

Items shown together tell of each other: how many are right, and what the right ones have in common. So the number of
items and the share of right ones are drawn by hash (the right ones of some pairs, the wrong ones of others), their
order too; with `group = 1` every item is asked by itself. What a group gives away is measured by a judge that never
sees the explanation (`tests/score/test_items.py`).

Letters in shapes: W windows of the pool, L tokens of a window, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.explain.marking import escape
from autointerp.explain.token_text import kind_of
from autointerp.hashing import hash01, hash64, stream_key
from autointerp.records import Bool, Float64, Int64, Windows
from autointerp.score.predictions import LEAST_ITEMS, Items
from autointerp.score.sampled import Candidates, join_windows, take
from autointerp.score.sampling import TOP

N_ITEMS = (16, 24)
"""Items of a feature, drawn by hash: 20 on average, which gives its balanced accuracy a standard error of about .11."""
SHARE = (0.25, 0.75)
"""Share of right items, drawn by hash."""
LENGTHS = (1, 2, 4, 7)
"""Upper limits of what counts as about the same length of a token, characters."""
N_STRENGTHS = 10
"""Right windows are taken across deciles of their largest activation."""


@dataclass(frozen=True)
class TokenTraits:
    """What a judge that does not read can see of each token of the vocabulary."""

    length: Int64  # [V] characters as shown
    kind: Int64  # [V] class: a kind of sign, the beginning of a word or the rest of one; and about how long it is


def token_traits(vocab: Sequence[str]) -> TokenTraits:
    """Of each token by id."""
    names: dict[tuple[str, int], int] = {}
    lengths, kinds = [], []
    for text in vocab:
        length = len(escape(text))
        kind = kind_of(text) or ("word" if text[:1] == " " else "part")
        lengths.append(length)
        kinds.append(names.setdefault((kind, sum(length > limit for limit in LENGTHS)), len(names)))
    return TokenTraits(np.array(lengths, dtype=np.int64), np.array(kinds, dtype=np.int64))


class Silent:
    """The pool by number of scored tokens and length, so that a partner is found at once."""

    def __init__(self, windows: Windows, traits: TokenTraits) -> None:
        self.windows = windows
        self.n_scored = windows.scored.sum(axis=1)
        self.length = shown_length(windows, traits)
        self.kind = np.where(windows.scored, traits.kind[windows.tokens], -1)


def shown_length(windows: Windows, traits: TokenTraits) -> Int64:
    """Characters of each window's scored tokens as shown."""
    return np.asarray((traits.length[windows.tokens] * windows.scored).sum(axis=1), dtype=np.int64)


def detection_items(
    of: Candidates,
    pool: Silent,
    traits: TokenTraits,
    seed: int,
    group: int | None = None,
    n_items: tuple[int, int] = N_ITEMS,
) -> Items:
    """Windows that fire, and silent ones like them; `n_items` at least and at most."""
    free = of.silent.copy()
    length, n_scored = shown_length(of.kept, traits), of.kept.scored.sum(axis=1)
    right: list[int] = []
    wrong: list[int] = []
    for i in _across_strengths(of)[: n_items[1]]:
        rows = np.flatnonzero(free & (pool.n_scored == n_scored[i]))
        partner = _nearest(rows, pool.length[rows] - length[i], of.pool_u[rows])
        if partner is not None:
            free[partner] = False
            right.append(i)
            wrong.append(partner)
    windows = join_windows(take(of.kept, _ids(right)), take(of.pool.windows, _ids(wrong)))
    marks = np.zeros((len(windows), windows.tokens.shape[1]), dtype=np.bool_)
    return _shown("detection", of.feature, windows, marks, len(right), seed, group, n_items)


def fuzzing_items(of: Candidates, pool: Silent, traits: TokenTraits, seed: int, group: int | None = None) -> Items:
    """Windows with the firing tokens marked, and windows with others marked at the same offsets."""
    fires = of.truth != 0
    kind = np.where(of.kept.scored, traits.kind[of.kept.tokens], -1)
    length, n_scored = shown_length(of.kept, traits), of.kept.scored.sum(axis=1)
    free_kept, free_pool = np.ones(len(of.kept), dtype=np.bool_), of.silent.copy()
    right: list[int] = []
    wrong_kept: list[tuple[int, int]] = []
    wrong_pool: list[tuple[int, int]] = []
    marked: list[Bool] = []
    for i in _across_strengths(of):
        if len(right) >= N_ITEMS[1]:
            break
        if not free_kept[i]:
            continue
        at = np.flatnonzero(fires[i])
        free_kept[i] = False
        rows = _alike(np.flatnonzero(free_kept & (n_scored == n_scored[i])), kind, at, kind[i])
        rows = rows[~fires[np.ix_(rows, at)].any(axis=1)]
        repeats = _repeats(of.kept.tokens[i : i + 1], at)[0]
        unlike = _repeats(of.kept.tokens[rows], at) != repeats
        partner = _nearest(rows, length[rows] - length[i], of.u[rows], unlike)
        if partner is not None:
            free_kept[partner] = False
            wrong_kept.append((len(right), partner))
        else:
            rows = _alike(np.flatnonzero(free_pool & (pool.n_scored == n_scored[i])), pool.kind, at, kind[i])
            unlike = _repeats(pool.windows.tokens[rows], at) != repeats
            partner = _nearest(rows, pool.length[rows] - length[i], of.pool_u[rows], unlike)
            if partner is None:
                continue
            free_pool[partner] = False
            wrong_pool.append((len(right), partner))
        right.append(i)
        marked.append(fires[i])
    wrong = join_windows(
        take(of.kept, _ids([row for _, row in wrong_kept])), take(of.pool.windows, _ids([row for _, row in wrong_pool]))
    )
    back = np.argsort(_ids([place for place, _ in wrong_kept + wrong_pool]), kind="stable")
    windows = join_windows(take(of.kept, _ids(right)), take(wrong, back))
    marks = np.array([*marked, *marked], dtype=np.bool_).reshape(len(windows), of.truth.shape[1])
    return _shown("fuzzing", of.feature, windows, marks, len(right), seed, group)


def _ids(rows: Sequence[int]) -> Int64:
    return np.array(rows, dtype=np.int64)


def _across_strengths(of: Candidates) -> list[int]:
    """Kept windows by rising u, one of each decile of strength in turn; the top ones, no uniform sample, come last."""
    uniform = np.flatnonzero(of.classes != TOP)
    rank = np.argsort(np.argsort(of.maximum[uniform], kind="stable"), kind="stable")
    decile = rank * N_STRENGTHS // max(len(uniform), 1)
    turn = np.zeros(len(uniform), dtype=np.int64)
    for part in range(N_STRENGTHS):
        own = np.flatnonzero(decile == part)
        turn[own[np.argsort(of.u[uniform[own]], kind="stable")]] = np.arange(len(own))
    first = uniform[np.lexsort((of.u[uniform], turn))]
    top = np.flatnonzero(of.classes == TOP)
    return [*first.tolist(), *top[np.argsort(of.u[top], kind="stable")].tolist()]


def _repeats(tokens: npt.NDArray[np.int32], at: Int64) -> Int64:
    """How many of the tokens at some offsets stand there for the second time or more, of each window."""
    chosen = np.sort(tokens[:, at], axis=1)
    return np.asarray((np.diff(chosen, axis=1) == 0).sum(axis=1), dtype=np.int64)


def _alike(rows: Int64, kinds: Int64, at: Int64, like: Int64) -> Int64:
    """Those of the rows of [W, L] kinds that are like [L] at some offsets: one after the other, for few are left
    soon."""
    for offset in at.tolist():
        rows = rows[kinds[rows, offset] == like[offset]]
    return rows


def _nearest(rows: Int64, distance: Int64, u: Float64, unlike: Bool | None = None) -> int | None:
    """The one of the rows at the smallest distance, of smallest u among these; unlike ones only where there is no
    other. All of these are of the rows."""
    if len(rows) == 0:
        return None
    near = np.abs(distance)
    if unlike is not None and not unlike.all():
        near = np.where(unlike, near.max() + 1, near)
    nearest = np.flatnonzero(near == near.min())
    return int(rows[nearest[np.argmin(u[nearest])]])


def _shown(
    kind: str,
    feature: int,
    windows: Windows,
    marks: Bool,
    n_pairs: int,
    seed: int,
    group: int | None,
    limits: tuple[int, int] = N_ITEMS,
) -> Items:
    """Of the pairs (right ones first, wrong ones behind) so many of each, in an order by hash."""
    key = stream_key(seed, "items", kind)
    order = np.argsort(hash64(key, feature, windows.window[:n_pairs]), kind="stable")
    of_size, of_share = (float(hash01(stream_key(seed, "items", kind, what), feature)) for what in ("size", "share"))
    n_items = min(limits[0] + int(of_size * (limits[1] - limits[0] + 1)), 2 * n_pairs)
    n_right = round(n_items * (SHARE[0] + of_share * (SHARE[1] - SHARE[0])))
    n_right = min(max(n_right, n_items - n_pairs, 0), n_pairs)
    rows = np.concatenate([order[:n_right], n_pairs + order[::-1][: n_items - n_right]]).astype(np.int64)
    rows = rows[np.argsort(hash64(stream_key(seed, "order", kind), feature, windows.window[rows]), kind="stable")]
    if len(rows) < LEAST_ITEMS:
        rows = rows[:0]
    return Items(feature, take(windows, rows), rows < n_pairs, marks[rows], _groups(len(rows), group, key, feature))


def _groups(n: int, most: int | None, key: int, feature: int) -> tuple[int, ...]:
    """Sizes by hash, from half of `most` to all of it; None: one group of all."""
    if n == 0:
        return ()
    if most is None or most >= n:
        return (n,)
    sizes: list[int] = []
    while sum(sizes) < n:
        least = (most + 1) // 2
        size = least + int(float(hash01(key, feature, len(sizes))) * (most - least + 1))
        sizes.append(min(size, n - sum(sizes)))
    return tuple(sizes)
