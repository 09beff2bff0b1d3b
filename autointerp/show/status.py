"""How far a store is, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.show.layout import Column, sheet
from autointerp.show.status_data import (
    BatchStatus,
    CallStatus,
    DictionaryStatus,
    HookStatus,
    SplitTokens,
    StageStatus,
    StatusPage,
    load_status,
)
from autointerp.show.text import safe
from autointerp.store.query import Queryable


def status_page(store: Queryable, path: Path) -> RenderableType:
    """How far the store is, read and rendered."""
    return render_status(load_status(store, path))


def render_status(page: StatusPage) -> RenderableType:
    """From the record to the page."""
    runs = ", ".join(page.runs) or "no run yet"
    head = Text.assemble(safe(str(page.path), "bold"), safe(f"   {page.size_bytes / 1e6:,.1f} MB   run: {runs}"))
    parts: list[RenderableType] = [head, Text(), _stages(page.stages)]
    if page.pass_one is not None:
        done, total = page.pass_one
        parts.append(Text(f"pass 1: checkpoint at {done:,} of {total:,} tokens", "yellow"))
    waiting = {stage.stage: ", ".join(stage.waiting) for stage in page.stages if stage.waiting}
    parts += [safe(f"{stage} waits for {names}", "dim") for stage, names in waiting.items()]
    for request in page.again:
        parts.append(
            safe(f"request {request.number} ({request.said}) is not finished: the run goes on with it", "yellow")
        )
    if page.dictionaries:
        parts += [Text(), _dictionaries(page.dictionaries)]
    parts += [safe(_outliers(hook), "dim") for hook in page.hooks]
    if page.splits:
        parts += [Text(), _splits(page.splits)]
    if page.calls:
        parts += [Text(), _calls(page.calls), Text(_cost(page.calls))]
    if page.batches:
        parts += [Text(), _batches(page.batches), Text("batches under way: the same run again collects them", "dim")]
    return Group(*parts)


def _stages(stages: Sequence[StageStatus]) -> RenderableType:
    return sheet(
        None,
        [
            Column("stage", [stage.stage for stage in stages], key=True),
            Column("state", [_state(stage) for stage in stages]),
            Column("failed", [_failed(stage.n_failed) for stage in stages], right=True),
            Column("rows", [_count(stage.n_rows) for stage in stages], right=True),
            Column("time", [_duration(stage.seconds) if stage.n_done else "" for stage in stages], right=True),
        ],
    )


def _state(stage: StageStatus) -> Text:
    if stage.n_done < stage.n_all:
        return Text(f"{stage.n_done} of {stage.n_all} done" if stage.n_done else "to do", "yellow")
    return Text("done" if stage.n_all == 1 else f"all {stage.n_all} done", "green")


def _failed(n: int) -> Text:
    return Text(_count(n), "red")


def _dictionaries(rows: Sequence[DictionaryStatus]) -> RenderableType:
    return sheet(
        None,
        [
            Column("dictionary", [row.dictionary for row in rows], key=True),
            Column("kind", [row.kind for row in rows]),
            Column("hook", [row.hook for row in rows]),
            Column("features", [f"{row.n_features:,}" for row in rows], right=True),
            Column("rare", [_count(row.n_rare) for row in rows], right=True),
            Column("dead", [_count(row.n_dead) for row in rows], right=True),
            Column("density", ["" if row.density is None else f"{row.density:.2g}" for row in rows], right=True),
        ],
    )


def _outliers(hook: HookStatus) -> str:
    """What tokens of enormous norm do at a hook, in a line."""
    rule = f"outliers (norm above {hook.multiple:g} x the median {hook.median:.3g})"
    if not hook.n_outliers:
        return f"{hook.hook}: no {rule}"
    return (
        f"{hook.hook}: {hook.n_outliers / hook.n_tokens:.1%} of the tokens are {rule}; they hold "
        f"{hook.variance_share:.0%} of the variance; participation ratio {hook.participation:.1f} without them, "
        f"{hook.participation_all:.1f} with them"
    )


def _splits(rows: Sequence[SplitTokens]) -> RenderableType:
    return sheet(
        None,
        [
            Column("split", [row.split for row in rows], key=True),
            Column("documents", [f"{row.n_documents:,}" for row in rows], right=True),
            Column("contexts", [f"{row.n_contexts:,}" for row in rows], right=True),
            Column("tokens", [f"{row.n_tokens:,}" for row in rows], right=True),
            Column("windows", [f"{row.n_windows:,}" for row in rows], right=True),
            Column("windows dropped", [_count(row.n_windows_dropped) for row in rows], right=True),
        ],
    )


def _calls(rows: Sequence[CallStatus]) -> RenderableType:
    return sheet(
        None,
        [
            Column("calls of", [row.kind for row in rows], key=True),
            Column("model", [row.model for row in rows]),
            Column("channel", [row.channel for row in rows]),
            Column("calls", [f"{row.n_calls:,}" for row in rows], right=True),
            Column("failed", [_failed(row.n_failed) for row in rows], right=True),
            Column("tokens in", [f"{row.input_tokens:,}" for row in rows], right=True),
            Column("cached", [_count(row.cached_tokens) for row in rows], right=True),
            Column("tokens out", [f"{row.output_tokens:,}" for row in rows], right=True),
            Column("cost", [_usd(row.cost_usd) for row in rows], right=True),
        ],
    )


def _cost(rows: Sequence[CallStatus]) -> str:
    """All calls in one line."""
    n, failed, unknown = (sum(getattr(row, name) for row in rows) for name in ("n_calls", "n_failed", "n_unknown"))
    read, cached = sum(row.input_tokens for row in rows), sum(row.cached_tokens for row in rows)
    parts = [f"cost so far {_usd(sum(row.cost_usd for row in rows))}", f"{n:,} calls", f"{failed:,} failed"]
    parts += [f"{cached / read:.0%} of the tokens in from the cache"] if read else []
    parts += [f"the cost of {unknown:,} is not known"] if unknown else []
    return ", ".join(parts)


def _usd(cost: float) -> str:
    return f"${cost:,.2f}" if cost >= 0.1 or not cost else f"${cost:,.4f}"


def _batches(rows: Sequence[BatchStatus]) -> RenderableType:
    return sheet(
        None,
        [
            Column("batch", [row.batch or "(sent or not, not known)" for row in rows], key=True),
            Column("provider", [row.provider for row in rows]),
            Column("model", [row.model for row in rows]),
            Column("requests", [f"{row.n_requests:,}" for row in rows], right=True),
            Column("since (UTC)", [f"{row.since:%Y-%m-%d %H:%M}" for row in rows]),
        ],
    )


def _count(n: int) -> str:
    """Nothing for 0: what is there stands out."""
    return f"{n:,}" if n else "-"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
