"""How fair the comparison with each baseline is: densities reached, units used again, overlap in token entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from autointerp.show.layout import Column, sheet
from autointerp.show.sentences import site
from autointerp.show.text import safe
from autointerp.store.query import Queryable

WORST = 3
"""Pairs named of those that missed their density."""


@dataclass(frozen=True)
class Missed:
    """A pair whose firing counts on the score split differ by more than 10 % and 3 firings."""

    feature: int
    matched_feature: int
    n_firing: int
    """Firings of the dictionary's feature."""
    n_firing_baseline: int


@dataclass(frozen=True)
class Fairness:
    """A baseline beside a dictionary."""

    store: str
    a: str
    b: str
    other_site: bool
    n_features: int
    n_units: int | None
    n_matched: int
    """Pairs with a threshold; 0 where the baseline is not matched."""
    n_within: int
    """Of these, within 10 % or 3 firings on the score split."""
    n_own_within: int
    """Of these, those whose feature of A itself keeps its density so well from the explain to the score split."""
    typical: float | None
    """Median of |firings of the baseline - firings of the feature| / firings of the feature."""
    n_within_above: int
    """Pairs within 10 % or 3 where only activations above `score.threshold` of the maximum count as firings."""
    typical_above: float | None
    """The same median of those; none before the census."""
    density: float | None
    """Median density of the matched units, explain split."""
    natural_density: float | None
    """The same of the same units at theta 0, where NAME@natural is there."""
    overlap: float | None
    """Overlap coefficient of the token entropies at equal firing counts."""
    worst: tuple[Missed, ...]


def load_fairness(store: Queryable, name: str) -> list[Fairness]:
    """Every baseline that is compared with a dictionary, in the order of the comparison."""
    pairs = []
    for row in store.rows(_PAIRS):
        pair = {"a": row["a"], "b": row["b"]}
        [density] = store.rows(_DENSITY, **pair)
        [overlap] = store.rows(_OVERLAP, **pair)
        worst = tuple(Missed(**item) for item in store.rows(_WORST, n=WORST, **pair))
        pairs.append(Fairness(store=name, **row, **density, **overlap, worst=worst))
    return pairs


_PAIRS = """
SELECT c.a, c.b, bool_or(c.other_site) AS other_site, any_value(d.n_features) AS n_features,
       any_value(d.n_units) AS n_units
FROM comparison_table c JOIN dictionaries d ON d.dictionary = c.b
WHERE d.kind NOT IN ('sae', 'transcoder')
GROUP BY c.a, c.b ORDER BY c.a, c.b
"""
_DENSITY = """
SELECT count(*) AS n_matched, count(*) FILTER (within) AS n_within, count(*) FILTER (own_within) AS n_own_within,
       median(abs(n_firing_baseline - n_firing) / greatest(n_firing, 1)) AS typical, median(density) AS density,
       median(natural_density) AS natural_density, count(*) FILTER (within_above) AS n_within_above,
       median(abs(n_above_baseline - n_above) / greatest(n_above, 1)) AS typical_above
FROM matched_pairs WHERE dictionary = $a AND baseline = $b
"""
_OVERLAP = """
SELECT sum(overlap * least(n_a, n_b)) / sum(least(n_a, n_b)) AS overlap FROM entropy_overlap WHERE a = $a AND b = $b
"""
_WORST = """
SELECT feature, matched_feature, n_firing, n_firing_baseline FROM matched_pairs
WHERE dictionary = $a AND baseline = $b AND NOT within
ORDER BY abs(n_firing_baseline - n_firing) / greatest(n_firing, 1) DESC, feature LIMIT $n
"""


def render_fairness(rows: Sequence[Fairness], *, several: bool = False) -> list[RenderableType]:
    """A table, and which pairs missed their density most."""
    if not rows:
        return []
    columns = [Column("store", [row.store for row in rows], key=True)] if several else []
    columns += [
        Column("A", [row.a for row in rows], key=True),
        Column("B", [site(row.b, row.other_site) for row in rows], key=True),
        Column("units", [_units(row) for row in rows], right=True),
        Column("density kept", [_off(_kept(row), row.typical) for row in rows], right=True),
        Column("A's own", [_share(row.n_own_within, row.n_matched) for row in rows], right=True),
    ]
    if any(row.typical_above is not None for row in rows):
        above = [_off(_share(row.n_within_above, row.n_matched), row.typical_above) for row in rows]
        columns.append(Column("above threshold", above, right=True))
    if any(row.natural_density is not None for row in rows):
        columns.append(Column("natural density", [_natural(row) for row in rows]))
    columns.append(Column("entropy overlap", [_number(row.overlap) for row in rows], right=True))
    parts: list[RenderableType] = [sheet("Baselines: how like their dictionaries they are", columns)]
    parts += [safe(line, "dim") for row in rows if (line := _worst(row, several))]
    legend = (
        "density kept: matched pairs within 10 % or 3 firings on the score split, and by how much the median pair is "
        "off; A's own: from the explain to the score split; above threshold: of activations above score.threshold of "
        "the maximum. entropy overlap: of token entropies at equal firing counts (1: alike)."
    )
    return [*parts, safe(legend, "dim"), Text()]


def _units(row: Fairness) -> str:
    if row.n_units is None:
        return ""
    return f"{row.n_units:,}" + (f" for {row.n_features:,}" if row.n_units < row.n_features else "")


def _off(kept: str, typical: float | None) -> str:
    return kept if typical is None else f"{kept} ({_percent(typical)})"


def _kept(row: Fairness) -> str:
    return f"{row.n_within:,}/{row.n_matched:,}" if row.n_matched else "not matched"


def _share(n: int, of: int) -> str:
    return f"{n:,}/{of:,}" if of else ""


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def _natural(row: Fairness) -> str:
    if row.natural_density is None or row.density is None:
        return ""
    return f"{100 * row.natural_density:.2g} % -> {100 * row.density:.2g} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _worst(row: Fairness, several: bool) -> str:
    if not row.worst:
        return ""
    pairs = ", ".join(
        f"{bad.feature} ({bad.n_firing_baseline:,} firings for the {bad.n_firing:,} of {row.a}/{bad.matched_feature})"
        for bad in row.worst
    )
    return (f"{row.store}: " if several else "") + f"{row.b} is furthest off at {pairs}."
