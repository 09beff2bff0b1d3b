"""Events: the non-zero activations of one dictionary in one inner batch.

Sorted by (split, feature, row), where a row is a place of the batch: `context in the batch * L + position`.
So the events of a split, and those of a window, stand side by side. Rows that do not count (special
tokens, padding, dropped windows, contexts not asked for) are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.extract.summary.segments import (
    flat_non_zero,
    gather_runs,
    quotient,
    repeated,
    run_lengths,
    run_starts,
    sorted_keys,
    true_at,
)
from autointerp.records import SPLITS, EventBatch, Int32, Int64
from autointerp.subject.activations import ActivationBatch
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder
from autointerp.subject.outliers import past_limit
from autointerp.subject.tokens import TokenFile

DENSE_VALUES = 1 << 22
"""Activations held densely at once, 16 MB: rows are encoded in portions of a fixed size below this."""
COLUMN_VALUES = 1 << 21
"""The same where features are encoded in portions: what is read several times is in the cache."""


@dataclass(frozen=True)
class Rows:
    """The places of an inner batch, [INNER * L] each."""

    context: Tensor  # int64
    position: Tensor  # int64, in the context
    token: Tensor  # int64
    previous: Tensor  # int64, -1 at position 0
    split: Tensor  # int64, index into SPLITS
    window: Tensor  # int64, context * windows per context + index
    shown_from: Tensor  # int64, in the context: the stretch around the place that may be shown
    shown_to: Tensor  # int64, its end
    outlier: Tensor  # bool: the activation at the hook is an outlier by its norm (subject/norms.py)

    @cached_property
    def has_outliers(self) -> bool:
        """Whether any of the places is one."""
        return bool(self.outlier.any())


@dataclass(frozen=True)
class Events:
    """E events and the S windows in which a feature fires (`window_*`), all sorted by (split, feature, row)."""

    rows: Rows
    feature: Tensor  # [E] int64
    row: Tensor  # [E] int64
    value: Tensor  # [E] float32
    window_start: Tensor  # [S] first event of the window
    window_length: Tensor  # [S] events in the window
    window_feature: Tensor  # [S]
    window_row: Tensor  # [S] row of its first event
    window_max: Tensor  # [S] float32
    event_bounds: tuple[int, ...]  # the events of split i are bounds[i] : bounds[i + 1]
    window_bounds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.feature)

    @property
    def context(self) -> Tensor:
        return self.rows.context.index_select(0, self.row)

    @property
    def position(self) -> Tensor:
        return self.rows.position.index_select(0, self.row)

    @cached_property
    def at_outliers(self) -> Tensor | None:
        """[E] bool, which stand on outliers; None where none does."""
        if not self.rows.has_outliers:
            return None
        at_outliers = self.rows.outlier.index_select(0, self.row)
        return at_outliers if bool(at_outliers.any()) else None

    def only(self, which: Tensor) -> Events:
        """The same events and windows, with a value of 0 where `which` [E] is false: for choosing, not for showing."""
        value = self.value * which
        return replace(self, value=value, window_max=_largest(value, self.window_length))

    def peaks(self, window: Tensor) -> Tensor:
        """The event of largest value in each of these windows, the first of equals."""
        if usable(window):
            return steps.peaks(window, self.window_start, self.window_length, self.window_max, self.value)
        start, length = (column.index_select(0, window) for column in (self.window_start, self.window_length))
        inner = gather_runs(start, length)
        ids = repeated(torch.arange(len(window), device=window.device), length)
        largest = repeated(self.window_max.index_select(0, window), length)
        at = true_at(self.value.index_select(0, inner) == largest)
        return inner[at[run_starts(ids[at])]]

    def position_of(self, event: Tensor) -> Tensor:
        """int32"""
        return self.rows.position.int().index_select(0, self.row.index_select(0, event))

    @cached_property
    def _place(self) -> Tensor:
        """(feature, row) as one number, rising; of one split only."""
        return self.feature * len(self.rows.position) + self.row

    def around(self, event: Tensor, left: int, length: int) -> tuple[Tensor, Tensor]:
        """The events of the same feature in the span (`centred`) around each event: the first, and how many."""
        columns = (self.rows.position, self.rows.shown_from, self.rows.shown_to)
        if usable(event):
            return steps.around(event, self.feature, self.row, *columns, left, length)
        row = self.row.index_select(0, event)
        position, first_shown, shown_to = (column.index_select(0, row) for column in columns)
        start, stop = centred(position, first_shown, shown_to, left, length)
        place = self._place.index_select(0, event) - position  # of the context's first token
        first = torch.searchsorted(self._place, place + start)
        return first, torch.searchsorted(self._place, place + stop) - first

    @property
    def window_number(self) -> Tensor:
        return self.rows.window.index_select(0, self.window_row)

    def count(self, split: int) -> int:
        """Events of a split."""
        return self.event_bounds[split + 1] - self.event_bounds[split]

    def of_features(self, first: int, last: int) -> Events:
        """Of the events of one split, those of features `first` to `last` - 1, numbered from 0."""
        limits = torch.tensor([first, last], device=self.feature.device)
        begin, end = torch.searchsorted(self.feature, limits).tolist()
        window = slice(*torch.searchsorted(self.window_feature, limits).tolist())
        return replace(
            self,
            feature=self.feature[begin:end] - first,
            row=self.row[begin:end],
            value=self.value[begin:end],
            window_start=self.window_start[window] - begin,
            window_length=self.window_length[window],
            window_feature=self.window_feature[window] - first,
            window_row=self.window_row[window],
            window_max=self.window_max[window],
        )

    def of_split(self, split: int) -> Events:
        """The events of one split. Copies nothing but `window_start`."""
        first, last = self.event_bounds[split : split + 2]
        begin, end = self.window_bounds[split : split + 2]
        return Events(
            rows=self.rows,
            feature=self.feature[first:last],
            row=self.row[first:last],
            value=self.value[first:last],
            window_start=self.window_start[begin:end] - first,
            window_length=self.window_length[begin:end],
            window_feature=self.window_feature[begin:end],
            window_row=self.window_row[begin:end],
            window_max=self.window_max[begin:end],
            event_bounds=(),
            window_bounds=(),
        )


def centred(place: Tensor, first: Tensor, stop: Tensor, left: int, length: int) -> tuple[Tensor, Tensor]:
    """The span of up to `length` tokens that shows a place: `left` before it where the stretch has them; (start, end).

    At the ends of the stretch [first, stop) it is moved inwards, and cut where the stretch is shorter.
    """
    start = torch.maximum(torch.minimum(place - left, stop - length), first)
    return start, torch.minimum(start + length, stop)


@torch.inference_mode()
def encode_events(
    dictionary: Dictionary,
    batch: ActivationBatch,
    tokens: TokenFile,
    selected: Tensor | None,
    norm_limit: float | None = None,
) -> Events:
    """Encodes an inner batch; `selected` [n_features] bool leaves features out after encoding.

    `norm_limit`: places with a larger norm at the hook are outliers; None: there are none.
    """
    x = batch.by_hook[dictionary.hook]
    x = x.reshape(-1, x.shape[-1])
    silent = ~batch.scored.reshape(-1).to(x.device)
    outlier = None if norm_limit is None else past_limit(x, norm_limit) & ~silent
    rows = _rows(batch.contexts, tokens, x.device, outlier)
    if isinstance(dictionary, SparseAutoencoder) and not dictionary.competes and not x.is_cuda:
        return _by_feature(dictionary, x, silent, selected, rows)
    width = dictionary.n_features
    if isinstance(dictionary, SparseAutoencoder) and dictionary.architecture == "topk" and not x.is_cuda:
        width = dictionary.at_once
    portion = 1 << max(5, (DENSE_VALUES // width).bit_length() - 1)
    parts = []
    for first in range(0, len(x), portion):
        row, feature, value = _non_zero(
            dictionary, x[first : first + portion], silent[first : first + portion], selected
        )
        parts.append((first + row, feature, value))
    row, feature, value = (torch.cat(column) for column in zip(*parts, strict=True))
    return _sorted(rows, dictionary.n_features, row, feature, value)


def events_of(
    contexts: Int64,
    tokens: TokenFile,
    n_features: int,
    row: Tensor,
    feature: Tensor,
    value: Tensor,
    outliers: Tensor | None = None,
) -> Events:
    """Events of the inner batch of `contexts` from row, feature and value of each, row by row in each feature.

    `outliers`: the rows that are outliers at the hook.
    """
    outlier = None
    if outliers is not None:
        outlier = torch.zeros(len(contexts) * tokens.context_length, dtype=torch.bool, device=value.device)
        outlier[outliers] = True
    return _sorted(_rows(contexts, tokens, value.device, outlier), n_features, row, feature, value)


def _by_feature(sae: SparseAutoencoder, x: Tensor, silent: Tensor, selected: Tensor | None, rows: Rows) -> Events:
    """Features are encoded in portions, all rows at once: their events come in order and need no sort."""
    order = torch.sort(rows.split, stable=True).indices  # the rows of a split side by side
    x, silent = x[order], silent[order]
    silent_at, row_of = true_at(silent), order.masked_fill(silent, -1)
    ends = torch.searchsorted(rows.split[order], torch.arange(len(SPLITS) + 1)).tolist()
    parts_by_split: list[list[tuple[Tensor, Tensor, Tensor]]] = [[] for _ in SPLITS]
    portion = max(1, COLUMN_VALUES // len(x))
    for first in range(0, sae.n_features, portion):
        dense = sae.encode_columns(x, first, min(first + portion, sae.n_features))
        if usable(dense):
            for parts, (begin, end) in zip(parts_by_split, pairwise(ends), strict=True):
                parts.append(steps.firing(dense, begin, end, row_of, selected, first))
            continue
        dense[:, silent_at] = 0
        if selected is not None:
            dense *= selected[first : first + portion, None]
        fires = dense.numpy() != 0
        for split, (begin, end) in enumerate(pairwise(ends)):
            if begin == end:
                continue
            flat = np.flatnonzero(fires[:, begin:end])
            feature = flat // (end - begin)
            column = flat - feature * (end - begin) + begin
            value = np.take(dense.numpy(), feature * len(x) + column)
            row = order.index_select(0, torch.from_numpy(column))
            parts_by_split[split].append((torch.from_numpy(feature + first), row, torch.from_numpy(value)))
    bounds = np.cumsum([0, *(sum(len(part[0]) for part in parts) for parts in parts_by_split)]).tolist()
    feature, row, value = (torch.cat(column) for column in zip(*chain(*parts_by_split), strict=True))
    return _with_windows(rows, feature, row, value, bounds)


def _non_zero(
    dictionary: Dictionary, x: Tensor, silent: Tensor, selected: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Row, feature and value of every non-zero activation that counts, row by row."""
    top = dictionary.encode_top(x) if isinstance(dictionary, SparseAutoencoder) else None
    dense = dictionary.encode(x) if top is None else top[0]
    dense[silent] = 0
    if selected is not None:
        dense *= selected if top is None else selected[top[1]]
    flat = flat_non_zero(dense)
    row = quotient(flat, dense.shape[1])
    feature = flat - row * dense.shape[1] if top is None else top[1].view(-1).index_select(0, flat)
    return row, feature, dense.view(-1).index_select(0, flat)


