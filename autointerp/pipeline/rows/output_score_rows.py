"""Rows of `output_scores`, and the stored rows that they are made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.output_score import TOKENS, OutputScores
from autointerp.records import Float64, Int64
from autointerp.store.query import Queryable

_TOKENS = """
SELECT feature, list(token ORDER BY rank) AS tokens FROM logit_effects
WHERE dictionary = $dictionary AND direction = 'promoted' AND rank <= $n GROUP BY feature ORDER BY feature
"""
_LARGEST = "SELECT feature, max_activation FROM features WHERE dictionary = $dictionary ORDER BY feature"


def promoted_of(store: Queryable, name: str) -> tuple[Int64, Int64]:
    """Features [F] that have a direct path to the logits, rising, and the tokens [F, n] that each promotes most."""
    rows = store.rows(_TOKENS, dictionary=name, n=TOKENS)
    features = np.array([row["feature"] for row in rows], dtype=np.int64)
    return features, np.array([row["tokens"] for row in rows], dtype=np.int64)


def largest_activations(store: Queryable, name: str, features: Int64) -> Float64:
    """[F] of the explain split; 0: it never fires."""
    largest = {row["feature"]: row["max_activation"] for row in store.rows(_LARGEST, dictionary=name)}
    return np.array([largest[feature] for feature in features.tolist()], dtype=np.float64)


def output_score_rows(run: str, name: str, scores: OutputScores) -> dict[str, Any]:
    """One row a feature."""
    return {
        "run": run,
        "dictionary": name,
        "feature": scores.features.astype(np.int32),
        "status": scores.status,
        "activation": scores.activation,
        "norm": scores.norm,
        "token": _or_none(scores.token),
        "probability": scores.probability,
        "rank": _or_none(scores.rank),
        "score": scores.score,
        "score_before": scores.score_before,
    }


def _or_none(values: Int64) -> pa.Array[Any]:
    masked: pa.Array[Any] = pa.array(values.astype(np.int32), mask=values < 0)
    return masked
