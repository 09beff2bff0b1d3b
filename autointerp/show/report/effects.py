"""The report's part on what features do to the output, at fixed KL."""

from __future__ import annotations

from autointerp.compare.effect_differences import RATIOS
from autointerp.show.effect_comparison import (
    MEANING,
    TITLES,
    by_direction,
    difference_text,
    higher,
    mean_cells,
    other,
    unreached,
)
from autointerp.show.effect_values import EffectComparison
from autointerp.show.estimate_agreement import OF, SAYS, TITLE, agreement_cells, shown_agreement
from autointerp.show.report.html import Child, Markup, joined, table, tag
from autointerp.show.report.questions import ask
from autointerp.show.report.sections import asked
from autointerp.store.query import Queryable


def effects(store: Queryable, of: EffectComparison) -> Markup | None:
    """None where no effects were measured."""
    if not of.means:
        return None
    groups = by_direction(of.means)
    cells = [mean_cells(rows) for rows in groups.values()]
    rows = [
        (name, direction, *(cell.get(measure, "") for measure in TITLES), unreached(means))
        for (_, name, direction), means, cell in zip(groups, groups.values(), cells, strict=True)
    ]
    heads = ("dictionary", "direction", *TITLES.values(), "unreached")
    parts: list[Child] = [tag("p", MEANING, class_="dim"), table(heads, rows, range(2, len(heads)))]
    for measure, title in TITLES.items():
        mine = [row for row in of.differences if row.measure == measure]
        if not mine:
            continue
        told = [
            (row.a, other(row), difference_text(row), "" if row.p_holm is None else f"{row.p_holm:.3f}", higher(row),
             f"{row.n_a:,} pairs" if row.paired else f"{row.n_a:,} and {row.n_b:,}",
             f"{row.n_unreached_a:,}, {row.n_unreached_b:,}")
            for row in mine
        ]  # fmt: skip
        names = ("A", "B", "A / B" if measure in RATIOS else "A - B", "p Holm", "higher", "features", "unreached")
        folded = tag("details", tag("summary", f"{title}: differences"), table(names, told, (2, 3, 5, 6)))
        parts.append(folded)
    if estimates := shown_agreement(of.estimates):
        agreed = [
            (row.dictionary, row.hook, OF[row.change_of], *agreement_cells(row), f"{row.n_features:,}", f"{row.n:,}")
            for row in estimates
        ]
        titles = ("dictionary", "hook", "of", "correlation", "slope", "features", "values")
        parts += [tag("h3", TITLE), tag("p", SAYS, class_="dim"), table(titles, agreed, (3, 4, 5, 6))]
    parts += [asked(ask(store, "effect_values")), asked(ask(store, "effect_differences"))]
    return joined([tag("h2", "What features do to the output"), *parts])
