"""Parts of the report that are plots of features: distributions of scores, scores against what a feature and its label
are, input against output scores, and the pairs that differ most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autointerp.score.metric_registry import bounds_of, metric_named
from autointerp.show.report.charts import OTHER, Axis, Series, axis_of, histogram, legend, scatter
from autointerp.show.report.html import Child, Markup, joined, shown_on_demand, table, tag
from autointerp.show.report.questions import about, ask
from autointerp.show.report.sections import asked, number
from autointerp.show.score_kind import ScoreKind
from autointerp.store.query import Queryable

WIDTH_OF_BIN = 0.05
POINTS = 120
"""Features of each dictionary that a scatter shows, drawn by hash; lines and counts are of all."""
IN_TENTH = 5
"""Features in a tenth below which its mean is not drawn."""
MOST_PAIRS = 10

COVARIATES = (
    ("density", "density (share of tokens on which it fires)", True),
    ("token_entropy", "token entropy, nats", False),
    ("description_length", "description length, tokens", True),
)
"""Column, name, whether its axis is logarithmic."""

QUADRANTS = ("both", "input_only", "output_only", "neither")
"""As columns of the question; what they are called stands in `quadrant_words`."""


def quadrant_words() -> dict[str, str]:
    """What the four quadrants are called."""
    return {
        "both": "input and output: the label holds for what the feature reads and for what it writes",
        "input_only": "input only: it tells where the feature fires, not what that promotes",
        "output_only": "output only: it tells what the feature promotes, not where it fires",
        "neither": "neither",
    }


def distributions(store: Queryable, kind: ScoreKind, colours: Mapping[str, str]) -> Markup:
    """A histogram of each dictionary's scores, on one axis."""
    answer = ask(store, "distribution", **about(kind), width=WIDTH_OF_BIN)
    if not answer.rows:
        return Markup("")
    least, most = bounds_of(kind.metric, kind.design)
    seen = [edge for row in answer.rows for edge in (row["bin"], row["bin"] + WIDTH_OF_BIN)]
    low = min(seen) if math.isinf(least) else max(min(0.0, *seen), least)
    axis = Axis(low, max(seen) if math.isinf(most) else most, kind.metric)
    plots = []
    for name in dict.fromkeys(row["dictionary"] for row in answer.rows):
        bins = {row["bin"]: row["n"] for row in answer.rows if row["dictionary"] == name}
        plots.append(histogram(bins, WIDTH_OF_BIN, axis, name, colours.get(name, OTHER)))
    return joined([tag("div", *plots, class_="plots"), asked(answer)])


def against_covariates(store: Queryable, kind: ScoreKind, colours: Mapping[str, str]) -> Markup:
    """Score against density, token entropy and description length; lines through the means of tenths."""
    points = ask(store, "points", **about(kind), most=POINTS)
    if not points.rows:
        return Markup("")
    scores = axis_of([row["value"] for row in points.rows], kind.metric)
    plots: list[Child] = []
    folded: list[Child] = [asked(points)]
    for column, name, logarithmic in COVARIATES:
        tenths = ask(store, "tenths", **about(kind), covariate=column)
        folded.append(shown_on_demand(tenths.sql, tenths.parameters, f"tenths, {column}"))
        known = [row for row in points.rows if _drawable(row[column], logarithmic)]
        if not known:
            continue
        x = axis_of([row[column] for row in known], name, logarithmic=logarithmic)
        series = []
        for dictionary, colour in colours.items():
            mine = [
                (row[column], row["value"], f"{dictionary}/{row['feature']}: {row['value']:.3f} at {row[column]:.3g}")
                for row in known
                if row["dictionary"] == dictionary
            ]
            line = [
                (row["x"], row["score"])
                for row in tenths.rows
                if row["dictionary"] == dictionary and row["n"] >= IN_TENTH and _drawable(row["x"], logarithmic)
            ]
            series.append(Series(dictionary, colour, mine, line))
        plots.append(scatter(series, x, scores))
    return joined([legend(colours), tag("div", *plots, class_="plots"), *folded])


def _drawable(value: float | None, logarithmic: bool) -> bool:
    return value is not None and math.isfinite(value) and (value > 0 or not logarithmic)


def cut_of(kind: ScoreKind) -> float:
    """Where a score is called good in the quadrants: halfway from chance to 1."""
    known = metric_named(kind.metric, kind.design)
    chance = known.chance if known is not None and known.chance is not None else 0.0
    return (1.0 + chance) / 2.0


def input_against_output(store: Queryable, kind: ScoreKind, output: ScoreKind, colours: Mapping[str, str]) -> Markup:
    """One explainer's scores of what a feature reads against those of what it writes, and the four quadrants."""
    values = about(kind) | {"output_scorer": output.scorer, "output_metric": output.metric}
    points = ask(store, "input_output", **values, most=POINTS)
    if not points.rows:
        return Markup("")
    cuts = cut_of(kind), cut_of(output)
    counts = ask(store, "quadrants", **values, input_cut=cuts[0], output_cut=cuts[1])
    x = axis_of([cuts[0], *(row["input"] for row in points.rows)], f"{kind.metric} (input)")
    y = axis_of([cuts[1], *(row["output"] for row in points.rows)], f"{output.metric} (output)")
    series = [
        Series(
            name,
            colour,
            [
                (row["input"], row["output"], f"{name}/{row['feature']}: {row['input']:.3f}, {row['output']:.3f}")
                for row in points.rows
                if row["dictionary"] == name
            ],
        )
        for name, colour in colours.items()
    ]
    words = quadrant_words()
    called = [words[name].partition(":")[0] for name in QUADRANTS]
    heads = ("dictionary", "features", *called)
    rows = [
        (
            row["dictionary"],
            f"{row['n']:,}",
            *(f"{row[name]:,} ({100 * row[name] / row['n']:.0f} %)" for name in QUADRANTS),
        )
        for row in counts.rows
    ]
    told = [tag("li", words[name]) for name in QUADRANTS if ":" in words[name]]
    cut = f"Cut at {cuts[0]:g} and {cuts[1]:g}: halfway from chance to 1."
    return joined(
        [
            legend(colours), scatter(series, x, y, cuts, called), tag("ul", *told), tag("p", cut, class_="dim"),
            table(heads, rows, range(1, len(heads))), asked(points), asked(counts),
        ]
    )  # fmt: skip


def pairs_that_differ_most(store: Queryable, kind: ScoreKind) -> Markup:
    """Matched pairs of features, the largest differences first, with what is said of each."""
    answer = ask(store, "pairs", **about(kind), most=MOST_PAIRS)
    if not answer.rows:
        return Markup("")
    heads = ("A", "score", "label of A", "B", "score", "label of B", "A - B")
    rows = [
        (
            f"{row['a']}/{row['feature_a']}", number(row["score_a"]), row["text_a"] or "",
            f"{row['b']}/{row['feature_b']}", number(row["score_b"]), row["text_b"] or "",
            number(row["difference"], signed=True),
        )
        for row in answer.rows
    ]  # fmt: skip
    return joined([table(heads, rows, (1, 4, 6), (2, 5)), asked(answer)])


def first_of(kinds: Sequence[ScoreKind], *, output: bool, scorers: Sequence[str]) -> ScoreKind | None:
    """The first kind, in the order of the page, of what a feature writes (`scorers`) or of what it reads."""
    return next((kind for kind in kinds if (kind.scorer.partition(":")[0] in scorers) == output), None)
