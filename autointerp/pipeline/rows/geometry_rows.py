"""Rows of `feature_geometry` and `feature_matches`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.geometry import DIRECTIONS, DirectionGeometry
from autointerp.extract.similarity import BestMatches
from autointerp.records import Float64, Int64


def geometry_rows(run: str, name: str, features: Int64, of: Sequence[DirectionGeometry]) -> dict[str, Any]:
    """One row a feature and direction; `of` by DIRECTIONS."""
    n = len(features)
    ok = np.array([status == "ok" for part in of for status in part.status], dtype=bool)
    near, neuron = (np.concatenate([getattr(part, key) for part in of]) for key in ("nearest", "neuron"))
    explained = [row.tolist() for part in of for row in part.explained]
    atoms = [chosen for part in of for chosen in part.atoms]
    return {
        "run": run,
        "dictionary": name,
        "feature": np.tile(features.astype(np.int32), len(of)),
        "direction": np.repeat(DIRECTIONS, n).tolist(),
        "status": [status for part in of for status in part.status],
        "nearest": pa.array(near.astype(np.int32), mask=~ok),
        "cosine": pa.array(np.concatenate([part.cosine for part in of]), mask=~ok),
        "atoms": pa.array([row if known else None for row, known in zip(atoms, ok, strict=True)], pa.list_(pa.int32())),
        "explained": pa.array(
            [row if known else None for row, known in zip(explained, ok, strict=True)], pa.list_(pa.float64())
        ),
        "neuron": pa.array(neuron.astype(np.int32), mask=neuron < 0),
        "neuron_cosine": pa.array(np.concatenate([part.neuron_cosine for part in of]), mask=neuron < 0),
    }


def match_rows(features: Int64, matches: BestMatches, cosines: Float64) -> dict[str, Any]:
    """One row a feature."""
    none = matches.feature < 0
    return {
        "feature": features.astype(np.int32),
        "match": pa.array(matches.feature.astype(np.int32), mask=none),
        "correlation": pa.array(matches.correlation, mask=none),
        "cosine": pa.array(cosines, mask=np.isnan(cosines)),
        "status": matches.status,
    }
