"""How much a silent window looks like those in which a feature fires: by the tokens that stand in it.

A label that claims too much claims it where the text is of the same sort: inside quotes, in lists of imports. Drawn at
random, few of the windows that hold a claimed token are such. So what is drawn of them leans towards look-alikes, with
weights that undo it (`scorers/claims.py`).

Each token has log((f + PRIOR) / (F q + PRIOR)), at most CAP: it stands in f of the F windows kept of the feature, and
in a share q of the pool's. A window has the sum over its scored tokens, a place that over the N_BEFORE before it: a sum
over all of them would tell early marks from late ones. The trigger itself stands in every window of a claimant and
parts none of them; CAP keeps it from outweighing the rest.

Letters in shapes: V vocabulary, n windows, L tokens of a window.
"""

from __future__ import annotations

import numpy as np

from autointerp.records import Float64, Windows
from autointerp.score.pool import Pool, windows_with

PRIOR = 2.0
"""Windows; tokens that are in fewer say little."""
CAP = 1.0
N_BEFORE = 4


class LookAlikes:
    """What each token says about whether a feature fires in its window."""

    def __init__(self, kept: Windows, pool: Pool) -> None:
        here = windows_with(kept, len(pool.windows_with))
        everywhere = np.zeros(len(here), dtype=np.int64)
        everywhere[: len(pool.windows_with)] = pool.windows_with
        expected = len(kept) * everywhere / max(len(pool.windows), 1)
        self._table = np.minimum(np.log((here + PRIOR) / (expected + PRIOR)), CAP)  # [V]

    def of_windows(self, windows: Windows) -> Float64:
        """[n], larger: more alike. The windows are of the pool, or kept ones."""
        return np.asarray(self._at(windows).sum(axis=1), dtype=np.float64)

    def before(self, windows: Windows) -> Float64:
        """Of the tokens in front of each place in its window, [n, L]."""
        sums = np.pad(np.cumsum(self._at(windows), axis=1), ((0, 0), (N_BEFORE + 1, 0)))
        length = windows.tokens.shape[1]
        return np.asarray(sums[:, N_BEFORE : N_BEFORE + length] - sums[:, :length], dtype=np.float64)

    def _at(self, windows: Windows) -> Float64:
        return np.where(windows.scored, self._table[np.where(windows.scored, windows.tokens, 0)], 0.0)
