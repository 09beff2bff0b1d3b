"""What a step does against its size, as inline SVG: KL, and how far the stream behind the last block moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.show.report.charts import COLOURS
from autointerp.show.report.html import Markup, tag
from autointerp.show.sensitivity import LEAST_DISTANCE, ORDER, SensitivityCurve
from autointerp.show.steer_names import DIRECTION_NAMES

WIDE, HIGH, LEFT, BELOW, RIGHT = 300, 150, 44, 28, 160


@dataclass(frozen=True)
class Upright:
    """A logarithmic axis from below to above."""

    least: float
    dotted: tuple[float, ...]
    named: tuple[float, ...]

    def up(self, value: float, most: float) -> float:
        """Where a value stands, in pixels from the top."""
        return 6 + HIGH * (1 - math.log(max(value, self.least) / self.least) / math.log(most / self.least))


KL = Upright(1e-3, (0.25, 0.5, 1.0), (1.0, 0.25))
"""Nats."""
DISTANCE = Upright(LEAST_DISTANCE, (0.01, 0.1, 1.0), (1.0, 0.1, 0.01))
"""Shares of the stream's norm."""


def sensitivity_curves(curves: Sequence[SensitivityCurve]) -> Markup:
    """KL, a line a direction; the dotted lines are KL 0.25, 0.5 and 1."""
    return _drawn(curves, [of.kl for of in curves], KL)


def distance_curves(curves: Sequence[SensitivityCurve]) -> Markup | None:
    """The distance of the stream behind the last block; the dotted lines are .01, .1 and 1 of its norm. None where it
    was not read."""
    known = [(of, of.last_distance) for of in curves if of.last_distance is not None]
    return _drawn([of for of, _ in known], [distance for _, distance in known], DISTANCE) if known else None


def _drawn(curves: Sequence[SensitivityCurve], values: Sequence[Sequence[float]], axis: Upright) -> Markup:
    """`values` by curve and size."""
    if not curves:
        return tag("svg", width=0, height=0)
    low, high = (math.log(curves[0].sizes[end]) for end in (0, -1))
    most = max(1.0, *map(max, values))

    def across(size: float) -> float:
        return LEFT + WIDE * (math.log(size) - low) / (high - low)

    def up(value: float) -> float:
        return axis.up(value, most)

    parts = [
        tag("line", x1=LEFT, x2=LEFT + WIDE, y1=_n(up(value)), y2=_n(up(value)), class_="reference")
        for value in axis.dotted
    ]
    for value, y in (*((value, up(value) + 4) for value in axis.named), (axis.least, HIGH + 6)):
        parts.append(tag("text", f"{value:g}", x=LEFT - 4, y=_n(y), text_anchor="end", class_="name"))
    parts.append(tag("line", x1=LEFT, x2=LEFT + WIDE, y1=HIGH + 6, y2=HIGH + 6, class_="axis"))
    sizes = curves[0].sizes
    for size, anchor in ((sizes[0], "start"), (sizes[len(sizes) // 2], "middle"), (sizes[-1], "end")):
        parts.append(tag("text", f"{size:.2g}", x=_n(across(size)), y=HIGH + 20, text_anchor=anchor, class_="name"))
    for row, (of, heights) in enumerate(zip(curves, values, strict=True)):
        colour = COLOURS[ORDER.index(of.direction)]
        points = " ".join(f"{_n(across(size))},{_n(up(value))}" for size, value in zip(of.sizes, heights, strict=True))
        width = 2.5 if of.direction == "feature" else 1.2
        name = DIRECTION_NAMES[of.direction]
        drawn = tag("polyline", points=points, fill="none", stroke=colour, stroke_width=width)
        beside, y = LEFT + WIDE + 8, 16 + 16 * row
        key = tag("line", x1=beside, x2=beside + 14, y1=y - 4, y2=y - 4, stroke=colour, stroke_width=width)
        parts.append(tag("g", tag("title", name), drawn, key, tag("text", name, x=beside + 18, y=y)))
    whole = {"width": LEFT + WIDE + RIGHT, "height": HIGH + BELOW}
    return tag("svg", *parts, role="img", viewBox=f"0 0 {whole['width']} {whole['height']}", **whole)


def _n(value: float) -> str:
    return f"{value:.1f}"
