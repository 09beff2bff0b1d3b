"""Bits a token equal a count of values by hand; and what is known without counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autointerp.extract.description_length import LEVELS, LevelCounts


def by_hand(values: np.ndarray, step: float) -> float:
    """Entropy of one column of rounded values, and Miller's correction."""
    _, counts = np.unique(np.round(values / step), return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum() + (len(counts) - 1) / (2 * counts.sum()) / np.log(2))


@pytest.mark.parametrize("signed", [False, True])
def test_entropies_equal_a_count_by_hand(signed: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((300, 6)).astype(np.float32)
    values = values if signed else np.maximum(values, 0)
    counts = LevelCounts(6, 0.25, torch.device("cpu"), signed=signed)
    for part in np.array_split(values, 7):
        counts.add(torch.from_numpy(part))
    np.testing.assert_allclose(counts.entropies(), [by_hand(column, 0.25) for column in values.T], atol=1e-9)
    assert counts.n_cut == 0
    assert counts.mean_active == pytest.approx((np.round(values / 0.25) != 0).sum() / 300)


def test_four_levels_that_are_as_frequent_are_two_bits() -> None:
    counts = LevelCounts(2, 1.0, torch.device("cpu"), signed=False)
    counts.add(torch.arange(4).repeat(10_000)[:, None] * torch.tensor([1.0, 0.0]))
    four, silent = counts.entropies()
    assert four == pytest.approx(2, abs=1e-3)
    assert silent == 0


def test_values_that_are_too_far_are_counted_as_cut() -> None:
    counts = LevelCounts(1, 1.0, torch.device("cpu"), signed=False)
    counts.add(torch.tensor([[0.0], [LEVELS], [LEVELS // 2 - 1]]))
    assert counts.n_cut == 1
    assert counts.entropies()[0] == pytest.approx(by_hand(np.array([0, 1, 1]), 1))
