"""A dictionary format: plain arrays in one .npz file."""

from __future__ import annotations

import numpy as np
import torch

from autointerp import DictionarySource, SparseAutoencoder


class PlainArrays:
    """Reads weights.npz of the folder that the run file names."""

    def read(self, source: DictionarySource, hook: str | None, kind: str) -> SparseAutoencoder:
        with np.load(source.named("weights.npz"), allow_pickle=False) as file:
            weights = {name: torch.from_numpy(file[name]).float() for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
        return SparseAutoencoder(
            hook=hook or "blocks.0.mlp.hook_post",
            architecture="standard",
            W_enc=weights["W_enc"],
            b_enc=weights["b_enc"],
            W_dec=weights["W_dec"],
            b_dec=weights["b_dec"],
        )
