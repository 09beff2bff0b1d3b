"""Planted features and judges that follow a rule, no LLM: what a label that claims too much or too little loses.

A feature fires on a few tokens, most of the times that they stand after certain others. Its true label names these
tokens; a broad one names others beside, so that it claims three times as much; a narrow one names half of them. A judge
says yes to a window that holds a token of the label, and to marks of which at least half are tokens of the label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from autointerp.explain.lookup import Entries
from autointerp.hashing import hash01, stream_key
from autointerp.records import ANY_TOKEN, Bool, FeatureWindows, Int64, Windows
from autointerp.score.metric_registry import metrics_for
from autointerp.score.pool import Pool
from autointerp.score.predictions import Items, Judged
from autointerp.score.sampled import Candidates, candidates
from autointerp.score.scorers.items import detection_items, fuzzing_items
from autointerp.score.scorers.silent_windows import Silent, token_traits

SCORERS = ("detection", "fuzzing")
SEED, L, V, N_POOL, N_TOP, N_RESERVOIR = 3, 32, 4000, 20_000, 20, 256
TEXTS = [f" t{i:04d}" for i in range(V)]
TRAITS = token_traits(TEXTS)


def some(windows: Windows, rows: Int64) -> Windows:
    return Windows(**{field.name: getattr(windows, field.name)[rows] for field in fields(Windows)})


def lookup(tokens: Int64) -> Entries:
    """Fires on these tokens, wherever they stand."""
    ones = np.ones(len(tokens), np.float32)
    return Entries(np.full(len(tokens), ANY_TOKEN, np.int32), tokens.astype(np.int32), ones, ones)


@dataclass(frozen=True)
class PlantedFeature:
    candidates: Candidates
    labels: dict[str, Int64]  # true, broad, narrow -> the tokens that it names
    table: Int64  # tokens that a table of the evidence lists: the true ones, and many that hardly matter
    fires: Bool  # [n] windows of the split


class PlantedWorld:
    """A split of `n` windows of Zipf tokens, and its pool."""

    def __init__(self, n: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.frequency = 1.0 / (np.arange(V) + 3.0)
        self.frequency /= self.frequency.sum()
        tokens = rng.choice(V, (n, L), p=self.frequency).astype(np.int32)
        previous = np.concatenate([np.full((n, 1), -1), tokens[:, :-1]], axis=1).astype(np.int32)
        number = np.arange(n)
        self.windows = Windows(number, number // 4, (number % 32).astype(np.int32), tokens, previous, tokens >= 0)
        self.pool_rows = np.sort(rng.choice(n, min(N_POOL, n), replace=False))
        self.pool = Pool(some(self.windows, self.pool_rows))
        self.silent = Silent(self.pool.windows, TRAITS)

    def _tokens(self, rng: np.random.Generator, total: float, but: Int64) -> Int64:
        """Tokens of this frequency together, none of them a fifth of it more."""
        order = rng.permutation(np.setdiff1d(np.flatnonzero(self.frequency < 0.6 * total), but))
        return order[np.cumsum(self.frequency[order]) <= 1.2 * total][:400]

    def feature(self, number: int, density: float) -> PlantedFeature:
        """One that fires on about this share of the tokens."""
        rng, none = np.random.default_rng([number, int(1 / density)]), np.zeros(0, np.int64)
        own = self._tokens(rng, density / 0.75, none)
        others = self._tokens(rng, 2 * density / 0.75, own)
        windows = self.windows
        fires = self.says(own, windows) & (windows.previous % 4 != rng.integers(4))
        truth = np.zeros(fires.shape, dtype=np.float32)
        truth[fires] = rng.lognormal(0, 1, int(fires.sum()))
        maximum = truth.max(axis=1)
        firing = np.flatnonzero(maximum)
        u = hash01(stream_key(SEED, "window"), number, windows.window)
        top = firing[np.argsort(-maximum[firing])][:N_TOP]
        reservoir = firing[np.argsort(u[firing])][:N_RESERVOIR]
        rest = reservoir[~np.isin(reservoir, top)]
        kept = np.concatenate([top, rest])
        record = FeatureWindows(
            number, len(windows), len(firing), windows.window[kept],
            np.repeat(["T", "F"], [len(top), len(rest)]), maximum[kept], u[kept], truth[kept],
        )  # fmt: skip
        mine = candidates(
            record, some(windows, kept), self.pool, np.flatnonzero(maximum[self.pool_rows] > 0),
            np.quantile(maximum[firing], [0.2, 0.4, 0.6, 0.8]), own.astype(np.int32), SEED,
        )  # fmt: skip
        table = np.union1d(own, rng.choice(V, 200, replace=False))
        labels = {"true": own, "broad": np.union1d(own, others), "narrow": own[: max(1, len(own) // 2)]}
        return PlantedFeature(mine, labels, table, maximum > 0)

    def items(self, of: PlantedFeature, scorer: str, listed: bool = True) -> Items:
        """`listed`: the labels say which tokens they mean; else only the table is known."""
        claims = [lookup(of.table), *([lookup(tokens) for tokens in of.labels.values()] if listed else [])]
        make: dict[str, Callable[..., Items]] = {"detection": detection_items, "fuzzing": fuzzing_items}
        return make[scorer](of.candidates, self.silent, TRAITS, SEED, claims=claims)

    def says(self, tokens: Int64, windows: Windows) -> Bool:
        """Where any of the tokens stands, [n, L]."""
        named = np.zeros(V, dtype=np.bool_)
        named[tokens] = True
        return np.asarray(named[windows.tokens] & windows.scored)


def judge(world: PlantedWorld, scorer: str, items: Items, tokens: Int64) -> Judged:
    """Follows the label to the letter."""
    named = world.says(tokens, items.windows)
    yes = named.any(axis=1)
    if scorer == "fuzzing":
        yes = 2 * (named & items.marks).sum(axis=1) >= np.maximum(items.marks.sum(axis=1), 1)
    return Judged(items, np.asarray(yes, dtype=np.float64), ("ok",) * len(items))


def values(judged: list[Judged], metric: str, scorer: str = "detection") -> np.ndarray:
    [row] = [one for one in metrics_for("judged", scorer) if one.name == metric]
    return np.array([np.nan if one.value is None else one.value for one in row.measure(judged)])


BLIND: dict[str, Callable[[Items], np.ndarray]] = {
    "yes": lambda items: np.ones(len(items)),
    "order": lambda items: np.linspace(1, 0, len(items)),
    "even names": lambda items: np.arange(len(items)) % 2,
    "marks": lambda items: items.marks.sum(axis=1) >= 2,
    "early marks": lambda items: items.marks.argmax(axis=1) < 16,
    "document": lambda items: items.windows.block % 2,
}  # fmt: skip
"""Rules that do not read."""
