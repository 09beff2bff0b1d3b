"""Strata of features, and a sample of features drawn from them with known probabilities.

What an LLM's scores of some hundred features say of a whole dictionary depends on which features they are: dense and
rare ones, those of one token and of many differ in how well they can be labelled. So features are drawn by strata.

1. Features that fire often enough are cut into N_BINS bins of equal size by log density, and each of these into N_BINS
   bins by token entropy. The rest (rare, dead) is never drawn: its scores are known to be missing.
2. Of n drawn features, half go to the strata in proportion to their size, half in equal parts: small strata are seen,
   large ones are not starved. Two at least to each; no more than a stratum holds, and what is left over goes on.
3. Within a stratum those of the smallest hash are drawn: a feature of a stratum of N, of which n are drawn, was drawn
   with probability n / N. A larger sample holds a smaller one where no stratum is cut otherwise.

Only statistics of the explain split decide, which no score is computed from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autointerp.records import Int64
from autointerp.score.metrics import FloatArray

N_BINS = 3
"""Of density, and within each of entropy."""
LEAST = 2
"""Drawn features a stratum, so that it has a spread."""
FEWEST = 6
"""Features in a stratum, at least: of fewer features there are fewer bins."""
NOT_DRAWN = -1
"""The stratum of features that fire too seldom to be scored."""


def feature_strata(
    density: FloatArray, entropy: FloatArray, fires: npt.NDArray[np.bool_], order: npt.NDArray[np.uint64]
) -> Int64:
    """The stratum of each feature, [n]: from 0, in the order of density and then of entropy; NOT_DRAWN where it does
    not fire often enough. Unknown entropies (nan) count as the largest. `order` breaks ties: the features' hashes."""
    strata = np.full(len(density), NOT_DRAWN, dtype=np.int64)
    [alive] = np.nonzero(fires)
    n_bins = max(1, min(N_BINS, int(np.sqrt(len(alive) / FEWEST))))
    known = np.where(np.isnan(entropy), np.inf, entropy)
    next_stratum = 0
    for dense in np.array_split(alive[np.lexsort((order[alive], density[alive]))], n_bins):
        for part in np.array_split(dense[np.lexsort((order[dense], known[dense]))], n_bins):
            if len(part):
                strata[part] = next_stratum
                next_stratum += 1
    return strata


def allocate(sizes: Int64, n: int) -> Int64:
    """How many features are drawn from each stratum of these sizes, [H]: n in all, or all there are."""
    drawn = np.minimum(sizes, LEAST)
    if n <= drawn.sum():  # too few for all: the largest strata first, so that the sample is n and no more
        drawn = np.zeros_like(sizes)
        for stratum in np.argsort(-sizes, kind="stable")[: -(-n // LEAST)]:
            drawn[stratum] = min(int(sizes[stratum]), LEAST, n - int(drawn.sum()))
        return drawn
    share = 0.5 * sizes / max(int(sizes.sum()), 1) + 0.5 / max(int(np.count_nonzero(sizes)), 1)
    while (left := min(n, int(sizes.sum())) - int(drawn.sum())) > 0:
        wanted = np.where(drawn < sizes, n * share - drawn, -np.inf)
        for stratum in np.argsort(-wanted, kind="stable")[: max(1, min(left, int(np.count_nonzero(drawn < sizes))))]:
            drawn[stratum] += 1
            if drawn.sum() == min(n, int(sizes.sum())):
                break
    return drawn


def draw(strata: Int64, order: npt.NDArray[np.uint64], n: int) -> Int64:
    """The places of the drawn features, rising."""
    n_strata = int(strata.max(initial=NOT_DRAWN)) + 1
    sizes = np.bincount(strata[strata != NOT_DRAWN], minlength=n_strata).astype(np.int64)
    chosen = []
    for stratum, wanted in enumerate(allocate(sizes, n).tolist()):
        [places] = np.nonzero(strata == stratum)
        chosen.append(places[np.argsort(order[places], kind="stable")[:wanted]])
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
