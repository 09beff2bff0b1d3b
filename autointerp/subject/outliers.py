"""Which activations are outliers: those of a norm above OUTLIER_NORM times the median norm at their hook.

In most language models a few tokens (the first of a context, some line breaks and lone spaces) have activations many
times as long as all others. The limit is rounded to four digits: a norm that another machine computes differently in
its last bits is on the same side of it. `norms.py` measures the median, and what outliers do to the variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

OUTLIER_NORM = 3.5
"""Times the median norm."""
BLOCK = 8192


def past_limit(x: Tensor, norm_limit: float) -> Tensor:
    """Which rows of x [N, d] are outliers, [N] bool."""
    past: Tensor = torch.linalg.vector_norm(x, dim=1) > norm_limit
    return past


def norms(x: Tensor) -> Tensor:
    """The norm of each row of x [N, d], which may lie on disk; [N]."""
    parts = [torch.linalg.vector_norm(x[first : first + BLOCK], dim=1) for first in range(0, len(x), BLOCK)]
    return torch.cat([*parts, torch.zeros(0, dtype=x.dtype)])


def norm_limit_of(norm: Tensor) -> float:
    """The norm past which a token is an outlier, from the norms of a sample; the largest where the median is 0."""
    median = float(norm.median()) if len(norm) else 0.0
    return float(f"{OUTLIER_NORM * median:.4g}") if median > 0 else float(norm.max() if len(norm) else 0.0)
