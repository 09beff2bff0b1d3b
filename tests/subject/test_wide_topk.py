"""A wide TopK is encoded by ranges of features: the same activations as all at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autointerp.subject import dictionary as module
from autointerp.subject.dictionary import SparseAutoencoder


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize(("n_features", "k"), [(64, 1), (67, 3), (130, 5)])
def test_parts_are_the_whole(n_features: int, k: int, rescale: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(n_features)
    weight = 3 * torch.randn(6, n_features, generator=generator)
    sae = SparseAutoencoder(
        hook="h",
        architecture="topk",
        W_enc=weight,
        b_enc=torch.randn(n_features, generator=generator) - 12,
        W_dec=weight.T * torch.rand(n_features, 1, generator=generator),
        b_dec=torch.randn(6, generator=generator),
        k=k,
        rescale_by_decoder_norm=rescale,
    )
    x = torch.randn(50, 6, generator=generator)
    whole = sae.encode(x)
    assert 0 < (whole > 0).sum() < 50 * k, "some of the largest are negative"
    monkeypatch.setattr(module, "TOP_COLUMNS", 16)
    assert sae.at_once < n_features
    value, feature = sae.encode_top(x) or (torch.empty(0), torch.empty(0))
    assert value.shape == feature.shape == (50, k)
    dense = np.zeros((50, n_features), np.float32)
    for row in range(50):
        assert len(set(feature[row].tolist())) == k
        for v, f in zip(value[row].tolist(), feature[row].tolist(), strict=True):
            dense[row, f] = v
    np.testing.assert_allclose(dense, whole.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(dense > 0, whole.numpy() > 0)
