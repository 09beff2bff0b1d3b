"""Arithmetic on sorted runs, and the hash of `autointerp.hashing` on a device.

A run (or segment) is a stretch of equal keys in a sorted tensor. All of the summary is made of these.
On a CPU some of it is done by NumPy, in a third to a tenth of torch's time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.hashing import hash64 as hash_array
from autointerp.records import Int64

AnyInt = np.ndarray[Any, np.dtype[np.signedinteger[Any]]]


def true_at(mask: Tensor) -> Tensor:
    """Indices at which a mask of one dimension is true."""
    if mask.is_cuda:
        return mask.nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def repeated(values: Tensor, times: Tensor) -> Tensor:
    """Each value so many times. [sum of times]"""
    if values.is_cuda:
        return torch.repeat_interleave(values, times)
    return torch.from_numpy(np.repeat(values.numpy(), times.numpy()))


def quotient(values: Tensor, by: int) -> Tensor:
    """values // by, of integers that are not negative."""
    return values // by if values.is_cuda else torch.from_numpy(values.numpy() // by)


def places_of(values: Tensor, where: Tensor) -> Tensor:
    """`torch.searchsorted` of rising `values` for rising `where`."""
    if values.is_cuda:
        return torch.searchsorted(values, where)
    return torch.from_numpy(np.searchsorted(values.numpy(), where.numpy()))  # each search begins at the one before


def run_starts(*keys: Tensor) -> Tensor:
    """Positions at which a new run begins, where runs are equal in every one of `keys`. [runs]"""
    n = len(keys[0])
    if n == 0:
        return torch.zeros(0, dtype=torch.long, device=keys[0].device)
    new = torch.zeros(n, dtype=torch.bool, device=keys[0].device)
    new[0] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return true_at(new)


def run_lengths(starts: Tensor, n: int) -> Tensor:
    """Lengths of the runs that begin at `starts` in a tensor of n. [runs]"""
    return torch.diff(starts, append=torch.full((1,), n, dtype=starts.dtype, device=starts.device))


def run_ids(starts: Tensor, n: int) -> Tensor:
    """The run of each element. [n]"""
    return repeated(torch.arange(len(starts), device=starts.device), run_lengths(starts, n))


def rank_in_run(group: Tensor) -> Tensor:
    """Position of each element in its run of equal, adjacent groups. [n]"""
    starts = run_starts(group)
    lengths = run_lengths(starts, len(group))
    return torch.arange(len(group), device=group.device) - repeated(starts, lengths)


def gather_runs(starts: Tensor, lengths: Tensor) -> Tensor:
    """Indices of all elements of the runs, run after run."""
    if starts.is_cuda:
        ends = torch.cumsum(lengths, 0)
        shift = repeated(starts - (ends - lengths), lengths)
        return shift.add_(torch.arange(len(shift), device=starts.device))
    return torch.from_numpy(gathered(starts.numpy(), lengths.numpy()))


def gathered(starts: Int64, lengths: Int64) -> Int64:
    """The same of arrays: steps of one, and at each run's first element the step from the run before."""
    some = np.flatnonzero(lengths)
    if len(some) < len(lengths):
        starts, lengths = starts[some], lengths[some]
    if not len(lengths):
        return np.zeros(0, dtype=np.int64)
    ends = np.cumsum(lengths)
    steps = np.ones(ends[-1], dtype=np.int64)
    steps[0] = starts[0]
    steps[ends[:-1]] = starts[1:] - (starts[:-1] + lengths[:-1] - 1)
    return np.cumsum(steps, out=steps)


def sorted_keys(key: Tensor, below: int) -> tuple[Tensor, Tensor]:
    """Keys from 0 to `below` - 1, sorted stably, and their order. int64, int64

    On a CPU key and place are sorted as one number where they fit: NumPy sorts numbers in a quarter of the time that
    anything takes to sort an order.
    """
    bits = max(len(key) - 1, 1).bit_length()
    if key.is_cuda or below > 1 << (63 - bits):
        in_order = torch.sort(key.int() if below < 1 << 31 else key, stable=True)
        return in_order.values.long(), in_order.indices
    packed = key.numpy().astype(np.int64)
    packed <<= bits
    packed |= np.arange(len(packed))
    packed.sort()
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    return torch.from_numpy(packed), torch.from_numpy(order)


def sort_by(group: Tensor, key: Tensor) -> Tensor:
    """The order that sorts by group (below 2^31), then by key (not negative), then by place. [n]"""
    if key.is_cuda:
        by_key = torch.sort(key, stable=True).indices
        return by_key.index_select(0, torch.sort(group.int().index_select(0, by_key), stable=True).indices)
    if not len(key):
        return torch.zeros(0, dtype=torch.int64)
    keys = key.numpy()
    return torch.from_numpy(order_by(group.numpy(), keys >> max(0, int(keys.max()).bit_length() - 32), keys))


def order_by(group: AnyInt, coarse: AnyInt, *finer: AnyInt) -> Int64:
    """The order that sorts by group (below 2^31), then by `coarse` (below 2^32), by each of `finer`, by place. [n]

    Not stable to begin with, which is so much the faster; the few that are equal up to there are put in order.
    """
    packed = group.astype(np.int64)
    packed <<= 32
    packed |= coarse
    order = np.argsort(packed)
    packed = packed[order]
    equal = np.flatnonzero(packed[1:] == packed[:-1])
    if len(equal):
        tied = np.zeros(len(order), dtype=np.bool_)
        tied[equal] = tied[equal + 1] = True
        at = np.flatnonzero(tied)
        some = order[at]
        order[at] = some[np.lexsort((some, *(key[some] for key in reversed(finer)), packed[at]))]
    return order


IN_CACHE = 1 << 14
"""Elements worked on at once where a loop of whole passes would read them from memory again and again."""
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def _shift_right(value: Tensor, places: int) -> Tensor:
    """Logical shift: the sign bit moves like any other."""
    return (value >> places) & ((1 << (64 - places)) - 1)


def _mix(value: Tensor) -> Tensor:
    value = value + _GOLDEN
    value = (value ^ _shift_right(value, 30)) * _MIX_1
    value = (value ^ _shift_right(value, 27)) * _MIX_2
    return value ^ _shift_right(value, 31)


def hash64(key: int, *parts: Tensor) -> Tensor:
    """`autointerp.hashing.hash64` for int64 tensors of one length, equal to the bit."""
    if parts[0].is_cuda:
        return hash_on_device(key, *parts)
    columns = [part.numpy() for part in parts]  # NumPy multiplies 64-bit integers in a tenth of torch's time
    hashes = np.empty(len(columns[0]), dtype=np.uint64)
    for first in range(0, len(hashes), IN_CACHE):
        some = slice(first, first + IN_CACHE)
        hashes[some] = hash_array(key, *(column[some] for column in columns))
    return torch.from_numpy(hashes.view(np.int64))


def hash_on_device(key: int, *parts: Tensor) -> Tensor:
    """The same in torch."""
    signed = key - (1 << 64) if key >= 1 << 63 else key
    state = torch.full_like(parts[0], signed)
    for part in parts:
        state = _mix(state ^ part)
    return _shift_right(state, 1)


def descending(value: Tensor) -> Tensor:
    """Positive float32 values as integers that sort from the largest down; the lower 32 bits are free. int64"""
    return (0x7FFFFFFF - value.view(torch.int32).long()) << 32


def flat_non_zero(dense: Tensor) -> Tensor:
    """Where a matrix is not 0, row by row: places in it as one row."""
    if dense.is_cuda:
        return dense.view(-1).nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(dense.numpy() != 0))  # in a third of torch's time
