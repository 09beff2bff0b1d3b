"""The steps, from tensors to tensors. Each does what the function that calls it would do in torch, to the bit."""

from __future__ import annotations

import torch
from torch import Tensor

from autointerp.extract.summary.kernel.library import call

Columns = tuple[Tensor, ...]
Given = tuple[Tensor | int | None, ...]
"""Arguments of a function of the kernel."""


def _ints(n: int) -> Tensor:
    return torch.empty(n, dtype=torch.int64)


def _floats(n: int) -> Tensor:
    return torch.empty(n, dtype=torch.float32)


def _first(n: int, *columns: Tensor) -> Columns:
    """The first n of columns that were made as long as they could become; copied where the rest is much."""
    return tuple(column[:n] if 2 * n > len(column) else column[:n].clone() for column in columns)


def firing(
    dense: Tensor, begin: int, end: int, row_of: Tensor, selected: Tensor | None, first: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Feature, row and value of what is not 0 in some columns of `dense` [features, columns]."""
    columns: Given = (dense, *dense.shape, begin, end, row_of)
    marks = _ints(len(dense) * -(-(end - begin) // 64))
    n = call("mark_firing", *columns, selected, first, marks)
    feature, row, value = _ints(n), _ints(n), _floats(n)
    call("collect_firing", *columns, first, marks, feature, row, value)
    return feature, row, value


def windows(feature: Tensor, row: Tensor, value: Tensor, window_of: Tensor) -> Columns:
    """Start, length, feature, row and largest value of the windows of sorted events."""
    n = len(feature)
    made = (*(_ints(n) for _ in range(4)), _floats(n))
    n = call("find_windows", n, feature, row, value, window_of, *made)
    return tuple(column[:n] for column in made)


def largest_of_runs(value: Tensor, length: Tensor) -> Tensor:
    """The largest value of each run."""
    largest = _floats(len(length))
    call("largest_of_runs", len(length), length, value, largest)
    return largest


def add_statistics(
    feature: Tensor,
    row: Tensor,
    value: Tensor,
    position_bin: Tensor,
    outlier: Tensor | None,
    window_feature: Tensor,
    window_max: Tensor,
    *sums: Tensor,
) -> None:
    """Adds events and windows of one split to its total, total of squares, histogram, positions, outliers, maximum and
    windows."""
    windows_of: Given = (len(window_feature), window_feature, window_max)
    columns: Given = (sums[2].shape[1], sums[3].shape[1], *sums)
    call("add_statistics", len(feature), feature, row, value, position_bin, outlier, *windows_of, *columns)


def fitting_top(
    feature: Tensor,
    row: Tensor,
    largest: Tensor,
    window_of: Tensor,
    context_of: Tensor | None,
    only_positive: bool,
    limit: Tensor,
) -> Columns:
    """Windows that fit by their largest activation, and their keys; with `context_of` one a context."""
    n = len(feature)
    made = _ints(n), _ints(n)
    n = call("fitting_top", n, feature, row, largest, window_of, context_of, int(only_positive), limit, *made)
    return _first(n, *made)


def fitting_windows(feature: Tensor, row: Tensor, window_of: Tensor, stream: int, first: int, limit: Tensor) -> Columns:
    """Windows that fit by their hash, and their keys."""
    n = len(feature)
    made = _ints(n), _ints(n)
    return _first(call("fitting_windows", n, feature, row, window_of, stream, first, limit, *made), *made)


def fitting_firings(
    feature: Tensor,
    row: Tensor,
    value: Tensor,
    context_of: Tensor,
    position_of: Tensor,
    outlier: Tensor | None,
    stream: int,
    first: int,
    limit: Tensor,
    window_start: Tensor,
) -> Columns:
    """Events that fit in the reservoir of their octave, their windows, groups and keys."""
    n = len(feature)
    made = _ints(n), _ints(n), _ints(n), _ints(n)
    given = (n, feature, row, value, context_of, position_of, outlier, stream, first, limit)
    return _first(call("fitting_firings", *given, len(window_start), window_start, *made), *made)


def add_to_pool(feature: Tensor, row: Tensor, number_of: Tensor, bits: Tensor) -> None:
    """Sets the bits [features, bytes] of the pool's windows in which features fire."""
    call("add_to_pool", len(feature), feature, row, number_of, bits.shape[1], bits)


def peaks(window: Tensor, start: Tensor, length: Tensor, largest: Tensor, value: Tensor) -> Tensor:
    """The event of largest value in each of some windows."""
    event = _ints(len(window))
    call("peaks", len(window), window, start, length, largest, value, event)
    return event


def around(
    event: Tensor,
    feature: Tensor,
    row: Tensor,
    position_of: Tensor,
    shown_from: Tensor,
    shown_to: Tensor,
    left: int,
    length: int,
) -> tuple[Tensor, Tensor]:
    """The events in the spans around some: the first, and how many."""
    start, n_inside = _ints(len(event)), _ints(len(event))
    of_rows = (position_of, shown_from, shown_to)
    call("spans_around", len(event), event, len(feature), feature, row, *of_rows, left, length, start, n_inside)
    return start, n_inside


def described(
    event: Tensor, start: Tensor, length: Tensor, row: Tensor, value: Tensor, window_of: Tensor, position_of: Tensor
) -> dict[str, Tensor]:
    """What is kept of windows, beside their group and key, by name."""
    n, inner = len(event), int(length.sum())
    made = {
        "window": _ints(n),
        "peak": torch.empty(n, dtype=torch.int32),
        "peak_value": _floats(n),
        "length": torch.empty(n, dtype=torch.uint8),
        "offset": torch.empty(inner, dtype=torch.int16),
        "value": _floats(inner),
    }
    call("describe_kept", n, event, start, length, row, value, window_of, position_of, *made.values())
    return made


def smallest_keys(group: Tensor, key: Tensor, keep: int, limit: Tensor) -> Tensor:
    """Places of the `keep` smallest keys of each group, by group and key; sets the limit of full groups."""
    index = _ints(len(group))
    low, high = (int(end) for end in torch.aminmax(group))
    n = call("smallest_keys", len(group), group, key, low, high - low + 1, keep, limit, index)
    return _first(n, index)[0]


def taken(index: Tensor, columns: dict[str, Tensor], more: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Some of the windows whose columns are given by name, in the order of `Kept`; `more` of them are numbered on."""
    n, n_first, more = len(index), len(columns["key"]), more or {name: column[:0] for name, column in columns.items()}
    inner = call("taken_length", n, index, n_first, columns["length"], more["length"])
    made = {
        name: torch.empty(inner if name in ("offset", "value") else n, dtype=column.dtype)
        for name, column in columns.items()
    }
    call("take_kept", n, index, n_first, *columns.values(), len(more["key"]), *more.values(), *made.values())
    return made


def add_frequent(feature: Tensor, row: Tensor, value: Tensor, column_of: Tensor, mass: Tensor, count: Tensor) -> int:
    """Adds events to the table of frequent tokens; returns how many are at others."""
    return call("add_frequent", len(feature), feature, row, value, column_of, mass.shape[1], mass, count)


def gram_keys(
    feature: Tensor,
    row: Tensor,
    value: Tensor,
    gram_of: Tensor,
    n_grams: int,
    level_of: Tensor | None = None,
    level: Tensor | None = None,
    most: int | None = None,
) -> Columns:
    """Keys and activations of events, `most` of them at most; those at rows whose `level_of` is below their feature's
    `level`, or below 1 where there is none, are left out."""
    n = len(feature)
    room = n if most is None else most
    made = _ints(room), _floats(room)
    n = call("gram_keys", n, feature, row, value, gram_of, n_grams, level_of, level, *made)
    return _first(n, *made)


def sum_grams(key: Tensor, value: Tensor, first: int, span: int) -> Columns:
    """Key, mass and count of the table of events; their keys are `first` to `first + span` - 1."""
    n = len(key)
    made = _ints(n), torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.int32)
    return _first(call("sum_grams", n, key, value, first, (span - 1).bit_length(), *made), *made)


def merge_grams(table: Columns, new: Columns) -> Columns:
    """The sum of two tables."""
    n = call("merge_grams", len(table[0]), *table, len(new[0]), *new, None, None, None)
    made = _ints(n), torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.int32)
    call("merge_grams", len(table[0]), *table, len(new[0]), *new, *made)
    return made


def merge_and_prune(table: Columns, new: Columns, n_grams: int, keep: int, error: Tensor) -> Columns:
    """The sum of two tables, with features of more than 2 `keep` entries cut to `keep`."""
    given: Given = (len(table[0]), *table, len(new[0]), *new, n_grams, keep, error)
    n = call("merge_and_prune", *given, None, None, None)
    made = _ints(n), torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.int32)
    call("merge_and_prune", *given, *made)
    return made


def prune_grams(table: Columns, n_grams: int, keep: int, error: Tensor) -> Columns | None:
    """The table with features of more than 2 `keep` entries cut to `keep`; None where there are none."""
    given: Given = (len(table[0]), *table, n_grams, keep)
    n = call("prune_grams", *given, error, None, None, None)
    if n == len(table[0]):
        return None
    made = _ints(n), torch.empty(n, dtype=torch.float64), torch.empty(n, dtype=torch.int32)
    call("prune_grams", *given, error, *made)
    return made


def heaviest_grams(key: Tensor, mass: Tensor, n_grams: int, top: int) -> Tensor:
    """Places of the `top` heaviest entries of each feature, heaviest first."""
    index = _ints(len(key))
    return _first(call("heaviest_grams", len(key), key, mass, n_grams, top, index), index)[0]
