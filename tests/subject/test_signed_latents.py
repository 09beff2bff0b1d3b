"""Latents that fire below zero too: two features a latent, none of them ever negative."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.fit import decode
from autointerp.subject.formats import load_dictionary

D, N, K = 8, 14, 4
HOOK = "blocks.1.hook_resid_post"


def inputs(n: int = 40) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(3)) + 0.5


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)

    def normal(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    return {"W_enc": normal(D, N), "b_enc": normal(N), "W_dec": normal(N, D), "b_dec": normal(D)}


def slow_latents(rescale: bool = False) -> np.ndarray:
    """The k latents of the largest magnitude, with their sign: one token and one latent at a time."""
    w = {name: value.double().numpy() for name, value in weights().items()}
    found = np.zeros((len(inputs()), N))
    for row, token in enumerate(inputs().double().numpy() - w["b_dec"]):
        pre = [sum(token[i] * w["W_enc"][i, f] for i in range(D)) + w["b_enc"][f] for f in range(N)]
        if rescale:
            pre = [value * np.linalg.norm(w["W_dec"][f]) for f, value in enumerate(pre)]
        for f in sorted(range(N), key=lambda f, pre=pre: -abs(pre[f]))[:K]:  # type: ignore[misc]
            found[row, f] = pre[f]
    return found


def saelens(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True)
    written = {"architecture": "abstopk", "d_in": D, "d_sae": N, "k": K, "metadata": {"hook_name": HOOK}, **config}
    (folder / "cfg.json").write_text(json.dumps(written))
    save_file(weights(), folder / "sae_weights.safetensors")
    return folder


def sparsify(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "cfg.json").write_text(json.dumps({"d_in": D, "num_latents": N, "k": K, "signed": True}))
    held = weights()
    state = {"encoder.weight": held["W_enc"].T.contiguous(), "encoder.bias": held["b_enc"]}
    save_file(state | {"W_dec": held["W_dec"], "b_dec": held["b_dec"]}, folder / "sae.safetensors")
    return folder


def check(sae: SparseAutoencoder, latents: np.ndarray) -> None:
    assert 0.2 < (latents < 0).sum() / (latents != 0).sum() < 0.8, "the twin must see both signs"
    found = sae.encode(inputs())
    assert (found >= 0).all()
    assert (sae.n_features, sae.activation) == (2 * N, f"topk (k = {K})")
    np.testing.assert_allclose(found[:, :N].numpy(), np.maximum(latents, 0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[:, N:].numpy(), np.maximum(-latents, 0), rtol=0, atol=1e-6)
    value, feature = sae.encode_top(inputs()) or (None, None)
    assert value is not None
    assert feature is not None
    torch.testing.assert_close(torch.zeros_like(found).scatter_(1, feature, value), found)
    torch.testing.assert_close(sae.directions[:N], -sae.directions[N:])


@pytest.mark.parametrize("rescale", [False, True])
def test_abstopk_of_saelens(rescale: bool, tmp_path: Path) -> None:
    sae = load_dictionary(str(saelens(tmp_path / "sae", rescale_acts_by_decoder_norm=rescale)))
    latents = slow_latents(rescale)
    check(sae, latents)
    held = weights()
    scale = held["W_dec"].norm(dim=1).double().numpy() if rescale else 1.0
    rebuilt = (latents / scale) @ held["W_dec"].double().numpy() + held["b_dec"].double().numpy()
    np.testing.assert_allclose(decode(sae, sae.encode(inputs()), inputs()).numpy(), rebuilt, rtol=0, atol=1e-5)


def test_signed_of_sparsify(tmp_path: Path) -> None:
    sae = load_dictionary(str(sparsify(tmp_path / "layers.1")))
    check(sae, slow_latents())
    assert sae.hook == HOOK
