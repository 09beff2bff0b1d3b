"""The items of detection and fuzzing: right and wrong ones that nothing but their content tells apart.

A judge that does not read must score at chance. So wrong items are made like the right ones, in pairs:
- detection: to a window that fires, a silent one of the shared pool with as many scored tokens and (as nearly as
  there is one) as many characters;
- fuzzing: to a window with its firing tokens marked, another window with the *same offsets* marked, where the
  marked tokens do not fire and are of the same class one by one. It is another firing window of the feature where one
  fits, else a silent one of the pool. Number, positions and classes of marks are thus the same on both sides, and so,
  as nearly as there is one, is how many of the marked tokens are repeats.
A window without a partner is left out with it, on both sides, and no window is used twice.

Beside the pairs stand silent windows that stand for others, so that answers can be weighed back to the corpus: some in
which something claims that the feature fires, most of these look-alikes of windows that do, and some of the rest
(`claims.py`). In fuzzing as many tokens are marked there as in some right item: claimed ones (the feature's own tokens
where they are silent, tokens of a label's kind), first those behind text like that before the feature's firings; then
tokens of the kinds that are marked in that right item. In every second window what any claimant claims counts: so a
short list keeps marks of its own, and a label that is wrong about another token of the window is asked about that too.
Right items stand for the firing windows, each third of these by strength apart (`STRENGTHS`): thirds of a uniform
sample.

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

from autointerp.explain.lookup import Entries
from autointerp.hashing import hash01, hash64, stream_key
from autointerp.records import Bool, Float64, Int64, Windows
from autointerp.score.look_alikes import LookAlikes
from autointerp.score.predictions import LEAST_ITEMS, STRENGTHS, Items
from autointerp.score.sampled import Candidates, join_windows, take
from autointerp.score.sampling import FIRST_BIN
from autointerp.score.scorers.claims import OF_REST, Cells, Standing, cells_of, claimed_places, draw_standing
from autointerp.score.scorers.silent_windows import Silent, TokenTraits, of_kinds, shown_length

N_ITEMS = (12, 20)
"""Items in pairs, drawn by hash: 16 on average, which gives a balanced accuracy a standard error of about .125."""
N_CLAIMED, N_REST = (10, 13), (3, 4)
"""Items that stand for silent windows, drawn by hash: claimed ones, and of the rest."""
SHARE = (0.25, 0.75)
"""Share of right items, drawn by hash."""
N_STRENGTHS = 10
"""Right windows are taken across deciles of their largest activation."""


def detection_items(
    of: Candidates,
    pool: Silent,
    traits: TokenTraits,
    seed: int,
    group: int | None = None,
    n_items: tuple[int, int] = N_ITEMS,
    claims: Sequence[Entries] | Cells | None = None,
) -> Items:
    """Windows that fire, and silent ones like them, `n_items` at least and at most; and silent ones that stand for
    others, where it is known what `claims` the feature, as it is or parted already (None: none of these)."""
    standing, _, _ = _standing("detection", of, claims, seed)
    free = of.silent.copy()
    free[standing.rows] = False
    length, n_scored = shown_length(of.kept, traits), of.kept.scored.sum(axis=1)
    right: list[int] = []
    wrong: list[int] = []
    for i in across_strengths(of)[: n_items[1]]:
        partner = pool.nearest(int(n_scored[i]), int(length[i]), free, of.pool_u)
        if partner is not None:
            free[partner] = False
            right.append(i)
            wrong.append(partner)
    wrong_windows = take(of.pool.windows, _ids(wrong))
    marks = np.zeros((2 * len(right), of.truth.shape[1]), dtype=np.bool_)
    pairs = _Pairs(_ids(right), wrong_windows, marks)
    beside = np.zeros((len(standing.rows), marks.shape[1]), dtype=np.bool_)
    return _shown("detection", of, pairs, standing, beside, seed, group, n_items)


def fuzzing_items(
    of: Candidates,
    pool: Silent,
    traits: TokenTraits,
    seed: int,
    group: int | None = None,
    claims: Sequence[Entries] | Cells | None = None,
) -> Items:
    """Windows with the firing tokens marked, and windows with others marked at the same offsets; and silent ones that
    stand for others, as in detection, with claimed tokens marked or such as are marked in right items."""
    standing, cells, look_alikes = _standing("fuzzing", of, claims, seed)
    fires = of.truth != 0
    kind = np.where(of.kept.scored, traits.kind[of.kept.tokens], -1)
    length, n_scored = shown_length(of.kept, traits), of.kept.scored.sum(axis=1)
    free_kept, free_pool = np.ones(len(of.kept), dtype=np.bool_), of.silent.copy()
    free_pool[standing.rows] = False
    right: list[int] = []
    wrong_kept: list[tuple[int, int]] = []
    wrong_pool: list[tuple[int, int]] = []
    for i in across_strengths(of):
        if len(right) >= N_ITEMS[1]:
            break
        if not free_kept[i]:
            continue
        at = np.flatnonzero(fires[i])
        free_kept[i] = False
        rows = of_kinds(np.flatnonzero(free_kept & (n_scored == n_scored[i])), kind, at, kind[i])
        if len(rows):
            rows = rows[~fires[rows[:, None], at].any(axis=1)]
        if len(rows):
            unlike = _unlike(of.kept.tokens, rows, at, of.kept.tokens[i])
            partner = _nearest(rows, length[rows] - length[i], of.u[rows], unlike)
            free_kept[partner] = False
            wrong_kept.append((len(right), partner))
        else:
            rows = pool.alike(int(n_scored[i]), at, kind[i])
            rows = rows[free_pool[rows]]
            if not len(rows):
                continue
            unlike = _unlike(pool.windows.tokens, rows, at, of.kept.tokens[i])
            partner = _nearest(rows, pool.length[rows] - length[i], of.pool_u[rows], unlike)
            free_pool[partner] = False
            wrong_pool.append((len(right), partner))
        right.append(i)
    wrong = join_windows(
        take(of.kept, _ids([row for _, row in wrong_kept])), take(of.pool.windows, _ids([row for _, row in wrong_pool]))
    )
    back = np.argsort(_ids([place for place, _ in wrong_kept + wrong_pool]), kind="stable")
    marked = fires[_ids(right)]
    pairs = _Pairs(_ids(right), take(wrong, back), np.concatenate([marked, marked]))
    beside = _marks_beside(of, pool, standing, cells, look_alikes, marked, kind[_ids(right)], seed)
    return _shown("fuzzing", of, pairs, standing, beside, seed, group)


def _standing(
    scorer: str, of: Candidates, claims: Sequence[Entries] | Cells | None, seed: int
) -> tuple[Standing, Cells | None, LookAlikes | None]:
    """Silent windows that stand for others, drawn before any partner is: at most half of those that there are."""
    if claims is None:
        none = np.zeros(0, dtype=np.int64)
        return Standing(none, none, np.zeros(0)), None, None
    cells = claims if isinstance(claims, Cells) else cells_of(of, claims)
    room = int(of.silent.sum()) // 2
    most = [_between(limits, scorer, name, of.feature, seed) for name, limits in _STANDING.items()]
    n_claimed, n_rest = (min(n, room * n // sum(most)) for n in most)
    # one at least of each part: a part of which none is drawn is stood for by nobody
    likeness = np.zeros(len(cells.cell))
    claimed = np.flatnonzero(cells.cell >= 0)
    look_alikes = of.look_alikes()
    likeness[claimed] = look_alikes.of_windows(take(of.pool.windows, claimed))
    standing = draw_standing(cells, of.pool_u, likeness, max(n_claimed, len(cells.claimants)), max(n_rest, 1))
    return standing, cells, look_alikes


_STANDING = {"claimed": N_CLAIMED, "rest": N_REST}


def _between(limits: tuple[int, int], scorer: str, what: str, feature: int, seed: int) -> int:
    return limits[0] + int(
        float(hash01(stream_key(seed, "items", scorer, what), feature)) * (limits[1] - limits[0] + 1)
    )


def _marks_beside(
    of: Candidates,
    pool: Silent,
    standing: Standing,
    cells: Cells | None,
    look_alikes: LookAlikes | None,
    marked: Bool,
    kinds: Int64,
    seed: int,
) -> Bool:
    """What is marked in the windows that stand for others, [n, L]. `marked` and `kinds` [R, L] of the right items."""
    marks = np.zeros((len(standing.rows), of.truth.shape[1]), dtype=np.bool_)
    if cells is None or look_alikes is None or not len(marked):
        return marks
    windows = take(of.pool.windows, standing.rows)
    place = hash64(
        stream_key(seed, "marks"), of.feature, windows.window[:, None], np.arange(marks.shape[1], dtype=np.int64)
    )
    like = hash64(stream_key(seed, "marks like"), of.feature, windows.window) % np.uint64(len(marked))
    claims = np.stack([claimed_places(claimant, windows) for claimant in cells.claimants] or [marks])
    before = look_alikes.before(windows)
    for row, (cell, model) in enumerate(zip(standing.cell.tolist(), like.astype(np.int64).tolist(), strict=True)):
        at = np.flatnonzero(marked[model])
        if cell != OF_REST:
            claimed = np.flatnonzero(claims[:, row].any(axis=0) if row % 2 else claims[cell, row])
            marks[row, claimed[np.lexsort((place[row, claimed], -before[row, claimed]))][: len(at)]] = True
        for offset in at[int(marks[row].sum()) :].tolist():
            free = windows.scored[row] & ~marks[row]
            alike = free & (pool.kind[standing.rows[row]] == kinds[model, offset])
            choice = np.flatnonzero(alike if alike.any() else free)
            marks[row, choice[np.argsort(place[row, choice], kind="stable")][:1]] = True
    return marks


@dataclass(frozen=True)
class _Pairs:
    """Right items and wrong ones made like them."""

    right: Int64  # [P] of the kept windows
    wrong: Windows  # [P]
    marks: Bool  # [2 P, L] of the right ones, then of the wrong ones


def _ids(rows: Sequence[int]) -> Int64:
    return np.array(rows, dtype=np.int64)


def uniform_rows(of: Candidates) -> Int64:
    """The kept windows that are a uniform sample of the firing ones: all of the reservoir, and of the top windows those
    that it would have held too."""
    reservoir = of.classes >= FIRST_BIN
    whole = len(of.kept) >= of.n_firing_windows
    reach = np.inf if whole else of.u[reservoir].max(initial=-1.0)
    return np.flatnonzero(reservoir | (of.u <= reach))


def across_strengths(of: Candidates) -> list[int]:
    """Kept windows by rising u, one of each decile of strength in turn; those of no uniform sample come last."""
    uniform = uniform_rows(of)
    rank = np.argsort(np.argsort(of.maximum[uniform], kind="stable"), kind="stable")
    decile = rank * N_STRENGTHS // max(len(uniform), 1)
    size = np.bincount(decile, minlength=N_STRENGTHS)
    turn = np.empty(len(uniform), dtype=np.int64)
    turn[np.lexsort((of.u[uniform], decile))] = np.arange(len(uniform)) - np.repeat(np.cumsum(size) - size, size)
    first = uniform[np.lexsort((of.u[uniform], turn))]
    left = np.ones(len(of.kept), dtype=np.bool_)
    left[uniform] = False
    others = np.flatnonzero(left)
    return [*first.tolist(), *others[np.argsort(of.u[others], kind="stable")].tolist()]


def strength_of(of: Candidates) -> tuple[Int64, Float64]:
    """Which third of the firing windows each kept window is of, by its maximum, [K] numbers of STRENGTHS; and the share
    of the firing windows in each, [3]: a third, but for windows of equal maxima."""
    ordered = np.sort(of.maximum[uniform_rows(of)])
    n = len(STRENGTHS)
    limits = [ordered[len(ordered) * part // n] for part in range(1, n)] if len(ordered) else []
    shares = np.bincount(np.searchsorted(limits, ordered, side="right"), minlength=n) / max(len(ordered), 1)
    return np.searchsorted(limits, of.maximum, side="right").astype(np.int64), shares


def _unlike(tokens: npt.NDArray[np.int32], rows: Int64, at: Int64, like: npt.NDArray[np.int32]) -> Bool | None:
    """Which rows of [W, L] tokens have another number of repeats at some offsets than [L]; None: one token has none."""
    if len(at) < 2:
        return None
    return np.asarray(_repeats(tokens[rows], at) != _repeats(like[None], at)[0], dtype=np.bool_)


def _repeats(tokens: npt.NDArray[np.int32], at: Int64) -> Int64:
    """How many of the tokens at some offsets stand there for the second time or more, of each window."""
    chosen = np.sort(tokens[:, at], axis=1)
    return np.asarray((np.diff(chosen, axis=1) == 0).sum(axis=1), dtype=np.int64)


def _nearest(rows: Int64, distance: Int64, u: Float64, unlike: Bool | None = None) -> int:
    """The one of the rows, one at least, at the smallest distance, of smallest u among these; unlike ones only where
    there is no other. All of these are of the rows."""
    near = np.abs(distance)
    if unlike is not None and not unlike.all():
        near = np.where(unlike, near.max() + 1, near)
    nearest = np.flatnonzero(near == near.min())
    return int(rows[nearest[np.argmin(u[nearest])]])


def _shown(
    kind: str,
    of: Candidates,
    pairs: _Pairs,
    standing: Standing,
    marks_beside: Bool,
    seed: int,
    group: int | None,
    limits: tuple[int, int] = N_ITEMS,
) -> Items:
    """Of the pairs so many of each side, and those that stand for others, in an order by hash."""
    key, feature, n_pairs = stream_key(seed, "items", kind), of.feature, len(pairs.right)
    own = take(of.kept, pairs.right)
    order = np.argsort(hash64(key, feature, own.window), kind="stable")
    of_size, of_share = (float(hash01(stream_key(seed, "items", kind, what), feature)) for what in ("size", "share"))
    n_items = min(limits[0] + int(of_size * (limits[1] - limits[0] + 1)), 2 * n_pairs)
    n_right = round(n_items * (SHARE[0] + of_share * (SHARE[1] - SHARE[0])))
    n_right = min(max(n_right, n_items - n_pairs, 0), n_pairs)
    n_beside = len(standing.rows)
    chosen = np.concatenate([order[:n_right], n_pairs + order[::-1][: n_items - n_right]])
    rows = np.concatenate([chosen, 2 * n_pairs + np.arange(n_beside)]).astype(np.int64)
    beside = take(of.pool.windows, standing.rows)
    windows = join_windows(join_windows(own, pairs.wrong), beside)
    marks = np.concatenate([pairs.marks, marks_beside])
    rows = rows[np.argsort(hash64(stream_key(seed, "order", kind), feature, windows.window[rows]), kind="stable")]
    if n_items < LEAST_ITEMS:
        rows = rows[:0]
    third, shares = strength_of(of)
    strength = third[pairs.right]
    strata = np.array([*(STRENGTHS[i] for i in strength.tolist()), *("wrong",) * n_pairs, *standing.strata])
    weight = np.concatenate([np.zeros(2 * n_pairs), standing.weight])
    weight[order[:n_right]] = _firing_weights(strength[order[:n_right]], shares, of.n_firing_windows)
    return Items(
        feature,
        take(windows, rows),
        rows < n_pairs,
        marks[rows],
        _groups(len(rows), group, key, feature),
        tuple(strata[rows].tolist()),
        weight[rows],
    )


def _firing_weights(strength: Int64, shares: Float64, n_firing: int) -> Float64:
    """Firing windows that each right item stands for: [n] thirds, [3] shares -> [n]. A third that has no right item is
    stood for by the others."""
    count = np.bincount(strength, minlength=len(STRENGTHS))
    total = float(shares[count > 0].sum()) or 1.0
    return np.asarray(n_firing * shares[strength] / total / count[strength], dtype=np.float64)


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
