"""Plots of one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BARS = " ▁▂▃▄▅▆▇█"


def bars(counts: Sequence[int]) -> str:
    """A bar for each count, its height by the count's logarithm; anything above 0 can be seen."""
    top = math.log1p(max(counts, default=0))
    return "".join(_BARS[math.ceil(math.log1p(count) / top * (len(_BARS) - 1)) if count else 0] for count in counts)


def levels(steps: Sequence[int]) -> str:
    """A bar for each step, 0 (blank) to 8 (full)."""
    return "".join(_BARS[step] for step in steps)


def dot_and_interval(
    value: float | None,
    low: float | None,
    high: float | None,
    axis: tuple[float, float],
    width: int,
    mark: float | None,
) -> str:
    """`  ├──●─┤ ` on a common axis, with `┊` at `mark` (the floor, or no difference)."""
    cells = [" "] * width

    def place(x: float) -> int:
        share = (x - axis[0]) / (axis[1] - axis[0]) if axis[1] > axis[0] else 0.5
        return round(min(max(share, 0.0), 1.0) * (width - 1))

    if low is not None and high is not None:
        for cell in range(place(low), place(high) + 1):
            cells[cell] = "─"
        if place(low) < place(high):
            cells[place(low)], cells[place(high)] = "├", "┤"
    if mark is not None:
        cells[place(mark)] = "┊" if cells[place(mark)] == " " else "┼"
    if value is not None:
        cells[place(value)] = "●"
    return "".join(cells)
