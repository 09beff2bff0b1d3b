"""A dictionary as it is before training: what a fresh SAE of the same architecture scores.

The scheme, whatever the architecture that is copied: decoder directions are normal draws of norm 1, each feature's
from a generator of its own; the encoder is the decoder transposed (a transcoder that reads and writes at two places:
draws of its own, of norm 1 too); all biases are zero; k, groups and the input's normalisation are those of the
dictionary it copies; a JumpReLU starts at THRESHOLD everywhere (SAELens's default; BatchTopK and Matryoshka are saved
as JumpReLU); a gated one with r_mag, b_gate and b_mag zero. Skip connections are left out: they are no feature's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autointerp.hashing import rng_for
from autointerp.subject.dictionary import SparseAutoencoder

THRESHOLD = 0.01


def random_init_sae(like: SparseAutoencoder, name: str, seed: int, copied: str = "") -> SparseAutoencoder:
    """A fresh dictionary of the architecture and width of `like` (called `copied` in the run file)."""
    n, d_out = like.n_features, int(like.W_dec.shape[1])
    W_dec = _unit_normal(n, d_out, name, "decoder", seed)
    tied = like.hook_out is None and d_out == like.d_in
    W_enc = W_dec if tied else _unit_normal(n, like.d_in, name, "encoder", seed)
    zero = torch.zeros(n)
    gated = like.architecture == "gated"
    return SparseAutoencoder(
        hook=like.hook,
        hook_out=like.hook_out,
        architecture=like.architecture,
        kind="random_init_sae",
        W_enc=W_enc.T.contiguous(),
        b_enc=zero,
        W_dec=W_dec,
        b_dec=torch.zeros(d_out),
        subtract_b_dec=like.subtract_b_dec,
        threshold=torch.full((n,), THRESHOLD) if like.architecture == "jumprelu" else None,
        k=like.k,
        b_gate=zero if gated else None,
        r_mag=zero if gated else None,
        b_mag=zero if gated else None,
        normalize=like.normalize,
        processing=like.processing,
        format="",
        config={"like": copied, "architecture": like.architecture, "k": like.k, "normalize": like.normalize},
    )


def _unit_normal(n: int, d: int, name: str, part: str, seed: int) -> Tensor:
    """Directions uniform on the sphere, [n, d]."""
    drawn = np.stack([rng_for(seed, "random_init_sae", name, part, unit).standard_normal(d) for unit in range(n)])
    return torch.from_numpy((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32))
