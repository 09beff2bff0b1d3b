"""Dictionaries whose scores are made up, with a known truth: for tests of intervals and verdicts.

A feature's score in a document block is its own level + its dictionary's document effect + noise; the score over
blocks is their weighted mean (moments with no mean, so that Pearson is exactly that). "No difference" holds over all
documents, so a dictionary that happens to do well on the documents at hand is the error to avoid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp.compare.clustered import block_influence, difference_interval
from autointerp.compare.interval import Interval
from autointerp.records import Float64, Int64
from autointerp.score.metrics import pearson

N_BLOCKS = 32
SPREAD = 0.2
"""Between features."""
NOISE = 0.25
"""Of one feature in one block: .044 over 32 blocks, about a document interval of width .17."""


def dictionary(
    rng: np.random.Generator,
    n: int,
    mean: float = 0.5,
    effect: float = 0.0,
    levels: Float64 | None = None,
    size: Float64 | None = None,
) -> Float64:
    """Block moments [n, B, 6]; `effect` is the spread over blocks of what all features share, `size` [B] that of the
    blocks."""
    of_block = np.ones(N_BLOCKS) if size is None else size
    level = rng.normal(mean, SPREAD, n) if levels is None else levels
    shared = rng.normal(0.0, effect, N_BLOCKS)
    r = level[:, None] + shared + rng.normal(0.0, NOISE, (n, N_BLOCKS)) / np.sqrt(of_block)
    weight = rng.gamma(4.0, 0.25, (n, N_BLOCKS)) * of_block
    out = np.zeros((n, N_BLOCKS, 6))
    out[..., 0], out[..., 3], out[..., 4], out[..., 5] = 1000.0 * of_block, weight, weight, r * weight
    return out


@dataclass(frozen=True)
class TwoDictionaries:
    """Moments of two dictionaries by document block, and what belongs together."""

    a: Float64
    b: Float64
    clusters_a: Int64
    clusters_b: Int64
    paired: bool

    @property
    def scores(self) -> tuple[Float64, Float64]:
        return pearson(self.a.sum(axis=1)), pearson(self.b.sum(axis=1))

    def interval(self, *, documents: bool = True, units: bool = True) -> Interval:
        """Of the difference; without documents or without units it is what a careless reader would compute."""
        ids = (self.clusters_a, self.clusters_b) if units else (np.arange(len(self.a)), np.arange(len(self.b)))
        moved = (block_influence(self.a), block_influence(self.b)) if documents else (None, None)
        got = difference_interval(*self.scores, *ids, paired=self.paired, influence_a=moved[0], influence_b=moved[1])
        assert got is not None
        return got


WORLDS = (
    "plain", "document effect", "large document effect", "uneven blocks", "very uneven blocks", "40 units",
    "10 units", "pairs", "pairs, document effect", "pairs, units", "pairs, noise alone", "15 features",
)  # fmt: skip
"""In each of them the two dictionaries are equal."""


def world(name: str, rng: np.random.Generator, difference: float = 0.0) -> TwoDictionaries:
    """A draw from one of WORLDS; A's mean is higher by `difference`."""
    n = {"40 units": 150, "10 units": 100, "15 features": 15}.get(name, 200 if name.startswith("pairs") else 120)
    effect = {"large document effect": 0.18, "pairs, units": 0.05}.get(
        name, 0.09 if "document effect" in name or "uneven" in name or name == "15 features" else 0.0
    )
    size = None
    if "uneven" in name:
        size = rng.lognormal(0.0, 1.2, N_BLOCKS) if name.startswith("very") else rng.gamma(1.0, 1.0, N_BLOCKS) + 0.02
    levels = rng.normal(0.5, SPREAD, n)
    of_b, ids_a, ids_b = rng.normal(0.5, SPREAD, n), np.arange(n), np.arange(n)
    if "units" in name:
        n_units = 10 if name == "10 units" else 40
        ids_b = np.concatenate([np.arange(n_units), rng.integers(0, n_units, n - n_units)])
        of_b = rng.normal(0.5, SPREAD, n_units)[ids_b]
    if name.startswith("pairs"):
        ids_a = ids_b
        if "units" not in name:
            of_b = levels + (0.0 if "noise" in name else rng.normal(0.0, 0.1, n))
    a = dictionary(rng, n, effect=effect, levels=levels + difference, size=size)
    b = dictionary(rng, n, effect=effect, levels=of_b, size=size)
    return TwoDictionaries(a, b, ids_a, ids_b, name.startswith("pairs"))


def wrong(
    name: str, n_experiments: int, seed: int = 5, *, documents: bool = True, units: bool = True
) -> tuple[float, float]:
    """How often p is at most .05 (0 is outside the 95 % interval) of equal dictionaries; the mean standard error over
    the true spread."""
    rng = np.random.default_rng(seed)
    got = [world(name, rng).interval(documents=documents, units=units) for _ in range(n_experiments)]
    assert all((one.p_value <= 0.05) == (one.low >= 0 or one.high <= 0) for one in got)
    spread = float(np.std([one.value for one in got]))
    return float(np.mean([one.p_value <= 0.05 for one in got])), float(np.mean([one.se for one in got])) / spread
