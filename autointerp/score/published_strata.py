"""What the published samples are made of: random windows, windows to calibrate on, intervals and quantiles.

A window is (fires, number): the number of a kept firing window, or that of a window of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from autointerp.records import Float64, Int64
from autointerp.score import published
from autointerp.score.bills import N_RANDOM, N_TOP
from autointerp.score.sampling import FIRST_BIN, TOP

if TYPE_CHECKING:
    from autointerp.score.sampled import Candidates

N_QUANTILES = 10
"""delphi: firing windows by decile of their maximum."""
Member = tuple[bool, int]


def uniform_windows(feature: Candidates, order: Int64, spare: Sequence[int], n: int) -> Iterator[Member]:
    """Up to n windows in the pool's order, a firing one replaced by the next spare kept one: (fires, number)."""
    firing = iter(spare)
    for i in order.tolist():
        if n == 0:
            return
        if feature.silent[i]:
            yield False, i
            n -= 1
        elif (kept := next(firing, None)) is not None:
            yield True, kept
            n -= 1


def calibration_windows(
    feature: Candidates,
    by_u: Int64,
    random: Sequence[Member],
    out_of_context: Sequence[Member],
) -> list[Member]:
    """The windows that the calibrations of Bills et al. are fitted on: of document blocks, and so of documents, that
    none of the ten scored is of. Random ones from the far end of the pool: its near end was looked through for others.
    """
    tops = [i for i in np.argsort(feature.u, kind="stable").tolist() if feature.classes[i] == TOP]
    kept, pool = feature.kept.block, feature.pool.windows.block
    scored = [(True, i) for i in tops[:N_TOP]] + list(random[:N_RANDOM])
    blocks = np.unique([kept[i] if fires else pool[i] for fires, i in scored])
    used = [np.array([i for fires, i in (*random, *out_of_context) if fires == of], np.int64) for of in (False, True)]
    order = by_u[~np.isin(pool[by_u], blocks)][::-1]
    order = order[~np.isin(order, used[False])]
    rows = np.argsort(-feature.u, kind="stable")
    spare = rows[(feature.classes[rows] != TOP) & ~np.isin(rows, used[True]) & ~np.isin(kept[rows], blocks)].tolist()
    top = [(True, i) for i in tops[N_TOP:] if kept[i] not in blocks][:N_TOP]
    return top + list(uniform_windows(feature, order, spare, N_RANDOM))


def interval_share(feature: Candidates, maximum: float) -> Float64:
    """The share of the feature's firings in each interval of activation / maximum: those of the top windows as they
    are, those of the reservoir for all other firing windows."""
    reservoir = feature.classes >= FIRST_BIN
    n_others = feature.n_firing_windows - int((~reservoir).sum())
    weight = np.where(reservoir, n_others / max(int(reservoir.sum()), 1), 1.0)
    interval = published.activation_interval(feature.truth, maximum)
    of_token = np.broadcast_to(weight[:, None], interval.shape)
    fires = (interval >= 0) & feature.kept.scored
    counted = np.bincount(interval[fires], of_token[fires], minlength=published.N_INTERVALS)
    return np.asarray(counted / max(float(counted.sum()), np.finfo(np.float64).tiny), dtype=np.float64)


def quantiles(feature: Candidates) -> Int64:
    """The decile of each kept window's maximum, 0 the highest, among the kept windows that are a uniform sample of
    firing ones. As delphi cuts them: all of one size, and the lowest n mod 10 windows in none.
    """
    reservoir = feature.classes >= FIRST_BIN
    whole = len(feature.kept) >= feature.n_firing_windows
    reach = np.inf if whole else feature.u[reservoir].max(initial=-1.0)  # a top window of small u is one, too
    sample = np.flatnonzero(reservoir | (feature.u <= reach))
    rank = np.argsort(np.argsort(-feature.maximum[sample], kind="stable"), kind="stable")
    of = np.full(len(feature.kept), -1, dtype=np.int64)
    size = len(sample) // N_QUANTILES
    of[sample] = np.where(rank < size * N_QUANTILES, rank // max(size, 1), -1)
    return of
