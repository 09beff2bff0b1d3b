"""What scores of a stratified sample of features say of the whole dictionary.

    mean = sum_h N_h mean_h / N          N over all features, h over strata

This is the Horvitz-Thompson estimate of the sum, over the known number of features; where a stratum was drawn by hash
it is Hajek's too: its weights add up to its size. Its variance is sum_h (N_h / N)^2 (1 - n_h / N_h) s_h^2 / n_h.

1. A stratum of which fewer than two features were drawn is joined with the next one (the last with the one before):
   their weights are then those of the joined stratum. That is post-stratification, and s_h gets larger, never smaller.
2. Features that cannot be scored because they fire too seldom are a stratum of their own, whose value is known: the
   floor. Drawn features whose scoring failed count at the floor, too.
3. The factor 1 - n_h / N_h is left out of a score's own noise: a score from some windows is uncertain even where every
   feature was drawn. `noise` is its variance, where scores come with intervals, and is added in full.
4. Student's t with Satterthwaite's degrees of freedom over the strata.

Sources: Cochran 1977, chapter 5; Saerndal, Swensson & Wretman 1992, chapter 3. By simulation with known truth
(`tests/compare/test_population.py`; 1,000 draws): 95 % intervals of 40, 60 and 200 drawn features cover .962, .953
and .942, of the share of labels that hold .965, .952 and .949.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp.compare.interval import Interval
from autointerp.compare.strata import NOT_DRAWN
from autointerp.records import Int64
from autointerp.score.metrics import FloatArray


@dataclass(frozen=True)
class Population:
    """A dictionary of N features of which n were drawn."""

    strata: Int64  # [N] NOT_DRAWN where a feature could not be drawn
    drawn: Int64  # [n] places among the N
    floor: float = 0.0
    """The value of features that cannot be scored."""

    @property
    def joined(self) -> Int64:
        """Strata with two drawn features at least, [N]: those of fewer are joined with a neighbour."""
        strata = self.strata.copy()
        for _ in range(int(strata.max(initial=NOT_DRAWN)) + 1):
            names = np.unique(strata[strata != NOT_DRAWN])
            counts = np.array([np.count_nonzero(strata[self.drawn] == name) for name in names])
            few = np.flatnonzero(counts < 2)
            if len(names) < 2 or not len(few):
                break
            at = int(few[0])
            strata[strata == names[at]] = names[at + 1] if at + 1 < len(names) else names[at - 1]
        return strata

    @property
    def weights(self) -> FloatArray:
        """How many features of the dictionary each drawn one stands for, [n]."""
        strata = self.joined
        of_drawn = strata[self.drawn]
        return np.array([np.count_nonzero(strata == h) / np.count_nonzero(of_drawn == h) for h in of_drawn], np.float64)


def population_mean(y: FloatArray, of: Population, noise: FloatArray | None = None) -> Interval:
    """The mean over all features, from the values of the drawn ones, [n]. `noise` [n]: variance of each value itself.

    The value is nan where fewer than two features were drawn.
    """
    total = len(of.strata)
    n = len(of.drawn)
    if n < 2:
        return Interval.of(np.nan, np.nan, 1.0, 0.95, n)
    strata = of.joined
    of_drawn = strata[of.drawn]
    value = of.floor * float(np.count_nonzero(strata == NOT_DRAWN)) / total
    parts, freedom = [], []
    for h in np.unique(of_drawn):
        mine = y[of_drawn == h]
        size, n_h = int(np.count_nonzero(strata == h)), len(mine)
        share = size / total
        value += share * float(mine.mean())
        spread = float(mine.var(ddof=1)) if n_h > 1 else 0.0
        own = min(float(np.mean(noise[of_drawn == h])), spread) if noise is not None else 0.0
        kept = 1.0 - n_h / size
        parts.append(share**2 * (kept * spread + (1.0 - kept) * own) / n_h)
        freedom.append(max(n_h - 1, 1))
    variance = float(np.sum(parts))
    df = variance**2 / float(np.sum(np.square(parts) / np.array(freedom))) if variance > 0 else float(n - 1)
    return Interval.of(value, float(np.sqrt(variance)), df, 0.95, n)


def population_share(holds: FloatArray, of: Population) -> Interval:
    """The share of all features whose label holds, from 0 and 1 of the drawn ones, [n].

    Wilson's interval at the number of features that a simple sample would need for the same variance, so that it stays
    within 0 and 1 and has a width where all or none of the drawn ones hold. Features that cannot be scored do not hold.
    """
    mean = population_mean(holds, Population(of.strata, of.drawn, 0.0))
    if not np.isfinite(mean.value) or len(of.drawn) == np.count_nonzero(of.strata != NOT_DRAWN):
        return mean  # too few, or all of them
    can = float(np.count_nonzero(of.joined != NOT_DRAWN)) / len(of.strata)
    p = mean.value / can if can else 0.0
    simple = p * (1 - p)
    n_effective = simple * can**2 / mean.se**2 if mean.se > 0 and simple > 0 else float(len(of.drawn))
    z = (mean.high - mean.value) / mean.se if mean.se > 0 else float(Interval.of(0, 1, mean.df, 0.95, 2).high)
    middle = (p + z**2 / (2 * n_effective)) / (1 + z**2 / n_effective)
    half = z * np.sqrt(p * (1 - p) / n_effective + z**2 / (4 * n_effective**2)) / (1 + z**2 / n_effective)
    low, high = can * max(0.0, middle - half), can * min(1.0, middle + half)
    return Interval(mean.value, mean.se, mean.df, float(low), float(high), 0.95, mean.n)
