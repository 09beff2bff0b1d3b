"""Latents that fire below zero too: each becomes two features, so that no activation is negative.

Of F latents, feature i is latent i where it is positive, and feature F + i where it is negative. The k latents of the
largest magnitude are then the k largest of the 2F values x W_enc + b_enc and -(x W_enc + b_enc): an ordinary TopK.
"""

from __future__ import annotations

import torch
from torch import Tensor


def both_signs(W_enc: Tensor, b_enc: Tensor, W_dec: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights [d, F], [F] and [F, d_out] to those of the two features of each latent, 2F in all."""
    return torch.cat([W_enc, -W_enc], dim=1), torch.cat([b_enc, -b_enc]), torch.cat([W_dec, -W_dec])
