"""Keeps the few windows of smallest key in each group, with their activations.

Top exemplars (key: activation, falling), reservoirs (key: a hash) and everything else that must remember
windows is this one structure. It merges by putting together and keeping the smallest again: the result
does not depend on the order of arrival, because keys are distinct.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from autointerp.extract.events import Events
from autointerp.extract.segments import gather_runs, rank_in_run, sort_by

BUFFER = 1 << 16
NEVER = (1 << 63) - 1


@dataclass(frozen=True)
class Kept:
    """K windows, sorted by (group, key); their activations stand one after the other in `place`, `value`."""

    group: Tensor  # [K] int64
    key: Tensor  # [K] int64
    feature: Tensor  # [K] int64
    window: Tensor  # [K] int64 window number
    peak: Tensor  # [K] int64 position in the context of the token the window was chosen for
    peak_value: Tensor  # [K] float32 activation there
    length: Tensor  # [K] int64 activations of the window
    place: Tensor  # [sum of length] int64 position in the context
    value: Tensor  # [sum of length] float32

    def take(self, index: Tensor) -> Kept:
        start = torch.cumsum(self.length, 0) - self.length
        inner = gather_runs(start[index], self.length[index])
        of_item = {item.name: getattr(self, item.name)[index] for item in fields(self)[:7]}
        return Kept(**of_item, place=self.place[inner], value=self.value[inner])


def _join(parts: list[Kept]) -> Kept:
    return Kept(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(Kept)))


class Keeper:
    """The `keep` windows of smallest key in each of `n_groups` groups."""

    def __init__(self, n_groups: int, keep: int, device: torch.device) -> None:
        self.keep = keep
        self.limit = torch.full((n_groups,), NEVER, dtype=torch.int64, device=device)
        """Keys at or above this cannot enter the group any more."""
        empty = torch.zeros(0, dtype=torch.int64, device=device)
        none = torch.zeros(0, dtype=torch.float32, device=device)
        self._parts = [Kept(empty, empty, empty, empty, empty, none, empty, empty, none)]
        self._n_waiting = 0

    def add(self, events: Events, event: Tensor, group: Tensor, key: Tensor) -> None:
        """Offers windows: `event` [n] is the event that each is chosen for; group and key are [n]."""
        fits = key < self.limit[group]
        event, group, key = event[fits], group[fits], key[fits]
        window = events.window_of[event]
        length = events.window_length[window]
        inner = gather_runs(events.window_start[window], length)
        self._parts.append(
            Kept(
                group=group,
                key=key,
                feature=events.feature[event],
                window=events.window_number[window],
                peak=events.position[event],
                peak_value=events.value[event],
                length=length,
                place=events.position[inner],
                value=events.value[inner],
            )
        )
        self._n_waiting += len(event)
        if self._n_waiting > max(BUFFER, len(self._parts[0].group)):
            self.kept()

    def merge(self, other: Keeper) -> None:
        self._parts.append(other.kept())
        self.kept()

    def kept(self) -> Kept:
        """What is kept so far."""
        joined = _join(self._parts)
        order = sort_by(joined.group, joined.key)
        rank = rank_in_run(joined.group[order])
        best = joined.take(order[rank < self.keep])
        last = order[rank == self.keep - 1]
        self.limit[joined.group[last]] = joined.key[last]
        self._parts, self._n_waiting = [best], 0
        return best
