"""Taking tokens for many features at once gives what taking them one after the other does."""

from __future__ import annotations

import numpy as np
import pytest
import slow_tokens

from autointerp.extract.free_tokens import first_free, nearest_free, of_others

C, P, N = 23, 12, 90


def listed(taken: tuple[list[np.ndarray], list[np.ndarray]]) -> list[tuple[list[int], list[int]]]:
    return [(tokens.tolist(), by.tolist()) for tokens, by in zip(*taken, strict=True)]


@pytest.mark.parametrize("digits", [1, 7])  # with 1 most values are equal
@pytest.mark.parametrize("k", [1, 5, 2 * P, 70])
def test_nearest_free_ones(digits: int, k: int) -> None:
    rng = np.random.default_rng(k)
    values = -np.sort(-rng.standard_normal((C, k)).round(digits).astype(np.float32), axis=1)
    for row, n in zip(values, rng.integers(0, k + 1, C), strict=True):
        row[n:] = -np.inf if n % 2 else row[n:]
    tokens = np.stack([rng.permutation(N)[:k] for _ in range(C)])
    wanted = rng.standard_normal((C, P)).round(digits).astype(np.float32)
    own = np.stack([rng.permutation(N)[:P] for _ in range(C)])
    known = [np.isfinite(row) for row in values]
    expected = [
        slow_tokens.nearest_free(values[c][known[c]].tolist(), tokens[c][known[c]].tolist(), *of)
        for c, of in enumerate(zip(wanted.tolist(), own.tolist(), strict=True))
    ]
    assert any(len(tokens) < 2 * P for tokens, _ in expected) == (k < 2 * P or bool((~np.stack(known)).any()))
    assert listed(nearest_free(values, tokens, wanted, own)) == expected


@pytest.mark.parametrize("m", [0, 1, 3, 40])
def test_first_free_ones(m: int) -> None:
    rng = np.random.default_rng(m)
    near = np.stack([rng.permutation(N)[:m] for _ in range(N)]).astype(np.int64)
    own = np.stack([rng.permutation(N)[:P] for _ in range(C)])
    is_far = rng.random((C, N)) < 0.6
    before = is_far.copy()
    expected = [slow_tokens.first_free(near, own[c].tolist(), is_far[c]) for c in range(C)]
    assert listed(first_free(near, own, is_far)) == expected
    assert (is_far == before).all()
    if m == 3:
        assert min(len(tokens) for tokens, _ in expected) < 2 * P  # not all find one, twice


@pytest.mark.parametrize("most", [4, 30, 1000])
def test_tokens_of_others(most: int) -> None:
    rng = np.random.default_rng(most)
    promoted = np.stack([rng.permutation(N)[:P] for _ in range(C)])
    others = [rng.permutation(C)[: rng.integers(0, 6)].tolist() for _ in range(C)]
    others[0] = []
    is_beyond = rng.random((C, N)) < 0.7
    expected = [slow_tokens.of_others(others[c], promoted, is_beyond[c], most) for c in range(C)]
    assert listed(of_others(others, promoted, is_beyond, most)) == expected
    assert expected[0] == ([], [])
    assert listed(of_others([[]], promoted, is_beyond[:1], most)) == [([], [])]
