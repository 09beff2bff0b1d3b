"""Status, summary and comparison tables in the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autointerp.show.card_data import CONTROLS
from autointerp.show.plot import dot_and_interval
from autointerp.show.tables_data import (
    ComparisonRow,
    StageStatus,
    StatusPage,
    SummaryRow,
    load_comparisons,
    load_status,
    load_summary,
)
from autointerp.show.text import safe, visible
from autointerp.store.query import Queryable

PLOT_WIDTH = 24


def status_page(store: Queryable, path: Path) -> RenderableType:
    """How far the store is, read and rendered."""
    return render_status(load_status(store, path))


def compare_page(stores: Sequence[tuple[str, Queryable]]) -> RenderableType:
    """Summary and comparison tables of one or several stores, read and rendered."""
    summary = [row for name, store in stores for row in load_summary(store, name)]
    comparisons = [row for name, store in stores for row in load_comparisons(store, name)]
    several = len(stores) > 1
    return Group(*render_summary(summary, several=several), *render_comparisons(comparisons, several=several))


def render_status(page: StatusPage) -> RenderableType:
    """From the record to the page."""
    runs = ", ".join(page.runs) or "no run yet"
    parts: list[RenderableType] = [safe(f"{page.path}   {page.size_bytes / 1e6:,.1f} MB   {runs}", "bold"), Text()]
    stages = _table("stage", ">done", ">left", ">failed", ">rows", ">time", "waiting")
    for stage in page.stages:
        _add(stages, *_stage_cells(stage))
    parts.append(stages)
    if page.splits:
        splits = _table("split", ">documents", ">contexts", ">tokens", ">windows", ">windows dropped")
        for split in page.splits:
            found = (split.n_documents, split.n_contexts, split.n_tokens, split.n_windows, split.n_windows_dropped)
            _add(splits, split.split, *(f"{count:,}" for count in found))
        parts += [Text(), splits]
    if page.calls:
        calls = _table("model", "status", ">calls", ">tokens in", ">tokens out", ">cost")
        for call in page.calls:
            counted = (f"{count:,}" for count in (call.n_calls, call.input_tokens, call.output_tokens))
            _add(calls, call.model, call.status, *counted, f"${call.cost_usd:,.2f}")
        total = sum(call.cost_usd for call in page.calls)
        parts += [Text(), calls, Text(f"cost so far ${total:,.2f}")]
    return Group(*parts)


def _stage_cells(stage: StageStatus) -> tuple[str | Text, ...]:
    waiting = ", ".join(stage.waiting[:4]) + (f" and {len(stage.waiting) - 4} more" if len(stage.waiting) > 4 else "")
    nothing = stage.stage == "tokens" and not stage.n_done
    return (
        stage.stage,
        f"{stage.n_done:,}",
        "1" if nothing else f"{len(stage.waiting):,}",
        safe(f"{stage.n_failed:,}", "red" if stage.n_failed else ""),
        f"{stage.n_rows:,}",
        _duration(stage.seconds),
        waiting,
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def render_summary(rows: Sequence[SummaryRow], *, several: bool = False) -> list[RenderableType]:
    """A table for each scorer, metric and design: never one column for two of them."""
    if not rows:
        return [Text("no scores yet; `autointerp status` says what is done", style="dim")]
    parts: list[RenderableType] = []

    def kind(row: SummaryRow) -> tuple[str, str, str]:
        return row.design, row.scorer, row.metric

    for (design, scorer, metric), group in itertools.groupby(sorted(rows, key=kind), key=kind):
        # Across stores the order is made again: best first.
        table_rows = sorted(group, key=lambda row: (row.mean is None, -(row.mean or 0.0)))
        axis = _axis([number for row in table_rows for number in (row.mean, row.ci_low, row.ci_high, row.floor, 0.0)])
        plot_head = f"{axis[0]:.2f} to {axis[1]:.2f}, floor ┊"
        table = _table(
            *(["store"] if several else []), "dictionary", "kind", "explainer", ">mean, 95 % interval",
            ">with unscored", ">floor", ">excess", ">median", ">scored", ">dead, rare", plot_head,
            title=f"{metric} ({design}, {scorer})",
        )  # fmt: skip
        for row in table_rows:
            plot = dot_and_interval(row.mean, row.ci_low, row.ci_high, axis, PLOT_WIDTH, row.floor)
            _add(
                table,
                *([row.store] if several else []), row.dictionary, row.kind, row.explainer,
                _interval(row.mean, row.ci_low, row.ci_high), _number(row.mean_all), _number(row.floor),
                _number(row.excess, signed=True), _number(row.median), f"{row.n_scored:,}/{row.n_features:,}",
                f"{row.n_dead:,}, {row.n_rare:,}", plot,
                style="dim" if row.explainer in CONTROLS else "",
            )  # fmt: skip
        parts += [table, *_footnotes(table_rows), Text()]
    return parts


def _footnotes(rows: Iterable[SummaryRow]) -> list[Text]:
    """`pearson_framed` never stands without its alarm rate; failures are said."""
    notes = []
    for row in rows:
        name = f"{row.dictionary}, {row.explainer}"
        if row.residual_alarm_rate is not None:
            bound = "" if row.residual_alarm_high is None else f" (at most {row.residual_alarm_high:.2%})"
            notes.append(safe(f"{name}: residual alarm rate {row.residual_alarm_rate:.2%}{bound}", "dim"))
        if row.n_failed:
            notes.append(safe(f"{name}: {row.n_failed:,} features failed", "yellow"))
    return notes


def render_comparisons(rows: Sequence[ComparisonRow], *, several: bool = False) -> list[RenderableType]:
    """A table for each scorer, metric and design, with the verdict in words."""
    parts: list[RenderableType] = []

    def kind(row: ComparisonRow) -> tuple[str, str, str]:
        return row.design, row.scorer, row.metric

    for (design, scorer, metric), group in itertools.groupby(sorted(rows, key=kind), key=kind):
        table_rows = list(group)
        axis = _axis([number for row in table_rows for number in (row.difference, row.ci_low, row.ci_high, 0.0)])
        table = _table(
            *(["store"] if several else []), "A", "B", "explainer", ">A - B, 95 % interval", ">p (Holm)", ">features",
            "verdict", f"{axis[0]:.2f} to {axis[1]:.2f}, zero ┊",
            title=f"differences of {metric} ({design}, {scorer})",
        )  # fmt: skip
        for row in table_rows:
            plot = dot_and_interval(row.difference, row.ci_low, row.ci_high, axis, PLOT_WIDTH, 0.0)
            pairs = f"{row.n_a:,} pairs" if row.paired else f"{row.n_a:,} and {row.n_b:,}"
            _add(
                table,
                *([row.store] if several else []), row.a, row.b, row.explainer,
                _interval(row.difference, row.ci_low, row.ci_high, signed=True), _p(row.p_holm), pairs, verdict(row),
                plot,
            )  # fmt: skip
        parts += [table, Text()]
    return parts


def verdict(row: ComparisonRow) -> str:
    """The verdict as a reader needs it: who, or within what, or what it would have taken."""
    if row.verdict == "A":
        return f"A: {row.a}"
    if row.verdict == "B":
        return f"B: {row.b}"
    if row.verdict == "equivalent":
        return f"equivalent (within {row.margin:g})"
    detectable = "" if row.detectable is None else f" (could find {row.detectable:.3f})"
    return f"{row.verdict}{detectable}"


def _number(value: float | None, *, signed: bool = False) -> str:
    return "" if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"


def _interval(value: float | None, low: float | None, high: float | None, *, signed: bool = False) -> str:
    if value is None or low is None or high is None:
        return _number(value, signed=signed)
    return f"{_number(value, signed=signed)} [{_number(low, signed=signed)}, {_number(high, signed=signed)}]"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _axis(numbers: Sequence[float | None]) -> tuple[float, float]:
    known = [number for number in numbers if number is not None]
    return min(known, default=0.0), max(known, default=1.0)


def _table(*columns: str, title: str | None = None) -> Table:
    """`>` before a name: to the right. Nothing is cut off: a narrow terminal folds."""
    shown = None if title is None else Text(visible(title), style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", title=shown, title_justify="left")
    for name in columns:
        table.add_column(
            Text(visible(name.removeprefix(">"))), justify="right" if name[0] == ">" else "left", overflow="fold"
        )
    return table


def _add(table: Table, *cells: str | Text, style: str = "") -> None:
    table.add_row(*(cell if isinstance(cell, Text) else safe(cell) for cell in cells), style=style)
