"""All windows of a split with the activations of one feature: what extraction keeps of them is what samples are drawn
from."""

from __future__ import annotations

import numpy as np

from autointerp.explain.lookup import EMPTY, Entries
from autointerp.hashing import hash01, stream_key
from autointerp.records import FeatureWindows, Int32, Windows
from autointerp.score.pool import Pool
from autointerp.score.sampled import Candidates, candidates, take

L, V, SEED = 6, 15, 3
LIMITS = np.asarray([0.8, 1.2, 1.6, 2.4])
TOP_TOKENS = np.asarray([1, 2], np.int32)


def grams(*pairs: tuple[int, int]) -> Entries:
    """Entries of rising value."""
    previous, token = (np.asarray([pair[i] for pair in pairs], dtype=np.int32) for i in (0, 1))
    value = np.arange(1, len(pairs) + 1, dtype=np.float32)
    return Entries(previous, token, value, np.full(len(pairs), 0.25, np.float32))


class World:
    """All windows of a split with the activations of one feature, and what extraction keeps of them."""

    def __init__(
        self,
        seed: int,
        n: int = 900,
        density: float = 0.03,
        pool: int = 300,
        reservoir: int = 60,
        feature: int = 7,
        blocks: int = 5,
    ) -> None:
        rng = np.random.default_rng(seed)
        tokens = np.minimum(rng.geometric(0.25, (n, L)) - 1, V - 1).astype(np.int32)
        previous = np.concatenate([rng.integers(-1, V, (n, 1)), tokens[:, :-1]], axis=1).astype(np.int32)
        scored = rng.random((n, L)) < 0.95
        scored[:, 1] = True
        number = np.sort(rng.choice(10 * n, n, replace=False))
        self.windows = Windows(number, number // 4, (number % blocks).astype(np.int32), tokens, previous, scored)
        fires = (rng.random((n, L)) < density) & scored
        self.truth = np.where(fires, rng.exponential(1, (n, L)) + 0.1, 0).astype(np.float32)
        self.maximum = self.truth.max(axis=1)
        self.feature = feature
        self.u = hash01(stream_key(SEED, "window"), feature, number)
        self.pool_rows = np.sort(rng.choice(n, min(pool, n), replace=False))
        firing = np.flatnonzero(self.maximum > 0)
        top = firing[np.argsort(-self.maximum[firing], kind="stable")][:20]
        kept = firing[np.argsort(self.u[firing])][:reservoir]
        kept = kept[~np.isin(kept, top)]
        self.kept_rows = np.concatenate([top, kept])
        self.firing = FeatureWindows(
            feature,
            n,
            len(firing),
            number[self.kept_rows],
            np.repeat(["T", "F"], [len(top), len(kept)]),
            self.maximum[self.kept_rows],
            self.u[self.kept_rows],
            self.truth[self.kept_rows],
        )

    def candidates(self, pool: Pool | None = None, tokens: Int32 = TOP_TOKENS) -> Candidates:
        pool = pool or Pool(take(self.windows, self.pool_rows))
        fires = np.flatnonzero(self.maximum[self.pool_rows] > 0)
        return candidates(self.firing, take(self.windows, self.kept_rows), pool, fires, LIMITS, tokens, SEED)

    def row_of(self, windows: Windows) -> np.ndarray:
        return np.searchsorted(self.windows.window, windows.window)

    def slow_class(self, row: int, lookup: Entries) -> str:
        """ESTIMATOR.md, point 3, for a window of which everything is known."""
        if self.maximum[row] > 0:
            if row in self.kept_rows[self.firing.stratum == "T"]:
                return "T"
            return f"F{1 + int((self.maximum[row] >= LIMITS).sum())}"
        scored = self.windows.scored[row]
        tokens, before = self.windows.tokens[row][scored], self.windows.previous[row][scored]
        listed = set(zip(lookup.previous.tolist(), lookup.token.tolist(), strict=True))
        if any((int(p), int(t)) in listed or (-1, int(t)) in listed for p, t in zip(before, tokens, strict=True)):
            return "E"
        return "M" if set(tokens.tolist()) & {1, 2} else "R"


LOOKUPS = {
    "tokens": grams((-1, 3), (-1, 4)),
    "pairs": grams((-1, 5), (0, 5), (2, 6), (1, 0)),
    "silent": EMPTY,
    "everything": grams(*((-1, t) for t in range(V))),
}
