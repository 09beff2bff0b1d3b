"""Rows of what rises and falls where features are clamped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.ablate import Ablation
from autointerp.extract.token_change import (
    CLAMPED,
    SIDES,
    ClampedLogits,
    ClampedPlaces,
    agreement,
    strongest_changes,
    with_direct,
)
from autointerp.records import Float64, Int64


def change_rows(run: str, tools: Ablation, split: str, features: Int64, clamped: ClampedLogits) -> dict[str, Any]:
    """Rows of `token_changes`: of each feature and random direction the tokens that change most."""
    parts: list[dict[str, np.ndarray]] = []
    for direction in CLAMPED:
        for side in SIDES:
            kept = strongest_changes(tools, clamped, direction, side)
            n, most = kept.token.shape
            parts.append(
                {
                    "feature": np.repeat(features, most).astype(np.int32),
                    "direction": np.repeat(direction, n * most),
                    "side": np.repeat(side, n * most),
                    "rank": np.tile(np.arange(1, most + 1), n).astype(np.int32),
                    "token": kept.token.reshape(-1).astype(np.int32),
                    "change": kept.change.reshape(-1),
                    "error": kept.error.reshape(-1),
                    "z": kept.z.reshape(-1),
                }
            )
    columns: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    words = {name: columns[name].tolist() for name in ("direction", "side")}
    return {"run": run, "dictionary": tools.name, "split": split} | columns | words


def change_strength_rows(
    run: str,
    tools: Ablation,
    places: Sequence[ClampedPlaces],
    features: Int64,
    maximum: Float64,
    clamped: Sequence[ClampedLogits],
) -> dict[str, Any]:
    """Rows of `token_change_strengths`: one for each feature, split and direction. `clamped` in the order of
    `places`, two of them."""
    n, sides = len(features), len(CLAMPED)
    same = agreement(*clamped)

    def columns(of_split: ClampedPlaces, logits: ClampedLogits) -> dict[str, np.ndarray]:
        return {
            "feature": np.repeat(features, sides).astype(np.int32),
            "split": np.repeat(of_split.split, n * sides),
            "activation": np.repeat(maximum, sides),
            "norm": np.repeat(logits.norm, sides),
            "n_contexts": np.repeat(len(of_split), n * sides).astype(np.int32),
            "n_tokens": np.repeat(len(of_split) * of_split.n_tokens, n * sides).astype(np.int32),
            "kl": logits.kl.reshape(-1),
            "spread": logits.change.std(dim=2).double().cpu().numpy().reshape(-1),
            "agreement": same.reshape(-1),
            "direct_share": with_direct(tools, logits, features).reshape(-1),
        }

    parts = [columns(of_split, logits) for of_split, logits in zip(places, clamped, strict=True)]
    joined: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("agreement", "direct_share"):
        joined[name] = pa.array(joined[name], mask=np.isnan(joined[name]))
    joined["split"] = joined["split"].tolist()
    return {"run": run, "dictionary": tools.name, "direction": list(CLAMPED) * (n * len(parts))} | joined
