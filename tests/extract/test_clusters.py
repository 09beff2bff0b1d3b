"""The ultralow-density cluster: found where it was planted, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.extract.diagnose.clusters import density_clusters, ultralow_below

N_TOKENS = 10_000_000


def counts(rng: np.random.Generator, log_density: np.ndarray, n_tokens: int = N_TOKENS) -> np.ndarray:
    """Firings of features of these densities."""
    return rng.poisson(np.minimum(10.0**log_density, 0.9) * n_tokens).astype(np.int64)


UNIMODAL = {
    "normal": lambda rng, n: rng.normal(-3.5, 0.7, n),
    "narrow": lambda rng, n: rng.normal(-3, 0.2, n),
    "wide": lambda rng, n: rng.normal(-4.5, 1.2, n),
    "skewed to the left": lambda rng, n: -2.5 - rng.gamma(2, 0.7, n),
    "skewed to the right": lambda rng, n: -5 + rng.gamma(2, 0.7, n),
    "heavy tails": lambda rng, n: -3.5 + 0.5 * rng.standard_t(3, n),
    "few firings": lambda rng, n: rng.normal(-6.7, 0.5, n),
    "flat": lambda rng, n: rng.uniform(-6, -2, n),
}


@pytest.mark.parametrize("shape", UNIMODAL)
def test_one_mode_is_one_cluster(shape: str) -> None:
    rng = np.random.default_rng(0)
    for n in (60, 300, 4_000):
        for _ in range(8):
            assert ultralow_below(counts(rng, UNIMODAL[shape](rng, n)), N_TOKENS) is None


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("centre", [-6.0, -5.5])
def test_a_planted_cluster_is_told_apart(share: float, centre: float) -> None:
    rng = np.random.default_rng(1)
    for n in (1_000, 8_192):
        ultralow = rng.random(n) < share
        log_density = np.where(ultralow, rng.normal(centre, 0.25, n), rng.normal(-3, 0.5, n))
        firings = counts(rng, log_density)
        below = ultralow_below(firings, N_TOKENS)
        assert below is not None
        assert 10 ** (centre + 0.4) < below < 10**-3.3
        cluster = np.array([name or "dead" for name in density_clusters(firings, N_TOKENS, below)])
        assert (cluster == "dead").tolist() == (firings == 0).tolist()
        fires = firings > 0
        assert ((cluster == "ultralow") == ultralow)[fires].mean() > 0.99


def test_a_group_that_fires_everywhere_makes_no_ultralow_one_of_the_rest() -> None:
    rng = np.random.default_rng(2)
    log_density = np.concatenate([rng.normal(-3.5, 0.4, 1_000), rng.normal(-0.4, 0.1, 200)])
    assert ultralow_below(counts(rng, log_density), N_TOKENS) is None
    below = ultralow_below(counts(rng, np.concatenate([log_density, rng.normal(-6, 0.2, 300)])), N_TOKENS)
    assert below is not None
    assert 1e-6 < below < 1e-4


def test_too_few_features_are_one_cluster() -> None:
    firings = np.concatenate([np.full(19, 3), np.full(500, 10_000)])
    assert ultralow_below(firings, N_TOKENS) is None
    assert ultralow_below(np.zeros(500, np.int64), N_TOKENS) is None
    assert ultralow_below(np.zeros(0, np.int64), N_TOKENS) is None
    assert density_clusters(np.array([0, 3]), 100, None) == [None, "main"]
