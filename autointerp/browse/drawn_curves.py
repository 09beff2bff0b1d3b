"""KL against the size of a step, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autointerp.show.report.charts import COLOURS
from autointerp.show.report.html import Markup, tag
from autointerp.show.sensitivity import ORDER, SensitivityCurve
from autointerp.show.steer_names import DIRECTION_NAMES

WIDE, HIGH, LEFT, BELOW, RIGHT = 300, 150, 44, 28, 160
LEAST = 1e-3
"""Nats at the bottom; both axes are logarithms."""


def sensitivity_curves(curves: Sequence[SensitivityCurve]) -> Markup:
    """A line a direction; the dotted lines are KL 0.25, 0.5 and 1."""
    if not curves:
        return tag("svg", width=0, height=0)
    low, high = (math.log(curves[0].sizes[end]) for end in (0, -1))
    most = max(1.0, *(max(of.kl) for of in curves))

    def across(size: float) -> float:
        return LEFT + WIDE * (math.log(size) - low) / (high - low)

    def up(kl: float) -> float:
        return 6 + HIGH * (1 - math.log(max(kl, LEAST) / LEAST) / math.log(most / LEAST))

    parts = [
        tag("line", x1=LEFT, x2=LEFT + WIDE, y1=_n(up(kl)), y2=_n(up(kl)), class_="reference") for kl in (0.25, 0.5, 1)
    ]
    for kl, y in ((1, up(1) + 4), (0.25, up(0.25) + 4), (LEAST, HIGH + 6)):
        parts.append(tag("text", f"{kl:g}", x=LEFT - 4, y=_n(y), text_anchor="end", class_="name"))
    parts.append(tag("line", x1=LEFT, x2=LEFT + WIDE, y1=HIGH + 6, y2=HIGH + 6, class_="axis"))
    sizes = curves[0].sizes
    for size, anchor in ((sizes[0], "start"), (sizes[len(sizes) // 2], "middle"), (sizes[-1], "end")):
        parts.append(tag("text", f"{size:.2g}", x=_n(across(size)), y=HIGH + 20, text_anchor=anchor, class_="name"))
    for row, of in enumerate(curves):
        colour = COLOURS[ORDER.index(of.direction)]
        points = " ".join(f"{_n(across(size))},{_n(up(kl))}" for size, kl in zip(of.sizes, of.kl, strict=True))
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
