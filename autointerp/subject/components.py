"""Principal and independent components of the activations at a hook, from the sample of pass 0.

PCA. The covariance of the sample, in float64, and its eigenvectors, largest variance first. Components
of less than RANK times the largest variance are rounding, and not counted: the rank says how many are left.

ICA (Hyvarinen 1999: FastICA, symmetric, g = tanh, that is G = log cosh):

1. ICA_ROWS_PER_UNIT rows a component, ICA_ROWS at least, evenly spaced in the sample, are centred and whitened with
   the first n principal components: z = K (x - mean).
2. W starts from a normal draw of a generator of its own, and is decorrelated: W <- (W W^T)^(-1/2) W.
3. W <- E[g(W z) z^T] - diag(E[g'(W z)]) W, decorrelated, until no row turns by more than TOLERANCE (1 - |cosine|).
4. The row of W K is what a component reads; the column of its pseudoinverse what it writes, where the activations
   are the mean + the sum of the components' values times what they write.
5. Order: by (E[G(s)] - E[G(normal)])^2, the approximate negentropy of the sources, largest first.

The sign that the linear algebra leaves open is fixed before the skewness rule of `baselines/fit.py`: the coefficient of
largest absolute value (the first of equals) is positive. So a component without skewness has a sign too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.hashing import rng_for
from autointerp.records import Float64
from autointerp.subject.row_moments import covariance

RANK = 1e-10
"""Variance of a component, of the largest, below which it is rounding of float32."""
ICA_ROWS = 16_384
ICA_ROWS_PER_UNIT = 64
ICA_STEPS = 200
TOLERANCE = 1e-4
NORMAL_LOG_COSH = 0.3745672
"""E[log cosh z] of a standard normal z."""
BLOCK = 8192


@dataclass(frozen=True)
class Components:
    """Components of a sample, in their order."""

    reads: Tensor  # [n, d] float32, rows of norm 1: x.d is a component's value
    writes: Tensor  # [n, d] float32: what it adds to the activations for a unit of its value
    facts: dict[str, Any]
    """What the fit says of itself: rank, and of ICA rows, steps, converged."""


def principal_components(x: Tensor, n: int | None = None) -> Components:
    """The first `n` principal components of the rows of x (all: None), as many as there are."""
    axes, variance = _principal(x, n)
    directions = _signed(axes)
    total = float(variance.sum())
    explained = variance[: len(directions)].sum() / total if total > 0 else 0.0
    facts = {"rank": _rank(variance), "variance_explained": round(float(explained), 6)}
    return Components(_float32(directions), _float32(directions), facts)


def independent_components(x: Tensor, n: int | None, seed: int, name: str) -> Components:
    """`n` independent components (all: None) of the rows of x, as many as its rank allows."""
    axes, variance = _principal(x, n)
    wanted = max(ICA_ROWS, ICA_ROWS_PER_UNIT * len(axes))
    rows = np.unique(np.linspace(0, len(x) - 1, min(wanted, len(x))).round().astype(np.int64))
    taken = x[torch.from_numpy(rows)].double()
    whiten = axes / np.sqrt(variance[: len(axes)])[:, None]
    z = ((taken - taken.mean(dim=0)) @ torch.from_numpy(whiten.T)).float()
    start = rng_for(seed, "ica", name).standard_normal((len(axes), len(axes)))
    turn, steps, converged = fast_ica(z, start)
    sources = z @ torch.from_numpy(turn.T).float()
    order = np.argsort(-_negentropy(sources), kind="stable")
    reads = turn[order] @ whiten
    writes = np.linalg.pinv(reads).T
    norm = np.linalg.norm(reads, axis=1, keepdims=True)
    sign = np.sign(_first_largest(reads))[:, None]
    facts = {"rank": _rank(variance), "rows": len(rows), "steps": steps, "converged": converged}
    return Components(_float32(sign * reads / norm), _float32(sign * writes * norm), facts)


def fast_ica(z: Tensor, start: Float64, steps: int = ICA_STEPS) -> tuple[Float64, int, bool]:
    """The rotation [n, n] that makes white z [N, n] independent; steps taken; whether it came to rest."""
    turn = decorrelated(start)
    for step in range(1, steps + 1):
        last = turn
        product, slope = np.zeros_like(turn), np.zeros(len(turn))
        weight = torch.from_numpy(turn.T).float()
        for first in range(0, len(z), BLOCK):
            part = z[first : first + BLOCK]
            g = (part @ weight).tanh_()
            product += (g.T @ part).double().numpy()
            slope += (1 - g.square_()).sum(dim=0, dtype=torch.float64).numpy()
        turn = decorrelated(product / len(z) - (slope / len(z))[:, None] * turn)
        if 1 - np.abs(np.einsum("ij,ij->i", turn, last)).min() < TOLERANCE:
            return turn, step, True
    return turn, steps, False


def decorrelated(matrix: Float64) -> Float64:
    """(W W^T)^(-1/2) W: the nearest rotation."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left @ right)


def _principal(x: Tensor, n: int | None) -> tuple[Float64, Float64]:
    """Eigenvectors [n, d], at most as many as the rank, and all variances, largest first."""
    values, vectors = np.linalg.eigh(covariance(x))
    variance = np.maximum(values[::-1], 0.0)
    rank = _rank(variance)
    return np.ascontiguousarray(vectors.T[::-1][: rank if n is None else min(n, rank)]), variance


def _rank(variance: Float64) -> int:
    return int((variance > RANK * variance[0]).sum())


def _signed(axes: Float64) -> Float64:
    return np.asarray(axes * np.sign(_first_largest(axes))[:, None])


def _first_largest(rows: Float64) -> Float64:
    """Of each row the value of largest absolute value; of those equal up to rounding the first."""
    size = np.abs(rows)
    place = (size > size.max(axis=1, keepdims=True) * (1 - 1e-6)).argmax(axis=1)
    return np.asarray(np.take_along_axis(rows, place[:, None], axis=1)[:, 0])


def _negentropy(sources: Tensor) -> Float64:
    """(E[log cosh s] - E[log cosh of a normal])^2 of sources of unit variance."""
    size = sources.double().abs()
    log_cosh = size + torch.log1p(torch.exp(-2 * size)) - np.log(2.0)
    return np.asarray(((log_cosh.mean(dim=0) - NORMAL_LOG_COSH) ** 2).numpy())


def _float32(values: Float64) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
