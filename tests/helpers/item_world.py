"""A corpus with tells: features fire late in their windows, in long windows of long words, on several tokens in a row.

What judges are asked about must not be told by these: `tests/score/test_items.py`, `test_choices.py`.
"""

from __future__ import annotations

import numpy as np

from autointerp.hashing import hash01, stream_key
from autointerp.records import FeatureWindows, Windows
from autointerp.score.pool import Pool
from autointerp.score.sampled import Candidates, candidates
from autointerp.score.scorers.silent_windows import Silent, token_traits

L, V, N, SEED = 16, 120, 2400, 5
KINDS = ["{0}", " w{0}", " word{0}", "x{0}", "(", "\n", " longerword{0}", "_{0}"]
VOCAB = [KINDS[i % len(KINDS)].format(i) if "{0}" in KINDS[i % len(KINDS)] else KINDS[i % len(KINDS)] for i in range(V)]
TRAITS = token_traits(VOCAB)


class World:
    """A corpus of windows, and features with tells."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        style = rng.random(N)[:, None]  # some windows are made of other tokens than others
        tokens = np.where(rng.random((N, L)) < style, rng.integers(0, V // 2, (N, L)), rng.integers(0, V, (N, L)))
        scored = np.arange(L) < rng.choice([L, L, L, 12, 8], N)[:, None]
        previous = np.concatenate([np.full((N, 1), -1), tokens[:, :-1]], axis=1)
        number = np.arange(N)
        self.windows = Windows(
            number,
            number // 4,
            (number % 8).astype(np.int32),
            tokens.astype(np.int32),
            previous.astype(np.int32),
            scored,
        )
        self.pool_rows = np.sort(rng.choice(N, N // 2, replace=False))
        self.pool = Pool(Windows(**{k: getattr(self.windows, k)[self.pool_rows] for k in Windows.__dataclass_fields__}))
        self.silent = Silent(self.pool.windows, TRAITS)

    def feature(self, feature: int, reservoir: int = 60) -> Candidates:
        rng = np.random.default_rng(100 + feature)
        triggers = rng.choice(V, 3 + feature % 9, replace=False)
        fires = np.isin(self.windows.tokens, triggers) & self.windows.scored
        late = np.arange(L) >= rng.integers(4, 9)
        fires &= late | (rng.random((N, L)) < 0.3)
        fires[:, 1:] |= fires[:, :-1] & self.windows.scored[:, 1:] & (rng.random((N, L - 1)) < 0.4)
        truth = np.where(fires, rng.exponential(1, (N, L)) + 0.1, 0).astype(np.float32)
        maximum = truth.max(axis=1)
        firing = np.flatnonzero(maximum)
        u = hash01(stream_key(SEED, "window"), feature, self.windows.window)
        top = firing[np.argsort(-maximum[firing])][:20]
        rest = np.setdiff1d(firing, top)
        kept = np.concatenate([top, rest[np.argsort(u[rest])][:reservoir]])
        record = FeatureWindows(
            feature,
            N,
            len(firing),
            self.windows.window[kept],
            np.array(["T"] * len(top) + ["F"] * (len(kept) - len(top))),
            maximum[kept],
            u[kept],
            truth[kept],
        )
        windows = Windows(**{k: getattr(self.windows, k)[kept] for k in Windows.__dataclass_fields__})
        pools_firing = np.flatnonzero(maximum[self.pool_rows] > 0)
        limits = np.quantile(maximum[firing], [0.2, 0.4, 0.6, 0.8])
        return candidates(record, windows, self.pool, pools_firing, limits, triggers.astype(np.int32), SEED)
