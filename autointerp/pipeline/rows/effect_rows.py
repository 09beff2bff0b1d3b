"""Rows of logit effects: the strongest tokens in each direction, and how many share the effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.effects import StrongestEffects


def effect_strength_rows(name: str, effects: StrongestEffects, direction: str) -> dict[str, Any]:
    """Rows of `logit_strengths` in one direction."""
    n_half = effects.n_half[direction]
    return {
        "dictionary": name,
        "feature": effects.features.astype(np.int32),
        "direction": direction,
        "n_half": pa.array(n_half.astype(np.int32), mask=n_half == 0),
    }


def effect_rows(name: str, effects: StrongestEffects, direction: str) -> dict[str, Any]:
    """Rows of `logit_effects` in one direction (promoted, suppressed)."""
    token = effects.token[direction]
    n, top = token.shape
    return {
        "dictionary": name,
        "feature": np.repeat(effects.features, top).astype(np.int32),
        "direction": direction,
        "rank": np.tile(np.arange(1, top + 1), n).astype(np.int32),
        "token": token.reshape(-1).astype(np.int32),
        "effect": effects.effect[direction].reshape(-1),
        "z": effects.z[direction].reshape(-1),
    }
