"""`compare --report`: the parts put together into one HTML file, which loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from autointerp.show.agreement import agreement
from autointerp.show.compare_data import ComparePage, ScoreChoice, load_compare
from autointerp.show.conclusions import conclusions, excess_over_random
from autointerp.show.designs import designs_sentence
from autointerp.show.power import power_rows
from autointerp.show.report import plots, sections
from autointerp.show.report.charts import COLOURS
from autointerp.show.report.effects import effects
from autointerp.show.report.geometry import geometry
from autointerp.show.report.html import Child, Markup, joined, table, tag
from autointerp.show.score_kind import ScoreKind
from autointerp.show.text import explainer_name
from autointerp.show.token_likeness import token_likeness_sentence
from autointerp.store.query import Queryable
from autointerp.whole_files import whole_file
from autointerp.words import LOGIT_SCORERS

STYLE = Path(__file__).parent / "style.css"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""For the browser: nothing is loaded, whatever stands in a label."""
WANTED = 0.02
"""The difference whose number of features is given unless another is asked for."""


def write_report(
    path: Path,
    stores: Sequence[tuple[str, Queryable]],
    choice: ScoreChoice,
    *,
    wanted: float | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Writes the report, whole or not at all. Raises UserError where the file cannot be written, StoreError where the
    choice names what is not there."""
    text = report(stores, choice, wanted=wanted, remarks=remarks)
    with whole_file(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def report(
    stores: Sequence[tuple[str, Queryable]],
    choice: ScoreChoice,
    *,
    wanted: float | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """The whole file as text. `remarks` stand at its head."""
    pages = [(name, store, load_compare([(name, store)], choice)) for name, store in stores]
    title = f"Comparison: {', '.join(name for name, _, _ in pages)}"
    first = agreement([row for _, _, page in pages for row in page.verdicts])
    head = [
        tag("h1", title),
        tag("p", f"autointerp compare --report, {datetime.now():%Y-%m-%d %H:%M}", class_="dim"),
        *(tag("p", remark, class_="first") for remark in remarks),
        tag("p", first[0], class_="first") if first else None,
        *(tag("p", line) for line in first[1:]),
        tag("p", HOW_TO_READ, class_="dim"),
    ]
    body = [_store(name, store, page, wanted, several=len(pages) > 1) for name, store, page in pages]
    style = Markup(STYLE.read_text(encoding="utf-8"))
    meta = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
    ]
    top = tag("head", *meta, tag("title", title), tag("style", style))
    return f"<!doctype html>\n{tag('html', top, tag('body', *head, *body), lang='en')}\n"


HOW_TO_READ = (
    "mean_all is over all features, those without a score at the floor: the best mean of a worthless label. Verdicts "
    "are on it; intervals of differences hold for all pairs of their table at once. Each verdict is about these "
    "dictionaries, not about the methods that made them. Under SQL stands the statement that gives the numbers above: "
    "autointerp sql STORE --file QUERY.sql -p NAME VALUE runs it."
)


def _store(name: str, store: Queryable, page: ComparePage, wanted: float | None, *, several: bool) -> Markup:
    order = sorted({row.dictionary for row in page.summary}, key=lambda one: _place(page, one))
    colours = {dictionary: COLOURS[place % len(COLOURS)] for place, dictionary in enumerate(order)}
    kinds = page.kinds
    parts: list[Child] = [tag("h2", f"Store {name}" if several else "The store"), sections.facts(store)]
    if not kinds:
        return joined([*parts, tag("p", "No scores of that kind.")])
    for explainer in dict.fromkeys(kind.explainer for kind in kinds):
        mine = [kind for kind in kinds if kind.explainer == explainer]
        parts += _explainer(store, page, explainer, mine, colours)
    parts += [tag("h2", "How like their dictionaries the baselines are"), sections.fairness(store)]
    if sentence := token_likeness_sentence(page.likeness):
        parts.append(tag("p", sentence))
    if part := effects(store, page.effects):
        parts.append(part)
    if part := geometry(store):
        parts.append(part)
    parts += [tag("h2", "Features without a score"), sections.unscored(store, kinds)]
    parts += _power(page, wanted)
    return joined(parts)


def _place(page: ComparePage, dictionary: str) -> tuple[bool, str]:
    """Dictionaries under study first, so that their colours differ most."""
    kind = next(row.kind for row in page.summary if row.dictionary == dictionary)
    return kind not in ("sae", "transcoder"), dictionary


def _explainer(
    store: Queryable, page: ComparePage, explainer: str, kinds: Sequence[ScoreKind], colours: dict[str, str]
) -> list[Child]:
    parts: list[Child] = [tag("h2", f"Labels by {explainer_name(explainer)}")]
    if any(row.explainer == explainer for row in page.verdicts):
        parts += [tag("h3", "Verdicts of every metric"), sections.verdict_matrix(store, explainer, page.verdicts)]
    if sentence := designs_sentence([row for row in page.designs if row.explainer == explainer]):
        parts.append(tag("p", sentence))
    for number, kind in enumerate(kinds):
        inside: list[Child] = [tag("summary", kind.title()), sections.means(store, kind, colours)]
        summary = [row for row in page.summary if row.about == kind]
        if over := excess_over_random(summary):
            inside.append(tag("p", over))
        inside += [sections.powered(store, kind), tag("h4", "Differences"), sections.differences(store, kind, colours)]
        inside += [tag("p", line) for line in conclusions([row for row in page.comparisons if row.about == kind])]
        inside.append(sections.strata(store, kind))
        parts.append(tag("details", *inside, class_="kind", open="" if number == 0 else None))
    input_kind = plots.first_of(kinds, output=False, scorers=LOGIT_SCORERS)
    output_kind = plots.first_of(kinds, output=True, scorers=LOGIT_SCORERS)
    shown = input_kind or output_kind
    if shown is None:
        return parts
    for title, part in (
        ("Distribution of scores", plots.distributions(store, shown, colours)),
        ("Excess", sections.excess(store, shown, colours)),
        (
            "Scores against density, token entropy and description length",
            plots.against_covariates(store, shown, colours),
        ),
        ("Pairs of features that differ most", plots.pairs_that_differ_most(store, shown)),
    ):
        if part:
            parts += [tag("h3", f"{title}: {shown.title()}"), part]
    if input_kind is not None and output_kind is not None:
        part = plots.input_against_output(store, input_kind, output_kind, colours)
        if part:
            parts += [tag("h3", "What a feature reads against what it writes"), part]
    return parts


def _power(page: ComparePage, wanted: float | None) -> list[Child]:
    difference = wanted or WANTED
    rows = [
        (
            row.about.title(), row.a, row.b, f"{row.n_a:,} and {row.n_b:,}", f"{row.detectable:.3f}",
            f"{row.needed_a:,} and {row.needed_b:,}" if row.needed_a is not None else f"{row.text or 0:.1f} x the text",
        )
        for row in power_rows(page.comparisons, difference)
    ]  # fmt: skip
    if not rows:
        return []
    heads = ("score", "A", "B", "features now", "now finds", f"needed for {difference:g}")
    told = (
        "Found four times in five, at the level of all pairs of a table; from comparison_table: se, se_documents, df."
    )
    folded = tag(
        "details", tag("summary", f"Features for a difference of {difference:g}"), table(heads, rows, (3, 4, 5))
    )
    return [tag("h2", "How many features a difference needs"), tag("p", told, class_="dim"), folded]
