"""Pearson correlations between the activations of two dictionaries over the same tokens: exact, in bounded memory.

With t_a and t_b the activations at N tokens, r = (sum t_a t_b - sum t_a sum t_b / N) / sqrt(V_a V_b), where V is the
sum of squared deviations: all that is needed is sums.

1. The tokens are read batch by batch; each dictionary's non-zero activations are the rows of a sparse matrix, and
   sum t_a t_b grows by the product of the two, TOKENS_AT_ONCE tokens at a time.
2. The sums of features x features are held in double precision for so many features of A as SUMS allow. Where there
   are more, the tokens are read again for each range of them: ceil(F_A x F_B / SUMS) passes.
3. Of each range only what a match can be made of is kept: correlations of LEAST and more, and each feature's best.

Features with fewer than FEWEST firings on these tokens are left out: two that fire on one token, the same one,
correlate perfectly. Letters in shapes: A and B features of the two dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from autointerp.extract.summary.events import Events
from autointerp.records import Bool, Float64, Int64, Matches

SUMS = 1 << 26
"""Sums of features x features held at once, 537 MB."""
TOKENS_AT_ONCE = 1 << 13
LEAST = 0.1
"""The least correlation that is kept."""
FEWEST = 20
"""Firings that a feature must have on the tokens read."""


@dataclass(frozen=True)
class PairedEvents:
    """The non-zero activations of both dictionaries on the same batch of tokens."""

    a: Events
    b: Events
    n_places: int
    """Places of the batch: rows of events are below it."""
    n_tokens: int
    """Scored tokens among them."""


class _Side:
    """Sums over all tokens, by feature."""

    def __init__(self, n_features: int) -> None:
        self.n_firing = np.zeros(n_features, dtype=np.int64)
        self.total = np.zeros(n_features)
        self.total2 = np.zeros(n_features)

    def add(self, events: Events) -> None:
        feature, value = _numbers(events)
        n = len(self.total)
        self.n_firing += np.bincount(feature, minlength=n)
        self.total += np.bincount(feature, value, n)
        self.total2 += np.bincount(feature, value * value, n)

    def spread(self, n_tokens: int) -> Float64:
        """Sum of squared deviations of each feature; 0 where it never changes or fires too seldom."""
        squares = self.total2 - self.total**2 / max(n_tokens, 1)
        changes = (self.n_firing >= FEWEST) & (squares > 1e-10 * self.total2)
        return np.where(changes, squares, 0.0)


def _numbers(events: Events) -> tuple[Int64, Float64]:
    return events.feature.cpu().numpy(), events.value.cpu().numpy().astype(np.float64)


def correlate(read: Callable[[], Iterator[PairedEvents]], n_a: int, n_b: int, sums: int = SUMS) -> Matches:
    """The correlations of A's features [n_a] with B's [n_b]. `read` reads the tokens, once or more often."""
    step = max(1, min(n_a, sums // max(n_b, 1)))
    edges: list[tuple[Int64, Int64, Float64]] = []
    best_of_b, r_of_b = np.full(n_b, -1, dtype=np.int64), np.full(n_b, -np.inf)
    best_of_a, r_of_a = np.full(n_a, -1, dtype=np.int64), np.full(n_a, np.nan)
    side_a, side_b, n_tokens = _Side(n_a), _Side(n_b), 0
    for first in range(0, n_a, step):
        last = min(first + step, n_a)
        products = np.zeros((last - first, n_b))
        for part in _chunked(read()):
            if first == 0:
                n_tokens += sum(one.n_tokens for one in part)
                for batch in part:
                    side_a.add(batch.a)
                    side_b.add(batch.b)
            _add_products(products, part, first, last)
        spread_a, spread_b = side_a.spread(n_tokens)[first:last], side_b.spread(n_tokens)
        r = _pearson(products, side_a.total[first:last], side_b.total, spread_a, spread_b, n_tokens)
        row, column = np.nonzero(r >= LEAST)
        edges.append((row + first, column, r[row, column]))
        if n_b and (spread_b > 0).any():
            some = spread_a > 0
            best_of_a[first:last] = np.where(some, r.argmax(axis=1), -1)
            r_of_a[first:last] = np.where(some, r.max(axis=1), np.nan)
        mine, strength = r.argmax(axis=0), r.max(axis=0)
        better = (strength > r_of_b) & (spread_b > 0)
        best_of_b[better], r_of_b[better] = mine[better] + first, strength[better]
    row, column, value = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    return Matches(
        n_tokens=n_tokens,
        n_firing_a=side_a.n_firing,
        n_firing_b=side_b.n_firing,
        edge_a=row.astype(np.int64),
        edge_b=column.astype(np.int64),
        edge_r=value,
        best_of_a=best_of_a,
        r_of_a=r_of_a,
        best_of_b=best_of_b,
        r_of_b=np.where(best_of_b >= 0, r_of_b, np.nan),
    )


def _chunked(batches: Iterator[PairedEvents]) -> Iterator[list[PairedEvents]]:
    held: list[PairedEvents] = []
    for batch in batches:
        held.append(batch)
        if sum(one.n_places for one in held) >= TOKENS_AT_ONCE:
            yield held
            held = []
    if held:
        yield held


def _add_products(products: Float64, part: Sequence[PairedEvents], first: int, last: int) -> None:
    """Adds A^T B of these tokens; `products` [last - first, B]."""
    of_a = _matrix([(one.a, one.n_places) for one in part], first, last)
    of_b = _matrix([(one.b, one.n_places) for one in part], 0, products.shape[1])
    added = (of_a.T @ of_b).tocoo()
    products[added.row, added.col] += added.data  # every cell once


def _matrix(parts: Sequence[tuple[Events, int]], first: int, last: int) -> sparse.csr_array:
    """The activations of features `first` to `last` - 1, a row a place."""
    rows: list[Int64] = []
    features: list[Int64] = []
    values: list[Float64] = []
    at = 0
    for events, n_places in parts:
        feature, value = _numbers(events)
        mine: Bool = (feature >= first) & (feature < last)
        rows.append(events.row.cpu().numpy()[mine] + at)
        features.append(feature[mine] - first)
        values.append(value[mine])
        at += n_places
    index = (np.concatenate(rows), np.concatenate(features))
    return sparse.csr_array((np.concatenate(values), index), shape=(at, last - first))


def _pearson(
    products: Float64, total_a: Float64, total_b: Float64, spread_a: Float64, spread_b: Float64, n_tokens: int
) -> Float64:
    """Correlations from sums, in place of `products`; -inf where one side has none."""
    for i in range(len(products)):
        products[i] -= total_a[i] * (total_b / max(n_tokens, 1))
        scale = np.sqrt(spread_a[i] * spread_b)
        products[i] = np.where(scale > 0, np.clip(products[i] / np.where(scale > 0, scale, 1.0), -1, 1), -np.inf)
    return products
