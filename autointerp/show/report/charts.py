"""Plots as inline SVG: intervals, histograms, scatter. Colours by dictionary, the same in every plot; what a mark is
stands in its title."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autointerp.show.report.html import Markup, joined, tag

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5539", "#4d4d4d")
"""Told apart also by most who see few colours (Okabe & Ito 2008), and a brown and a grey."""
OTHER = COLOURS[-1]
"""Of a dictionary without a colour."""


@dataclass(frozen=True)
class Axis:
    """A scale of one dimension."""

    low: float
    high: float
    name: str
    logarithmic: bool = False

    def place(self, value: float, room: float) -> float:
        """Where a value lies in 0 to `room`; values outside lie at the ends."""
        low, high, at = self.low, self.high, value
        if self.logarithmic:
            low, high, at = math.log10(low), math.log10(high), math.log10(max(value, 1e-300))
        share = (at - low) / (high - low) if high > low else 0.5
        return min(max(share, 0.0), 1.0) * room

    def ticks(self, most: int = 6) -> list[float]:
        """Round values, `most` at most or little more."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            powers = [10.0**power for power in range(first, last + 1, max(1, math.ceil((last - first) / most)))]
            finer = [factor * power for power in powers for factor in (1.0, 2.0, 5.0)]
            inside = [[x for x in some if self.low <= x <= self.high] for some in (powers, finer)]
            if enough := next((some for some in inside if len(some) > 2), None):
                return enough
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        rough = span / most
        scale = 10.0 ** math.floor(math.log10(rough))
        step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= rough - 1e-12)
        first = math.ceil(self.low / step - 1e-9)
        return [round(step * place, 10) for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis_of(values: Sequence[float], name: str, *, logarithmic: bool = False, zero: bool = False) -> Axis:
    """An axis that holds the values, with a little room."""
    known = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
    if not known:
        return Axis(0.1, 1.0, name, logarithmic) if logarithmic else Axis(0.0, 1.0, name)
    low, high = min(known), max(known)
    if logarithmic:
        return Axis(low / 1.3, high * 1.3, name, True)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    room = 0.04 * (high - low) or 0.1
    return Axis(low - room, high + room, name)


@dataclass(frozen=True)
class Line:
    """A row of `intervals`."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    colour: str
    mark: float | None = None
    """A tick of its own: the floor, or another reference."""


LEAST_ROOM = 320
"""Of the values, beside their names."""


def intervals(lines: Sequence[Line], axis: Axis, reference: float | None = None, width: int = 620) -> Markup:
    """Values with their intervals below each other; `reference`: a line through all of them. Where names are long,
    it is wider than `width`."""
    left, step, top = 12 + 7 * max(len(line.name) for line in lines), 20, 8
    room, height = max(width - left - 16, LEAST_ROOM), top + step * len(lines)
    width = left + room + 16
    parts = _x_axis(axis, left, room, height, top)
    if reference is not None:
        at = left + axis.place(reference, room)
        parts.append(tag("line", x1=_n(at), x2=_n(at), y1=top, y2=height, class_="reference"))
    for number, line in enumerate(lines):
        y = top + step * number + step / 2
        parts.append(tag("text", line.name, x=left - 8, y=_n(y + 4), text_anchor="end"))
        if line.value is None:
            continue
        said = f"{line.name}: {line.value:.3f}"
        ends = []
        if line.low is not None and line.high is not None:
            said += f" [{line.low:.3f}, {line.high:.3f}]"
            low, high = (left + axis.place(end, room) for end in (line.low, line.high))
            ends.append(tag("line", x1=_n(low), x2=_n(high), y1=_n(y), y2=_n(y), stroke=line.colour, stroke_width=2))
        if line.mark is not None:
            at = left + axis.place(line.mark, room)
            ends.append(tag("line", x1=_n(at), x2=_n(at), y1=_n(y - 6), y2=_n(y + 6), class_="floor"))
            said += f", floor {line.mark:.3f}"
        dot = tag("circle", cx=_n(left + axis.place(line.value, room)), cy=_n(y), r=4, fill=line.colour)
        parts.append(tag("g", tag("title", said), *ends, dot))
    return _svg(width, height + 34, parts)


def histogram(bins: Mapping[float, int], width_of_bin: float, axis: Axis, name: str, colour: str) -> Markup:
    """Counts of one dictionary."""
    width, height, left, top = 300, 96, 8, 18
    room, most = width - 2 * left, max(bins.values(), default=1)
    parts = _x_axis(axis, left, room, height, top)
    parts.append(tag("text", f"{name} ({sum(bins.values()):,})", x=left, y=12, class_="name"))
    for low, n in sorted(bins.items()):
        x, end = (left + axis.place(edge, room) for edge in (low, low + width_of_bin))
        tall = (height - top) * n / most
        title = tag("title", f"{name}, {low:.2f} to {low + width_of_bin:.2f}: {n:,} features")
        parts.append(
            tag(
                "rect",
                title,
                x=_n(x),
                y=_n(height - tall),
                width=_n(max(end - x - 0.5, 0.5)),
                height=_n(tall),
                fill=colour,
            )
        )
    return _svg(width, height + 34, parts)


@dataclass(frozen=True)
class Series:
    """One dictionary's points, and a line through the means of its tenths."""

    name: str
    colour: str
    points: Sequence[tuple[float, float, str]]
    """x, y and what the point is."""
    line: Sequence[tuple[float, float]] = ()


def scatter(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    cuts: tuple[float, float] | None = None,
    quadrants: Sequence[str] = ("", "", "", ""),
) -> Markup:
    """Points of all dictionaries; `cuts` part the plane in four, called `quadrants`: high in both, in x only, in y
    only, in neither."""
    width, height, left, top = 440, 290, 46, 10
    room, tall = width - left - 12, height - top
    parts = [*_x_axis(x, left, room, height, top), *_y_axis(y, left, room, height, top)]

    def at(a: float, b: float) -> tuple[str, str]:
        return _n(left + x.place(a, room)), _n(height - y.place(b, tall))

    if cuts is not None:
        (cut_x, cut_y), right = at(*cuts), left + room
        parts.append(tag("line", x1=cut_x, x2=cut_x, y1=top, y2=height, class_="reference"))
        parts.append(tag("line", x1=left, x2=right, y1=cut_y, y2=cut_y, class_="reference"))
        places = ((right - 4, top + 12, "end"), (right - 4, height - 6, "end"), (left + 4, top + 12, "start"),
                  (left + 4, height - 6, "start"))  # fmt: skip
        for name, (at_x, at_y, anchor) in zip(quadrants, places, strict=True):
            parts.append(tag("text", name, x=_n(at_x), y=_n(at_y), text_anchor=anchor, class_="name"))
    for of in series:
        dots = []  # a page has thousands: their attributes, which are numbers, are not escaped one by one
        for a, b, what in of.points:
            cx, cy = at(a, b)
            dots.append(Markup(f'<circle cx="{cx}" cy="{cy}" r="2.6">{tag("title", what)}</circle>'))
        parts.append(tag("g", *dots, fill=of.colour, fill_opacity=0.5))
    for of in series:
        if len(of.line) > 1:
            through = " ".join(",".join(at(a, b)) for a, b in of.line)
            title = tag("title", f"{of.name}: means of tenths")
            parts.append(tag("polyline", title, points=through, stroke=of.colour, class_="through"))
    return _svg(width, height + 36, parts)


def legend(colours: Mapping[str, str]) -> Markup:
    """Which colour is which dictionary."""
    return tag(
        "p",
        [joined([tag("span", "●", style=f"color:{colour}"), f" {name}  "]) for name, colour in colours.items()],
        class_="legend",
    )


def _x_axis(axis: Axis, left: float, room: float, bottom: float, top: float) -> list[Markup]:
    parts = [tag("line", x1=left, x2=_n(left + room), y1=bottom, y2=bottom, class_="axis")]
    for value in axis.ticks():
        x = _n(left + axis.place(value, room))
        parts.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        parts.append(tag("text", _tick(value, axis), x=x, y=bottom + 14, text_anchor="middle"))
    parts.append(tag("text", axis.name, x=_n(left + room / 2), y=bottom + 29, text_anchor="middle", class_="name"))
    return parts


def _y_axis(axis: Axis, left: float, room: float, bottom: float, top: float) -> list[Markup]:
    parts = []
    for value in axis.ticks():
        y = bottom - axis.place(value, bottom - top)
        parts.append(tag("line", x1=left, x2=_n(left + room), y1=_n(y), y2=_n(y), class_="grid"))
        parts.append(tag("text", _tick(value, axis), x=left - 6, y=_n(y + 4), text_anchor="end"))
    middle = (bottom + top) / 2
    turned = f"rotate(-90 12 {_n(middle)})"
    parts.append(tag("text", axis.name, x=12, y=_n(middle), text_anchor="middle", transform=turned, class_="name"))
    return parts


def _tick(value: float, axis: Axis) -> str:
    large_or_small = axis.logarithmic and not 1e-2 <= value < 1e4
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e") if large_or_small else f"{value:g}"


def _svg(width: float, height: float, parts: Sequence[Markup]) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {_n(width)} {_n(height)}", width=_n(width), height=_n(height), role="img")


def _n(value: float) -> str:
    """A coordinate: a tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")
