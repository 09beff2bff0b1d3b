"""How many windows of each class are drawn.

1. A base: 32 firing windows (6 of T; 3, 4, 5, 6, 8 of F1 to F5), 18 of E, 4 of M, 6 of R.
2. E's windows are shared out equally among the lists that have any of its windows, at least LEAST_OF_LIST for each:
   with five lists or more E grows, and nothing else shrinks.
3. Half of what T, F and E have by then is moved to where it helps most (Neyman 1934): in proportion to N_h x s_h, the
   windows of a class times the spread within it of what a window adds to the correlation of a cheap simulator with
   the truth. It is known of all windows kept, before any is drawn. With several lists, each a cheap simulator, the
   proportions are averaged. M and R, where cheap simulators are silent by definition, keep what they have.
4. A short class passes its quota on.
5. A list of a later wave (its explainer came when others had been judged) has LEAST_OF_LIST windows of its own; of
   every other class as many are drawn as before, where it has them still.

By simulation (`tests/slow/test_estimator_table.py`) step 3 takes the root mean squared error of `pearson_framed` down;
the table in docs/ESTIMATOR.md says how far.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autointerp.score.class_names import FIRING, LISTS, REST, TOKEN, silent_classes

IntArray = npt.NDArray[np.int64]

QUOTAS_60 = (6, 3, 4, 5, 6, 8, 18, 4, 6)
"""32 firing (6 of T; 3, 4, 5, 6, 8 of F1 to F5), 18 of E, 4 of M, 6 of R."""
QUOTAS_100 = (8, 4, 5, 6, 8, 9, 40, 8, 12)
"""40 firing (8 of T; 4, 5, 6, 8, 9 of F1 to F5: the split of 60 scaled by 1.25), 40 of E, 8 of M, 12 of R."""
LEAST_OF_LIST = 4
"""Windows of each list before half of them is moved: two are sure to stay."""
MOVED = 0.5
"""Share of the windows of T, F and E that is placed by Neyman's rule."""


def shared_out(quotas: Sequence[int], n_lists: int, n_classes: int) -> IntArray:
    """Step 2: quotas for 9 classes as quotas for `n_classes`, E's equally among `n_lists`; the first get the rest."""
    out = np.zeros(n_classes, dtype=np.int64)
    out[: len(quotas)] = quotas
    if n_lists > 1:
        listed = max(int(quotas[LISTS[0]]), LEAST_OF_LIST * n_lists)
        each, more = divmod(listed, n_lists)
        out[list(LISTS[:n_lists])] = each + (np.arange(n_lists) < more)
    return out


def with_later_lists(drawn: npt.ArrayLike, n_earlier: int, n_lists: int) -> IntArray:
    """Step 5: the numbers drawn for `n_earlier` lists [H], with those of the lists from there up to `n_lists`."""
    out = np.array(drawn, dtype=np.int64)
    out[list(LISTS[n_earlier:n_lists])] = LEAST_OF_LIST
    return out


def half_neyman(quotas: npt.ArrayLike, leverage: npt.ArrayLike, available: npt.ArrayLike) -> IntArray:
    """Step 3: quotas [H], N_h x s_h of each cheap simulator [k, H], candidates [H] -> quotas of the same sum [H].

    A simulator whose leverage is 0 everywhere has no say; where none has one, the quotas stay. No class is given more
    than it has, unless all have what they can hold. Fractions are settled by largest remainder, earlier classes first.
    """
    base = np.asarray(quotas, dtype=np.int64)
    room = np.asarray(available, dtype=np.float64)
    weight = np.array(leverage, dtype=np.float64).reshape(-1, base.size)
    fixed = np.zeros(base.size, dtype=np.bool_)
    fixed[[TOKEN, REST]] = True
    weight[:, fixed] = 0.0
    total = weight.sum(axis=1)
    if not (total > 0).any():
        return base
    share = (weight[total > 0] / total[total > 0, None]).mean(axis=0)
    stays = np.where(fixed, base, (1.0 - MOVED) * base)
    wanted, left = stays.copy(), float(base.sum() - stays.sum())
    while left > 1e-9:
        open_ = (share > 0) & (wanted < room)
        if not open_.any():
            wanted += left * share  # what the classes cannot hold is passed on by `allocate`
            break
        step = left * np.where(open_, share, 0.0) / share[open_].sum()
        grown = np.where(open_, np.minimum(wanted + step, room), wanted)
        left -= float((grown - wanted).sum())
        wanted = grown
    least = np.floor(wanted + 1e-9).astype(np.int64)
    order = np.argsort(-(wanted - least), kind="stable")
    least[order[: int(base.sum() - least.sum())]] += 1
    return least


def allocate(available: npt.ArrayLike, quotas: npt.ArrayLike = QUOTAS_60) -> IntArray:
    """How many windows to take of each class: [H], [H] -> [H]; a short class passes its quota on.

    What a class cannot fill goes to the next class of its own kind (firing or silent) that has room, in the order T,
    F1 to F5 and E, its further lists, M, R, and round from the last to the first; what its kind cannot hold goes to the
    next class of the other kind in the same way.
    """
    room = np.asarray(available, dtype=np.int64)
    wanted = np.zeros(room.size, dtype=np.int64)
    given = np.asarray(quotas, dtype=np.int64)
    wanted[: given.size] = given
    taken = np.minimum(room, wanted)
    spare = wanted - taken
    silent = silent_classes(room.size)
    for reach in (tuple(FIRING), silent, (*FIRING, *silent)):
        for place, h in enumerate(reach):
            if not spare[h]:
                continue
            for other in (*reach[place + 1 :], *reach[:place]):
                moved = min(int(spare[h]), int(room[other] - taken[other]))
                taken[other] += moved
                spare[h] -= moved
    return taken
