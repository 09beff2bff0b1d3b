"""How alike two dictionaries are as a whole: what they make of the same tokens.

    cka    linear centred kernel alignment (Kornblith et al. 2019): the cosine of the two centred Gram matrices of
           tokens, 1 where the activations are the same up to a rotation and a scale
    rsa    representational similarity (Kriegeskorte et al. 2008): Spearman's correlation, over pairs of tokens, of how
           alike the two tokens are in one dictionary and in the other; alike: Pearson's correlation of the activations
           of all features at the two tokens. Tokens at which either dictionary is silent have none and are left out

Both have a chance level far from nothing where there are more features than tokens: the same with the tokens of one
side in another order stands beside them.

    match  of a feature of A the largest correlation of activations with any feature of B (as `compare --match` has it,
           over a whole split)

Gram matrices are summed over blocks of features; products are made of activations that are not 0, for blocks of
features. Letters in shapes: N tokens, F features, m features that are matched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from autointerp.extract.correlate import FEWEST
from autointerp.records import Float64, Int64

COLUMNS = 1 << 12
"""Features whose activations are multiplied together."""
CELLS = 1 << 24
"""Products of two activations that are held at once, 268 MB."""
RANKED_TOKENS = 512
"""Tokens whose pairs are ranked at most: 130,816 pairs."""


@dataclass(frozen=True)
class TokenGram:
    """The activations of one dictionary as relations between N tokens."""

    centred: Tensor
    """[N, N] float32 Gram matrix of the activations, features centred over the tokens."""
    alike: Tensor
    """[N, N] float32 correlation of the activations at two tokens over features."""
    speaks: Tensor
    """[N] bool: tokens at which it is not the same for all features."""


def token_gram(activations: Tensor) -> TokenGram:
    """Of activations [N, F], which may lie on disk."""
    n, n_features = activations.shape
    gram = torch.zeros((n, n), dtype=torch.float64)
    total = torch.zeros(n, dtype=torch.float64)
    for first in range(0, n_features, COLUMNS):
        some = activations[:, first : first + COLUMNS].float()
        gram += some @ some.T
        total += some.double().sum(dim=1)
    mean = gram.mean(dim=0)
    centred = gram - mean[:, None] - mean[None, :] + mean.mean()
    covariance = gram - total[:, None] * total[None, :] / n_features
    spread = covariance.diagonal().clamp(min=0).sqrt()
    speaks = spread > 1e-6 * gram.diagonal().max().clamp(min=1e-30).sqrt()
    alike = covariance / (spread[:, None] * spread[None, :]).clamp(min=1e-30)
    return TokenGram(centred.float(), alike.clamp(-1, 1).float(), speaks)


def linear_cka(a: TokenGram, b: TokenGram, order: Int64 | None = None) -> float:
    """`order` [N]: the tokens of B in another order. nan where one never changes."""
    of_b = b.centred if order is None else b.centred[order][:, order]
    product = float((a.centred.double() * of_b).sum())
    norms = float(a.centred.double().norm() * b.centred.double().norm())
    return product / norms if norms > 0 else float("nan")


def rsa(a: TokenGram, b: TokenGram, order: Int64 | None = None) -> tuple[float, int]:
    """Spearman's correlation and the tokens behind it; nan with fewer than three, or where one never changes."""
    place = torch.arange(len(a.speaks)) if order is None else torch.from_numpy(order)
    both = (a.speaks & b.speaks[place]).nonzero()[:, 0]
    both = both[:: -(-len(both) // RANKED_TOKENS)] if len(both) > RANKED_TOKENS else both
    n = len(both)
    if n < 3:
        return float("nan"), n
    upper = torch.triu_indices(n, n, offset=1)
    mine = a.alike[both[upper[0]], both[upper[1]]]
    theirs = b.alike[place[both[upper[0]]], place[both[upper[1]]]]
    ranks = [shared_ranks(values) for values in (mine, theirs)]
    x, y = (rank - rank.mean() for rank in ranks)
    norms = float(x.norm() * y.norm())
    return (float(x @ y) / norms if norms > 0 else float("nan")), n


def shared_ranks(values: Tensor) -> Tensor:
    """Ranks of values [n] from 1, equal ones sharing the mean of theirs; float64."""
    _, place, counts = np.unique(values.numpy(), return_inverse=True, return_counts=True)
    return torch.from_numpy((np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)])


@dataclass(frozen=True)
class BestMatches:
    """Of each of m features of one dictionary the feature of another whose activations correlate most with its own."""

    feature: Int64
    """[m], -1 where there is none."""
    correlation: Float64
    """[m]; nan where it fires too seldom to be matched, 0 where nothing of the other dictionary fires with it."""
    status: list[str]
    """[m] ok; seldom: it fires on fewer than FEWEST tokens, or is the same on all; none: no feature of the other that
    fires so often ever fires with it."""


def sparse_activations(portions: Iterable[Tensor], n_features: int) -> sparse.csr_array:
    """[N, F] float64 from activations [R, F] of some tokens after the other."""
    parts = [sparse.csr_array(portion.cpu().numpy().astype(np.float64)) for portion in portions]
    return sparse.csr_array(sparse.vstack(parts)) if parts else sparse.csr_array((0, n_features))


class _Columns:
    """Sums over N tokens, by feature [F]."""

    def __init__(self, activations: sparse.csr_array) -> None:
        n = max(activations.shape[0], 1)
        self.total = np.asarray(activations.sum(axis=0)).reshape(-1)
        squares = np.asarray(activations.multiply(activations).sum(axis=0)).reshape(-1)
        self.mean = self.total / n
        self.spread = squares - self.total * self.mean
        n_firing = np.bincount(activations.indices, minlength=activations.shape[1])
        self.compared = (n_firing >= FEWEST) & (self.spread > 1e-10 * squares)


def best_matches(a: sparse.csr_array, b: sparse.csr_array, cells: int = CELLS) -> BestMatches:
    """Of every feature of A, [N, m], in B, [N, F], on the same tokens; of equal ones the first.

    Two features that never fire together correlate below 0, so products are looked at where there are any; `cells` of
    them at once.
    """
    of_a, of_b = _Columns(a), _Columns(b)
    feature = np.full(a.shape[1], -1, dtype=np.int64)
    correlation = np.where(of_a.compared, 0.0, np.nan)
    theirs, mine = np.flatnonzero(of_b.compared), np.flatnonzero(of_a.compared)
    b, columns = sparse.csr_array(b[:, theirs]), sparse.csc_array(a)[:, mine]
    fires_with = np.diff(b.indptr)[columns.indices]  # features of B, at each firing of A
    cost = np.add.reduceat(fires_with, columns.indptr[:-1]) if len(mine) else np.zeros(0, dtype=np.int64)
    block = np.cumsum(cost) // cells
    for number in np.unique(block):
        some = np.flatnonzero(block == number)
        products = sparse.csr_array(columns[:, some].T @ b)
        products.sort_indices()
        row = np.repeat(mine[some], np.diff(products.indptr))
        column = theirs[products.indices]
        covariance = products.data - of_a.mean[row] * of_b.total[column]
        r = np.clip(covariance / np.sqrt(of_a.spread[row] * of_b.spread[column]), -1, 1)
        has = np.flatnonzero(np.diff(products.indptr))
        best = np.maximum.reduceat(r, products.indptr[has]) if len(has) else r
        of_row = np.repeat(np.arange(len(has)), np.diff(products.indptr)[has])
        at = np.flatnonzero(r == best[of_row])
        at = at[np.unique(of_row[at], return_index=True)[1]]
        feature[mine[some][has]] = column[at]
        correlation[mine[some][has]] = best
    status = np.where(~of_a.compared, "seldom", np.where(feature < 0, "none", "ok"))
    return BestMatches(feature, correlation, status.tolist())
