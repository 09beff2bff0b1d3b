"""What a judge said about the items of many features, side by side: what all metrics of items are made of, once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from autointerp.records import Bool, Float64, Int64
from autointerp.score.predictions import CLAIMED, REST, STRATA, Judged
from autointerp.score.side_by_side import FeatureRows


class JudgedTogether:
    """The items of n features, N in all."""

    def __init__(self, judged: Sequence[Judged]) -> None:
        items = [one.items for one in judged]
        self.rows = FeatureRows([len(of) for of in items])
        none = np.zeros(0)
        self.probability: Float64 = np.concatenate([none, *(one.probability for one in judged)])
        self.answered: Bool = ~np.isnan(self.probability)
        self.right: Bool = np.concatenate([none.astype(np.bool_), *(of.right for of in items)])
        self.weight: Float64 = np.concatenate([none, *(of.weights for of in items)])
        self.stratum: Int64 = np.concatenate([none.astype(np.int64), *(of.stratum_number for of in items)])
        """[N] numbers of STRATA"""

    def of_stratum(self, word: str) -> Bool:
        """The items of a stratum, [N]."""
        return np.asarray(self.stratum == STRATA.index(word), dtype=np.bool_)

    @cached_property
    def matched(self) -> Bool:
        """Right items and the wrong ones that were made like them, [N]: not those that only stand for others."""
        return ~self.of_stratum(CLAIMED) & ~self.of_stratum(REST)

    @cached_property
    def n_answered(self) -> Int64:
        """Items with a judgement, [n]."""
        return self.rows.counts(self.answered)