def _rows(contexts: Int64, tokens: TokenFile, device: torch.device, outlier: Tensor | None) -> Rows:
    length = tokens.context_length
    position = np.broadcast_to(np.arange(length), (len(contexts), length))
    window = contexts[:, None] * tokens.windows_per_context + position // tokens.window
    columns = (
        np.repeat(contexts, length),
        position,
        tokens.tokens[contexts],
        tokens.previous(contexts),
        np.repeat(tokens.split[contexts], length),
        window,
        *tokens.shown_runs(contexts),
    )
    if outlier is None:
        outlier = torch.zeros(len(contexts) * length, dtype=torch.bool, device=device)
    context, place, token, previous, split, of_window, shown_from, shown_to = (
        torch.from_numpy(column.astype(np.int64).reshape(-1)).to(device) for column in columns
    )
    return Rows(context, place, token, previous, split, of_window, shown_from, shown_to, outlier)


def _sorted(rows: Rows, n_features: int, row: Tensor, feature: Tensor, value: Tensor) -> Events:
    """Events in their order, and their windows."""
    cell = rows.split.index_select(0, row).mul_(n_features).add_(feature)
    feature, in_order = sorted_keys(cell, len(SPLITS) * n_features)
    row, value = (column.index_select(0, in_order) for column in (row, value))
    limits = torch.arange(len(SPLITS) + 1, device=cell.device) * n_features
    event_bounds = tuple(torch.searchsorted(feature, limits).tolist())
    for split, (first, last) in enumerate(pairwise(event_bounds)):
        feature[first:last] -= split * n_features
    return _with_windows(rows, feature, row, value, event_bounds)


