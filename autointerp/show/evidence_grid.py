"""The grid of evidence: labels from where a feature fires and labels from what it does, each scored on both.

A label can say rightly where a feature fires and nothing of what it does, and the other way round: the two hardly hang
together (Gur-Arieh et al. 2025). So both are asked of each kind of label, of the same features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from autointerp.show.layout import Column, sheet
from autointerp.show.text import safe, visible
from autointerp.store.query import Queryable
from autointerp.words import explainer_order

SCORED_ON = {"activations": "on activations", "direct effects": "on direct effects", "measured effects": "on measured"}
"""Columns: what a label is scored on, and the heading."""
SAW = ("input", "direct", "measured", "both", "all")
"""Rows: what a label saw."""
_GRID = """
SELECT dictionary, evidence, explainer, scored_on, n_features, mean, half_width FROM evidence_grid
SEMI JOIN (SELECT dictionary FROM latest_works) USING (dictionary) ORDER BY ALL
"""


@dataclass(frozen=True)
class GridCell:
    """Mean scores of an explainer of one dictionary on one kind of truth."""

    store: str
    dictionary: str
    evidence: str
    explainer: str
    scored_on: str
    n_features: int
    mean: float
    half_width: float | None
    """Of the 95 % interval over features."""


def load_grid(store: Queryable, name: str) -> list[GridCell]:
    """Those that count, of the dictionaries of the latest run."""
    return [GridCell(store=name, **row) for row in store.rows(_GRID)]


def render_grid(cells: Sequence[GridCell], *, several: bool = False) -> list[RenderableType]:
    """A row for each dictionary and explainer; nothing where there are labels, or truths, of one kind only."""
    saw = {cell.evidence for cell in cells}
    truths = [truth for truth in SCORED_ON if any(cell.scored_on == truth for cell in cells)]
    if "input" not in saw or not saw & {"direct", "measured"} or "activations" not in truths or len(truths) < 2:
        return []
    rows: dict[tuple[str, str, str, str], dict[str, GridCell]] = {}
    for cell in cells:
        rows.setdefault((cell.store, cell.dictionary, cell.evidence, cell.explainer), {})[cell.scored_on] = cell
    order = sorted(rows, key=lambda key: (key[0], key[1], SAW.index(key[2]), explainer_order(key[3])))
    columns = [Column("dictionary", [_named(key, several) for key in order], key=True)]
    columns.append(Column("label saw", [key[2] for key in order], key=True))
    columns.append(Column("explainer", [visible(key[3]) for key in order]))
    columns += [Column(SCORED_ON[t], [_cell(rows[key].get(t)) for key in order], right=True) for t in truths]
    n = [max((cell.n_features for cell in rows[key].values()), default=0) for key in order]
    columns.append(Column("features", [f"{count:,}" for count in n], right=True))
    note = (
        "activations: pearson_framed, 0 by chance; effects: accuracy on the hard sets, .5 by chance; over features of "
        "which all explainers of the dictionary have a score, with 95 % intervals over features. View evidence_grid."
    )
    return [sheet("what a label saw, and what it is scored on", columns), safe(note, "dim")]


def _named(key: tuple[str, str, str, str], several: bool) -> str:
    return visible(f"{key[0]}: {key[1]}" if several else key[1])


def _cell(cell: GridCell | None) -> str:
    if cell is None:
        return ""
    return f"{cell.mean:.3f}" + (f" ± {cell.half_width:.3f}" if cell.half_width is not None else "")
