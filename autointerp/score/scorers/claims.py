"""Silent windows in which something claims that a feature fires: the sample's class E, as items of a judge.

A label that claims too much is wrong in windows that are silent and rare: of a feature that fires on one token in
10,000, hardly one silent window in 200 holds what the label wrongly claims. Drawn at random, none is asked about. So
the silent windows of the pool are parted by what claims them, and each part is drawn from by itself:
1. a claimant is a lookup: the triggers of an explanation, entries of a token table. It claims the windows in which one
   of its grams stands;
2. a silent window is of the rarest claimant that claims it, so that the short list of a label keeps windows of its own
   beside the hundreds of entries of a table; of none, it is of the rest. The commonest claimants beyond MOST_CELLS are
   one;
3. each part gets one window, and more by the square root of its size; of more than one, ALIKE are among the tenth of it
   that looks most like the windows in which the feature fires (`look_alikes.py`), for there a label claims too much;
4. windows come by smallest u, from a part or a tenth of N_h windows of the split n_h, and each stands for N_h / n_h.
   (ESTIMATOR.md, "The sample", points 3 to 5.)
A judge's answers, weighted so, say what it would be right about over the whole split.

Letters in shapes: W windows of the pool, L tokens of a window, C claimants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from autointerp.explain.lookup import Entries, match
from autointerp.explain.triggers import either
from autointerp.records import Bool, Float64, Int64, Windows
from autointerp.score.predictions import CLAIMED, REST
from autointerp.score.sampled import Candidates

MOST_CELLS = 5
"""Parts of the claimed windows, at most: each has at least one of the windows drawn."""
TENTH = 0.1
"""Of a claimed part, the look-alikes."""
ALIKE = 0.7
"""Share of what is drawn of a claimed part that is of its look-alikes."""
NOT_SILENT = -1
OF_REST = -2


@dataclass(frozen=True)
class Cells:
    """The silent windows of the pool, parted by their rarest claimant."""

    cell: Int64  # [W] number of the claimant in `claimants`; OF_REST, NOT_SILENT
    claimants: tuple[Entries, ...]  # the rarest first
    n_silent: float  # silent windows of the split

    def sizes(self) -> Float64:
        """Windows of the split in each cell, and in the rest behind them: [len(claimants) + 1]."""
        counts = [*(np.sum(self.cell == number) for number in range(len(self.claimants))), np.sum(self.cell == OF_REST)]
        shares = np.array(counts, dtype=np.float64)
        return np.asarray(shares * self.n_silent / max(shares.sum(), 1.0))


def cells_of(of: Candidates, claims: Sequence[Entries]) -> Cells:
    """Steps 1 and 2. Claimants that claim no silent window of their own are left out."""
    held = [of.silent & of.pool.holding(one.previous, one.token) for one in claims]
    order = sorted(range(len(claims)), key=lambda i: (int(held[i].sum()), i))
    groups = [[i] for i in order]
    cell = np.where(of.silent, OF_REST, NOT_SILENT)
    free = of.silent.copy()
    kept: list[list[int]] = []
    for group in groups:
        own = free & held[group[0]]
        if own.any():
            free &= ~own
            cell[own] = min(len(kept), MOST_CELLS - 1)
            if len(kept) < MOST_CELLS:
                kept.append(group)
            else:
                kept[-1] = [*kept[-1], *group]
    claimants = tuple(reduce(either, [claims[i] for i in group]) for group in kept)
    return Cells(cell, claimants, float(of.n_windows - of.n_firing_windows))


@dataclass(frozen=True)
class Standing:
    """Silent windows drawn to stand for others."""

    rows: Int64  # [n] of the pool
    cell: Int64  # [n]
    weight: Float64  # [n] windows of the split that each stands for

    @property
    def strata(self) -> tuple[str, ...]:
        """CLAIMED or REST, [n]."""
        return tuple(REST if cell == OF_REST else CLAIMED for cell in self.cell.tolist())


def draw_standing(cells: Cells, u: Float64, likeness: Float64, n_claimed: int, n_rest: int) -> Standing:
    """Steps 3 and 4: up to so many windows of the claimed cells together, and of the rest; `u` and `likeness` [W]."""
    sizes = cells.sizes()
    numbers = [*range(len(cells.claimants)), OF_REST]
    members = [np.flatnonzero(cells.cell == number) for number in numbers]
    quotas = [*shared_out([len(rows) for rows in members[:-1]], n_claimed), min(n_rest, len(members[-1]))]
    rows, cell, weight = [], [], []
    for number, own, quota, size in zip(numbers, members, quotas, sizes.tolist(), strict=True):
        parts = [(own, quota)] if number == OF_REST else _look_alikes_first(own, quota, likeness[own])
        for part, n in parts:
            rows.append(part[np.argsort(u[part], kind="stable")][:n])
            cell.append(np.full(n, number))
            weight.append(np.full(n, size * len(part) / max(len(own), 1) / max(n, 1)))
    return Standing(
        np.concatenate(rows).astype(np.int64), np.concatenate(cell).astype(np.int64), np.concatenate(weight)
    )


def shared_out(room: Sequence[int], n: int) -> list[int]:
    """One to each part, the first ones first, then each where the square root of its size is largest for what it would
    have; none gets more than it has room for."""
    taken = [1 if place < n and of else 0 for place, of in enumerate(room)]
    for _ in range(min(n, sum(room)) - sum(taken)):
        best = max((i for i, of in enumerate(room) if taken[i] < of), key=lambda i: room[i] ** 0.5 / (taken[i] + 1))
        taken[best] += 1
    return taken


def _look_alikes_first(own: Int64, n: int, likeness: Float64) -> list[tuple[Int64, int]]:
    """A claimed part in two, with how many are drawn of each; whole where there is one to draw."""
    if n < 2:
        return [(own, n)]
    n_alike = max(round(TENTH * len(own)), 1)
    order = np.argsort(-likeness, kind="stable")
    alike, others = np.sort(own[order[:n_alike]]), np.sort(own[order[n_alike:]])
    of_others = min(max(n - round(ALIKE * n), 1, n - len(alike)), len(others))
    return [(alike, n - of_others), (others, of_others)]


def claimed_places(entries: Entries, windows: Windows) -> Bool:
    """Where a claimant's grams stand at scored places: [n, L]."""
    return np.asarray((match(entries, windows.tokens, windows.previous) >= 0) & windows.scored, dtype=np.bool_)
