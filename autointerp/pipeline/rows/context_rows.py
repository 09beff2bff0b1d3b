"""Exemplars whose contexts are changed, and rows of what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.context_effects import NO_OTHER, WAYS, ContextEffects
from autointerp.extract.following import FollowingEffects
from autointerp.records import Int64
from autointerp.store.query import Queryable

_TOP = """
SELECT feature, rank, context, peak FROM exemplars
WHERE dictionary = $dictionary AND split = 'explain' AND stratum = 'top' AND rank < $n
      AND feature IN (SELECT unnest($features::INTEGER[]))
ORDER BY feature, rank
"""


@dataclass(frozen=True)
class TopExemplar:
    """A top exemplar of the explain split."""

    feature: int
    rank: int
    context: int
    peak: int
    """Position in the context of its largest activation."""


def top_exemplars(store: Queryable, name: str, features: Int64, n: int) -> Iterator[TopExemplar]:
    """The first `n` of each feature."""
    rows = store.rows(_TOP, dictionary=name, features=[int(feature) for feature in features], n=n)
    return (TopExemplar(**row) for row in rows)


def context_rows(run: str, name: str, measured: Sequence[tuple[TopExemplar, ContextEffects]]) -> dict[str, Any]:
    """Rows of `context_effects`: one for each token, or pair of tokens, that was changed."""
    n = [len(effects.position) for _, effects in measured]

    def each(values: Sequence[Any]) -> np.ndarray:
        return np.repeat(np.asarray(values), n)

    def column(of: str) -> np.ndarray:
        return np.concatenate([getattr(effects, of) for _, effects in measured])

    other = column("other")
    return {
        "run": run,
        "dictionary": name,
        "feature": each([exemplar.feature for exemplar, _ in measured]),
        "context": each([exemplar.context for exemplar, _ in measured]),
        "peak": each([exemplar.peak for exemplar, _ in measured]),
        "activation": each([effects.activation for _, effects in measured]),
        "position": column("position"),
        "other": pa.array(other, mask=other == NO_OTHER),
        **{way: _or_none(column(way)) for way in WAYS},
    }


def following_rows(run: str, name: str, measured: Sequence[tuple[TopExemplar, FollowingEffects]]) -> dict[str, Any]:
    """Rows of `following_effects`: one for each exemplar."""
    return {
        "run": run,
        "dictionary": name,
        "feature": [exemplar.feature for exemplar, _ in measured],
        "context": [exemplar.context for exemplar, _ in measured],
        "peak": [exemplar.peak for exemplar, _ in measured],
        "n_firing": [effects.n_firing for _, effects in measured],
        "start": [effects.start for _, effects in measured],
        "logp_change": [effects.logp_change.astype(np.float32).tolist() for _, effects in measured],
    }


def _or_none(values: np.ndarray) -> pa.Array[Any]:
    masked: pa.Array[Any] = pa.array(values, mask=np.isnan(values))
    return masked
