"""Mean and covariance of the rows of activations that may lie on disk, in double precision.

Rows are taken a few at a time, so that what is converted stays in the cache: a sum of float32 columns in double
precision takes an eighth of the time of one over the whole matrix. Of a covariance one triangle is summed (BLAS syrk),
the other is the same.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg.blas import dsyrk
from torch import Tensor

from autointerp.records import Float64

SUMMED, MULTIPLIED = 256, 1024
"""Rows taken at a time, for sums and for products."""


def mean_of(x: Tensor) -> Tensor:
    """Mean of the rows of x [N, d], float64 [d]."""
    total = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for first in range(0, len(x), SUMMED):
        total += x[first : first + SUMMED].double().sum(dim=0)
    return total / len(x)


def covariance(x: Tensor) -> Float64:
    """Covariance of the rows of x, float64 [d, d]; centred before it is squared, so that a far mean costs nothing."""
    d = int(x.shape[1])
    mean = mean_of(x)
    upper = np.zeros((d, d), order="F")
    for first in range(0, len(x), MULTIPLIED):
        rows = x[first : first + MULTIPLIED].double().sub_(mean).numpy()
        upper = dsyrk(1.0, rows.T, 1.0, upper, overwrite_c=1)
    return np.asarray((np.triu(upper) + np.triu(upper, 1).T) / max(1, len(x)))
