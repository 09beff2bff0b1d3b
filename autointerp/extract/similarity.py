"""How alike two dictionaries are as a whole: what they make of the same tokens.

    cka    linear centred kernel alignment (Kornblith et al. 2019): the cosine of the two centred Gram matrices of
           tokens, 1 where the activations are the same up to a rotation and a scale
    rsa    representational similarity (Kriegeskorte et al. 2008): Spearman's correlation, over pairs of tokens, of how
           alike the two tokens are in one dictionary and in the other; alike: Pearson's correlation of the activations
           of all features at the two tokens. Tokens at which either dictionary is silent have none and are left out

Both have a chance level far from nothing where there are more features than tokens: the same with the tokens of one
side in another order stands beside them.

    match  of a feature of A the largest correlation of activations with any feature of B (as `compare --match` has it,
           which matches all of them over a whole split)

Gram matrices are summed over blocks of features, products over blocks of tokens: memory does not grow with either.
Letters in shapes: N tokens, F features, m features that are matched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.correlate import FEWEST
from autointerp.records import Float64, Int64

COLUMNS = 1 << 12
"""Features whose activations are multiplied together."""
RANKED_TOKENS = 512
"""Tokens whose pairs are ranked at most: 130,816 pairs."""
SUMS = 1 << 25
"""Sums of products that are held at once, 268 MB."""


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
    """Of m features of one dictionary, in another; -1 and nan where one fires too seldom, or all of the other do."""

    feature: Int64  # [m]
    correlation: Float64  # [m]


def best_matches(asked: Tensor, portions: Callable[[], Iterable[Tensor]], n_features: int) -> BestMatches:
    """`asked` [N, m] float32 activations; `portions`: activations [R, F] of the other dictionary on the same tokens, in
    the same order, anew each time it is called."""
    m, n = asked.shape[1], len(asked)
    feature, best = np.full(m, -1, dtype=np.int64), np.full(m, np.nan)
    fires = (asked != 0).sum(dim=0) >= FEWEST
    at_once = max(1, SUMS // n_features)
    for first in range(0, m, at_once):
        mine = asked[:, first : first + at_once]
        products = torch.zeros((mine.shape[1], n_features), dtype=torch.float64)
        total, total2 = torch.zeros((2, n_features), dtype=torch.float64)
        n_firing = torch.zeros(n_features, dtype=torch.int64)
        at = 0
        for portion in portions():
            theirs = portion.float().cpu()
            products += mine[at : at + len(theirs)].T @ theirs
            total += theirs.double().sum(dim=0)
            total2 += theirs.double().square().sum(dim=0)
            n_firing += (theirs != 0).sum(dim=0)
            at += len(theirs)
        exact = mine.double()
        mean = exact.mean(dim=0)
        spread = (exact - mean).square().sum(dim=0)
        other = (total2 - total**2 / n).clamp(min=0)
        covariance = products - mean[:, None] * total
        r = covariance / (spread[:, None] * other).clamp(min=1e-30).sqrt()
        r[:, (n_firing < FEWEST) | (other <= 1e-30)] = -2
        value, index = r.max(dim=1)
        known = (fires[first : first + at_once] & (value > -2) & (spread > 1e-30)).numpy()
        rows = slice(first, first + len(known))
        feature[rows] = np.where(known, index.numpy(), -1)
        best[rows] = np.where(known, value.clamp(-1, 1).numpy(), np.nan)
    return BestMatches(feature, best)
