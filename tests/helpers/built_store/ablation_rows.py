"""Measured effects of the built store: the first firing of each feature in the splits explain and score."""

from __future__ import annotations

import numpy as np

from autointerp.store.writer import Transaction
from built_store.world import World


def write_effects(t: Transaction, world: World, name: str) -> int:
    """Appends `causal_effects` and returns the number of rows."""
    n = 0
    for split in ("explain", "score"):
        inside = np.flatnonzero(world.split == split)
        for feature, truth in enumerate(world.truth[name]):
            places = np.argwhere(truth[inside] > 0)
            if not len(places):
                continue
            context, position = int(inside[places[0][0]]), int(places[0][1])
            last = position + 1 == truth.shape[1]
            n += t.append(
                "causal_effects",
                {
                    "run": f"ablate-{name}",
                    "dictionary": name,
                    "feature": [feature] * 3,
                    "split": split,
                    "context": context,
                    "position": position,
                    "activation": truth[context, position],
                    "direction": ["feature", "isotropic", "covariance"],
                    "norm": 2.0,
                    "kl": [0.4, 0.1, 0.2],
                    "kl_after": None if last else [0.04, 0.01, 0.02],
                    "n_after": 0 if last else 1,
                    "entropy": 2.0,
                    "loss_change": None if last else [0.3, 0.0, 0.1],
                    "loss_change_after": None,
                    "direct_share": [0.8, None, None],
                    "moved": [[10, 12], None, None],
                    "logit_change": [[-1.0, 0.5], None, None],
                },
            )
    return n
