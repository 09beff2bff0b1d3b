"""Tables that fit the width they get.

Rich shrinks the columns of a table that is too wide until numbers and names are slivers of three characters.
Here no cell of a column is ever broken while the column itself fits the page. Where the columns do not:
1. the plot goes first;
2. then spare columns, the last first: what they say stands in a sentence or elsewhere too;
3. then the columns that do not fit go under the others, in a second table with the same key columns in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from autointerp.show.plot import dot_and_interval
from autointerp.show.text import safe, visible

GAP = 2
"""Blanks between columns."""
PLOT_NARROWEST, PLOT_WIDEST = 12, 40
"""A plot with less room than this is left out; with more it does not grow."""


@dataclass(frozen=True)
class Column:
    """A column of a sheet."""

    name: str
    cells: Sequence[str | Text]
    right: bool = False
    key: bool = False
    """Says what a row is about: repeated where the columns go under each other."""
    spare: bool = False
    """Left out rather than put under the others."""
    heading: Sequence[str] = ()
    """The name in lines, where it is broken."""

    @property
    def width(self) -> int:
        cells = [*(self.heading or [self.name]), *self.cells]
        return max(cell_len(line) for cell in cells for line in _cell(cell).plain.split("\n"))


@dataclass(frozen=True)
class PlottedInterval:
    """A row of a plot."""

    value: float | None
    low: float | None
    high: float | None
    mark: float | None
    """Where the dotted line stands."""


@dataclass(frozen=True)
class Plot:
    """Values with their intervals on one axis, which is rounded outwards to tenths and holds 0."""

    rows: Sequence[PlottedInterval]

    @property
    def axis(self) -> tuple[float, float]:
        known = [x for row in self.rows for x in (row.value, row.low, row.high, row.mark) if x is not None]
        low = math.floor(round(10 * min([0.0, *known]), 6))
        high = math.ceil(round(10 * max([0.0, *known]), 6))
        return low / 10, max(high, low + 1) / 10

    def column(self, width: int) -> Column:
        """The plot as a column, the ends of its axis above."""
        low, high = (f"{end:.1f}" for end in self.axis)
        lines = [dot_and_interval(r.value, r.low, r.high, self.axis, width, r.mark) for r in self.rows]
        return Column(low + high.rjust(width - len(low)), lines)


class FittedToWidth:
    """A renderable made for the width it gets."""

    def __init__(self, make: Callable[[int], RenderableType]) -> None:
        self.make = make

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield self.make(options.max_width)


def sheet(title: str | Text | None, columns: Sequence[Column], plot: Plot | None = None) -> FittedToWidth:
    """The columns beside each other where they fit, and the plot behind them where it does."""
    return FittedToWidth(lambda width: Group(*_tables(title, columns, plot, width)))


def _tables(
    title: str | Text | None, columns: Sequence[Column], plot: Plot | None, width: int
) -> Iterator[RenderableType]:
    if title is not None:
        yield title if isinstance(title, Text) else safe(title, "bold")
    groups = packed(without_spare(columns, width), width)
    room = width - total_width(groups[0]) - GAP
    if plot is not None and len(groups) == 1 and room >= PLOT_NARROWEST:
        groups = [[*groups[0], plot.column(min(room, PLOT_WIDEST))]]
    for group in groups:
        yield table_of(group)


def without_spare(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns without as many of the spare ones, from the last on, as it takes to fit."""
    kept = list(columns)
    for column in reversed(columns):
        if total_width(kept) <= width:
            break
        if column.spare:
            kept.remove(column)
    return kept


def packed(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """The columns in groups, each at most `width` wide with the key columns in front."""
    keys = [column for column in columns if column.key]
    groups = [list(keys)]
    for column in columns:
        if column.key:
            continue
        if len(groups[-1]) > len(keys) and total_width([*groups[-1], column]) > width:
            groups.append(list(keys))
        groups[-1].append(column)
    return groups


def total_width(columns: Sequence[Column]) -> int:
    """Cells that the columns take beside each other."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def table_of(columns: Sequence[Column]) -> Table:
    """The columns beside each other."""
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        # Only where a column alone is wider than the page is anything folded; nothing is lost.
        justify: JustifyMethod = "right" if column.right else "left"
        heading = "\n".join(map(visible, column.heading or [column.name]))
        table.add_column(Text(heading), justify=justify, vertical="top", overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(_cell(cell) for cell in row))
    return table


def _cell(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else safe(cell)
