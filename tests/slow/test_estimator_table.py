"""The table of docs/ESTIMATOR.md: bias, error, coverage, width and misses of `pearson_framed` from 60 windows.

    pytest tests/slow/test_estimator_table.py -m slow -rP -n 0

Worlds of `tests/helpers/rare_worlds.py`, three for each label, density and tail; 150 samples of each. The last columns
are the same worlds with the quotas that every feature has where no cheap simulator says otherwise: what half Neyman is
worth. Bounds lie three standard errors of the simulation (.010 of a coverage, and as much again between worlds) from
the figures reached. A miss is more than 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from rare_worlds import DENSITIES, LABELS, draw_many, make_world

from autointerp.score.estimator import pearson_framed

pytestmark = pytest.mark.slow
WORLDS, DRAWS = (1, 2, 3), 150


@dataclass(frozen=True)
class Figures:
    bias: float
    error: float
    coverage: float
    width: float
    above: float
    """Share of intervals that lie above the truth."""
    below: float


def figures(density: float, label: str, *, heavy: bool, neyman: bool) -> Figures:
    found = []
    for seed in WORLDS:
        world = make_world(density, label, seed, heavy=heavy)
        drawn = draw_many(world, DRAWS, seed, neyman=neyman)
        got = pearson_framed(drawn.moments, drawn.classes, drawn.sizes, drawn.available)
        off = got.value - world.truth
        above, below = got.ci_low > world.truth + 1e-9, got.ci_high < world.truth - 1e-9
        width = (got.ci_high - got.ci_low).mean()
        found.append((off.mean(), (off**2).mean(), 1 - above.mean() - below.mean(), width, above.mean(), below.mean()))
    bias, square, *rest = np.mean(found, axis=0).tolist()
    return Figures(bias, square**0.5, *rest)


# label: largest |bias|, root mean squared error and width, least coverage, largest share of misses on either side
BOUNDS = {
    "right": (0.015, 0.085, 0.31, 0.87, 0.13),
    "broad": (0.015, 0.105, 0.40, 0.90, 0.08),
    "narrow": (0.015, 0.090, 0.37, 0.92, 0.07),
    "near 1": (0.005, 0.020, 0.15, 0.94, 0.06),
}


@pytest.mark.parametrize("heavy", [True, False], ids=["heavy", "light"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("label", LABELS)
def test_sixty_windows(label: str, density: float, heavy: bool) -> None:
    got = figures(density, label, heavy=heavy, neyman=True)
    plain = figures(density, label, heavy=heavy, neyman=False)
    tails = "heavy" if heavy else "light"
    print(
        f"| {label} | {tails} | {density:g} | {got.bias:+.3f} | {got.error:.3f} | {got.coverage:.3f} | {got.width:.2f} "
        f"| {got.above:.3f} | {got.below:.3f} | {plain.error:.3f} | {plain.width:.2f} |"
    )
    bias, error, width, coverage, side = BOUNDS[label]
    assert abs(got.bias) < bias
    assert got.error < error
    assert got.width < width
    assert got.coverage > coverage
    assert max(got.above, got.below) < side
    assert got.error < 1.1 * plain.error
