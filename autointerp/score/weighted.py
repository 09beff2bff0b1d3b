"""What the metrics of the registry compute of weighed items (`base_rate.py`): from predictions to `Measured`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autointerp.score import base_rate
from autointerp.score.base_rate import YES, Weighed, weigh
from autointerp.score.metric import Measured, measured
from autointerp.score.metrics import Value
from autointerp.score.predictions import Judged


def matthews(of: Sequence[Judged]) -> list[Measured]:
    """Correlation over the windows of the split."""
    return _weighed(of, base_rate.matthews)


def f1(of: Sequence[Judged]) -> list[Measured]:
    """Of yes."""
    return _weighed(of, base_rate.f1)


def average_precision(of: Sequence[Judged]) -> list[Measured]:
    """By the judge's probabilities."""
    return _weighed(of, base_rate.average_precision)


def precision(of: Sequence[Judged]) -> list[Measured]:
    """Of yes."""
    return _weighed(of, base_rate.precision)


def _weighed(of: Sequence[Judged], compute: Callable[[Weighed], Value]) -> list[Measured]:
    return [_measured(one, items, compute) for one, items in zip(of, weigh(of), strict=True)]


def _measured(of: Judged, items: Weighed, compute: Callable[[Weighed], Value]) -> Measured:
    n = int(of.answered.sum())
    if len(of.items) == 0:
        value = Value(None, "no_items")
    elif items.status != "ok":
        value = Value(None, "failed" if n == 0 else items.status)
    else:
        value = compute(items)
    return measured(value, n, len(of.items) - n)


def recall(stratum: str, of: Judged) -> Measured:
    """Share of the right items of a stratum that the judge tells; no_items where it has none."""
    own = np.array([word == stratum for word in of.items.strata], dtype=np.bool_)
    answered = own & of.answered
    n = int(answered.sum())
    if n:
        value = Value(float((of.probability[answered] >= YES).mean()), "ok")
    else:
        value = Value(None, "failed" if own.any() else "no_items")
    return measured(value, n, int(own.sum()) - n)
