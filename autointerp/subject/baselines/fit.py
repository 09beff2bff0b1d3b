"""Fits units to the sample: the sign, mean and threshold of each.

The mean is that of x.d, the sign that of its skewness. The threshold is put where the unit fires as often, on the same
sample, as the feature that it is paired with. Where firing means "above a share s of the largest activation", a unit
relu(z - theta) does so where z is above theta + s (max z - theta): theta = (c - s max z) / (1 - s), with c exceeded by
as many values as there are such firings.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float32, Int64

ROUNDING = 1e-6
"""Values this near, of the largest, may be one value: float32 products differ so much with the shape of a batch."""
BLOCK = 64  # units fitted at once: 64 x 262,144 floats are 67 MB


def fit(
    x: Tensor, unit: Int64, direction: Tensor | None, n_firing: Int64, share: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Sign, mean and threshold of each unit; theta is infinite where n_firing is 0. `n_firing` counts activations above
    `share` of a unit's largest."""
    sign = torch.empty(len(unit))
    mu = torch.empty(len(unit))
    theta = torch.full((len(unit),), torch.inf)
    transposed = x.T
    mean = x.mean(dim=0, dtype=torch.float64)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for first in range(0, len(unit), BLOCK):
            block = slice(first, first + BLOCK)
            if direction is None:
                index = torch.from_numpy(unit[block])
                z, centre = transposed[index], mean[index]  # [units, N], [units]
            else:
                z, centre = direction[block] @ transposed, direction[block].double() @ mean
            z = z.sub_(centre.float()[:, None])  # of this block alone: indexing and products copy
            skewed = (z * z).mul_(z).sum(dim=1) < 0
            z[skewed] *= -1
            sign[block] = torch.where(skewed, -1.0, 1.0)
            mu[block] = centre.float()
            thresholds = threads.map(partial(threshold_for, share=share), z.numpy(), n_firing[block].tolist())
            theta[block] = torch.tensor(list(thresholds), dtype=torch.float32)
    return sign, mu, theta


def threshold_for(values: Float32, n_above: int, share: float = 0.0) -> float:
    """A threshold that exactly `n_above` of the values exceed: between two order statistics. With a share, one past
    which exactly so many are more than that share of the largest.

    Where these are equal up to rounding (the same token after BOS has the same activation in every context), all of
    the equal values fire or none, whichever is nearer: on the threshold itself, rounding would decide. Infinite for 0:
    the unit never fires.
    """
    if share and n_above > 0:
        return (threshold_for(values, n_above) - share * float(values.max())) / (1.0 - share)
    if n_above <= 0:
        return float("inf")
    if n_above >= len(values):
        return float(values.min()) - 1.0
    parted = np.partition(values, len(values) - n_above - 1)
    below, above = float(parted[len(values) - n_above - 1]), float(parted[len(values) - n_above :].min())
    rounding = ROUNDING * float(max(values.max(), -values.min()))
    if above - below > rounding:
        return (below + above) / 2
    higher, lower = values[values > above + rounding], values[values < below - rounding]
    n_higher, n_tied = len(higher), len(values) - len(higher) - len(lower)
    if n_higher and n_above - n_higher <= n_tied / 2:
        return (above + float(higher.min())) / 2
    return (below + float(lower.max())) / 2 if len(lower) else below - 1.0
