"""The nearest features of each feature, by cosine of their directions: all pairs, a block of features at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float64, Int64

NEAREST = 5
BLOCK_VALUES = 1 << 23
"""Cosines that are looked at together."""


@torch.inference_mode()
def nearest_features(directions: Tensor, features: Int64, k: int = NEAREST) -> tuple[Int64, Float64]:
    """The `k` other features of largest cosine above 0, nearest first, and their cosines: [n, k] each.

    `directions` [F, d] of the whole dictionary, `features` [n] those asked about. -1 and nan where there are fewer.
    """
    length = directions.norm(dim=1, keepdim=True)
    unit = directions.float() / length.clamp(min=1e-30)
    unit[length.squeeze(1) == 0] = 0
    n_features = len(unit)
    k_found = min(k, n_features - 1)
    nearest = np.full((len(features), k), -1, dtype=np.int64)
    cosine = np.full((len(features), k), np.nan)
    step = max(1, BLOCK_VALUES // n_features)
    for first in range(0, len(features) if k_found else 0, step):
        asked = torch.from_numpy(features[first : first + step]).to(unit.device)
        pairs = unit[asked] @ unit.T
        pairs.scatter_(1, asked[:, None], -2)  # itself
        value, index = (part.cpu().numpy() for part in pairs.topk(k_found, dim=1))
        near = value > 0
        rows = slice(first, first + len(asked))
        nearest[rows, :k_found] = np.where(near, index, -1)
        cosine[rows, :k_found] = np.where(near, value, np.nan)
    return nearest, cosine