def _with_windows(rows: Rows, feature: Tensor, row: Tensor, value: Tensor, event_bounds: Sequence[int]) -> Events:
    """Sorted events with the windows they fall into."""
    if usable(value):
        start, length, window_feature, window_row, window_max = steps.windows(feature, row, value, rows.window)
    else:
        window = rows.window.index_select(0, row)
        start = run_starts(feature, window)  # a window is of one split
        length = run_lengths(start, len(feature))
        window_feature, window_row = feature.index_select(0, start), row.index_select(0, start)
        window_max = _largest(value, length)
    return Events(
        rows=rows,
        feature=feature,
        row=row,
        value=value,
        window_start=start,
        window_length=length,
        window_feature=window_feature,
        window_row=window_row,
        window_max=window_max,
        event_bounds=tuple(event_bounds),
        window_bounds=tuple(torch.searchsorted(start, torch.tensor(event_bounds, device=start.device)).tolist()),
    )


def _largest(value: Tensor, length: Tensor) -> Tensor:
    """The largest value of each run of these lengths."""
    if usable(value):
        return steps.largest_of_runs(value, length)
    return torch.segment_reduce(value, "max", lengths=length, unsafe=True) if len(value) else value


def to_batch(events: Events, tokens: TokenFile) -> EventBatch:
    """The events of one split as the NumPy record that the scoring half reads."""
    row = events.row.cpu().numpy()
    rows = events.rows
    context = rows.context.cpu().numpy()[row]

    def at_rows(column: Tensor) -> Int32:
        return np.asarray(column.cpu().numpy().astype(np.int32)[row])

    return EventBatch(
        feature=events.feature.cpu().numpy().astype(np.int32),
        context=context,
        position=at_rows(rows.position),
        value=events.value.cpu().numpy(),
        token=at_rows(rows.token),
        previous=at_rows(rows.previous),
        block=tokens.block[context],
    )
