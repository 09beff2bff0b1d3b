"""The crossed bootstrap, the slow twin of `autointerp.compare.clustered`: document blocks and clusters of features are
drawn with replacement, independently ("pigeonhole", Owen 2007), and all scores are computed anew.

Its variance is V_features + V_blocks + V_cells; the formula leaves V_cells out.
"""

from __future__ import annotations

import numpy as np

from autointerp.records import Float64, Int64
from autointerp.score.metrics import pearson


def drawn_differences(
    a: Float64, b: Float64, clusters_a: Int64, clusters_b: Int64, n_draws: int, rng: np.random.Generator
) -> Float64:
    """Mean of A minus mean of B in each draw [D]; an id on both sides is a matched pair, and drawn as one."""
    n_blocks = a.shape[1]
    ids_a, ids_b = np.unique(clusters_a), np.unique(clusters_b)
    shared = np.intersect1d(ids_a, ids_b).size > 0
    draws = np.empty(n_draws)
    for d in range(n_draws):
        weight = rng.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks)).astype(np.float64)
        times_a = rng.multinomial(ids_a.size, np.full(ids_a.size, 1.0 / ids_a.size))
        times_b = times_a if shared else rng.multinomial(ids_b.size, np.full(ids_b.size, 1.0 / ids_b.size))
        draws[d] = sum(
            sign * _mean(blocks, weight, times[np.searchsorted(ids, clusters)])
            for sign, blocks, ids, times, clusters in (
                (1.0, a, ids_a, times_a, clusters_a),
                (-1.0, b, ids_b, times_b, clusters_b),
            )
        )
    return draws


def _mean(blocks: Float64, weight: Float64, times: Int64) -> float:
    score = pearson(np.einsum("b,fbk->fk", weight, blocks))
    known = np.isfinite(score)
    return float((times * np.where(known, score, 0.0)).sum() / (times * known).sum())
