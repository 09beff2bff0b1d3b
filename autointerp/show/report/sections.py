"""Parts of the report that are tables and intervals: what the store is about, verdicts, means, differences, and what
stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autointerp.show.agreement import metric_names
from autointerp.show.compare_data import ComparisonRow
from autointerp.show.report.charts import OTHER, Axis, Line, axis_of, intervals
from autointerp.show.report.html import Child, Markup, joined, shown_on_demand, table, tag
from autointerp.show.report.questions import QueryAnswer, about, ask
from autointerp.show.score_kind import ScoreKind
from autointerp.show.strata import named
from autointerp.show.text import explainer_name
from autointerp.show.token_likeness import ALONE
from autointerp.store.query import Queryable


def number(value: float | None, *, signed: bool = False) -> str:
    """Three decimals, as in the terminal."""
    return "" if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    return "" if low is None or high is None else f"[{number(low, signed=signed)}, {number(high, signed=signed)}]"


def asked(answer: QueryAnswer) -> Markup:
    """The statement behind what stands above it."""
    return shown_on_demand(answer.sql, answer.parameters, answer.name)


def facts(store: Queryable) -> Markup:
    """What the store is about, and its dictionaries."""
    run, text, dictionaries = ask(store, "facts"), ask(store, "text"), ask(store, "dictionaries")
    parts: list[Child] = []
    for row in run.rows:
        size = f"{row['architecture']}, {row['n_layers']} layers of width {row['d_model']:,}"
        judge = f", judged by {row['judge']}" if row["judge"] else ""
        parts.append(tag("p", f"Subject {row['subject']} ({size}); text {row['source']}; seed {row['seed']}{judge}."))
    tokens = ", ".join(f"{row['split']} {row['n_tokens']:,} ({row['n_documents']:,} documents)" for row in text.rows)
    parts.append(tag("p", f"Tokens by split: {tokens}.", class_="dim"))
    rows = [
        (
            row["dictionary"], row["kind"], row["hook"], row["matched_to"] or "", f"{row['n_selected']:,}",
            f"{row['alive']:,}", f"{row['rare']:,}", f"{row['dead']:,}",
            "" if row["median_density"] is None else f"{row['median_density']:.2g}",
        )
        for row in dictionaries.rows
    ]  # fmt: skip
    heads = ("dictionary", "kind", "hook", "matched to", "features", "alive", "rare", "dead", "median density")
    return joined([*parts, asked(run), asked(text), table(heads, rows, range(4, 9)), asked(dictionaries)])


def verdict_matrix(store: Queryable, explainer: str, rows: Sequence[ComparisonRow]) -> Markup:
    """A row for each pair, a column for each metric of an explainer: who scores higher, by how much."""
    answer = ask(store, "verdicts", explainer=explainer)
    kinds = sorted({row.about for row in rows if row.explainer == explainer}, key=ScoreKind.order)
    names = metric_names(kinds)
    by_pair = {
        (row["a"], row["b"], ScoreKind(row["design"], row["metric"], row["scorer"], row["explainer"])): row
        for row in answer.rows
    }
    body = []
    for a, b in dict.fromkeys((row.a, row.b) for row in rows if row.explainer == explainer):
        cells: list[Child] = [a, b]
        for kind in kinds:
            row = by_pair.get((a, b, kind))
            cells.append("" if row is None else _verdict_cell(row))
        body.append(cells)
    return joined([table(["A", "B", *(names[kind] for kind in kinds)], body), asked(answer)])


def _verdict_cell(row: Mapping[str, object]) -> Markup:
    verdict = str(row["verdict"])
    word = {"A": row["a"], "B": row["b"]}.get(verdict, verdict)
    small = f"{number(_real(row['difference']), signed=True)} " + interval(
        _real(row["simultaneous_low"]), _real(row["simultaneous_high"]), signed=True
    )
    return joined(
        [tag("span", str(word), class_="better" if verdict in ("A", "B") else None), tag("span", small, class_="small")]
    )


def _real(value: object) -> float | None:
    return value if isinstance(value, float) else None


def means(store: Queryable, kind: ScoreKind, colours: Mapping[str, str]) -> Markup:
    """The dictionaries by one kind of score."""
    answer = ask(store, "means", **about(kind))
    heads = ("dictionary", "mean_all", "95 % interval", "floor", "over floor", "random", "over random",
             "its interval", "mean", "95 % interval", "scored", "failed")  # fmt: skip
    rows = [
        (
            row["dictionary"], number(row["mean_all"]), interval(row["mean_all_low"], row["mean_all_high"]),
            number(row["floor"]), number(row["over_floor"], signed=True), number(row["random_mean"]),
            number(row["over_random"], signed=True),
            interval(row["over_random_low"], row["over_random_high"], signed=True), number(row["mean"]),
            interval(row["ci_low"], row["ci_high"]), f"{row['n_scored']:,}/{row['n_features']:,}",
            f"{row['n_failed']:,}",
        )
        for row in answer.rows
    ]  # fmt: skip
    drawn = []
    for row in answer.rows:
        over_all = ("mean_all", "mean_all_low", "mean_all_high")
        shown = over_all if row["mean_all"] is not None else ("mean", "ci_low", "ci_high")
        colour = colours.get(row["dictionary"], OTHER)
        value, low, high = (row[name] for name in shown)
        drawn.append(Line(row["dictionary"], value, low, high, colour, row["floor"]))
    axis = _axis_of_lines(drawn, kind.metric)
    return joined([table(heads, rows, range(1, len(heads))), intervals(drawn, axis), asked(answer)])


def _axis_of_lines(drawn: Sequence[Line], name: str) -> Axis:
    known = [x for line in drawn for x in (line.value, line.low, line.high, line.mark) if x is not None]
    return axis_of(known, name, zero=True)


def excess(store: Queryable, kind: ScoreKind, colours: Mapping[str, str]) -> Markup:
    """What each dictionary has above the floor, and above matched random directions."""
    answer = ask(store, "means", **about(kind))
    floors, randoms = [], []
    for row in answer.rows:
        colour = colours.get(row["dictionary"], OTHER)
        if row["over_floor"] is not None:
            ends = [None if row[end] is None else row[end] - row["floor"] for end in ("mean_all_low", "mean_all_high")]
            floors.append(Line(row["dictionary"], row["over_floor"], ends[0], ends[1], colour))
        if row["over_random"] is not None:
            name = f"{row['dictionary']} over {row['random']}"
            randoms.append(Line(name, row["over_random"], row["over_random_low"], row["over_random_high"], colour))
    parts: list[Child] = []
    for title, drawn in (
        ("Over the floor, what a worthless label gets (the floor counts as known)", floors),
        ("Over density-matched random directions, which learned nothing", randoms),
    ):
        if drawn:
            parts += [tag("h4", title), intervals(drawn, _axis_of_lines(drawn, kind.metric), 0.0)]
    return joined([*parts, asked(answer)]) if parts else Markup("")


def differences(store: Queryable, kind: ScoreKind, colours: Mapping[str, str]) -> Markup:
    """The pairs by one kind of score, with complete cases beside."""
    answer = ask(store, "differences", **about(kind))
    if not answer.rows:
        return tag("p", "No pair of dictionaries has these scores.", class_="dim")
    heads = ("A", "B", "features", "A - B", "simultaneous 95 %", "p Holm", "verdict", "without a score", "scored A - B",
             "scored verdict", "could find")  # fmt: skip
    rows = [
        (
            row["a"], row["b"], f"{row['n_a']:,} pairs" if row["paired"] else f"{row['n_a']:,} and {row['n_b']:,}",
            number(row["difference"], signed=True),
            interval(row["simultaneous_low"], row["simultaneous_high"], signed=True),
            "" if row["p_holm"] is None else f"{row['p_holm']:.2g}", _named(row, "verdict"),
            f"{row['n_unscored_a']:,}, {row['n_unscored_b']:,}", number(row["scored_difference"], signed=True),
            _named(row, "scored_verdict"), number(row["detectable"]),
        )
        for row in answer.rows
    ]  # fmt: skip
    drawn = [
        Line(f"{row['a']} - {row['b']}", row["difference"], row["simultaneous_low"], row["simultaneous_high"],
             colours.get(row["b"], OTHER))
        for row in answer.rows
    ]  # fmt: skip
    chart = intervals(drawn, _axis_of_lines(drawn, f"difference of {kind.metric}"), 0.0)
    return joined([table(heads, rows, (2, 3, 4, 5, 7, 8, 10)), chart, asked(answer)])


def _named(row: Mapping[str, object], key: str) -> str:
    return str({"A": row["a"], "B": row["b"]}.get(str(row[key]), row[key]))


def strata(store: Queryable, kind: ScoreKind) -> Markup:
    """Differences among features of the same token entropy."""
    answer = ask(store, "strata", **about(kind))
    if not answer.rows:
        return Markup("")
    heads = ("A", "B", "token entropy, nats", "features of A", "features of B", "A - B")
    rows = [
        (
            row["a"], row["b"], named(row["nats"]), f"{row['n_a']:,}", f"{row['n_b']:,}",
            number(row["difference"], signed=True),
        )
        for row in answer.rows
    ]  # fmt: skip
    return joined([tag("h4", "Among features of the same token entropy"), table(heads, rows, (3, 4, 5)), asked(answer)])


def powered(store: Queryable, kind: ScoreKind) -> Markup:
    """Prediction-powered means, where an LLM's scores exist for a sample."""
    answer = ask(store, "powered", **about(kind))
    if not answer.rows:
        return Markup("")
    heads = ("dictionary", "prediction-powered mean", "95 % interval", "plain mean", "drawn", "of", "as good as", "b",
             "correlation", "by the census of")  # fmt: skip
    rows = [
        (
            row["dictionary"], number(row["mean"]), interval(row["ci_low"], row["ci_high"]), number(row["sample_mean"]),
            f"{row['n']:,}", f"{row['n_all']:,}", f"{row['as_good_as']:,.0f}", f"{row['slope']:.2f}",
            f"{row['correlation']:.2f}", explainer_name(row["predictor"]),
        )
        for row in answer.rows
    ]  # fmt: skip
    return joined([tag("h4", "Prediction-powered means"), table(heads, rows, range(1, 9)), asked(answer)])


