"""Rows of logit effects: the strongest tokens in each direction, how many share the effect, and tokens that are hard to
tell from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.extract.effects import StrongestEffects
from autointerp.extract.hard_tokens import HardTokens


def effect_strength_rows(name: str, effects: StrongestEffects, direction: str) -> dict[str, Any]:
    """Rows of `logit_strengths` in one direction."""
    n_half = effects.n_half[direction]
    return {
        "dictionary": name,
        "feature": effects.features.astype(np.int32),
        "direction": direction,
        "n_half": pa.array(n_half.astype(np.int32), mask=n_half == 0),
        "skew": effects.skew,
        "excess_kurtosis": effects.excess_kurtosis,
        "counts": effects.counts[direction].tolist(),
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


def distractor_rows(name: str, hard: HardTokens) -> dict[str, Any]:
    """Rows of `logit_distractors`: a feature's kinds one after the other."""
    kinds = ("similar", "same_norm", "neighbour")
    tokens = zip(hard.similar, hard.same_norm, hard.neighbour, strict=True)
    none: list[int] = []
    made_like = zip(hard.similar_to, hard.same_norm_as, (none for _ in hard.neighbour), strict=True)
    promoted_by = ((none, none, features) for features in hard.of_neighbour)
    return {
        "dictionary": name,
        "feature": np.repeat(hard.features, len(kinds)).astype(np.int32),
        "kind": list(kinds) * len(hard.features),
        "tokens": [of for row in tokens for of in row],
        "made_like": [of for row in made_like for of in row],
        "promoted_by": [of for row in promoted_by for of in row],
    }
