"""Tokens of enormous norm: the rule, what they do to a spectrum, and baselines that are fitted without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.hashing import rng_for
from autointerp.subject.baselines import ActivationSample, Target, make_units, take_sample
from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.fit import measure
from autointerp.subject.norms import norms_of, participation_ratio
from autointerp.subject.outliers import OUTLIER_NORM, norm_limit_of, norms, past_limit

HOOK, WIDTH, N, N_SINKS = "blocks.1.hook_resid_post", 32, 4000, 60


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    """Normal activations, and among them 60 that are twenty times as long and nearly parallel."""
    rng = rng_for(0, "norms")
    rows = rng.standard_normal((N, WIDTH))
    sinks = rng.permutation(N)[:N_SINKS]
    far = rng.standard_normal(WIDTH)
    rows[sinks] = 20 * np.sqrt(WIDTH) * (far / np.linalg.norm(far)) + rng.standard_normal((N_SINKS, WIDTH))
    return torch.from_numpy(rows.astype(np.float32))


def test_the_outliers_are_found_and_what_they_hold(x: torch.Tensor) -> None:
    found = norms_of(HOOK, x)
    truth = torch.linalg.vector_norm(x, dim=1) > 3 * WIDTH**0.5
    assert found.n_outliers == int(truth.sum()) == N_SINKS
    assert found.norm_limit == pytest.approx(OUTLIER_NORM * found.median, rel=1e-3)
    assert (past_limit(x, found.norm_limit) == truth).all()
    centred = (x - x.mean(dim=0)).double().square().sum(dim=1)
    assert found.variance_share == pytest.approx(float(centred[truth].sum() / centred.sum()), rel=1e-6)
    assert found.variance_share > 0.8
    assert found.participation_all < 2 < 0.9 * WIDTH < found.participation


def test_the_participation_ratio_is_that_of_the_eigenvalues(x: torch.Tensor) -> None:
    values = np.linalg.eigvalsh(np.cov(x.double().numpy().T, bias=True))
    assert participation_ratio(x) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    wide = torch.randn(50, 5000, generator=torch.Generator().manual_seed(0))
    products = np.linalg.eigvalsh(np.cov(wide.double().numpy(), rowvar=False, bias=True)[:0, :0])
    assert len(products) == 0  # 5000 x 5000 is what is not made
    centred = (wide - wide.mean(dim=0)).double().numpy()
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert participation_ratio(wide) == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_without_norms_or_spread_nothing_is_an_outlier() -> None:
    for rows in (torch.zeros(5, 3), torch.ones(5, 3), torch.zeros(0, 3)):
        limit = norm_limit_of(norms(rows))
        assert not past_limit(rows, limit).any()
        assert norms_of(HOOK, rows).variance_share == 0


@pytest.mark.parametrize("kind", ["random_covariance", "activation_difference", "pca", "random_isotropic"])
def test_baselines_are_fitted_without_outliers_and_silent_on_them(kind: str, x: torch.Tensor) -> None:
    limit = norm_limit_of(norms(x))
    outlier = past_limit(x, limit)
    ordered = torch.cat([x[~outlier], x[outlier]])
    sample = ActivationSample({HOOK: ordered}, 1.0, {HOOK: limit}, {HOOK: int((~outlier).sum())})
    alone = ActivationSample({HOOK: x[~outlier]}, 1.0)
    entry = DictionaryEntry(name="b", kind=kind, match="sae", hook=HOOK)
    target = Target(np.arange(12), np.full(12, 200), 12)
    apart, without = (make_units(entry, HOOK, one, 0, target) for one in (sample, alone))
    for field in ("direction", "sign", "mu", "theta"):
        torch.testing.assert_close(getattr(apart, field), getattr(without, field))
    fires = apart.encode(x) > 0
    assert not fires[outlier].any()
    assert (without.encode(x)[outlier] > 0).any()
    np.testing.assert_array_equal(fires.sum(dim=0), 200)  # as often as what they are matched to


def test_the_sample_puts_outliers_last(tiny_subject: Any, npy_tokens: Any, tmp_path: Any) -> None:
    plain = take_sample(tiny_subject, npy_tokens, [HOOK], 0, tmp_path)
    norm = norms(plain.by_hook[HOOK])
    limit = float(norm.quantile(0.9))
    apart = take_sample(tiny_subject, npy_tokens, [HOOK], 0, tmp_path, norm_limits={HOOK: limit})
    kept = norm <= limit
    assert apart.n_ordinary == {HOOK: int(kept.sum())}
    torch.testing.assert_close(apart.ordinary(HOOK), plain.by_hook[HOOK][kept], rtol=0, atol=0)
    others = apart.by_hook[HOOK][int(kept.sum()) :]
    assert {row.tobytes() for row in others.numpy()} == {row.tobytes() for row in plain.by_hook[HOOK][~kept].numpy()}
    assert plain.ordinary(HOOK) is not apart.by_hook[HOOK]
    assert len(plain.ordinary(HOOK)) == len(norm)


def test_variance_explained_is_told_with_and_without(x: torch.Tensor) -> None:
    """A dictionary that reconstructs the sinks alone explains most of the variance, and nothing of the text's."""
    outlier = past_limit(x, norm_limit_of(norms(x)))
    far = x[outlier].mean(dim=0)
    direction = far / far.norm()
    sae = SparseAutoencoder(
        hook=HOOK,
        architecture="standard",
        W_enc=direction[:, None],
        b_enc=torch.tensor([-10.0]),
        W_dec=direction[None],
        b_dec=torch.zeros(WIDTH),
        subtract_b_dec=False,
    )
    found = measure(sae, x)
    residual = (x - sae.encode(x) @ sae.W_dec).double()
    kept = x[~outlier].double()
    expected = 1 - residual[~outlier].square().sum() / (kept - kept.mean(dim=0)).square().sum()
    assert found.variance_explained == pytest.approx(float(expected), rel=1e-6)
    assert found.n_outliers == N_SINKS
    assert found.variance_explained < 0.05
    assert found.variance_explained_all > 0.8
