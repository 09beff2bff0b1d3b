"""Differences among features of the same token entropy, of the metric that is shown: is one better because its features
are simpler?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from autointerp.show.layout import Column, sheet
from autointerp.show.score_kind import ScoreKind
from autointerp.show.sentences import site
from autointerp.store.query import Queryable

LAST = 4
"""The last stratum holds this many nats and more: as in the view entropy_strata."""


@dataclass(frozen=True)
class Stratum:
    """A row of `entropy_strata`: a pair of dictionaries, by one kind of score."""

    store: str
    a: str
    b: str
    other_site: bool
    about: ScoreKind
    nats: int
    """Token entropy, rounded down."""
    n_a: int
    n_b: int
    difference: float
    """Mean of A minus mean of B among features with a score."""


def load_strata(store: Queryable, name: str, kinds: Iterable[ScoreKind]) -> list[Stratum]:
    """The strata of these kinds of score."""
    asked = list(kinds)
    rows = store.rows(
        _STRATA,
        designs=[kind.design for kind in asked],
        metrics=[kind.metric for kind in asked],
        scorers=[kind.scorer for kind in asked],
        explainers=[kind.explainer for kind in asked],
    )
    strata = []
    for row in rows:
        kind = ScoreKind(*(row.pop(part) for part in ("design", "metric", "scorer", "explainer")))
        strata.append(Stratum(store=name, about=kind, **row))
    return strata


_STRATA = """
WITH asked AS (
    SELECT unnest($designs::VARCHAR[]) AS design, unnest($metrics::VARCHAR[]) AS metric,
           unnest($scorers::VARCHAR[]) AS scorer, unnest($explainers::VARCHAR[]) AS explainer
)
SELECT e.a, e.b, p.other_site, e.design, e.metric, e.scorer, e.explainer, e.nats, e.n_a, e.n_b, e.difference
FROM entropy_strata e JOIN baseline_pairs p USING (a, b)
SEMI JOIN asked USING (design, metric, scorer, explainer)
WHERE e.difference IS NOT NULL AND list_contains($metrics, e.metric) AND list_contains($explainers, e.explainer)
      AND list_contains($designs, e.design) AND list_contains($scorers, e.scorer)
ORDER BY e.a, e.b, e.nats
"""


def render_strata(rows: Sequence[Stratum], *, several: bool = False) -> list[RenderableType]:
    """A table of one kind of score: a column for each stratum, with the smaller number of features."""
    if not rows:
        return []
    pairs = list(dict.fromkeys((row.store, row.a, row.b, row.other_site) for row in rows))
    by_pair = {(row.store, row.a, row.b, row.nats): row for row in rows}
    columns = [Column("store", [store for store, *_ in pairs], key=True)] if several else []
    columns += [
        Column("A", [a for _, a, _, _ in pairs], key=True),
        Column("B", [site(b, other) for _, _, b, other in pairs], key=True),
    ]
    for nats in sorted({row.nats for row in rows}):
        cells = [_cell(by_pair.get((store, a, b, nats))) for store, a, b, _ in pairs]
        columns.append(Column(f"{named(nats)} nats", cells, right=True))
    return [sheet(f"{rows[0].about.title()}: A - B by token entropy (fewer of their features)", columns)]


def named(nats: int) -> str:
    """`1-2`, and `4+` for the last."""
    return f"{nats}+" if nats >= LAST else f"{nats}-{nats + 1}"


def _cell(row: Stratum | None) -> str:
    return "" if row is None else f"{row.difference:+.3f} ({min(row.n_a, row.n_b):,})"
