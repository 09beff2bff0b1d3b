"""The norms at a hook, and what tokens of enormous norm (`outliers.py`) do to its variance.

Measured on NORM_TOKENS scored tokens of the explain split, a hash sample of its contexts. Beside the median and the
number of outliers: the share of the variance (the sum of squared distances from the mean of all) that they hold, and
the participation ratio of the spectrum, (sum l)^2 / sum l^2 over the eigenvalues l of the covariance, with and without
them. It says about how many directions the variance is spread over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.subject.baselines.sample import take_sample
from autointerp.subject.model import Subject
from autointerp.subject.outliers import BLOCK, norm_limit_of, norms
from autointerp.subject.row_moments import covariance, mean_of
from autointerp.subject.tokens import TokenFile

NORM_TOKENS = 1 << 14
WIDEST = 4096
"""Wider activations get no covariance matrix: their ratio is that of the products of so many rows, at most."""


@dataclass(frozen=True)
class HookNorms:
    """The norms at a hook: a row of the table `hook_norms`."""

    hook: str
    n_tokens: int
    median: float
    norm_limit: float
    """Past it a token is an outlier."""
    largest: float
    n_outliers: int
    variance_share: float
    """Of the whole variance, what the outliers hold."""
    participation_all: float
    participation: float
    """Without the outliers."""


def measure_norms(
    subject: Subject, tokens: TokenFile, hooks: Sequence[str], seed: int, folder: Path
) -> dict[str, HookNorms]:
    """The norms at each hook, on a sample whose activations lie in files of `folder` for the while."""
    sample = take_sample(subject, tokens, hooks, seed, folder, NORM_TOKENS)
    return {hook: norms_of(hook, x) for hook, x in sample.by_hook.items()}


def norms_of(hook: str, x: Tensor) -> HookNorms:
    """The norms of the rows of x [N, d]."""
    norm = norms(x)
    limit = norm_limit_of(norm)
    outlier = norm > limit
    mean = mean_of(x)
    squares = np.zeros(len(x))
    for first in range(0, len(x), BLOCK):
        rows = x[first : first + BLOCK].double() - mean
        squares[first : first + len(rows)] = rows.square().sum(dim=1).numpy()
    total = float(squares.sum())
    ratio = participation_ratio(x)
    return HookNorms(
        hook=hook,
        n_tokens=len(x),
        median=float(norm.median()) if len(norm) else 0.0,
        norm_limit=limit,
        largest=float(norm.max()) if len(norm) else 0.0,
        n_outliers=int(outlier.sum()),
        variance_share=float(squares[outlier.numpy()].sum()) / total if total > 0 else 0.0,
        participation_all=ratio,
        participation=participation_ratio(x[~outlier]) if bool(outlier.any()) else ratio,
    )


def participation_ratio(x: Tensor) -> float:
    """(sum l)^2 / sum l^2 over the eigenvalues l of the covariance of the rows of x [N, d]; 0 where nothing varies."""
    if len(x) < 2:
        return 0.0
    if x.shape[1] <= WIDEST:
        spread = covariance(x)
    else:
        rows = np.unique(np.linspace(0, len(x) - 1, min(WIDEST, len(x))).round().astype(np.int64))
        some = x[torch.from_numpy(rows)].double()
        some -= some.mean(dim=0)
        spread = (some @ some.T).numpy()
    square = float((spread**2).sum())
    return float(np.trace(spread)) ** 2 / square if square > 0 else 0.0
