"""Fits units to the sample: the sign, mean and threshold of each.

The mean is that of x.d, the sign that of its skewness. The threshold is put where the unit fires as often, on the same
sample, as the feature that it is paired with. Where firing means "above a share s of the largest activation", a unit
relu(z - theta) does so where z is above theta + s (max z - theta): theta = (c - s max z) / (1 - s), with c exceeded by
as many values as there are such firings.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autointerp.records import Float32, Int64
from autointerp.subject.row_moments import mean_of

ROUNDING = 1e-6
"""Values this near, of the largest, may be one value: float32 products differ so much with the shape of a batch."""
BLOCK = 128  # units fitted at once: 128 x 262,144 floats are 134 MB
ROWS = 2048
"""Rows of the sample that are taken at a time: what is computed of them stays in the cache."""
PICKED = 4096
"""Values, evenly spaced, that say where the largest begin."""


def fit(
    x: Tensor, unit: Int64, direction: Tensor | None, n_firing: Int64, share: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Sign, mean and threshold of each unit; theta is infinite where n_firing is 0. `n_firing` counts activations above
    `share` of a unit's largest."""
    sign = torch.empty(len(unit))
    mu = torch.empty(len(unit))
    theta = torch.full((len(unit),), torch.inf)
    mean = mean_of(x)
    z = torch.empty((min(BLOCK, len(unit)), len(x)))
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for first in range(0, len(unit), BLOCK):
            block = slice(first, first + BLOCK)
            index = torch.from_numpy(unit[block])
            reads = None if direction is None else direction[block]
            centre = mean[index] if reads is None else reads.double() @ mean
            centred = z[: len(index)]
            third = torch.zeros(len(index), dtype=torch.float64)
            for rows, values in _values(x, index, reads):
                part = torch.sub(values, centre.float()[:, None], out=centred[:, rows])
                third += (part * part).mul_(part).sum(dim=1)
            skewed = third < 0
            sign[block] = torch.where(skewed, -1.0, 1.0)
            mu[block] = centre.float()
            for row in skewed.nonzero().squeeze(1).tolist():
                centred[row].neg_()
            thresholds = threads.map(partial(threshold_for, share=share), centred.numpy(), n_firing[block].tolist())
            theta[block] = torch.tensor(list(thresholds), dtype=torch.float32)
    return sign, mu, theta


def _values(x: Tensor, index: Tensor, reads: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """What some units read, of some rows after the other: [units, rows]. `reads` None: coordinates `index`."""
    for first in range(0, len(x), ROWS):
        rows = slice(first, min(first + ROWS, len(x)))
        yield rows, x[rows].T[index] if reads is None else reads @ x[rows].T


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
    below, above = _borders(values, n_above)
    rounding = ROUNDING * float(max(values.max(), -values.min()))
    if above - below > rounding:
        return (below + above) / 2
    higher, lower = values[values > above + rounding], values[values < below - rounding]
    n_higher, n_tied = len(higher), len(values) - len(higher) - len(lower)
    if n_higher and n_above - n_higher <= n_tied / 2:
        return (above + float(higher.min())) / 2
    return (below + float(lower.max())) / 2 if len(lower) else below - 1.0


def _borders(values: Float32, n_above: int) -> tuple[float, float]:
    """The order statistics below and above the border of the `n_above` largest, 0 < n_above < n."""
    candidates = values
    picked = np.sort(values[:: max(1, len(values) // PICKED)])
    share = n_above / len(values)
    # twice as many as wanted, and some: the sample says with certainty of few places only
    place = len(picked) - 1 - int(2 * share * len(picked)) - 32
    if place > 0:
        largest = values[values > picked[place]]
        if len(largest) > n_above:
            candidates = largest
    n_below = len(candidates) - n_above
    parted = np.partition(candidates, n_below - 1)
    return float(parted[n_below - 1]), float(parted[n_below:].min())
