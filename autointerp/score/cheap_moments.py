"""What a cheap simulator, a lookup, would get of each window that the sample of a feature is drawn from.

The six sums of `metrics.moments`, of the kept windows and of the silent ones of the pool. Several lookups are looked up
in the same windows: what they have in common is made once.

Letters in shapes: K kept firing windows, W windows of the pool, L tokens of a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autointerp.explain.lookup import Entries, gram_keys, match_keys
from autointerp.records import Float64, Int64

if TYPE_CHECKING:
    from autointerp.score.sampled import Candidates


class CheapMoments:
    """Of one feature and its silent windows of the pool, [silent] rows of it."""

    def __init__(self, feature: Candidates, silent: Int64) -> None:
        windows = feature.kept
        self._scored, self._silent, self._keys = windows.scored, silent, gram_keys(windows.tokens, windows.previous)
        self._truth = np.where(windows.scored, feature.truth, 0.0).astype(np.float64)
        shared = np.stack([windows.scored.astype(np.float64), self._truth, self._truth * self._truth])
        self._n, self._t, self._t2 = shared.sum(axis=-1)
        self._n_silent = feature.pool.n_scored[silent]

    def of(self, entries: Entries, pool_p: Float64, pool_p2: Float64) -> Float64:
        """Of a lookup whose predictions in the windows of the pool have these sums, and sums of squares: [W], [W] ->
        [K + silent, 6]."""
        index = np.where(self._scored, match_keys(entries, *self._keys), -1)
        value = np.append(entries.value, np.float32(0))[index].astype(np.float64)
        p, p2, tp = np.stack([value, value * value, self._truth * value]).sum(axis=-1)
        fired = np.stack([self._n, self._t, p, self._t2, p2, tp], axis=-1)
        rest = np.zeros((len(self._silent), 6))
        rest[:, 0], rest[:, 2], rest[:, 4] = self._n_silent, pool_p[self._silent], pool_p2[self._silent]
        return np.concatenate([fired, rest])
