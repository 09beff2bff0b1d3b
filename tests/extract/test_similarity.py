"""Similarities of dictionaries equal those of whole matrices; a dictionary is like itself and not like noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from autointerp.extract import similarity
from autointerp.extract.similarity import best_matches, linear_cka, rsa, sparse_activations, token_gram

N = 120


@pytest.fixture
def sides() -> tuple[np.ndarray, np.ndarray]:
    """Two dictionaries of 30 and 50 features that share a third of what they do; one token is silent in the second."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((N, 30)), rng.standard_normal((N, 50))
    b[:, :10] = a[:, 5:15]
    a, b = np.maximum(a, 0), np.maximum(b, 0)
    b[17] = 0
    return a.astype(np.float32), b.astype(np.float32)


def test_cka_equals_that_of_whole_matrices(
    sides: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "COLUMNS", 7)
    a, b = (side.astype(np.float64) - side.mean(axis=0) for side in sides)
    expected = np.linalg.norm(a.T @ b) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    grams = (token_gram(torch.from_numpy(sides[0])), token_gram(torch.from_numpy(sides[1])))
    assert linear_cka(*grams) == pytest.approx(expected, rel=1e-4)
    order = np.random.default_rng(2).permutation(N)
    mixed = b[order]
    expected = np.linalg.norm(a.T @ mixed) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    assert linear_cka(*grams, order) == pytest.approx(expected, rel=1e-4)
    assert linear_cka(grams[0], grams[0]) == pytest.approx(1)
    turned = sides[0] @ np.linalg.qr(np.random.default_rng(4).standard_normal((30, 30)))[0].astype(np.float32)
    assert linear_cka(grams[0], token_gram(torch.from_numpy(3 * turned))) == pytest.approx(1, abs=1e-5)


def test_rsa_equals_scipy(sides: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "COLUMNS", 7)
    kept = np.delete(np.arange(N), 17)
    upper = np.triu_indices(N - 1, 1)
    a, b = (np.corrcoef(side[kept])[upper] for side in sides)
    grams = (token_gram(torch.from_numpy(sides[0])), token_gram(torch.from_numpy(sides[1])))
    value, n = rsa(*grams)
    assert n == N - 1
    assert value == pytest.approx(spearmanr(a, b).statistic, abs=1e-4)
    assert rsa(grams[0], grams[0])[0] == pytest.approx(1)
    assert abs(rsa(*grams, np.random.default_rng(2).permutation(N))[0]) < 0.5 * value


def test_equal_values_share_a_rank() -> None:
    assert similarity.shared_ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_a_dictionary_that_never_changes_has_none() -> None:
    silent = token_gram(torch.zeros(N, 4))
    other = token_gram(torch.rand(N, 4))
    assert np.isnan(linear_cka(silent, other))
    value, n = rsa(silent, other)
    assert (np.isnan(value), n) == (True, 0)


@pytest.mark.parametrize("cells", [1, 400, similarity.CELLS])
def test_matches_equal_a_table_of_correlations(sides: tuple[np.ndarray, np.ndarray], cells: int) -> None:
    a, b = (side.copy() for side in sides)
    b[:, 3] *= np.arange(N) < 20  # the same as a feature of A, and fires too seldom
    a[:20], b[:20] = 0, 0
    a[:, 7] = np.arange(N) >= N - 19  # fires too seldom itself
    a[:, 8] = 2.0  # the same everywhere
    a[:, 9] = np.arange(N) < 20  # nothing of B fires with it
    parts = [torch.from_numpy(b[first : first + 9]) for first in range(0, N, 9)]
    of_b = sparse_activations(parts, b.shape[1])
    assert np.array_equal(of_b.toarray(), b)
    matches = best_matches(sparse_activations([torch.from_numpy(a)], a.shape[1]), of_b, cells)
    with np.errstate(invalid="ignore"):
        r = np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]
    r[:, (b != 0).sum(axis=0) < 20] = -2
    often = ((a != 0).sum(axis=0) >= 20) & (a.std(axis=0) > 0)
    assert not often[[7, 8]].any()
    known = often & (np.arange(a.shape[1]) != 9)
    np.testing.assert_array_equal(matches.feature[known], r.argmax(axis=1)[known])
    np.testing.assert_allclose(matches.correlation[known], r.max(axis=1)[known], atol=1e-9)
    assert (matches.feature[~known] == -1).all()
    assert np.isnan(matches.correlation[~often]).all()
    assert (matches.status[9], matches.correlation[9]) == ("none", 0.0)
    assert {status for status, one in zip(matches.status, often, strict=True) if not one} == {"seldom"}
    assert {status for status, one in zip(matches.status, known, strict=True) if one} == {"ok"}
    assert matches.feature[5] == 0  # planted
