"""Logit effects of transcoders: of what they write, where they write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from autointerp.extract.effects import logit_effects
from autointerp.subject.dictionary import SparseAutoencoder, Units
from autointerp.subject.formats import load_dictionary
from autointerp.subject.model import Subject

WIDTH, N = 32, 9


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gemma_scope_2(folder: Path) -> SparseAutoencoder:
    folder = folder / "transcoder" / "layer_1_width_16k_l0_small"
    folder.mkdir(parents=True)
    held = {
        "w_enc": normal(0, WIDTH, N),
        "w_dec": normal(1, N, WIDTH),
        "b_enc": normal(2, N),
        "b_dec": normal(3, WIDTH),
    }
    save_file(held | {"threshold": torch.zeros(N)}, folder / "params.safetensors")
    return load_dictionary(str(folder))


def cross_layer(folder: Path) -> SparseAutoencoder:
    config = {"feature_input_hook": "hook_resid_mid", "feature_output_hook": "hook_mlp_out"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"model_kind": "cross_layer_transcoder", **config}))
    encoder = {"W_enc_1": normal(0, N, WIDTH), "b_enc_1": normal(2, N), "b_dec_1": normal(3, WIDTH)}
    save_file(encoder, folder / "W_enc_1.safetensors")
    save_file({"W_dec_1": normal(4, N, 2, WIDTH)}, folder / "W_dec_1.safetensors")
    return load_dictionary(str(folder / "W_enc_1.safetensors"))


@pytest.mark.parametrize("kind", [gemma_scope_2, cross_layer], ids=lambda make: make.__name__)
def test_they_are_those_of_what_is_written(kind: object, tiny_subject: Subject, tmp_path: Path) -> None:
    assert callable(kind)
    sae: SparseAutoencoder = kind(tmp_path)
    written = normal(1, N, WIDTH) if kind is gemma_scope_2 else normal(4, N, 2, WIDTH).sum(dim=1)
    plain = torch.zeros(N)
    units = Units("random_isotropic", "blocks.1.hook_mlp_out", WIDTH, torch.arange(N), written, plain + 1, plain, plain)
    usable = np.ones(tiny_subject.d_vocab, dtype=bool)
    features = np.arange(N)
    found, expected = (logit_effects(tiny_subject, dictionary, features, usable) for dictionary in (sae, units))
    assert found is not None
    assert expected is not None
    for direction in ("promoted", "suppressed"):
        np.testing.assert_array_equal(found.token[direction], expected.token[direction])
        np.testing.assert_allclose(found.effect[direction], expected.effect[direction], rtol=1e-4, atol=1e-4)
