"""Tokens that are hard to tell from those that the self-test's planted features promote or suppress: made as a run
makes them.

A planted feature writes its random direction to the residual stream, with no norm between it and the unembedding, and
what is measured where it is clamped are the effects of another direction. What is promoted or suppressed, and what
stands beside it, are then tokens of the text by the definitions of `extract/hard_tokens.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from autointerp.explain.token_text import is_fragment
from autointerp.extract.effects import LogitPath, strongest_effects
from autointerp.extract.hard_tokens import hard_tokens
from autointerp.score.scorers.logit_effects import Truth, side_of
from autointerp.score.scorers.protocol import Distractors
from autointerp.score.selftest.planted import PlantedFeature, effect_direction, readable_tokens
from autointerp.score.selftest.text import SelftestText


def planted_distractors(
    text: SelftestText, seed: int, features: Sequence[PlantedFeature], truth: Truth
) -> list[tuple[Distractors, ...]]:
    """Of each feature, by kind. Raises ValueError where a feature has other effects than it was planted with."""
    usable = (text.counts > 0) & readable_tokens(text)
    ids, width = np.flatnonzero(usable), text.unembedding.shape[1]
    written = np.stack([effect_direction(seed, feature.number, width, truth) for feature in features])
    table = torch.from_numpy(text.unembedding[ids].T.astype(np.float64))
    path = LogitPath(lambda directions: directions, torch.from_numpy(ids), table, 1.0)
    directions = torch.from_numpy(written)
    strongest = strongest_effects(path, directions, np.arange(len(features)))
    side = "suppressed" if side_of(truth) else "promoted"
    for feature, tokens in zip(features, strongest.token[side], strict=True):
        if not np.array_equal(feature.effects[truth], tokens):
            raise ValueError(
                f"other tokens are {side} by planted feature {feature.number} than its label says: {truth}"
            )
    fit = usable & np.array([not is_fragment(one) for one in text.texts])
    hard = hard_tokens(path, directions, strongest, fit, text.counts, side)
    none = np.zeros(0, np.int64)
    return [
        (
            Distractors("similar", np.array(similar), np.array(similar_to)),
            Distractors("same_norm", np.array(same_norm), np.array(same_norm_as)),
            Distractors("neighbour", np.array(neighbour, dtype=np.int64), none),
        )
        for similar, similar_to, same_norm, same_norm_as, neighbour in zip(
            hard.similar, hard.similar_to, hard.same_norm, hard.same_norm_as, hard.neighbour, strict=True
        )
    ]
