"""Rows of `sensitivity`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.firings import Firings
from autointerp.extract.sensitivity import REACHED, Curve, reaching, steepest
from autointerp.records import Float64


def sensitivity_rows(run: str, name: str, firings: Firings, size: Float64, curves: Sequence[Curve]) -> dict[str, Any]:
    """One row a curve. `size` [STEPS] of all."""
    rows = [curve.firing for curve in curves]
    reached = {target: np.array([reaching(size, curve.kl, target) for curve in curves]) for target in REACHED}
    return {
        "run": run,
        "dictionary": name,
        "feature": firings.feature[rows],
        "context": firings.context[rows],
        "position": firings.position[rows],
        "direction": [curve.direction for curve in curves],
        "entropy": [curve.entropy for curve in curves],
        "sizes": [size.tolist()] * len(curves),
        "kl": [curve.kl.tolist() for curve in curves],
        "last_distance": [None if np.isnan(curve.distance).any() else curve.distance.tolist() for curve in curves],
        **{f"size_{100 * target:03.0f}": _or_none(sizes) for target, sizes in reached.items()},
        "steepest": [steepest(size, curve.kl) for curve in curves],
    }


def _or_none(values: np.ndarray) -> pa.Array[Any]:
    masked: pa.Array[Any] = pa.array(values, mask=np.isnan(values))
    return masked
