"""The scores of a card: a row an explainer, a column a scorer and metric.

1. Where all columns fit beside each other they are one table.
2. Else there is a table for every token of the split, one for the first metric of each scorer, and one for what else a
   scorer has. Each has rows for the explainers with a score in it, and no others.
3. Where a table is wider than the page its long headings are broken behind `_`, and its long names behind `/` and
   between words.
4. A lookup on the windows of another explainer is left out where all its scores are those on its own windows:
   explainers of one run are asked about the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.score.metric_registry import is_primary, on_card
from autointerp.show.card_data import ExplanationLine, ScoreLine
from autointerp.show.layout import Column, FittedToWidth, packed, sheet, table_of, total_width
from autointerp.show.marks import mark_sentences, marked
from autointerp.show.text import explainer_name, safe
from autointerp.words import SCORERS, scorer_and_judge

ScoreColumn = tuple[str, str, str]
"""Design, scorer and metric."""
Rows = Mapping[str, Mapping[ScoreColumn, ScoreLine]]
"""By the name of a row."""
NAMES = 3
"""A broken name takes at most so many tenths of the width."""
HEADING = 10
"""Cells that a heading may take before it is broken."""


def card_scores(lines: Sequence[ExplanationLine], everything: bool) -> RenderableType:
    """The tables, who judged, and what the marks mean. `everything`: all metrics, and rows that say the same."""
    rows: dict[str, dict[ScoreColumn, ScoreLine]] = {}
    beside: dict[str, str] = {}
    judges: dict[str, None] = {}
    for line in lines:
        for score in line.scores:
            if everything or on_card(score.metric, score.design):
                scorer, judge = scorer_and_judge(score.scorer)
                name = explainer_name(line.explainer)
                if "@" in judge:
                    own, name = name, f"{name} on the windows of {judge.partition('@')[2]}"
                    beside[name] = own
                rows.setdefault(name, {})[score.design, scorer, score.metric] = score
                judges |= {judge: None} if judge and "@" not in judge else {}
    if not everything:
        same = {name for name, own in beside.items() if _says_the_same(rows[name], rows.get(own))}
        rows = {name: cells for name, cells in rows.items() if name not in same}
    order = sorted({kind for cells in rows.values() for kind in cells}, key=_place)
    notes = mark_sentences((scorer, metric, design) for design, scorer, metric in order)
    if judges:
        notes.insert(0, f"judged by {', '.join(judges)}; embedded explainers by their lookups and texts")
    tables = FittedToWidth(lambda width: _tables(rows, order, width))
    return Group(tables, *[safe(note, "dim") for note in notes])


def _says_the_same(cells: Mapping[ScoreColumn, ScoreLine], own: Mapping[ScoreColumn, ScoreLine] | None) -> bool:
    """Whether these scores are among those, whoever they are stored under."""
    return own is not None and all(
        kind in own and replace(score, scorer="") == replace(own[kind], scorer="") for kind, score in cells.items()
    )


def _is_first(kind: ScoreColumn) -> bool:
    design, scorer, metric = kind
    return is_primary(metric, design, scorer)


def _place(kind: ScoreColumn) -> tuple[object, ...]:
    """The census first, then the first metric of each scorer, scorers in the order that they have everywhere."""
    design, scorer, metric = kind
    return design, not _is_first(kind), SCORERS.index(scorer) if scorer in SCORERS else len(SCORERS), scorer, metric


def _tables(rows: Rows, order: Sequence[ScoreColumn], width: int) -> RenderableType:
    whole = _columns(rows, order)
    if total_width(whole) <= width:
        return sheet(None, whole)
    parts: dict[str, list[ScoreColumn]] = {}
    for kind in order:
        parts.setdefault("" if kind[0] == "census" or _is_first(kind) else kind[1], []).append(kind)
    made: list[RenderableType] = []
    for scorer, kinds in parts.items():
        for design in dict.fromkeys(kind[0] for kind in kinds):
            mine = [kind for kind in kinds if kind[0] == design]
            columns = _columns(rows, mine, scorer)
            if total_width(columns) > width:
                columns = _columns(rows, mine, scorer, narrow_to=width)
            groups = packed(columns, width)
            made += [part for group in groups for part in (table_of(_filled(group)), Text())]
    return Group(*made[:-1])


def _columns(rows: Rows, kinds: Sequence[ScoreColumn], of: str = "", *, narrow_to: int | None = None) -> list[Column]:
    """A column of names and one for each kind, broken for a page of that width; `of`: the scorer that all are of."""
    styles = ["", *["dim"] * (len(rows) - 1)]
    names: list[tuple[str, ...]] = [(name,) for name in rows]
    if narrow_to is not None:
        names = [_broken(_shortened(name), NAMES * narrow_to // 10, "/ ") for name in rows]
    keys = [_joined(parts, style) for parts, style in zip(names, styles, strict=True)]
    columns = [Column(f"score, {of}" if of else "score", keys, key=True)]
    for design, scorer, metric in kinds:
        of_rows = [cells.get((design, scorer, metric)) for cells in rows.values()]
        scores = [_score(score, style) for score, style in zip(of_rows, styles, strict=True)]
        about = metric if of else f"{metric}, {design if design == 'census' else scorer}"
        column = Column(marked((scorer, metric, design), about), scores)
        if narrow_to is not None:
            room = max(HEADING, *(cell_len(cell.plain) for cell in scores))
            column = replace(column, heading=_broken(column.name, room, "_ "))
        columns.append(column)
    return columns


def _shortened(name: str) -> str:
    return name.replace(" (ceiling, no label)", " (ceiling)")


def _filled(columns: Sequence[Column]) -> list[Column]:
    """Without the rows that have no score in any of them."""
    cells = [column.cells for column in columns if not column.key]
    kept = [at for at in range(len(columns[0].cells)) if any(str(of[at]) for of in cells)]
    return [replace(column, cells=[column.cells[at] for at in kept]) for column in columns]


def _broken(text: str, width: int, behind: str) -> tuple[str, ...]:
    """The text in lines of at most `width` cells, where it can be broken: behind one of some characters."""
    pieces, piece = [], ""
    for character in text:
        piece += character
        if character in behind:
            pieces.append(piece)
            piece = ""
    lines = [""]
    for part in [*pieces, piece]:
        if lines[-1] and cell_len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return tuple(line.rstrip(" ") for line in lines if line.strip())


def _joined(lines: Sequence[str], style: str) -> Text:
    """What follows the first line is indented."""
    return Text("\n ").join([safe(line, style) for line in lines])


def _score(score: ScoreLine | None, style: str) -> Text:
    if score is None:
        return Text()
    if score.value is None:
        return safe(score.status, "yellow")
    text = f"{score.value:.3f}"
    if score.ci_low is not None and score.ci_high is not None:
        text += f" [{score.ci_low:.2f}, {score.ci_high:.2f}]"
    return safe(text if score.status == "ok" else f"{text} {score.status}", style)
