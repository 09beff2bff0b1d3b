"""The few pictures of the pages, as inline SVG without styles of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from autointerp.browse.histogram_data import octave_edges
from autointerp.browse.overview_panels import WIDTH_OF_BIN, ScoreDistribution, WeightCloud
from autointerp.score.metric_registry import bounds_of
from autointerp.show.compare_data import ComparisonRow, SummaryRow
from autointerp.show.report.charts import COLOURS, Axis, Line, Series, axis_of, histogram, intervals, scatter
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


def drawn_distributions(distributions: Sequence[ScoreDistribution], metric: str, design: str) -> list[Markup]:
    """A histogram of the scores of each dictionary, on one axis."""
    edges = [edge for of in distributions for low, _ in of.bins for edge in (low, low + WIDTH_OF_BIN)]
    if not edges:
        return []
    least, most = bounds_of(metric, design)
    low = min(edges) if math.isinf(least) else max(min(0.0, *edges), least)
    axis = Axis(low, max(edges) if math.isinf(most) else most, metric)
    return [histogram(dict(of.bins), WIDTH_OF_BIN, axis, of.dictionary, _COLOUR) for of in distributions]


WEIGHTS = (("cos_encoder_decoder", "cosine of encoder and decoder"), ("encoder_bias", "encoder bias"))


def drawn_weights(cloud: WeightCloud) -> list[Markup]:
    """Density against each of the weights of a dictionary."""
    plots = []
    for column, name in WEIGHTS:
        known = [(point.density, getattr(point, column), point) for point in cloud.points]
        shown = [(x, y, f"{cloud.dictionary}/{point.feature}: density {x:.3g}, {y:.3g}") for x, y, point in known
                 if y is not None]  # fmt: skip
        if not shown:
            continue
        across = axis_of([x for x, _, _ in shown], "density", logarithmic=True)
        upwards = axis_of([y for _, y, _ in shown], name)
        plots.append(scatter([Series(cloud.dictionary, _COLOUR, shown)], across, upwards))
    return plots


def drawn_differences(rows: Sequence[ComparisonRow]) -> Markup:
    """The differences of one pair by each kind of score, with the interval that decides."""
    lines = [Line(row.about.title(), row.difference, row.low, row.high, _COLOUR) for row in rows]
    ends = [end for line in lines for end in (line.value, line.low, line.high) if end is not None]
    return intervals(lines, axis_of(ends, "A - B", zero=True), 0.0)


def activation_bars(counts: Sequence[int], edges: Sequence[float] = (), mark: float | None = None) -> Markup:
    """Positive activations by strength: the logarithm of the count is the height. `edges`: one more than counts;
    their ends are named. Default: octaves, without names. `mark`: a value to point at."""
    named = bool(edges)
    edges = edges or octave_edges(len(counts))
    filled = [i for i, n in enumerate(counts) if n]
    if not filled:
        return tag("svg", width=0, height=0)
    first, last = filled[0], filled[-1] + 1
    shown = range(first, last)
    titles = [f"{edges[i]:.3g} to {edges[i + 1]:.3g}: {counts[i]:,} tokens" for i in shown]
    at = None if mark is None else _place_in(edges[first : last + 1], mark)
    return _bars([math.log1p(counts[i]) for i in shown], titles, (edges[first], edges[last]) if named else None, at)


def effect_bars(counts: Sequence[int], edges: Sequence[float]) -> Markup:
    """Direct effects on the logits, in standard deviations from the median: the logarithm of the count is the height.
    `edges`: one more than counts."""
    filled = [i for i, n in enumerate(counts) if n]
    first, last = filled[0], filled[-1] + 1
    places = range(len(counts))
    titles = [f"{edges[i]:+.1f} to {edges[i + 1]:+.1f} standard deviations: {counts[i]:,} tokens" for i in places]
    titles[0] = f"below {edges[1]:+.1f} standard deviations: {counts[0]:,} tokens"
    titles[-1] = f"{edges[-2]:+.1f} standard deviations and above: {counts[-1]:,} tokens"
    heights = [math.log1p(n) for n in counts[first:last]]
    return _bars(heights, titles[first:last], (edges[first], edges[last]), _place_in(edges[first : last + 1], 0.0))


def _place_in(edges: Sequence[float], value: float) -> float:
    """Where a value stands, counted in bars; at the ends where it lies outside."""
    for i, (low, high) in enumerate(pairwise(edges)):
        if value < high:
            return i + max(value - low, 0.0) / (high - low)
    return float(len(edges) - 1)


def place_bars(shares: Sequence[float]) -> Markup:
    """Share of the tokens that fire, by place in the context."""
    known = [0.0 if math.isnan(share) else share for share in shares]
    titles = [f"place {i + 1} of {len(known)}: {100 * share:.3g} % of the tokens" for i, share in enumerate(known)]
    return _bars(known, titles)


def _bars(
    values: Sequence[float],
    titles: Sequence[str],
    ends: tuple[float, float] | None = None,
    mark: float | None = None,
) -> Markup:
    wide, high, most = 14, 60, max(values, default=0.0) or 1.0
    width, below = max(wide * len(values), 60), 14 if ends else 0
    parts = []
    for place, (value, title) in enumerate(zip(values, titles, strict=True)):
        tall = max(round((high - 4) * value / most), 1 if value else 0)
        box = tag("rect", x=place * wide, y=high - tall, width=wide - 2, height=tall, class_="bar")
        hover = tag("rect", x=place * wide, y=0, width=wide - 2, height=high, class_="hover")
        parts.append(tag("g", tag("title", title), box, hover))
    if ends:
        parts.append(tag("text", f"{ends[0]:.2g}", x=0, y=high + 12, class_="name"))
        parts.append(tag("text", f"{ends[1]:.2g}", x=width - 2, y=high + 12, text_anchor="end", class_="name"))
    if mark is not None:
        x = f"{mark * wide:.1f}"
        parts.append(tag("line", x1=x, x2=x, y1=0, y2=high, class_="here"))
    size = {"viewBox": f"0 0 {width} {high + below}", "width": width, "height": high + below}
    return tag("svg", *parts, role="img", **size)
