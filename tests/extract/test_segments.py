"""Sorts and runs of the summary against their slow twins; device arithmetic is that of tests/test_hashing.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autointerp.extract.summary.segments import gather_runs, order_by, sort_by, sorted_keys

LARGEST = (1 << 63) - 1


@pytest.mark.parametrize("n", [0, 1, 2, 300, 5_000])
@pytest.mark.parametrize("below", [1, 3, 1 << 20, 1 << 45, LARGEST])
def test_keys_are_sorted_with_their_places(n: int, below: int) -> None:
    key = np.random.default_rng(n).integers(0, below, n)
    found, order = sorted_keys(torch.from_numpy(key), below)
    assert order.tolist() == sorted(range(n), key=lambda i: (key[i], i))
    assert found.tolist() == sorted(key.tolist())


@pytest.mark.parametrize("n", [0, 1, 2, 300, 5_000])
@pytest.mark.parametrize("below", [1, 3, 1 << 33, LARGEST])
def test_the_order_is_by_group_then_key_then_place(n: int, below: int) -> None:
    rng = np.random.default_rng(n)
    group, key = rng.integers(0, 40, n), rng.integers(0, below, n)
    group[: n // 10] = (1 << 31) - 1
    key[::7] = (below - 1) - (below - 1) // (1 << 40)  # alike in the bits that are looked at first
    key[3::7] = below - 1
    found = sort_by(torch.from_numpy(group), torch.from_numpy(key))
    assert found.tolist() == sorted(range(n), key=lambda i: (group[i], key[i], i))


def test_finer_keys_decide_where_coarse_ones_are_equal() -> None:
    rng = np.random.default_rng(0)
    group, coarse = rng.integers(0, 5, 2_000), rng.integers(0, 9, 2_000)
    fine, finest = rng.integers(0, 4, 2_000), rng.integers(0, 3, 2_000)
    found = order_by(group, coarse, fine, finest)
    assert found.tolist() == sorted(range(2_000), key=lambda i: (group[i], coarse[i], fine[i], finest[i], i))


def test_runs_are_gathered_one_after_the_other_and_empty_ones_are_nothing() -> None:
    rng = np.random.default_rng(0)
    start, length = rng.integers(0, 1_000, 400), rng.integers(0, 4, 400)
    for some in (slice(0, 0), slice(0, 1), slice(None)):
        found = gather_runs(torch.from_numpy(start[some]), torch.from_numpy(length[some]))
        wanted = [i for a, n in zip(start[some], length[some], strict=True) for i in range(a, a + n)]
        assert found.tolist() == wanted
    assert gather_runs(torch.tensor([5, 6]), torch.tensor([0, 0])).tolist() == []
