"""Keeps the few windows of smallest key in each group, with their activations.

Top exemplars (key: activation, falling), reservoirs (key: a hash) and everything else that must remember
windows is this one structure. It merges by putting together and keeping the smallest again: the result
does not depend on the order of arrival, because keys are distinct.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.extract.summary.segments import (
    gather_runs,
    rank_in_run,
    repeated,
    sort_by,
    sorted_keys,
    true_at,
)
from autointerp.memory import give_back

BUFFER = 1 << 16
RANGES = 16
"""Ranges of groups that windows are kept in: only one is taken apart at a time."""
NEVER = (1 << 63) - 1


@dataclass(frozen=True)
class Kept:
    """K windows, sorted by (group, key); their activations stand one after the other in `offset`, `value`.

    In the smallest types: they are most of what a summary holds.
    """

    group: Tensor  # [K] int32
    key: Tensor  # [K] int64
    window: Tensor  # [K] int64 window number
    peak: Tensor  # [K] int32 position in the context of the token the window was chosen for
    peak_value: Tensor  # [K] float32 activation there
    length: Tensor  # [K] uint8 activations of the window; a window has 255 tokens at most
    offset: Tensor  # [sum of length] int16 position, counted from the peak
    value: Tensor  # [sum of length] float32

    @property
    def place(self) -> Tensor:
        """[sum of length] int32 position in the context."""
        return self.offset.int().add_(repeated(self.peak, self.length.long()))

    def take(self, index: Tensor) -> Kept:
        if usable(index):
            return Kept(**steps.taken(index, {name: getattr(self, name) for name in COLUMNS}))
        length = self.length.long()
        start = torch.cumsum(length, 0) - length
        inner = gather_runs(start.index_select(0, index), length.index_select(0, index))
        of_window = {name: getattr(self, name).index_select(0, index) for name in OF_WINDOW}
        return Kept(**of_window, offset=self.offset.index_select(0, inner), value=self.value.index_select(0, inner))

    def cut(self, borders: Tensor) -> list[Kept]:
        """The windows of the groups below each border, and the rest; uncopied. Groups rise from border to border."""
        ends = [0, *torch.searchsorted(self.group, borders).tolist(), len(self.group)]
        inner = torch.cat([self.length.new_zeros(1, dtype=torch.int64), torch.cumsum(self.length, 0)])[ends].tolist()
        return [
            Kept(
                **{name: getattr(self, name)[first:last] for name in OF_WINDOW},
                offset=self.offset[begin:end],
                value=self.value[begin:end],
            )
            for (first, last), (begin, end) in zip(pairwise(ends), pairwise(inner), strict=True)
        ]

    def portions(self, n: int, groups: int) -> Iterator[Kept]:
        """The same windows, about `n` at a time; groups that are alike in group // `groups` are not torn apart."""
        first = begin = 0
        while first < len(self.group):
            after = (self.group[min(first + n, len(self.group)) - 1] // groups + 1) * groups
            last = int(torch.searchsorted(self.group, after))
            end = begin + int(self.length[first:last].sum())
            of_window = {name: getattr(self, name)[first:last] for name in OF_WINDOW}
            yield Kept(**of_window, offset=self.offset[begin:end], value=self.value[begin:end])
            first, begin = last, end


COLUMNS = tuple(column.name for column in fields(Kept))
OF_WINDOW = COLUMNS[:-2]
"""Those with an entry for each window."""


def _join(parts: list[Kept]) -> Kept:
    """What is in `parts`, which is empty afterwards: each column goes as soon as it is joined."""
    columns = [[getattr(part, name) for part in parts] for name in COLUMNS]
    parts.clear()
    joined = []
    while columns:
        joined.append(torch.cat(columns.pop(0)))
    return Kept(*joined)


class Keeper:
    """The `keep` windows of smallest key in each of `n_groups` groups.

    Windows are offered by rising group // `each`: a feature may have `each` groups.
    """

    def __init__(self, n_groups: int, keep: int, device: torch.device, each: int = 1) -> None:
        self.keep = keep
        self.limit = torch.full((n_groups,), NEVER, dtype=torch.int64, device=device)
        """Keys at or above this cannot enter the group any more."""
        step = -(-n_groups // (each * RANGES)) * each
        self._borders = torch.arange(1, RANGES, dtype=torch.int32, device=device) * step
        empty = torch.zeros(0, dtype=torch.int64, device=device)
        none, few = empty.float(), empty.int()
        self._ranges = [Kept(few, empty, empty, few, none, empty.byte(), empty.short(), none)] * RANGES
        self._waiting: list[Kept] = []
        self._n_kept = self._n_waiting = 0
        self._whole: Kept | None = None  # what `_ranges` are cut from, where they are

    def fits(self, group: Tensor, key: Tensor) -> Tensor:
        """Indices of the candidates that can still enter: few, once the groups are full."""
        return true_at(key < self.limit.index_select(0, group))

    def add(
        self,
        events: Events,
        window: Tensor,
        group: Tensor,
        key: Tensor,
        event: Tensor | None = None,
        span: tuple[int, int] | None = None,
    ) -> None:
        """Offers windows of `events`, [n] each; `event` is what each is chosen for, if not its largest activation.

        Their activations are kept, or, with `span` (tokens before the event, tokens in all), those around the event.
        """
        event = events.peaks(window) if event is None else event
        if span is None:
            start, length = (column.index_select(0, window) for column in (events.window_start, events.window_length))
        else:
            start, length = events.around(event, *span)
        if usable(event):
            columns = (events.row, events.value, events.rows.window, events.rows.position)
            self._offer(Kept(group.int(), key, **steps.described(event, start, length, *columns)))
            return
        inner = gather_runs(start, length)
        peak = events.position_of(event)
        self._offer(
            Kept(
                group=group.int(),
                key=key,
                window=events.rows.window.index_select(0, events.row.index_select(0, event)),
                peak=peak,
                peak_value=events.value.index_select(0, event),
                length=length.byte(),
                offset=events.position_of(inner).sub_(repeated(peak, length)).short(),
                value=events.value.index_select(0, inner),
            )
        )

    def _offer(self, windows: Kept) -> None:
        self._waiting.append(windows)
        self._n_waiting += len(windows.group)
        if self._n_waiting > max(BUFFER, self._n_kept // 2):
            self._compact()

    def merge(self, other: Keeper) -> None:
        self._waiting.append(other.kept())
        self._compact()

    def kept(self) -> Kept:
        """What is kept so far."""
        self._compact()
        if self._whole is None:
            parts, self._ranges = self._ranges, []  # held by nobody else: each column goes as soon as it is joined
            self._whole = _join(parts)
            self._ranges = self._whole.cut(self._borders)
        return self._whole

    def portions(self, n: int, groups: int) -> Iterator[Kept]:
        """The same, about `n` windows at a time (`Kept.portions`), never joined; `groups` is `each`."""
        self._compact()
        for part in self._ranges:
            yield from part.portions(n, groups)

    def _compact(self) -> None:
        if not self._waiting:
            return
        arrived, self._n_waiting, self._whole = _join(self._waiting), 0, None
        arrived = arrived.take(sorted_keys(arrived.group, len(self.limit))[1])
        for i, mine in enumerate(arrived.cut(self._borders)):
            if len(mine.group):
                self._ranges[i] = self._best([self._ranges[i], mine])
        self._n_kept = sum(len(mine.group) for mine in self._ranges)
        del arrived
        give_back()  # what is kept grows: what it leaves behind is too small for it

    def _best(self, parts: list[Kept]) -> Kept:
        """The windows to keep of one range, of those kept and those that arrived; `parts` is empty afterwards."""
        if usable(self.limit):
            old, new = ({name: getattr(part, name) for name in COLUMNS} for part in parts)
            parts.clear()
            both = torch.cat([old["group"], new["group"]]), torch.cat([old["key"], new["key"]])
            return Kept(**steps.taken(steps.smallest_keys(*both, self.keep, self.limit), old, new))
        joined = _join(parts)
        order = sort_by(joined.group, joined.key)
        rank = rank_in_run(joined.group.index_select(0, order))
        last = order[true_at(rank == self.keep - 1)]
        self.limit[joined.group[last]] = joined.key[last]
        return joined.take(order[true_at(rank < self.keep)])
