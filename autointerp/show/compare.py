"""Scores of dictionaries beside each other, and what can be said of their differences, in the terminal.

First whether the metrics agree. Then, for each explainer, scorer, metric and design: a table of means, a table of
differences, and the verdicts in sentences. What the columns mean stands once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.score.metric_registry import metric_named
from autointerp.show.agreement import agreement
from autointerp.show.compare_data import ComparePage, ComparisonRow, ScoreChoice, SummaryRow, load_compare
from autointerp.show.conclusions import conclusions, excess_over_random, without_baselines
from autointerp.show.designs import designs_sentence
from autointerp.show.dictionary_geometry import DictionaryGeometry, render_dictionary_geometry
from autointerp.show.effect_comparison import render_effects
from autointerp.show.effect_values import EffectComparison
from autointerp.show.evidence_grid import render_grid
from autointerp.show.fairness import render_fairness
from autointerp.show.layout import Column, FittedToWidth, Plot, PlottedInterval, packed, sheet
from autointerp.show.logit_baselines import ANOTHER, baseline_columns, is_about_logits
from autointerp.show.marks import mark_sentences, marked
from autointerp.show.powered import powered_sentences
from autointerp.show.score_kind import ScoreKind
from autointerp.show.sentences import site
from autointerp.show.strata import render_strata
from autointerp.show.text import safe
from autointerp.show.token_likeness import token_likeness_sentence
from autointerp.store.query import Queryable
from autointerp.words import LEXICAL_CONTROLS, PLANTED, STUDIED

MARK = "◆ "
"""Before a dictionary under study: neither a baseline nor planted."""


def compare_page(
    stores: Sequence[tuple[str, Queryable]],
    choice: ScoreChoice | None = None,
    *,
    wide: bool = False,
    hidden: bool = True,
) -> RenderableType:
    """The comparison of one or several stores, read and rendered. `hidden`: says what else there is, and what the
    dictionaries are like as sets of directions."""
    page = load_compare(stores, choice or ScoreChoice())
    if not hidden and page.summary:
        page = replace(page, hidden=(), effects=EffectComparison(), geometry=DictionaryGeometry())
    return render_compare(page, several=len(stores) > 1, wide=wide)


def render_compare(page: ComparePage, *, several: bool = False, wide: bool = False) -> RenderableType:
    """From the record to the page."""
    if not page.summary and not page.comparisons:
        if page.hidden:
            return Group(Text("no scores of that kind"), *_hidden(page))
        return Text("no scores yet; `autointerp status` says what is done", style="dim")
    parts: list[RenderableType] = _agreement(page)
    for about in page.kinds:
        parts += _designs(page, about, several)
        means = [row for row in page.summary if row.about == about]
        differences = [row for row in page.comparisons if row.about == about]
        if means:
            beside = baseline_columns(means, page.every)
            parts += [render_means(means, several=several, wide=wide, beside=beside), *_failures(means, several)]
            parts += [*_excess(means, several), *_powered(page, about, several), Text()]
        if differences:
            parts += [render_differences(differences, several=several, wide=wide)]
            parts += [_reach(differences), *_sentences(differences, several), Text()]
        if strata := render_strata([row for row in page.strata if row.about == about], several=several):
            parts += [*strata, Text()]
    if grid := render_grid(page.grid, several=several):
        parts += [*grid, Text()]
    parts += render_fairness(page.fairness, several=several)
    if likeness := token_likeness_sentence(page.likeness, several):
        parts += [safe(likeness), Text()]
    parts += render_effects(page.effects, several=several)
    parts += render_dictionary_geometry(page.geometry, several=several)
    return Group(*parts, *_legend(page, wide), *_hidden(page), *_earlier(page))


def _agreement(page: ComparePage) -> list[RenderableType]:
    """Whether the metrics agree, and what they say of each pair."""
    lines = agreement(page.verdicts)
    return [*(safe(line, "" if number else "bold") for number, line in enumerate(lines)), Text()] if lines else []


# --- means


def render_means(
    rows: Sequence[SummaryRow], *, several: bool = False, wide: bool = False, beside: Sequence[Column] = ()
) -> RenderableType:
    """One kind of score: the dictionaries by their mean, planted ones last; `beside`: columns of the rows as given."""
    order = sorted(range(len(rows)), key=lambda i: _by_mean(rows[i]))
    rows = [rows[i] for i in order]
    columns = [Column("store", [row.store for row in rows], key=True)] if several else []
    columns += [
        Column("  dictionary", [_name(row) for row in rows], key=True),
        Column("mean_all", [_number(row.mean_all) for row in rows], right=True),
        *_intervals([_interval(*row.interval) for row in rows]),
        Column("floor", [_number(row.floor) for row in rows], right=True),
    ]
    if any(row.random_mean is not None for row in rows):
        columns.append(Column("random", [_number(row.random_mean) for row in rows], right=True, spare=True))
    columns += [
        Column("mean", [_number(row.mean) for row in rows], right=True, spare=True),
        Column("scored", [f"{row.n_scored:,}/{row.n_features:,}" for row in rows], right=True),
    ]
    if any(row.residual_alarm_rate is not None for row in rows):
        # pearson_framed never stands without it
        columns.append(Column("alarm %", [_alarms(row) for row in rows], right=True))
    columns += [replace(column, cells=[column.cells[i] for i in order]) for column in beside]
    notes = [_note(row) for row in rows]
    if any(notes):
        columns.append(Column("note", notes))
    if wide:
        columns += [
            Column("over floor", [_number(row.excess, signed=True) for row in rows], right=True),
            Column("over random", [_number(row.over_random, signed=True) for row in rows], right=True),
            Column("median", [_number(row.median) for row in rows], right=True),
            Column("rare", [f"{row.n_rare:,}" for row in rows], right=True),
            Column("dead", [f"{row.n_dead:,}" for row in rows], right=True),
            Column("kind", [row.kind for row in rows]),
            Column("hook", [row.hook for row in rows]),
        ]
    plot = Plot([PlottedInterval(row.value, *row.interval, row.floor) for row in rows])
    about = rows[0].about
    return sheet(marked(about.name, f"{about.title()}: mean over features"), columns, plot)


def _excess(rows: Sequence[SummaryRow], several: bool) -> list[Text]:
    lines = []
    for store in dict.fromkeys(row.store for row in rows):
        sentence = excess_over_random([row for row in rows if row.store == store])
        lines += [safe(f"{store}: {sentence}" if several else sentence)] if sentence else []
    return lines


def _powered(page: ComparePage, about: ScoreKind, several: bool) -> list[Text]:
    means, differences = page.powered
    mine, between = [row for row in means if row.about == about], [row for row in differences if row.about == about]
    return [safe(line) for line in powered_sentences(mine, between, several)]


def _designs(page: ComparePage, about: ScoreKind, several: bool) -> list[RenderableType]:
    """Between the census and the sample of an explainer that has both: a word on what differs."""
    mine = [kind for kind in page.kinds if kind.explainer == about.explainer]
    samples = [kind for kind in mine if kind.design == "sample"]
    if not samples or about != samples[0] or len(samples) == len(mine):
        return []
    sentence = designs_sentence([row for row in page.designs if row.explainer == about.explainer], several)
    return [safe(sentence), Text()] if sentence else []


def _by_mean(row: SummaryRow) -> tuple[object, ...]:
    return row.kind == PLANTED, row.value is None, -(row.value or 0.0)


def _intervals(cells: Sequence[str]) -> list[Column]:
    """Of a single feature there is none."""
    return [Column("95 % interval", cells)] if any(cells) else []


def _name(row: SummaryRow) -> Text:
    studied = row.kind in STUDIED
    return safe((MARK if studied else "  ") + row.dictionary, "bold" if studied else "")


def _note(row: SummaryRow) -> str:
    """What a baseline is beside its density: where it stands, and units that stand behind several features."""
    words = ["other site"] if row.other_site else []
    words += ["natural density"] if row.natural_of is not None else []
    if row.n_units is not None and row.n_units < row.n_features:
        words.append(f"{row.n_units:,} units")
    return ", ".join(words)


def _alarms(row: SummaryRow) -> str:
    if row.residual_alarm_rate is None:
        return ""
    bound = "" if row.residual_alarm_high is None else f"≤{100 * row.residual_alarm_high:.1f}"
    return f"{100 * row.residual_alarm_rate:.1f}{bound}"


def _failures(rows: Iterable[SummaryRow], several: bool) -> list[Text]:
    lines = []
    for row in rows:
        if row.n_failed:
            where = f"{row.store}, {row.dictionary}" if several else row.dictionary
            lines.append(
                safe(f"{where}: {row.n_failed:,} {'feature' if row.n_failed == 1 else 'features'} failed", "yellow")
            )
    return lines


# --- differences


def render_differences(rows: Sequence[ComparisonRow], *, several: bool = False, wide: bool = False) -> RenderableType:
    """One kind of score: the pairs, those with baselines first. A verdict names the winner where there is room."""
    rows = sorted(rows, key=lambda row: not row.baseline)

    def columns(name_winner: bool) -> list[Column]:
        shown = [Column("store", [row.store for row in rows], key=True)] if several else []
        shown += [
            Column("A", [row.a for row in rows], key=True),
            Column("B", [site(row.b, row.other_site) for row in rows], key=True),
            Column("A - B", [_number(row.difference, signed=True) for row in rows], right=True),
            Column("simultaneous 95 %", [_interval(row.low, row.high, signed=True) for row in rows]),
            Column("p Holm", [_p(row.p_holm) for row in rows], right=True),
            Column("verdict", [_verdict(row, name_winner) for row in rows]),
            Column("scored", [_number(row.scored_difference, signed=True) for row in rows], right=True, spare=True),
        ]
        if wide:
            shown += [
                Column("features", [_pairs(row) for row in rows]),
                Column("left out", [f"{row.n_unscored_a:,}, {row.n_unscored_b:,}" for row in rows], right=True),
                Column("verdict of scored", [row.scored_verdict for row in rows]),
                Column("could find", [_number(row.detectable) for row in rows], right=True),
            ]
        return shown

    plot = Plot([PlottedInterval(row.difference, row.low, row.high, 0.0) for row in rows])
    title = marked(rows[0].about.name, f"{rows[0].about.title()}: differences")
    return FittedToWidth(lambda width: sheet(title, columns(len(packed(columns(True), width)) == 1), plot))


_VERDICT_STYLES = {"A": "bold", "B": "bold", "equivalent": "cyan"}


def _verdict(row: ComparisonRow, name_winner: bool) -> Text:
    word = {"A": row.a, "B": row.b}.get(row.verdict, row.verdict) if name_winner else row.verdict
    return safe(word, _VERDICT_STYLES.get(row.verdict, ""))


def _pairs(row: ComparisonRow) -> str:
    return f"{row.n_a:,} pairs" if row.paired else f"{row.n_a:,} and {row.n_b:,}"


def _reach(rows: Sequence[ComparisonRow]) -> Text:
    """What these comparisons could have told."""
    margins = sorted({row.margin for row in rows})
    line = "margin ±" + " or ±".join(f"{margin:g}" for margin in margins)
    detectable = [row.detectable for row in rows if row.detectable is not None]
    if detectable:
        low, high = f"{min(detectable):.3f}", f"{max(detectable):.3f}"
        line += f"; a difference of {low if low == high else f'{low} to {high}'} is found 4 times in 5"
    pairs = {row.b: row.n_a for row in rows if row.paired}
    if len(pairs) > 1 and len(set(pairs.values())) == 1:
        line += f"; {min(pairs.values()):,} pairs of features with each baseline"
    elif pairs:
        line += f"; pairs of features: {', '.join(f'{name} {n:,}' for name, n in pairs.items())}"
    return safe(line, "dim")


def _sentences(rows: Sequence[ComparisonRow], several: bool) -> list[Text]:
    lines = []
    for store, of_store in _by_store(rows).items():
        lines += [safe(f"{store}: {sentence}" if several else sentence) for sentence in conclusions(of_store)]
    return lines


def _by_store(rows: Sequence[ComparisonRow]) -> dict[str, list[ComparisonRow]]:
    return {store: [row for row in rows if row.store == store] for store in dict.fromkeys(row.store for row in rows)}


# --- what the words mean


def _legend(page: ComparePage, wide: bool) -> list[Text]:
    lines = []
    if page.summary:
        *others, last = LEXICAL_CONTROLS
        text = (
            f"{MARK}under study; the others are baselines, or planted. mean_all: over all features, those without a "
            f"score at the floor (┊), the best mean of the labels {', '.join(others)} and {last}."
        )
        if any(row.random is not None for row in page.summary):
            text += " random: mean_all of the matched random directions, the best of them."
        text += " mean, scored: of features with a score alone."
        if any(row.mean_all is None and row.mean is not None for row in page.summary):
            text += " Without a floor there is no mean_all, and the interval is that of mean."
        lines.append(text)
    if any(row.residual_alarm_rate is not None for row in page.summary):
        lines.append(
            "alarm %: share of the silent windows drawn at random that the simulation fired in, with its bound."
        )
    if any(is_about_logits(kind.metric, kind.design) for kind in page.kinds):
        lines.append(
            "completion: tokens ranked by likeness to the ten shown, W_U norm: by the length of their row of the "
            f"unembedding; neither sees a label. {ANOTHER}: what a label about something else gets; tokens permuted: "
            "what the label gets where each token stands under the name of another."
        )
    lines += _caveats(page.kinds)
    if wide and page.summary:
        lines.append(
            "over floor: mean_all - floor. over random: the same over the matched random directions; of a dictionary "
            "under study over its matched features."
        )
    if page.comparisons:
        text = "verdict: by the simultaneous interval; equivalent: two one-sided tests. "
        if any(row.over == "scored" for row in page.comparisons):
            text += "Where there is no floor it is over features with a score. "
        lines.append(text + "About these dictionaries, not their methods: docs/SCORES.md.")
    of_stores = _by_store(page.comparisons)
    for store, rows in of_stores.items():
        studied = dict.fromkeys(r.dictionary for r in page.summary if r.store == store and r.kind in STUDIED)
        missing = without_baselines(rows, list(studied))
        if missing:
            lines.append(f"{store}: {missing}" if len(of_stores) > 1 else missing)
    return [safe(line, "dim") for line in lines]


def _caveats(kinds: Sequence[ScoreKind]) -> list[str]:
    """What the intervals of these metrics leave out, and what the self-test says of them."""
    metrics = [(kind.metric, metric_named(kind.metric, kind.design)) for kind in kinds]
    few = dict.fromkeys(name for name, metric in metrics if metric is None or not metric.by_document)
    lines = []
    if few:
        lines.append(
            f"95 % intervals of {', '.join(few)} say what other features would give on the same documents; other "
            "documents could move all features at once."
        )
    return lines + mark_sentences(kind.name for kind in kinds)


def _hidden(page: ComparePage) -> list[Text]:
    """What a reader could ask for."""

    def names(kinds: Sequence[ScoreKind]) -> list[str]:
        return [*(f"{kind.metric} ({kind.design})" for kind in kinds), *(kind.explainer for kind in kinds)]

    shown = set(names(page.kinds))
    left_out = [name for name in dict.fromkeys(names(page.hidden)) if name not in shown]
    if not left_out:
        return []
    return [safe(f"Not shown: {', '.join(left_out)}. More: --metric NAME, --explainer NAME, --all, --wide.", "dim")]


def _earlier(page: ComparePage) -> list[Text]:
    if not page.earlier:
        return []
    names = ", ".join(page.earlier)
    return [safe(f"Of earlier runs, not in the latest: {names}; `autointerp sql` has their scores.", "dim")]


def _number(value: float | None, *, signed: bool = False) -> str:
    return "" if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"


def _interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f"[{_number(low, signed=signed)}, {_number(high, signed=signed)}]"


def _p(value: float | None) -> str:
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
