"""Values of many features in one array, feature after feature: sums, ranks and counts of all of them at once.

One call about 30,000 values costs about as much as one about 300: what is computed feature by feature is mostly the
calls. Each function here gives what the function of the same name in `metrics.py` gives of each feature by itself; sums
run in another order, so that values may differ in the last digits.

Letters in shapes: n features, N values of all of them, K distinct values of the feature that has most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from autointerp.records import Bool, Float64, Int64
from autointerp.score import metrics

Values = tuple[Float64, npt.NDArray[np.str_]]
"""Of each feature a value, nan where there is none, and its status: [n], [n]."""
AT_ONCE = 1 << 20
"""Values that are laid side by side at most, unless one feature alone has more."""


class FeatureRows:
    """Which feature each of N values is of: `sizes` [n] values each."""

    def __init__(self, sizes: Sequence[int] | Int64) -> None:
        self.sizes = np.asarray(sizes, dtype=np.int64)
        self.start: Int64 = np.cumsum(self.sizes) - self.sizes

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def of(self) -> Int64:
        """The feature of each value, [N]."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def sums(self, values: npt.ArrayLike) -> Float64:
        """Of each feature's values: [N] -> [n]."""
        return np.bincount(self.of, np.asarray(values, dtype=np.float64), len(self)).astype(np.float64)

    def sums_by(self, number: Int64, k: int, values: Float64) -> Float64:
        """The same by a number below `k` of each value: [N], [N] -> [n, k]."""
        sums = np.bincount(self.of * k + number, values, len(self) * k)
        return np.asarray(sums, dtype=np.float64).reshape(len(self), k)

    def counts(self, marked: Bool) -> Int64:
        """How many of each feature's values are marked: [N] -> [n]."""
        return np.bincount(self.of[marked], minlength=len(self)).astype(np.int64)

    def some(self, marked: Bool) -> FeatureRows:
        """The rows of the marked values alone, [N]."""
        return FeatureRows(self.counts(marked))


def rows_of_parts(parts: Sequence[npt.NDArray[np.generic]]) -> FeatureRows:
    """The rows of arrays that are laid one after the other."""
    return FeatureRows([len(part) for part in parts])


def parts_at_once(sizes: Sequence[int] | Int64, most: int = AT_ONCE) -> list[slice]:
    """Features so many at a time that they have no more than `most` values together; one at least."""
    parts, first, total = [], 0, 0
    for place, size in enumerate(np.asarray(sizes).tolist()):
        if total + size > most and place > first:
            parts.append(slice(first, place))
            first, total = place, 0
        total += size
    return [*parts, slice(first, len(sizes))] if len(sizes) else parts


class Tied:
    """Values [N] grouped by feature and value, the smallest first."""

    def __init__(self, rows: FeatureRows, values: npt.ArrayLike) -> None:
        self.rows = rows
        v = np.asarray(values, dtype=np.float64)
        # most predictions are 0: they are one group of each feature, and are not sorted
        others = np.flatnonzero(v)
        n = len(rows)
        row, value = np.concatenate([rows.of[others], np.arange(n)]), np.concatenate([v[others], np.zeros(n)])
        order = np.lexsort((value, row))
        row_of, value_of = row[order], value[order]
        opens = np.ones(len(order), dtype=np.bool_)
        opens[1:] = (row_of[1:] != row_of[:-1]) | (value_of[1:] != value_of[:-1])
        number = np.cumsum(opens) - 1
        number -= number[np.searchsorted(row_of, np.arange(n))][row_of]  # from 0 in each feature
        group = np.empty(len(order), dtype=np.int64)
        group[order] = number
        self.n_groups = int(number.max(initial=-1)) + 1
        self.group: Int64 = group[len(others) :][rows.of]
        """The number of each value's group in its feature, [N]."""
        self.group[others] = group[: len(others)]

    def by_group(self, weight: npt.NDArray[np.generic] | None = None) -> Float64:
        """The weight of each group, or how many values it has: [N] -> [n, K]; 0 where a feature has no such group."""
        n, k = len(self.rows), self.n_groups
        cell = self.rows.of * k + self.group
        return np.bincount(cell, weight, n * k).astype(np.float64).reshape(n, k)

    def middle_ranks(self, count: Float64) -> Float64:
        """The middle rank of each group of this weight, centred: [n, K] -> [n, K]."""
        return np.asarray(np.cumsum(count, axis=1) - count / 2 - count.sum(axis=1, keepdims=True) / 2)


def auprc(tied: Tied, positive: Bool, weight: Float64 | None = None) -> Float64:
    """Average precision by the tied predictions, for what is positive [N]: [n]; nan where nothing is."""
    k = tied.n_groups
    counts = tied.rows.sums_by(2 * tied.group + positive, 2 * k, np.ones(len(positive)) if weight is None else weight)
    return metrics.auprc_of_counts(counts[:, 1::2], counts[:, ::2])


def auroc(tied: Tied, positive: Bool) -> Values:
    """How often a positive one is above another."""
    rows, hits = tied.rows, tied.by_group(positive.astype(np.float64))
    n = hits.sum(axis=1)
    ranks = tied.middle_ranks(tied.by_group()) + (rows.sizes[:, None] + 1) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        value = ((hits * ranks).sum(axis=1) - n * (n + 1) / 2.0) / (n * (rows.sizes - n))
    status = two_sided(rows, n)
    return np.where(status == "ok", value, np.nan), status


def balanced_accuracy(rows: FeatureRows, truth: Bool, said: Bool) -> Values:
    """The mean of the hit rate and the rejection rate."""
    n = rows.counts(truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (rows.counts(truth & said) / n + rows.counts(~truth & ~said) / (rows.sizes - n)) / 2.0
    status = two_sided(rows, n)
    return np.where(status == "ok", value, np.nan), status


def two_sided(rows: FeatureRows, n_true: npt.NDArray[np.generic]) -> npt.NDArray[np.str_]:
    """`failed` of a feature without values, `rare` where none is true, `one_sided` where all are, else `ok`: [n]."""
    return np.where(
        rows.sizes == 0, "failed", np.where(n_true == 0, "rare", np.where(n_true == rows.sizes, "one_sided", "ok"))
    )


def moments(rows: FeatureRows, truth: npt.ArrayLike, prediction: npt.ArrayLike) -> Float64:
    """The six sums of `metrics.moments`: [N], [N] -> [n, 6]."""
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    return np.stack([rows.sizes.astype(np.float64), *(rows.sums(x) for x in (t, p, t * t, p * p, t * p))], axis=1)
