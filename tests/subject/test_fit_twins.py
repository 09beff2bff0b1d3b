"""What pass 0 computes in pieces that fit the cache is what a formula over the whole sample says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.subject.baselines import fit as fitting
from autointerp.subject.baselines.fit import fit, threshold_for
from autointerp.subject.baselines.matching import count_firings
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.row_moments import covariance, mean_of

N, D = 5_003, 24


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(N, D, generator=generator) @ torch.randn(D, D, generator=generator)
    return mixed.div(4).exp() + torch.arange(D)


@pytest.mark.parametrize("n", [1, 255, 256, 1025, N])
def test_mean_and_covariance(n: int, x: torch.Tensor) -> None:
    exact = x[:n].double().numpy()
    np.testing.assert_allclose(mean_of(x[:n]).numpy(), exact.mean(axis=0), rtol=1e-13)
    found = covariance(x[:n])
    centred = exact - exact.mean(axis=0)
    expected = centred.T @ centred / n
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * max(np.abs(expected).max(), 1e-3))
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("directions", [True, False], ids=["directions", "coordinates"])
@pytest.mark.parametrize(("block", "rows"), [(64, 2048), (7, 100)])
def test_units(directions: bool, block: int, rows: int, x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "BLOCK", block)
    monkeypatch.setattr(fitting, "ROWS", rows)
    rng = np.random.default_rng(0)
    n = 40 if directions else D
    unit, n_firing = np.arange(n), rng.integers(0, 400, n)
    reads = torch.nn.functional.normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(1)))
    sign, mu, theta = fit(x, unit, reads if directions else None, n_firing)
    z = (x @ reads.T if directions else x).double()
    z = z - z.mean(dim=0)
    skewness = (z**3).mean(dim=0) / (z**2).mean(dim=0) ** 1.5
    assert bool((skewness.abs() > 1e-3).all())
    torch.testing.assert_close(sign, skewness.sign().float())
    mean = x.double().mean(dim=0)
    torch.testing.assert_close(mu, (reads.double() @ mean if directions else mean).float())
    fires = ((z * sign).float() > theta).sum(dim=0).numpy()
    assert np.abs(fires - n_firing).max() <= 1, "rounding may put one value on the other side"
    assert (fires == n_firing).mean() > 0.9
    assert np.isinf(theta.numpy()[n_firing == 0]).all()


def slow_threshold(values: np.ndarray, n_above: int) -> float:
    """By the order of all values: between two of them, but among values equal up to rounding past the nearer end."""
    ordered = np.sort(values)[::-1].astype(np.float64)
    rounding = fitting.ROUNDING * np.abs(ordered).max()
    above, below = ordered[n_above - 1], ordered[n_above]
    if above - below <= rounding:
        higher, lower = ordered[ordered > above + rounding], ordered[ordered < below - rounding]
        n_tied = len(ordered) - len(higher) - len(lower)
        if len(higher) and n_above - len(higher) <= n_tied / 2:
            below = higher[-1]
        else:
            above, below = below, lower[0]
    return float((above + below) / 2)


@pytest.mark.parametrize("shape", ["normal", "sparse", "sorted", "late"])
def test_thresholds_from_the_largest_values_alone(shape: str) -> None:
    """Whatever the evenly spaced values say of where the largest begin."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(40_000)
    if shape == "sparse":
        values = np.where(rng.random(40_000) < 0.03, 1 + np.abs(values), values / 8)
    elif shape == "sorted":
        values = np.sort(values)
    elif shape == "late":  # all large ones between the evenly spaced places
        values[::9] -= 20
    single = values.astype(np.float32)
    for n_above in (1, 2, 30, 399, 400, 401, 5_000, 19_999, 20_001, 35_000, 39_998, 39_999):
        assert threshold_for(single, n_above) == slow_threshold(single, n_above)


def test_firings_are_counted(x: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(2)
    encoder = torch.randn(D, 30, generator=generator)
    sae = SparseAutoencoder(
        hook="h",
        architecture="standard",
        W_enc=encoder,
        b_enc=torch.randn(30, generator=generator) * 10,
        W_dec=encoder.T.contiguous(),
        b_dec=x.mean(dim=0),
    )
    features = np.array([3, 7, 8, 29])
    counted = count_firings(sae, x, features)
    expected = (sae.encode(x) > 0).sum(dim=0).numpy()[features]
    assert np.abs(counted.n_firing - expected).max() <= 1
    assert 0 < counted.n_firing.min() < N
    assert counted.n_selected == len(features)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated", "topk"])
def test_firings_of_some_features_are_those_among_all(x: torch.Tensor, architecture: str) -> None:
    """Features that compete are encoded with all others; the others by themselves."""
    generator = torch.Generator().manual_seed(3)
    encoder = torch.randn(D, 30, generator=generator)
    used = {"jumprelu": ("threshold",), "gated": ("b_gate", "r_mag", "b_mag")}.get(architecture, ())
    own: dict[str, Any] = {name: torch.randn(30, generator=generator) for name in used}
    sae = SparseAutoencoder(
        hook="h",
        architecture=architecture,
        W_enc=encoder,
        b_enc=torch.randn(30, generator=generator) * 10,
        W_dec=encoder.T.contiguous(),
        b_dec=x.mean(dim=0),
        k=4 if architecture == "topk" else None,
        **own,
    )
    features = np.array([1, 7, 8, 12, 29])
    expected = (sae.encode(x) > 0).sum(dim=0).numpy()[features]
    assert np.abs(count_firings(sae, x, features).n_firing - expected).max() <= 1
    assert len(set(expected.tolist())) > 3
    if architecture != "topk":
        few = sae.only(torch.from_numpy(features))
        assert torch.allclose(few.encode(x), sae.encode(x)[:, features], atol=1e-4)
        assert torch.equal(few.directions, sae.directions[features])
