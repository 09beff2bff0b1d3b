"""The page of `compare --match`: which feature of B is this feature of A; and the same as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.compare.matching import PART, RULES, STATUSES, Fate
from autointerp.compare.matching import Group as Several
from autointerp.extract.correlate import FEWEST, LEAST
from autointerp.pipeline.match import Likeness, MatchReport
from autointerp.show.layout import GAP, Column, FittedToWidth, sheet, total_width
from autointerp.show.text import escape_json, safe, visible, wrapped

FORMAT, VERSION = "autointerp-match", 1
SHOWN = 10
"""Rows of each table of the page; the JSON has all."""
NARROW, WIDE = 24, 60
"""Cells of a line of a label: with less room than the first it goes under the other columns."""


def match_page(report: MatchReport, shown: int = SHOWN) -> RenderableType:
    """The page."""
    a, b = report.names
    matching = report.matching
    parts: list[RenderableType] = [
        safe(f"{a} (A) beside {b} (B): {matching.n_tokens:,} tokens of the {report.split} split", "bold"),
        *_counts(report),
        _sentences(report),
        Text(),
        _pairs(report, shown),
    ]
    for title, groups, side_of_whole, many in (
        ("split: one feature of A, several of B", matching.splits, "A", "parts in B, with correlation"),
        ("merge: one feature of B, several of A", matching.merges, "B", "features of A, with correlation"),
    ):
        if groups:
            labels = report.labels["AB".index(side_of_whole)]
            parts += [Text(), _groups(title, groups, side_of_whole, many, labels, shown)]
    for side, word in (("a", "missing"), ("b", "new")):
        fates = [fate for fate in getattr(matching, side) if fate.status == word]
        if fates:
            parts += [Text(), _alone(f"{word}: {_which(side)}", fates, report.labels[0 if side == "a" else 1], shown)]
    return Group(*parts)


def _which(side: str) -> str:
    mine, other = ("A", "B") if side == "a" else ("B", "A")
    return f"features of {mine} that correlate with no feature of {other} by {PART:g}"


def _counts(report: MatchReport) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for side, name, fates in zip(("a", "b"), report.names, (report.matching.a, report.matching.b), strict=True):
        counts = report.matching.counts(side)
        words = ", ".join(f"{n:,} {status}" for status, n in counts.items())
        best = [fate.best_r for fate in fates if fate.best_r is not None]
        median = f"; best match, median correlation {_number(float(np.median(best)))}" if best else ""
        lines.append(safe(f"{side.upper()} {name}: {len(fates):,} features: {words}{median}"))
    return lines


def _sentences(report: MatchReport) -> RenderableType:
    """How the three likenesses agree, over the matched pairs."""
    rows = [row for row, fate in enumerate(report.matching.a) if fate.status == "matched"]
    words = []
    for likeness, reason, called in (
        (report.cosine, report.cosine_reason, "decoder cosine"),
        (report.logits, report.logits_reason, "correlation of logit effects"),
    ):
        if likeness is None:
            words.append(f"no {called}: {reason}")
        elif rows:
            median = float(np.nanmedian(likeness.of_partner[rows]))
            same = np.mean([likeness.best[row] == report.matching.a[row].partner for row in rows])
            words.append(f"{called}, median {_number(median)}, names the same partner in {100 * same:.0f} %")
    return safe(f"of {len(rows):,} matched pairs: " + "; ".join(words))


def _pairs(report: MatchReport, shown: int) -> RenderableType:
    rows = [row for row, fate in enumerate(report.matching.a) if fate.partner is not None]
    rows.sort(key=lambda row: (-(report.matching.a[row].partner_r or 0.0), row))
    spread = rows if len(rows) <= shown else [rows[round(i * (len(rows) - 1) / (shown - 1))] for i in range(shown)]
    fates = [report.matching.a[row] for row in spread]
    columns = [
        Column("A", [str(fate.feature) for fate in fates], right=True, key=True),
        Column("B", [str(fate.partner) for fate in fates], right=True, key=True),
        Column("correlation", [_number(fate.partner_r) for fate in fates], right=True),
    ]
    for name, likeness in (("cosine", report.cosine), ("logits", report.logits)):
        if likeness is not None:
            columns.append(Column(name, [_number(likeness.of_partner[row]) for row in spread], right=True))
    labels_a, labels_b = report.labels
    columns.append(Column("A is", [fate.status for fate in fates]))
    labels = {
        "A, lexical": [labels_a.get(fate.feature, "") for fate in fates],
        "B, lexical": ["" if fate.partner is None else labels_b.get(fate.partner, "") for fate in fates],
    }
    title = "one to one" if len(rows) <= shown else f"one to one: {shown} of {len(rows):,} pairs, evenly over the ranks"
    return _labelled(title, columns, labels)


def _groups(
    title: str, groups: Sequence[Several], whole: str, many: str, labels: dict[int, str], shown: int
) -> RenderableType:
    ordered = sorted(groups, key=lambda group: (-group.explained, group.whole))[:shown]
    texts = [
        ", ".join(f"{part} ({_number(r)})" for part, r in zip(group.parts, group.correlations, strict=True))
        for group in ordered
    ]
    columns = [
        Column(whole, [str(group.whole) for group in ordered], right=True, key=True),
        Column("explained", [_number(group.explained) for group in ordered], right=True),
        Column(many, texts),
    ]
    said = {f"{whole}, lexical": [labels.get(group.whole, "") for group in ordered]}
    return _labelled(f"{title}: {len(groups):,}", columns, said)


def _alone(title: str, fates: Sequence[Fate], labels: dict[int, str], shown: int) -> RenderableType:
    ordered = sorted(fates, key=lambda fate: (-fate.n_firing, fate.feature))[:shown]
    columns = [
        Column("feature", [str(fate.feature) for fate in ordered], right=True, key=True),
        Column("firings", [f"{fate.n_firing:,}" for fate in ordered], right=True),
        Column("best", [str(fate.best) for fate in ordered], right=True),
        Column("correlation", [_number(fate.best_r) for fate in ordered], right=True),
    ]
    said = {"lexical": [labels.get(fate.feature, "") for fate in ordered]}
    return _labelled(f"{title}: {len(fates):,}", columns, said)


def _labelled(title: str, columns: Sequence[Column], labels: Mapping[str, Sequence[str]]) -> FittedToWidth:
    """A sheet with labels behind its columns, whole: in lines as wide as the page leaves room for."""

    def made(width: int) -> RenderableType:
        room = (width - total_width(columns)) // len(labels) - GAP
        if room < NARROW:
            room = width - total_width([column for column in columns if column.key]) - GAP
        room = max(min(room, WIDE), 1)
        cells = {name: [Text(wrapped(visible(text), room)) for text in texts] for name, texts in labels.items()}
        return sheet(title, [*columns, *(Column(name, texts) for name, texts in cells.items())])

    return FittedToWidth(made)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


# --- JSON


def match_json(report: MatchReport) -> str:
    """All of it: the layout is that of FORMAT, VERSION. Numbers that are not there are null."""
    matching = report.matching
    features_a = [
        asdict(fate) | _likenesses(row, (("cosine", report.cosine), ("logit_effects", report.logits)))
        for row, fate in enumerate(matching.a)
    ]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "tokens": {"split": report.split, "n": matching.n_tokens},
        "rules": {**RULES, "least_correlation": LEAST, "fewest_firings": FEWEST},
        "not_compared": {
            name: reason
            for name, reason in (("cosine", report.cosine_reason), ("logit_effects", report.logits_reason))
            if reason
        },
        **{
            side: {
                "store": report.stores[index],
                "dictionary": report.names[index],
                "hook": report.hooks[index],
                "counts": matching.counts(side),
                "statuses": list(STATUSES[side]),
            }
            for index, side in enumerate("ab")
        },
        "features_a": features_a,
        "features_b": [asdict(fate) for fate in matching.b],
        "splits": [asdict(group) for group in matching.splits],
        "merges": [asdict(group) for group in matching.merges],
    }
    return escape_json(json.dumps(document, ensure_ascii=False, allow_nan=False))


def _likenesses(row: int, of: Iterable[tuple[str, Likeness | None]]) -> dict[str, Any]:
    """Of one feature of A, by name."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else round(float(value), 6)

    return {
        name: None
        if likeness is None
        else {
            "with_best": number(likeness.of_best[row]),
            "with_partner": number(likeness.of_partner[row]),
            "best": None if likeness.best[row] < 0 else int(likeness.best[row]),
            "best_value": number(likeness.best_value[row]),
        }
        for name, likeness in of
    }
