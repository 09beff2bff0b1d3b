"""`compare --power`: how many features a wanted difference needs, for each pair and kind of score, from the variance of
the store's own comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.compare.power import needed_features
from autointerp.compare.statistics import LEVEL
from autointerp.show.compare_data import ComparePage, ComparisonRow
from autointerp.show.layout import Column, sheet
from autointerp.show.score_kind import ScoreKind
from autointerp.show.sentences import site
from autointerp.show.text import safe


@dataclass(frozen=True)
class PowerRow:
    """What one comparison needs for the wanted difference."""

    store: str
    a: str
    b: str
    other_site: bool
    about: ScoreKind
    paired: bool
    n_a: int
    n_b: int
    """Features now."""
    needed_a: int | None
    needed_b: int | None
    """Features that find the difference 4 times in 5; None: no number does on this text."""
    text: float | None
    """Then: at least so many times as much text."""
    detectable: float
    """What is found 4 times in 5 now."""


def power_rows(comparisons: Sequence[ComparisonRow], wanted: float) -> list[PowerRow]:
    """A row for each comparison that has an interval; the level is that of all pairs of its family."""
    rows = []
    for row in comparisons:
        if row.se is None or row.df is None or row.detectable is None:
            continue
        family = [one for one in comparisons if (one.store, one.about) == (row.store, row.about)]
        m = sum(one.difference is not None for one in family)
        needed = needed_features(
            wanted,
            row.se,
            row.se_documents or 0.0,
            row.df,
            documents_count=row.interval_over == "features and documents",
            level=LEVEL / m,
        )
        a, b = (None if needed.factor is None else max(math.ceil(needed.factor * n), 2) for n in (row.n_a, row.n_b))
        names = (row.store, row.a, row.b, row.other_site, row.about, row.paired, row.n_a, row.n_b)
        rows.append(PowerRow(*names, a, b, needed.text, row.detectable))
    return rows


def power_page(page: ComparePage, wanted: float, *, several: bool = False) -> RenderableType:
    """A table for each kind of score."""
    parts: list[RenderableType] = []
    rows = power_rows(page.comparisons, wanted)
    for about in page.kinds:
        mine = [row for row in rows if row.about == about]
        if mine:
            parts += [_table(mine, wanted, several), Text()]
    if not parts:
        return Text("no comparison of that kind has an interval", style="dim")
    legend = (
        f"needed: features that find a true difference of {wanted:g} four times in five, at the level of all pairs of "
        "the table, if the spread stays as it is. More features of the same text take away all variance but what "
        "documents share; where that alone is too much, more text is needed. now finds: the difference that is found "
        "four times in five today."
    )
    return Group(*parts, safe(legend, "dim"))


def _table(rows: Sequence[PowerRow], wanted: float, several: bool) -> RenderableType:
    columns = [Column("store", [row.store for row in rows], key=True)] if several else []
    columns += [
        Column("A", [row.a for row in rows], key=True),
        Column("B", [site(row.b, row.other_site) for row in rows], key=True),
        Column("features now", [_features(row.n_a, row.n_b, row.paired) for row in rows], right=True),
        Column("now finds", [f"{row.detectable:.3f}" for row in rows], right=True),
        Column("needed", [_needed(row) for row in rows], right=True),
    ]
    return sheet(f"{rows[0].about.title()}: features for a difference of {wanted:g}", columns)


def _features(a: int, b: int, paired: bool) -> str:
    return f"{a:,} pairs" if paired else f"{a:,} and {b:,}"


def _needed(row: PowerRow) -> str:
    if row.needed_a is None or row.needed_b is None:
        return f"{row.text:.1f} x the text" if row.text is not None else ""
    return _features(row.needed_a, row.needed_b, row.paired)
