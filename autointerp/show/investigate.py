"""The page of `autointerp investigate`, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.pipeline.investigate import InvestigationReport, UnitReport
from autointerp.score.investigation import CONFIDENCE, N_LEVELS, Figure
from autointerp.show.layout import Column, FittedToWidth, sheet
from autointerp.show.text import escape_json, safe, visible, wrapped

FORMAT, VERSION = "autointerp-investigation", 1
_ROLES = {"feature": "", "neuron": "its nearest neuron", "match": "its best match", "beside": "beside it"}


def investigation_page(report: InvestigationReport) -> RenderableType:
    """The page."""
    feature = report.units[0]
    n_read, n_all = feature.found.n_read, feature.found.n_tokens
    over = f"{n_read:,} tokens" if report.exact else f"{n_read:,} stored tokens, which stand for {n_all:,.0f}"
    head = f"{feature.name} against {report.proxy.said}"
    threshold = "" if report.proxy.threshold is None else f" > {report.proxy.threshold:g}"
    parts: list[RenderableType] = [
        safe(head + threshold, "bold"),
        safe(f"{report.split} split, {over}; the proxy marks {_share(feature.found.base_rate)} of them"),
        Text(),
        *_nothing_marked(feature),
        _summary(report),
        _labels(report),
    ]
    for unit in report.units:
        parts += [Text(), _levels(unit)]
    parts += [safe(remark, "dim") for remark in report.remarks if remark]
    return Group(*parts)


def _summary(report: InvestigationReport) -> RenderableType:
    units = report.units
    columns = [
        Column("", [unit.name for unit in units], key=True),
        Column("specificity", [_figure(unit.found.specificity) for unit in units]),
        Column("expected value", [_figure(unit.found.expected) for unit in units]),
        Column("sensitivity, Pearson", [_sensitivity(unit) for unit in units]),
        Column("fires on, of marked", [_figure(unit.found.recall) for unit in units]),
        Column("density", [_share(_density(unit)) for unit in units], right=True),
    ]
    if any(roles := [_role(unit) for unit in units]):
        columns.append(Column("is", roles))
    return sheet(f"{CONFIDENCE:.0%} intervals over documents", columns)


def _labels(report: InvestigationReport) -> RenderableType:
    """What `lexical` says of each, below the table: a label is too long for a column."""
    said = [visible(f"{unit.name}, lexical: {unit.label}") for unit in report.units if unit.label]
    return FittedToWidth(lambda width: Group(*(Text(wrapped(line, width)) for line in said)))


def _nothing_marked(feature: UnitReport) -> list[RenderableType]:
    """A proxy that fits nothing is more often a slip than a finding."""
    if feature.found.base_rate > 0:
        return []
    return [safe("The proxy marks no token of this text, so nothing below says anything of the feature.", "yellow")]


def _density(unit: UnitReport) -> float:
    return unit.found.n_firing / unit.found.n_tokens if unit.found.n_tokens else 0.0


def _role(unit: UnitReport) -> str:
    correlation = "" if unit.correlation is None else f", correlation {unit.correlation:.2f}"
    return _ROLES[unit.role] + correlation


def _levels(unit: UnitReport) -> RenderableType:
    levels = unit.found.levels
    columns = [
        Column("activation / maximum", [f"{level.low:.1f} to {level.high:.1f}" for level in levels], key=True),
        Column("firings", [f"{level.n:,.0f}" for level in levels], right=True),
        Column("specificity", [_figure(level.specificity) for level in levels]),
        Column("share of activation", [_share(level.mass) for level in levels], right=True),
        Column("expected value", [_figure(level.expected) for level in levels]),
    ]
    return sheet(f"{unit.name} by level of activation (maximum {unit.found.maximum:.3g})", columns)


def _sensitivity(unit: UnitReport) -> str:
    status = unit.found.sensitivity_status
    return _figure(unit.found.sensitivity) if status == "ok" else status


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2f}"
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _share(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def investigation_json(report: InvestigationReport) -> str:
    """All of it: the layout is that of FORMAT, VERSION. Numbers that are not there are null."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "store": report.store,
        "proxy": report.proxy.said,
        "threshold": report.proxy.threshold,
        "split": report.split,
        "exact": report.exact,
        "confidence": CONFIDENCE,
        "n_levels": N_LEVELS,
        "units": [
            {
                "name": unit.name,
                "role": unit.role,
                "correlation": unit.correlation,
                "label": unit.label,
                **asdict(unit.found),
            }
            for unit in report.units
        ],
        "remarks": [remark for remark in report.remarks if remark],
    }
    return escape_json(json.dumps(document, ensure_ascii=False, allow_nan=False))
