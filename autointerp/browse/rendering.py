"""From a page's dataclass to HTML, by a template that escapes everything, and to JSON.

Every value that a template prints goes through `text.visible` first, so that control characters and marks that turn the
direction of writing are written out; only what `show.report.html` made stays markup.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autointerp.browse.drawings import activation_bars, drawn_intervals, place_bars
from autointerp.browse.feature_data import ScoreFloor
from autointerp.score.metric_registry import is_primary, on_card
from autointerp.show.card_data import CardExemplar, ScoreLine
from autointerp.show.compare_data import SummaryRow
from autointerp.show.report import html
from autointerp.show.rows import json_text
from autointerp.show.score_kind import ScoreKind
from autointerp.show.text import escape_json, explainer_name, running, token_text, visible
from autointerp.words import is_control

FOLDER = Path(__file__).parent
LEVELS = 9
"""Shades of an active token."""


def plain(value: Any) -> Any:
    """A page as JSON knows it: objects, lists, numbers; what is no number is null."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def as_json(page: object) -> bytes:
    """The dataclass as JSON, with control characters escaped."""
    text = escape_json(json.dumps(plain(page), ensure_ascii=False, allow_nan=False))
    return text.encode("utf-8", "backslashreplace")


def render(template: str, **values: object) -> str:
    """A page."""
    return _ENVIRONMENT.get_template(template).render(**values)


def shade(activation: float, largest: float) -> int:
    """0: silent; 1 to LEVELS: by the share of the feature's largest activation."""
    if activation == 0 or largest <= 0:
        return 0 if activation == 0 else 1
    return min(max(math.ceil(LEVELS * activation / largest), 1), LEVELS)


def stratified(exemplars: Sequence[CardExemplar]) -> list[tuple[str, list[CardExemplar]]]:
    """By stratum, in the order in which they stand."""
    by: dict[str, list[CardExemplar]] = {}
    for exemplar in exemplars:
        by.setdefault(exemplar.stratum, []).append(exemplar)
    return list(by.items())


def on_a_card(scores: Sequence[ScoreLine]) -> list[ScoreLine]:
    """The scores that stand beside a label, the primary ones first; not those of a lookup on another's windows."""
    shown = [score for score in scores if on_card(score.metric, score.design) and "@" not in score.scorer]
    return sorted(shown, key=lambda score: not is_primary(score.metric, score.design, score.scorer))


def floors_by_score(floors: Sequence[ScoreFloor]) -> dict[tuple[str, str, str, str], float]:
    """By explainer, scorer, metric and design."""
    return {(row.explainer, row.scorer, row.metric, row.design): row.floor for row in floors}


def by_kind(rows: Sequence[SummaryRow]) -> list[tuple[ScoreKind, list[SummaryRow]]]:
    """By what the scores are about, in the order of `ScoreKind.order`."""
    kinds = sorted({row.about for row in rows}, key=ScoreKind.order)
    return [(kind, [row for row in rows if row.about == kind]) for kind in kinds]


def number(value: float | None, digits: int = 3) -> str:
    """Decimals as in the terminal; nothing where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def short(value: float | None) -> str:
    """Three digits that count."""
    return "" if value is None or math.isnan(value) else f"{value:.3g}"


def interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def part(text: str) -> str:
    """A name as a part of an address."""
    return quote(text, safe="")


def query(**values: object) -> str:
    """What stands behind the ? of an address; what is empty is left out."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")})


def written(text: str) -> Markup:
    """A text of several lines, for an area to write in: line breaks and tabs stay."""
    return Markup("".join(c if c in "\n\t" else str(escape(visible(c))) for c in text.replace("\r\n", "\n")))  # noqa: S704 - escaped


CELL = 2_000
"""Characters of a cell that a table of any rows shows; its JSON has them all."""


def cell(value: object) -> str:
    """Any value of a row: lists as JSON, numbers to six figures, long texts cut."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json_text(value)
    return text if len(text) <= CELL else f"{text[:CELL]} … ({len(text):,} characters)"


def place(names: Sequence[str], name: str) -> int | None:
    """Where a name stands; None: it does not."""
    return names.index(name) if name in names else None


def numeric(kind: str) -> bool:
    """Whether an Arrow type is one of numbers."""
    return kind.startswith(("int", "uint", "float", "double", "halffloat", "decimal"))


def _finalize(value: object) -> object:
    if isinstance(value, html.Markup):
        return Markup(value)  # noqa: S704 - escaped by construction
    if isinstance(value, Markup):
        return value
    return "" if value is None else visible(str(value))


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_finalize,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "number": number, "signed": signed, "short": short, "part": part, "running": running, "token": token_text,
    "explainer": explainer_name, "cell": cell, "place": place, "numeric": numeric,
    "written": written, "stratified": stratified,
    "by_kind": by_kind, "on_a_card": on_a_card, "floors_by_score": floors_by_score,
}  # fmt: skip
_ENVIRONMENT.tests["control"] = is_control
_ENVIRONMENT.globals |= {
    "interval": interval, "shade": shade, "query": query, "levels": LEVELS, "drawn_intervals": drawn_intervals,
    "activation_bars": activation_bars, "place_bars": place_bars,
}  # fmt: skip
