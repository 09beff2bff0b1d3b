"""Arithmetic on sorted runs, and the hash of `autointerp.hashing` on a device.

A run (or segment) is a stretch of equal keys in a sorted tensor. All of the summary is made of these.
"""

from __future__ import annotations

import torch
from torch import Tensor


def run_starts(*keys: Tensor) -> Tensor:
    """Positions at which a new run begins, where runs are equal in every one of `keys`. [runs]"""
    n = len(keys[0])
    if n == 0:
        return torch.zeros(0, dtype=torch.long, device=keys[0].device)
    new = torch.zeros(n, dtype=torch.bool, device=keys[0].device)
    new[0] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return new.nonzero().squeeze(1)


def run_lengths(starts: Tensor, n: int) -> Tensor:
    """Lengths of the runs that begin at `starts` in a tensor of n. [runs]"""
    return torch.diff(starts, append=torch.full((1,), n, dtype=starts.dtype, device=starts.device))


def run_ids(starts: Tensor, n: int) -> Tensor:
    """The run of each element. [n]"""
    return torch.repeat_interleave(torch.arange(len(starts), device=starts.device), run_lengths(starts, n))


def rank_in_run(group: Tensor) -> Tensor:
    """Position of each element in its run of equal, adjacent groups. [n]"""
    starts = run_starts(group)
    lengths = run_lengths(starts, len(group))
    return torch.arange(len(group), device=group.device) - torch.repeat_interleave(starts, lengths)


def run_max(values: Tensor, ids: Tensor, n_runs: int) -> Tensor:
    """Largest value of each run. [runs]"""
    found = torch.full((n_runs,), -torch.inf, dtype=values.dtype, device=values.device)
    return found.scatter_reduce_(0, ids, values, "amax")


def gather_runs(starts: Tensor, lengths: Tensor) -> Tensor:
    """Indices of all elements of the runs, run after run."""
    ends = torch.cumsum(lengths, 0)
    total = int(ends[-1]) if len(ends) else 0
    shift = torch.repeat_interleave(starts - (ends - lengths), lengths, output_size=total)
    return shift + torch.arange(total, device=starts.device)


def sort_by(group: Tensor, key: Tensor) -> Tensor:
    """The order that sorts by group, then by key. [n]"""
    by_key = torch.sort(key, stable=True).indices
    return by_key[torch.sort(group[by_key], stable=True).indices]


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
    """`autointerp.hashing.hash64` for int64 tensors, equal to the bit."""
    signed = key - (1 << 64) if key >= 1 << 63 else key
    state = torch.full_like(parts[0], signed)
    for part in parts:
        state = _mix(state ^ part)
    return _shift_right(state, 1)


def descending(value: Tensor) -> Tensor:
    """Positive float32 values as integers that sort from the largest down; the lower 32 bits are free. int64"""
    return (0x7FFFFFFF - value.view(torch.int32).long()) << 32
