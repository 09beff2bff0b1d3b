"""The few pictures of the pages, as inline SVG without styles of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autointerp.show.compare_data import ComparisonRow, SummaryRow
from autointerp.show.report.charts import COLOURS, Line, axis_of, intervals
from autointerp.show.report.html import Markup, tag

_COLOUR = COLOURS[0]


def drawn_intervals(rows: Sequence[SummaryRow | ComparisonRow]) -> Markup:
    """Means or differences below each other, with their intervals; of means a tick at the floor."""
    lines = []
    for row in rows:
        if isinstance(row, SummaryRow):
            lines.append(Line(row.dictionary, row.value, *row.interval, _COLOUR, row.floor))
        else:
            lines.append(Line(f"{row.a} - {row.b}", row.difference, row.low, row.high, _COLOUR))
    ends = [end for line in lines for end in (line.value, line.low, line.high, line.mark) if end is not None]
    differences = any(isinstance(row, ComparisonRow) for row in rows)
    axis = axis_of(ends, "difference" if differences else "mean", zero=differences)
    return intervals(lines, axis, 0.0 if differences else None)


def activation_bars(counts: Sequence[int]) -> Markup:
    """Positive activations by octave: the logarithm of the count is the height."""
    filled = [i for i, n in enumerate(counts) if n]
    if not filled:
        return tag("svg", width=0, height=0)
    shown = range(filled[0], filled[-1] + 1)
    titles = [f"{2.0 ** (i - 16):.3g} to {2.0 ** (i - 15):.3g}: {counts[i]:,} tokens" for i in shown]
    return _bars([math.log1p(counts[i]) for i in shown], titles)


def place_bars(shares: Sequence[float]) -> Markup:
    """Share of the tokens that fire, by place in the context."""
    known = [0.0 if math.isnan(share) else share for share in shares]
    titles = [f"place {i + 1} of {len(known)}: {100 * share:.3g} % of the tokens" for i, share in enumerate(known)]
    return _bars(known, titles)


def _bars(values: Sequence[float], titles: Sequence[str]) -> Markup:
    wide, high, most = 14, 60, max(values, default=0.0) or 1.0
    parts = []
    for place, (value, title) in enumerate(zip(values, titles, strict=True)):
        tall = max(round((high - 4) * value / most), 1 if value else 0)
        box = tag("rect", x=place * wide, y=high - tall, width=wide - 2, height=tall, class_="bar")
        hover = tag("rect", x=place * wide, y=0, width=wide - 2, height=high, class_="hover")
        parts.append(tag("g", tag("title", title), box, hover))
    width = wide * len(values)
    return tag("svg", *parts, viewBox=f"0 0 {width} {high}", width=width, height=high, role="img")
