"""PCA and ICA: against a plain twin, and on data whose components are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from sklearn.decomposition import FastICA

from autointerp.subject.components import fast_ica, independent_components, principal_components

D = 6


@pytest.fixture(scope="module")
def sources() -> np.ndarray:
    """Six sources of unit variance, some far from normal, some less."""
    rng = np.random.default_rng(1)
    n = 12_000
    drawn = [
        rng.exponential(size=n) ** 2 * rng.choice([-1, 1], n),
        rng.standard_normal(n) * (rng.random(n) < 0.2),
        rng.laplace(size=n),
        rng.choice([-1.0, 1.0], n) + 0.2 * rng.standard_normal(n),
        rng.uniform(-1, 1, n),
        rng.standard_normal(n) * rng.choice([1.0, 2.5], n),
    ]
    return np.stack([(s - s.mean()) / s.std() for s in drawn], axis=1)


@pytest.fixture(scope="module")
def mixing() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((D, D)) + np.eye(D)


@pytest.fixture(scope="module")
def x(sources: np.ndarray, mixing: np.ndarray) -> torch.Tensor:
    """Mixed, and far from zero."""
    return torch.from_numpy((sources @ mixing + 30).astype(np.float32))


def plain_ica(z: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """FastICA word by word, in float64: one expectation after the other."""
    turn: np.ndarray = np.real(linalg.inv(linalg.sqrtm(start @ start.T))) @ start
    for _ in range(steps):
        new = np.empty_like(turn)
        for i, row in enumerate(turn):
            value = z @ row
            new[i] = np.mean(z * np.tanh(value)[:, None], axis=0) - np.mean(1 - np.tanh(value) ** 2) * row
        turn = np.real(linalg.inv(linalg.sqrtm(new @ new.T))) @ new
    return turn


def test_principal_components_are_those_of_the_singular_value_decomposition(x: torch.Tensor) -> None:
    centred = x.double().numpy() - x.double().numpy().mean(axis=0)
    _, size, lines = np.linalg.svd(centred, full_matrices=False)
    found = principal_components(x)
    cosine = np.abs(np.einsum("ij,ij->i", found.reads.double().numpy(), lines))
    np.testing.assert_allclose(cosine, 1, atol=1e-6)
    variance = (centred @ found.reads.double().numpy().T).var(axis=0)
    np.testing.assert_allclose(variance, size**2 / len(x), rtol=1e-4)
    assert (np.diff(variance) < 0).all()
    largest = np.abs(found.reads.numpy()).argmax(axis=1)
    assert (found.reads.numpy()[np.arange(D), largest] > 0).all()
    first = principal_components(x, 2)
    torch.testing.assert_close(first.reads, found.reads[:2])
    assert first.facts["variance_explained"] == pytest.approx(float((size[:2] ** 2).sum() / (size**2).sum()), abs=1e-5)


def test_the_rank_limits_the_components(x: torch.Tensor) -> None:
    flat = torch.cat([x, x[:, :2] @ torch.tensor([[1.0, 2.0], [3.0, -1.0]])], dim=1)
    found = principal_components(flat)
    assert (len(found.reads), found.facts["rank"]) == (D, D)
    assert len(independent_components(flat, None, 0, "ica").reads) == D
    assert principal_components(torch.ones(50, 4)).facts["rank"] == 0


def test_independent_components_are_the_sources(x: torch.Tensor, sources: np.ndarray, mixing: np.ndarray) -> None:
    found = independent_components(x, None, 0, "ica")
    assert found.facts["converged"]
    values = x.double().numpy() @ found.reads.double().numpy().T
    correlation = np.abs(np.corrcoef(values.T, sources.T)[:D, D:])
    assert (correlation.max(axis=1) > 0.99).all()
    which = correlation.argmax(axis=1)
    assert sorted(which.tolist()) == list(range(D))
    # what a component writes is the row of the mixing, for a unit of its value
    for i, source in enumerate(which):
        cosine = np.corrcoef(found.writes[i].numpy(), mixing[source])[0, 1]
        assert abs(cosine) > 0.98, source
    back = (values - values.mean(axis=0)) @ found.writes.double().numpy()
    np.testing.assert_allclose(back, x.double().numpy() - x.double().numpy().mean(axis=0), atol=2e-3)
    torch.testing.assert_close(found.reads.norm(dim=1), torch.ones(D))


def test_independent_components_are_ordered_by_how_far_from_normal_they_are(x: torch.Tensor) -> None:
    found = independent_components(x, None, 0, "ica")
    values = x.double().numpy() @ found.reads.double().numpy().T
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    normal = np.log(np.cosh(stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000))).mean()
    distance = (np.log(np.cosh(values)).mean(axis=0) - normal) ** 2
    assert (np.diff(distance) < 1e-5).all()
    assert distance[0] > 3 * distance[-1]


@pytest.mark.parametrize("steps", [1, 3])
def test_fast_ica_equals_its_plain_twin(x: torch.Tensor, steps: int) -> None:
    values = x.double().numpy() - x.double().numpy().mean(axis=0)
    z = values @ np.real(linalg.inv(linalg.sqrtm(np.cov(values.T, ddof=0))))
    start = np.random.default_rng(4).standard_normal((D, D))
    turn, taken, converged = fast_ica(torch.from_numpy(z).float(), start, steps)
    assert (taken, converged) == (steps, False)
    np.testing.assert_allclose(turn, plain_ica(z, start, steps), atol=1e-4)


def test_the_same_name_and_seed_give_the_same_components(x: torch.Tensor) -> None:
    once, again = (independent_components(x, 4, 0, "ica") for _ in range(2))
    torch.testing.assert_close(once.reads, again.reads, rtol=0, atol=0)
    assert len(once.reads) == 4


def test_scikit_learn_finds_the_same(x: torch.Tensor) -> None:
    twin = FastICA(D, whiten="unit-variance", random_state=0, max_iter=200).fit(x.double().numpy())
    found = independent_components(x, None, 0, "ica").reads.double().numpy()
    theirs = twin.components_ / np.linalg.norm(twin.components_, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(found @ theirs.T).max(axis=1), 1, atol=1e-3)


def test_without_independent_sources_it_does_not_come_to_rest() -> None:
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal((4000, 12)).astype(np.float32))
    turn, steps, converged = fast_ica(normal, np.eye(12), steps=5)
    assert (steps, converged) == (5, False)
    np.testing.assert_allclose(turn @ turn.T, np.eye(12), atol=1e-9)
