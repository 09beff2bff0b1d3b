"""Random directions as units, each of norm 1 and from a generator of its own.

    random_isotropic       a normal draw
    random_covariance      the difference of two draws from N(mean, covariance) of the activations
    activation_difference  the difference of two real activations

Covariance sampling follows Heimersheim's `cov_random mixture`, but with the symmetric square root of the covariance
instead of a Cholesky factor, so nothing is added to its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autointerp.config.baseline_kinds import FACTS
from autointerp.hashing import rng_for
from autointerp.records import Float64
from autointerp.subject.baselines.kind import KindRow, Lines, LinesWanted
from autointerp.subject.row_moments import covariance

Draw = Callable[[np.random.Generator], Float64]
"""One direction of a generator, of any length."""


def directions(kind: str, name: str, n: int, x: Tensor, seed: int) -> Tensor:
    """`n` unit vectors of a random family, [n, d]; each from the generator (seed, kind, name, unit)."""
    draw = FAMILIES[kind](x)
    drawn = np.empty((n, int(x.shape[1])), dtype=np.float64)
    for unit in range(n):
        drawn[unit] = draw(rng_for(seed, kind, name, unit))
    norm = np.linalg.norm(drawn, axis=1, keepdims=True)
    return torch.from_numpy((drawn / np.maximum(norm, 1e-30)).astype(np.float32))


def _isotropic(x: Tensor) -> Draw:
    d = int(x.shape[1])
    return lambda rng: rng.standard_normal((2, d))[0]


def _covariance(x: Tensor) -> Draw:
    root = _root_covariance(x)

    def draw(rng: np.random.Generator) -> Float64:
        first, second = rng.standard_normal((2, len(root)))
        return np.asarray((first - second) @ root)

    return draw


def _difference(x: Tensor) -> Draw:
    def draw(rng: np.random.Generator) -> Float64:
        first, second = rng.choice(len(x), size=2, replace=False)
        return np.asarray((x[int(first)].double() - x[int(second)].double()).numpy())

    return draw


FAMILIES: dict[str, Callable[[Tensor], Draw]] = {
    "random_isotropic": _isotropic,
    "random_covariance": _covariance,
    "activation_difference": _difference,
}


def _root_covariance(x: Tensor) -> Float64:
    """Symmetric square root of the covariance of the rows of x, float64 [d, d]."""
    values, vectors = np.linalg.eigh(covariance(x))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def _lines(kind: str, wanted: LinesWanted) -> Lines:
    return Lines(wanted.n, directions(kind, wanted.name, wanted.n, wanted.x, wanted.seed))


RANDOM_ISOTROPIC, RANDOM_COVARIANCE, ACTIVATION_DIFFERENCE = (
    KindRow(FACTS[kind], partial(_lines, kind)) for kind in FAMILIES
)
