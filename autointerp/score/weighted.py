"""What the metrics of the registry compute of items: from what a judge said about those of many features to columns.

Weighed back to the split (`base_rate.py`), by strength, and of the matched items alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from autointerp.score import base_rate, side_by_side
from autointerp.score.base_rate import YES, Weighed, weigh
from autointerp.score.judged_together import JudgedTogether
from autointerp.score.metric import MeasuredColumns
from autointerp.score.predictions import LEAST_ITEMS
from autointerp.score.side_by_side import Tied, Values


class ItemsTogether(JudgedTogether):
    """What the metrics of this file read: each feature's answers, weighed together with those of all others."""

    @cached_property
    def weighed(self) -> Weighed:
        """With what each stands for."""
        return weigh(self)


# --- weighed back to the split


def matthews(of: ItemsTogether) -> MeasuredColumns:
    """Correlation over the windows of the split."""
    return _weighed(of, base_rate.matthews)


def f1(of: ItemsTogether) -> MeasuredColumns:
    """Of yes."""
    return _weighed(of, base_rate.f1)


def average_precision(of: ItemsTogether) -> MeasuredColumns:
    """By the judge's probabilities."""
    return _weighed(of, base_rate.average_precision)


def precision(of: ItemsTogether) -> MeasuredColumns:
    """Of yes."""
    return _weighed(of, base_rate.precision)


def _weighed(of: ItemsTogether, compute: Callable[[Weighed], Values]) -> MeasuredColumns:
    value, status = compute(of.weighed)
    n, size, weighed = of.n_answered, of.rows.sizes, of.weighed.status
    unweighed = np.where(n == 0, "failed", weighed)
    status = np.where(size == 0, "no_items", np.where(weighed != "ok", unweighed, status))
    there = (size > 0) & (weighed == "ok")
    return MeasuredColumns(np.where(there, value, np.nan), status, n, size - n)


# --- by strength


def recall(stratum: str, of: ItemsTogether) -> MeasuredColumns:
    """Share of the right items of a stratum that the judge tells; no_items where it has none."""
    own = of.of_stratum(stratum)
    answered, size = own & of.answered, of.rows.counts(own)
    n = of.rows.counts(answered)
    value = of.rows.counts(answered & (of.probability >= YES)) / np.maximum(n, 1)
    status = np.where(n > 0, "ok", np.where(size > 0, "failed", "no_items"))
    return MeasuredColumns(np.where(n > 0, value, np.nan), status, n, size - n)


# --- the matched ones: those that only stand for others do not count


def balanced_accuracy(of: ItemsTogether) -> MeasuredColumns:
    """Of "probability at least 1/2"."""
    counted = of.answered & of.matched
    rows = of.rows.some(counted)
    return _matched(of, side_by_side.balanced_accuracy(rows, of.right[counted], of.probability[counted] >= YES))


def auroc(of: ItemsTogether) -> MeasuredColumns:
    """By the judge's probabilities."""
    counted = of.answered & of.matched
    tied = Tied(of.rows.some(counted), of.probability[counted])
    return _matched(of, side_by_side.auroc(tied, of.right[counted]))


def _matched(of: ItemsTogether, values: Values) -> MeasuredColumns:
    n_matched, n = of.rows.counts(of.matched), of.rows.counts(of.answered & of.matched)
    value, status = values
    few = n_matched < LEAST_ITEMS
    status = np.where(few, "no_items", np.where(n == 0, "failed", status))
    return MeasuredColumns(np.where(few, np.nan, value), status, n, n_matched - n)
