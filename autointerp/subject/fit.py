"""How well a dictionary reconstructs what it reads: L0, variance explained and features that never fire.

All are sums over tokens, added portion by portion: what is held at a time is some rows of activations. Tokens of
enormous norm are summed apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autointerp.subject.dictionary import SparseAutoencoder
from autointerp.subject.outliers import norm_limit_of, norms, past_limit

ENCODED_AT_ONCE = 1 << 24
"""Activations of features that are held at a time."""
MOST_ROWS = 2048
WIDE, MOST_FIRING = 1 << 14, 1 / 64
"""Features from which on, and their share that fires up to which, reconstructions are sums over those that fire."""
GATHERED_AT_ONCE = 1 << 14
"""Directions that are held for that."""


@dataclass(frozen=True)
class MeasuredFit:
    """What a dictionary does to the activations at a hook."""

    l0: float
    variance_explained: float
    """Without outliers (`outliers.py`); in a report of all tokens where the run file counts them in, and nan where
    the features alone are not meant to reconstruct."""
    dead_share: float
    variance_explained_all: float
    """Of all tokens."""
    n_outliers: int

    def counting(self, outliers: bool) -> MeasuredFit:
        """The same, with the variance explained of all tokens where outliers count."""
        return replace(self, variance_explained=self.variance_explained_all) if outliers else self


@dataclass
class _TokenSums:
    """Sums over some tokens of what is reconstructed, and of what is left of it."""

    n: int = 0
    mean: Tensor | None = None
    scatter: float = 0.0
    residual: float = 0.0

    def join(self, other: _TokenSums) -> None:
        """Means and scatters joined (Chan, Golub, LeVeque 1983): no large sums are subtracted."""
        if other.mean is None:
            return
        joined = self.n + other.n
        apart = other.mean - (other.mean if self.mean is None else self.mean)
        self.scatter += other.scatter + float(apart.square().sum()) * self.n * other.n / joined
        self.mean = other.mean if self.mean is None else self.mean + apart * other.n / joined
        self.residual += other.residual
        self.n = joined

    @property
    def explained(self) -> float:
        return 1 - self.residual / max(self.scatter, 1e-30)


def _token_sums(target: Tensor, residual: Tensor) -> _TokenSums:
    """Of tokens [n, d] and their squared errors [n]."""
    if len(target) == 0:
        return _TokenSums()
    exact = target.double().cpu()
    mean = exact.mean(dim=0)
    return _TokenSums(len(exact), mean, float((exact - mean).square().sum()), float(residual.sum()))


class FitSums:
    """The sums behind a `MeasuredFit`. Outliers are those of the input, by the median norm of what is added first."""

    def __init__(self, sae: SparseAutoencoder) -> None:
        self.sae = sae
        self._fires = torch.zeros(sae.n_features, dtype=torch.int64)
        self._ordinary, self._outliers = _TokenSums(), _TokenSums()
        self._norm_limit: float | None = None

    @property
    def n(self) -> int:
        return self._ordinary.n + self._outliers.n

    def add(self, x: Tensor, target: Tensor | None = None) -> None:
        """x [N, d_in]; `target` [N, d_out]: what is reconstructed, where it is not the input (transcoders)."""
        if self._norm_limit is None and len(x):
            self._norm_limit = norm_limit_of(norms(x))
        rows = max(16, min(MOST_ROWS, ENCODED_AT_ONCE // self.sae.n_features))
        for first in range(0, len(x), rows):
            some = slice(first, first + rows)
            self._add(x[some], x[some] if target is None else target[some], self.sae.encode(x[some].clone()))

    def add_encoded(self, x: Tensor, acts: Tensor, target: Tensor | None = None) -> None:
        """`add` of some tokens whose activations [N, F] are there already."""
        if self._norm_limit is None and len(x):
            self._norm_limit = norm_limit_of(norms(x))
        self._add(x, x if target is None else target, acts)

    def _add(self, x: Tensor, target: Tensor, acts: Tensor) -> None:
        assert self._norm_limit is not None
        self._fires += (acts != 0).sum(dim=0).cpu()
        residual = (target - decode(self.sae, acts, x)).double().square().sum(dim=1)
        outlier = past_limit(x, self._norm_limit)
        self._ordinary.join(_token_sums(target[~outlier], residual[~outlier]))
        self._outliers.join(_token_sums(target[outlier], residual[outlier]))

    @property
    def _whole(self) -> _TokenSums:
        whole = replace(self._ordinary)
        whole.join(self._outliers)
        return whole

    @property
    def fit(self) -> MeasuredFit:
        whole = self._whole.explained
        return MeasuredFit(
            l0=float(self._fires.sum()) / max(self.n, 1),
            variance_explained=self._ordinary.explained if self._outliers.n and self._ordinary.n else whole,
            dead_share=float((self._fires == 0).double().mean()),
            variance_explained_all=whole,
            n_outliers=self._outliers.n,
        )

    @property
    def mean_share(self) -> float:
        """Share of the target's square that its mean holds."""
        whole = self._whole
        assert whole.mean is not None
        square = float(whole.mean.square().sum())
        return square / max(whole.scatter / whole.n + square, 1e-30)


def measure(sae: SparseAutoencoder, x: Tensor, target: Tensor | None = None) -> MeasuredFit:
    """The fit on these activations, [N, d_in]; `target` as in `FitSums.add`."""
    sums = FitSums(sae)
    sums.add(x, target)
    return sums.fit


def _summed(acts: Tensor, directions: Tensor) -> Tensor:
    """`acts` [N, F] times `directions` [F, d]; where few of many features fire, of those alone."""
    if acts.shape[1] < WIDE:
        return acts @ directions
    token, feature = acts.nonzero(as_tuple=True)
    if len(token) > acts.numel() * MOST_FIRING:
        return acts @ directions
    out = torch.zeros(len(acts), directions.shape[1], dtype=acts.dtype, device=acts.device)
    for some in torch.split(torch.arange(len(token), device=token.device), GATHERED_AT_ONCE):
        out.index_add_(0, token[some], acts[token[some], feature[some], None] * directions[feature[some]])
    return out


def decode(sae: SparseAutoencoder, acts: Tensor, x: Tensor) -> Tensor:
    """Reconstruction, with the input's normalisation undone and the skip connection added."""
    if sae.rescale_by_decoder_norm:
        acts = acts / sae.W_dec.norm(dim=1)
    out: Tensor = _summed(acts, sae.W_dec) + sae.b_dec
    if sae.normalize == "layer_norm":
        out = out * (x.std(dim=1, keepdim=True) + 1e-5) + x.mean(dim=1, keepdim=True)
    if sae.normalize == "constant_norm_rescale":
        out = out * (x.norm(dim=1, keepdim=True) / x.shape[1] ** 0.5)
    return out if sae.W_skip is None else out + x @ sae.W_skip.T
