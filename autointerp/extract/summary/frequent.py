"""Activation mass of each feature at the corpus's most frequent tokens: a dense table, exact.

A few hundred tokens are most of any text. Their sums go into a table of features x tokens of bounded size,
an addition an event; only the events at other tokens need the sorted tables of `grams.py`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.kernel import steps
from autointerp.extract.summary.kernel.library import usable
from autointerp.records import Int64
from autointerp.subject.tokens import TokenFile

CELLS = 1 << 22
"""Features x tokens, about; 12 bytes each."""


def frequent_tokens(tokens: TokenFile, d_vocab: int, n_features: int) -> Int64:
    """The most frequent tokens of the explain split that fit, rising."""
    counts = tokens.count_tokens("explain", d_vocab)
    most = np.argsort(-counts, kind="stable")[: max(1, CELLS // max(n_features, 1))]
    return np.sort(most[counts[most] > 0])


class FrequentTokens:
    """`tokens` [T] are token ids, rising."""

    def __init__(self, n_features: int, tokens: Tensor, d_vocab: int) -> None:
        self.tokens = tokens
        self._column = torch.full((d_vocab,), len(tokens), dtype=torch.int64, device=tokens.device)
        self._column[tokens] = torch.arange(len(tokens), device=tokens.device)
        shape = (n_features, len(tokens) + 1)  # the last column takes all other tokens
        self._mass = torch.zeros(shape, dtype=torch.float64, device=tokens.device)
        self._count = torch.zeros(shape, dtype=torch.int32, device=tokens.device)

    def add(self, events: Events) -> Tensor:
        """Takes events in; returns of each row 1 where another token stands, and else 0."""
        column_of = self._column[events.rows.token]
        if usable(column_of):
            steps.add_frequent(events.feature, events.row, events.value, column_of, self._mass, self._count)
        else:
            column = column_of.index_select(0, events.row)
            cell = column.add(events.feature, alpha=self._mass.shape[1])
            self._mass.view(-1).index_add_(0, cell, events.value.double())
            self._count.view(-1).index_add_(0, cell, torch.ones_like(cell, dtype=torch.int32))
        return (column_of == len(self.tokens)).long()

    def merge(self, other: FrequentTokens) -> None:
        self._mass += other._mass
        self._count += other._count

    def entries(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`(feature, token, mass, count)` of every cell in which features `first` to `last` - 1 fired, sorted."""
        count, mass = self._count[first:last, :-1], self._mass[first:last, :-1]
        feature, column = count.nonzero(as_tuple=True)
        return feature + first, self.tokens[column], mass[feature, column], count[feature, column]
