"""What the metrics of the registry compute of weighed items (`base_rate.py`): from predictions to `Measured`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autointerp.score import base_rate
from autointerp.score.base_rate import YES, Weighed, weigh
from autointerp.score.metric import Measured, measured
from autointerp.score.metrics import Value
from autointerp.score.predictions import Judged

Items = tuple[Judged, Weighed]


def weighed(of: Sequence[Judged]) -> list[Items]:
    """What the metrics of this file read: each feature's answers, weighed together with those of all others."""
    return list(zip(of, weigh(of), strict=True))


def matthews(of: Sequence[Items]) -> list[Measured]:
    """Correlation over the windows of the split."""
    return [_measured(*one, base_rate.matthews) for one in of]


def f1(of: Sequence[Items]) -> list[Measured]:
    """Of yes."""
    return [_measured(*one, base_rate.f1) for one in of]


def average_precision(of: Sequence[Items]) -> list[Measured]:
    """By the judge's probabilities."""
    return [_measured(*one, base_rate.average_precision) for one in of]


def precision(of: Sequence[Items]) -> list[Measured]:
    """Of yes."""
    return [_measured(*one, base_rate.precision) for one in of]


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
    own = of.items.of_stratum.get(stratum, np.zeros(len(of.items), dtype=np.bool_))
    answered = own & of.answered
    n = int(answered.sum())
    if n:
        value = Value(float((of.probability[answered] >= YES).mean()), "ok")
    else:
        value = Value(None, "failed" if own.any() else "no_items")
    return measured(value, n, int(own.sum()) - n)
