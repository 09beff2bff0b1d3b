"""Which windows and firing tokens of a batch may still enter a `Keeper`, and the keys they enter with.

top         by their largest activation, largest first; of equals the window of smaller number
windows     by a hash of feature and window
firings     by a hash of feature, context and position, in the reservoir of their octave
"""

from __future__ import annotations

import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.extract.summary.segments import descending, hash64, run_ids, run_starts, true_at
from autointerp.extract.summary.smallest_keys import NEVER, Keeper
from autointerp.extract.summary.statistics import OCTAVES, octave


def fitting_top(
    keeper: Keeper, events: Events, one_a_context: bool = False, only_positive: bool = False
) -> tuple[Tensor, Tensor]:
    """Windows and their keys; with `one_a_context` the strongest of each context, the first of equals.

    `only_positive`: not those whose largest activation is 0.
    """
    rows = events.rows
    if usable(keeper.limit):
        columns = (events.window_feature, events.window_row, events.window_max, rows.window)
        context_of = rows.context if one_a_context else None
        window, key = steps.fitting_top(*columns, context_of, only_positive, keeper.limit)
        return window, key
    feature = events.window_feature
    key = descending(events.window_max) | events.window_number
    fits = keeper.fits(feature, key)
    if only_positive:
        fits = fits[events.window_max[fits] > 0]
    if one_a_context:
        starts = run_starts(feature[fits], rows.context[events.window_row[fits]])
        ids = run_ids(starts, len(fits))
        best = torch.full_like(starts, torch.iinfo(torch.int64).max).scatter_reduce_(0, ids, key[fits], "amin")
        fits = fits[key[fits] == best[ids]]
    return fits, key[fits]


def fitting_windows(
    keeper: Keeper, events: Events, stream: int, first: int, wanted: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Windows and their keys. `first`: number of the first feature in its dictionary; `wanted` [rows] bool: only the
    windows of these rows."""
    window_of = events.rows.window if wanted is None else torch.where(wanted, events.rows.window, -1)
    if usable(keeper.limit):
        columns = (events.window_feature, events.window_row, window_of)
        window, key = steps.fitting_windows(*columns, stream, first, keeper.limit)
        return window, key
    feature, number = events.window_feature, window_of.index_select(0, events.window_row)
    some = None if wanted is None else true_at(number >= 0)
    if some is not None:
        feature, number = feature[some], number[some]
    key = hash64(stream, feature + first, number)
    fits = keeper.fits(feature, key)
    return fits if some is None else some[fits], key[fits]


def fitting_firings(keeper: Keeper, events: Events, stream: int, first: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Events that are not on outliers, the window of each, its group (feature and octave) and its key."""
    rows = events.rows
    if usable(keeper.limit):
        columns = (events.feature, events.row, events.value, rows.context, rows.position)
        outlier = rows.outlier if rows.has_outliers else None
        entering = steps.fitting_firings(*columns, outlier, stream, first, keeper.limit, events.window_start)
        event, window, group, key = entering
        return event, window, group, key
    quiet = events.at_outliers
    key = hash64(stream, events.feature + first, events.context, events.position)
    key = key if quiet is None else key.masked_fill_(quiet, NEVER)
    group = octave(events.value).add_(events.feature, alpha=OCTAVES)
    event = keeper.fits(group, key)
    of_event = torch.searchsorted(events.window_start, event, right=True) - 1
    return event, of_event, group[event], key[event]
