"""Firings that are stored, and rows of measured effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.ablate import DIRECTIONS, AblationEffects
from autointerp.extract.firings import Firings
from autointerp.records import Float64, Int64, Split
from autointerp.store.query import Queryable

FEATURES_AT_ONCE = 256
MEASURED_SPLITS: tuple[Split, ...] = ("explain", "score")

_EXPLAIN = """
SELECT feature, context, peak AS position,
       activations[list_position(positions, peak - window_start)] AS activation, 1 / probability AS weight
FROM exemplars
WHERE dictionary = $dictionary AND split = 'explain' AND starts_with(stratum, 'quantile_')
  AND feature IN (SELECT unnest($features::INTEGER[]))
ORDER BY feature, context, position
"""
_SCORE = """
SELECT feature, context, window_start + unnest(positions)::INTEGER AS position, unnest(activations) AS activation,
       1 / probability AS weight
FROM exemplars
WHERE dictionary = $dictionary AND split = 'score' AND stratum IN ('T', 'F')
  AND feature IN (SELECT unnest($features::INTEGER[]))
ORDER BY feature, context, position
"""


def stored_firings(store: Queryable, name: str, split: Split, features: Int64) -> tuple[Firings, Float64]:
    """The firing tokens that are kept of these features, and how many of the split each stands for."""
    sql = _EXPLAIN if split == "explain" else _SCORE
    rows = store.query(sql, dictionary=name, features=[int(feature) for feature in features])
    columns = {column: rows[column].to_numpy() for column in rows.column_names}
    firings = Firings(
        split=split,
        feature=columns["feature"].astype(np.int64),
        context=columns["context"].astype(np.int64),
        position=columns["position"].astype(np.int32),
        activation=columns["activation"].astype(np.float32),
    )
    return firings, columns["weight"].astype(np.float64)


def ablation_rows(run: str, name: str, firings: Firings, effects: AblationEffects) -> dict[str, Any]:
    """Rows of `causal_effects`: three for each firing, by what was subtracted."""
    n, sides = len(firings), len(DIRECTIONS)

    def thrice(column: np.ndarray) -> np.ndarray:
        return np.repeat(column, sides)

    def of_feature(lists: np.ndarray) -> list[list[Any] | None]:
        """Lists of the first of each three rows; none of the others."""
        rows: list[list[Any] | None] = [None] * (n * sides)
        rows[::sides] = lists.tolist()
        return rows

    known = effects.likeliest[:, 0] >= 0

    def thrice_lists(lists: np.ndarray) -> list[list[Any] | None]:
        return [row if there else None for row, there in zip(lists.tolist(), known, strict=True) for _ in DIRECTIONS]

    def known_lists(lists: np.ndarray) -> list[list[Any] | None]:
        """[n, 3, k]"""
        rows = [row if there else [None] * sides for row, there in zip(lists.tolist(), known, strict=True)]
        return [of for row in rows for of in row]

    share = np.full((n, sides), np.nan)
    share[:, 0] = effects.direct_share
    return {
        "run": run,
        "dictionary": name,
        "feature": thrice(firings.feature.astype(np.int32)),
        "split": firings.split,
        "context": thrice(firings.context),
        "position": thrice(firings.position),
        "activation": thrice(firings.activation),
        "direction": list(DIRECTIONS) * n,
        "norm": thrice(effects.norm),
        "kl": effects.kl.reshape(-1),
        "kl_after": _or_none(effects.kl_after),
        "n_after": thrice(effects.n_after),
        "entropy": thrice(effects.entropy),
        "loss_change": _or_none(effects.loss_change),
        "loss_estimate": _or_none(effects.loss_estimate),
        "loss_change_after": _or_none(effects.loss_change_after),
        "direct_share": _or_none(share),
        "likeliest": thrice_lists(effects.likeliest),
        "likeliest_change": known_lists(effects.likeliest_change),
        "likeliest_estimate": known_lists(effects.likeliest_estimate),
        "moved": of_feature(effects.moved),
        "logit_change": of_feature(effects.moved_by),
    }


def silent_features(features: Sequence[int], firings: Firings) -> list[int]:
    """The features of which no firing token is there."""
    return sorted(set(features) - set(firings.feature.tolist()))


def _or_none(values: np.ndarray) -> pa.Array[Any]:
    flat = values.reshape(-1)
    masked: pa.Array[Any] = pa.array(flat, mask=np.isnan(flat))
    return masked
