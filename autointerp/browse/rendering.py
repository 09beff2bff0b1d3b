"""From a page's dataclass to HTML, by a template that escapes everything.

Every value that a template prints goes through `text.visible` first, so that control characters and marks that turn the
direction of writing are written out; only what `show.report.html` made stays markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autointerp.browse.drawings import activation_bars, drawn_intervals, place_bars
from autointerp.browse.feature_data import floors_by_score
from autointerp.show.compare_data import SummaryRow
from autointerp.show.feature_parts import LEVELS, on_a_card, shade, stratified
from autointerp.show.report import html
from autointerp.show.rows import json_text
from autointerp.show.score_kind import ScoreKind
from autointerp.show.text import explainer_name, running, token_text, visible
from autointerp.words import is_control

FOLDER = Path(__file__).parent


def render(template: str, **values: object) -> str:
    """A page."""
    return _ENVIRONMENT.get_template(template).render(**values)


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
