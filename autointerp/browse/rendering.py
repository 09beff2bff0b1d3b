"""From a page's dataclass to HTML, by a template that escapes everything.

Every value that a template prints goes through `text.visible` first, so that control characters and marks that turn the
direction of writing are written out; only what `show.report.html` made stays markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autointerp.browse.drawings import (
    activation_bars,
    drawn_differences,
    drawn_distributions,
    drawn_intervals,
    drawn_weights,
    effect_bars,
    place_bars,
)
from autointerp.browse.drawn_curves import distance_curves, sensitivity_curves
from autointerp.browse.drawn_windows import NATS, broken, exemplar_text, judged_text, simulated_text
from autointerp.browse.feature_data import floors_by_score
from autointerp.browse.ready_sql import all_wrong
from autointerp.browse.simulated_data import SILENT, STRONG
from autointerp.score.metric_registry import is_primary
from autointerp.show.card_data import ExplanationLine, ScoreLine
from autointerp.show.card_exemplars import CardExemplar
from autointerp.show.compare_data import ComparisonRow, SummaryRow
from autointerp.show.feature_parts import LEVELS, on_a_card, shade, stratified
from autointerp.show.marks import mark_sentences, marked
from autointerp.show.report import html
from autointerp.show.rows import json_text
from autointerp.show.score_kind import ScoreKind
from autointerp.show.steer_names import DIRECTION_NAMES
from autointerp.show.strata import named
from autointerp.show.text import explainer_name, running, token_text, visible
from autointerp.words import is_ceiling, is_control

FOLDER = Path(__file__).parent


def render(template: str, **values: object) -> str:
    """A page."""
    return _ENVIRONMENT.get_template(template).render(**values)


def compile_templates() -> None:
    """Of all pages, so that the first reader of each does not wait for it."""
    for name in _ENVIRONMENT.list_templates(extensions=["html"]):
        _ENVIRONMENT.get_template(name)


Scored = TypeVar("Scored", SummaryRow, ComparisonRow)


def by_kind(rows: Sequence[Scored]) -> list[tuple[ScoreKind, list[Scored]]]:
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


def interval(low: float | None, high: float | None, signs: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f"[{low:+.3f}, {high:+.3f}]" if signs else f"[{low:.3f}, {high:.3f}]"


def part(text: str) -> str:
    """A name as a part of an address."""
    return quote(text, safe="")


def query(**values: object) -> str:
    """What stands behind the ? of an address; what is empty is left out."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")})


def written(text: str) -> Markup:
    """A text of several lines, for an area to write in: line breaks and tabs stay."""
    return Markup("".join(c if c in "\n\t" else str(escape(visible(c))) for c in text.replace("\r\n", "\n")))  # noqa: S704 - escaped


def in_groups(
    strata: Sequence[tuple[str, list[CardExemplar]]],
) -> list[tuple[str, list[tuple[str, list[CardExemplar]]]]]:
    """What is shown at once, under no title; then what is folded, each under its own."""
    folded = {"quantile": "By quantile of the activations", "interval": "By interval of activation"}
    groups: dict[str, list[tuple[str, list[CardExemplar]]]] = {}
    for name, windows in strata:
        groups.setdefault(folded.get(name.partition("_")[0], ""), []).append((name, windows))
    return sorted(groups.items(), key=lambda group: bool(group[0]))


def score_name(score: ScoreLine) -> str:
    """A metric's name, with the mark of the self-test where it has one."""
    return _marked(score.scorer, score.metric, score.design)


@lru_cache(maxsize=10_000)
def _marked(scorer: str, metric: str, design: str) -> str:
    return marked((scorer, metric, design), metric)


def is_first(score: ScoreLine) -> bool:
    """Whether it is a primary score, which stands beside a label unasked."""
    return _primary(score.metric, score.design, score.scorer)


_primary = lru_cache(maxsize=10_000)(is_primary)


def sentences_of(lines: Sequence[ExplanationLine]) -> list[str]:
    """What the marks say of the primary scores of these labels."""
    shown = [score for line in lines if line.text is not None for score in on_a_card(line.scores) if is_first(score)]
    return mark_sentences(dict.fromkeys((score.scorer, score.metric, score.design) for score in shown))


def kind_name(kind: ScoreKind) -> str:
    """The title of a kind of score, with the mark of the self-test where it has one."""
    return marked(kind.name, kind.title())


def kind_sentences(rows: Sequence[SummaryRow]) -> list[str]:
    """What the marks of these scores say."""
    return mark_sentences(dict.fromkeys(row.about.name for row in rows))


def said_about(about: Mapping[str, str]) -> str:
    """What a call is about, in a line."""
    return ", ".join(f"{name} {value}" for name, value in about.items())


def dollars(cost: float | None) -> str:
    """Four decimals, more where the cost is small; nothing where it is unknown."""
    return "" if cost is None else f"${cost:,.4f}" if cost == 0 or cost >= 0.001 else f"${cost:.2g}"


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
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() and text.isprintable() else visible(text)


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
    "in_groups": in_groups, "marked": score_name, "mark_sentences": sentences_of, "broken": broken,
    "kind_name": kind_name, "kind_sentences": kind_sentences, "about": said_about, "nats": named, "dollars": dollars,
    "written": written, "stratified": stratified,
    "by_kind": by_kind, "on_a_card": on_a_card, "floors_by_score": floors_by_score,
}  # fmt: skip
_ENVIRONMENT.tests |= {"control": is_control, "ceiling": is_ceiling, "primary": is_first}
_ENVIRONMENT.globals |= {
    "interval": interval, "shade": shade, "query": query, "levels": LEVELS, "drawn_intervals": drawn_intervals,
    "drawn_differences": drawn_differences,
    "drawn_distributions": drawn_distributions, "drawn_weights": drawn_weights,
    "activation_bars": activation_bars, "effect_bars": effect_bars, "place_bars": place_bars,
    "strong": STRONG, "silent": SILENT,
    "all_wrong": all_wrong, "exemplar_text": exemplar_text, "simulated_text": simulated_text,
    "judged_text": judged_text, "nats_shown": NATS, "sensitivity_curves": sensitivity_curves,
    "distance_curves": distance_curves,
    "direction_names": DIRECTION_NAMES,
}  # fmt: skip
