"""Lists of triggers: which silent windows stand on which, and how much each class of windows matters to a correlation.

Explanations that are compared are tested on the same windows. What any of them lists is class E, and each list has a
part of E, so that none of them decides alone where false alarms are looked for. A window is of the rarest list that it
stands on (fewest windows): so a short list within a long one keeps windows of its own. Rarity is a fact of the run's
pool, never of what was drawn from it.

Letters in shapes: W windows, k lists, H classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import Entries
from autointerp.records import Bool, Float64, Int64
from autointerp.score.class_names import N_LISTS
from autointerp.score.estimates import pearson_gradient
from autointerp.score.sampling import class_counts


def different_lists(lists: Sequence[Entries]) -> list[Entries]:
    """Those that list anything, each once, in the order given."""
    kept: list[Entries] = []
    for entries in lists:
        if len(entries) and not any(_same(entries, other) for other in kept):
            kept.append(entries)
    return kept


def _same(a: Entries, b: Entries) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("previous", "token", "value"))


def parts_of_lists(stands: Sequence[Bool], earlier: Int64, n_earlier: int = 0) -> tuple[Int64, int]:
    """The list that each window is of, and how many lists have windows by now: k times [W], [W] -> [W], -1 for none.

    `earlier` [W] are the parts that lists of earlier waves have, `n_earlier` of them: they keep their windows. Lists
    are numbered from the rarest; those as long as each other by their order. A list all of whose windows stand on rarer
    ones has no number. Of more than N_LISTS the longest ones share the last number.
    """
    part, number = earlier.copy(), n_earlier
    for index in np.argsort([int(one.sum()) for one in stands], kind="stable").tolist():
        mine = stands[index] & (part < 0)
        if mine.any():
            part[mine] = min(number, N_LISTS - 1)
            number = number + 1
    return part, min(number, N_LISTS)


def leverages(moments: Sequence[Float64], classes: Int64, sizes: Float64) -> Float64:
    """N_h x s_h of each cheap simulator: [W, 6] for each, [W], [H] -> [k, H].

    s_h is the spread within class h of z, what a window adds to the error of the simulator's correlation (its moments
    times the derivative of Pearson's correlation at the weighted totals). All 0 where the simulator has no correlation.
    """
    n_classes = sizes.size
    counts = class_counts(classes, n_classes)
    per_window = sizes / np.maximum(counts, 1)
    made = np.zeros((len(moments), n_classes))
    weight = per_window[classes]
    gradients = pearson_gradient(np.array([weight @ values for values in moments]).reshape(-1, 6))
    for row, values, gradient in zip(made, moments, gradients, strict=True):
        row[:] = sizes * spread_within(values @ gradient, classes, n_classes)
    return made


def spread_within(z: npt.ArrayLike, classes: npt.ArrayLike, n_classes: int) -> Float64:
    """Standard deviation of z [W] within each class [H]; 0 where there are fewer than two windows."""
    value, kind = np.asarray(z, dtype=np.float64), np.asarray(classes, dtype=np.int64)
    n = np.bincount(kind, minlength=n_classes)
    mean = np.bincount(kind, value, n_classes) / np.maximum(n, 1)
    squares = np.bincount(kind, (value - mean[kind]) ** 2, n_classes)
    return np.asarray(np.sqrt(squares / np.maximum(n - 1, 1)), dtype=np.float64)