def fairness(store: Queryable) -> Markup:
    """How like their dictionaries the baselines are."""
    matching, likeness = ask(store, "matching"), ask(store, "token_likeness", alone=ALONE)
    parts: list[Child] = []
    if matching.rows:
        heads = ("A", "B", "matched pairs", "density kept", "A's own density kept", "off by (median pair)")
        rows = [
            (row["a"], row["b"], f"{row['n']:,}", f"{row['n_within']:,}", f"{row['n_own_within']:,}",
             "" if row["off_by"] is None else f"{100 * row['off_by']:.0f} %")
            for row in matching.rows
        ]  # fmt: skip
        parts += [table(heads, rows, range(2, 6)), asked(matching)]
    if likeness.rows:
        titles = ("dictionary", f"read off the token alone (r >= {ALONE:g})", "features measured")
        shares = [(row["dictionary"], f"{100 * row['share']:.1f} %", f"{row['n']:,}") for row in likeness.rows]
        parts += [table(titles, shares, (1, 2)), asked(likeness)]
    return joined(parts)


def unscored(store: Queryable, kinds: Sequence[ScoreKind]) -> Markup:
    """Why features have no score, of the kinds that are shown."""
    answer = ask(store, "unscored")
    rows = [
        (
            row["dictionary"],
            row["explainer"],
            row["scorer"],
            row["metric"],
            row["design"],
            row["status"],
            f"{row['n']:,}",
        )
        for row in answer.rows
        if ScoreKind(row["design"], row["metric"], row["scorer"], row["explainer"]) in kinds
    ]
    heads = ("dictionary", "explainer", "scorer", "metric", "design", "reason", "features")
    return joined([table(heads, rows, (6,)), asked(answer)]) if rows else tag("p", "Every feature has a score.")
