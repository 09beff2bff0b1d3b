"""A feature as HTML that needs nothing else: for notebooks, and for files that are sent on.

All text goes through `report.html.tag`, which escapes it. No script, no address, no picture from elsewhere; the style
holds inside its own box and leaves the page around it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from autointerp.browse.drawings import activation_bars
from autointerp.browse.feature_data import FeaturePage, floors_by_score
from autointerp.score.metric_registry import is_primary
from autointerp.show.card_data import ExplanationLine, FeatureCard, LogitEffect, Neighbour
from autointerp.show.card_exemplars import CardExemplar
from autointerp.show.feature_parts import on_a_card, shade, stratified
from autointerp.show.report.html import Child, Markup, joined, tag
from autointerp.show.text import explainer_name, running, token_text
from autointerp.words import is_ceiling, is_control

STYLE = Path(__file__).parent / "feature.css"
OPEN = 6
"""Exemplars of the first stratum that are shown unfolded."""
LONGEST_LABEL = 600
"""Characters of a label; what is longer (the table of a ceiling) is cut, and says so."""

Floors = Mapping[tuple[str, str, str, str], float]
Link = Callable[[int], str | None]
"""The address of another feature of the dictionary; None: it has none here."""


def feature_style() -> Markup:
    """The style of the boxes, once a page."""
    return tag("style", Markup(STYLE.read_text(encoding="utf-8")))


def feature_box(page: FeaturePage, link: Link | None = None) -> Markup:
    """The feature in a box."""
    card = page.card
    said = [line for line in card.explanations if not is_control(line.explainer) and not is_ceiling(line.explainer)]
    beside = [line for line in card.explanations if is_ceiling(line.explainer)]
    floors = floors_by_score(page.floors)
    name = f"{card.dictionary}/{card.feature}"
    return tag(
        "section",
        tag("h2", tag("bdi", name), " ", tag("span", card.status, class_=f"status {_status(card)}")),
        tag("p", page.notice, class_="dim") if page.notice else None,
        tag("p", _facts(card), class_="dim"),
        tag("p", f"planted: {card.planted_label}") if card.planted_label is not None else None,
        _histogram(card),
        [_label(line, floors) for line in said] or tag("p", "No explanations yet.", class_="dim"),
        _folded("Ceilings: tables that are no labels", [_label(line, floors) for line in beside]),
        _effects("promotes", card.promoted),
        _effects("suppresses", card.suppressed),
        _exemplars(card),
        _neighbours(card.neighbours, link),
        class_="autointerp",
        id=name,
    )


def _status(card: FeatureCard) -> str:
    return card.status if card.status in ("alive", "rare", "dead") else ""


def _facts(card: FeatureCard) -> str:
    facts = [
        f"{card.kind} at {card.hook}",
        f"fires on {card.n_firing:,} of {card.n_tokens:,} tokens ({100 * card.density:.3g} %)",
        f"up to {card.max_activation:.3g}",
    ]
    if card.token_entropy is not None:
        facts.append(f"token entropy {card.token_entropy:.2f} nats")
    if card.match is not None:
        other = card.match.dictionary + ("" if card.match.feature is None else f"/{card.match.feature}")
        facts.append(f"beside {other} ({card.match.status})")
    return "; ".join(facts)


def _histogram(card: FeatureCard) -> Markup | None:
    if not any(card.histogram_log):
        return None
    said = tag("figcaption", "positive activations by octave; the height is the logarithm of the number of tokens")
    return tag("figure", activation_bars(card.histogram_log), said)


def _label(line: ExplanationLine, floors: Floors) -> Markup:
    text = line.text
    if text is not None and len(text) > LONGEST_LABEL:
        text = f"{text[:LONGEST_LABEL]} … ({len(text):,} characters)"
    scores: list[tuple[bool, Markup]] = []
    for score in on_a_card(line.scores):
        floor = floors.get((line.explainer, score.scorer, score.metric, score.design))
        ends = "" if score.ci_low is None or score.ci_high is None else f" [{score.ci_low:.3f}, {score.ci_high:.3f}]"
        about = f" {score.metric}, {score.design}, {score.scorer}" + ("" if floor is None else f", floor {floor:.3f}")
        value = score.status if score.value is None else f"{score.value:.3f}"
        written = tag("span", tag("b", value), ends, tag("span", about, class_="dim"), class_="score")
        scores.append((is_primary(score.metric, score.design, score.scorer), written))
    first, others = ([written for primary, written in scores if primary is wanted] for wanted in (True, False))
    return tag(
        "div",
        tag("h3", explainer_name(line.explainer)),
        tag("p", tag("span", f"none: {line.status}", class_="dim") if text is None else tag("bdi", text)),
        tag("p", first) if first else None,
        _folded(f"{len(others)} more scores", others),
        class_="said",
    )


def _effects(word: str, effects: tuple[LogitEffect, ...]) -> Markup | None:
    if not effects:
        return None
    tokens = [
        tag("span", tag("bdi", token_text(effect.text)), class_="t", title=f"{effect.effect:+.3g}, z {effect.z:+.1f}")
        for effect in effects
    ]
    return tag("p", tag("span", word, class_="dim"), [[" ", token] for token in tokens])


def _exemplars(card: FeatureCard) -> Markup:
    if not card.exemplars:
        return tag("p", "No exemplars.", class_="dim")
    drawn = [
        (stratum, [_exemplar(window, card.max_activation) for window in windows])
        for stratum, windows in stratified(card.exemplars)
    ]
    stratum, rows = drawn[0]
    others = [joined([tag("h3", name), *more]) for name, more in drawn[1:]]
    n = sum(len(more) for _, more in drawn[1:])
    return joined(
        [
            tag("h3", stratum),
            *rows[:OPEN],
            _folded(f"{stratum}: {len(rows) - OPEN} more", rows[OPEN:]),
            _folded(f"{n} exemplars of other strata", others),
        ]
    )


def _exemplar(window: CardExemplar, largest: float) -> Markup:
    at = f"document {window.document}, context {window.context}, from token {window.window_start}"
    context = [tag("span", "".join(map(running, some)), class_="context") for some in (window.before, window.after)]
    tokens = [
        tag("span", text, class_=kind, title=f"{activation:.3g}" if activation else None)
        for text, activation, kind in _pieces(window, largest)
    ]
    strength = tag("span", f"{window.max_activation:.3g}", class_="at", title=at)
    return tag("p", strength, tag("bdi", context[0], tokens, context[1]), class_="exemplar")


def _pieces(window: CardExemplar, largest: float) -> Iterator[tuple[str, float, str]]:
    """Text as shown, activation and class; silent tokens beside each other in one piece."""
    silent: list[str] = []
    for place, token in enumerate(window.tokens):
        level = shade(token.activation, largest)
        if level == 0 and place != window.peak:
            silent.append(running(token.text))
            continue
        if silent:
            yield "".join(silent), 0.0, "t"
            silent = []
        yield running(token.text), token.activation, f"t a{level}{' peak' if place == window.peak else ''}"
    if silent:
        yield "".join(silent), 0.0, "t"


def _neighbours(neighbours: tuple[Neighbour, ...], link: Link | None) -> Markup | None:
    if not neighbours:
        return None
    parts: list[Child] = [tag("span", "nearest features", class_="dim")]
    for near in neighbours:
        address = link(near.feature) if link else None
        number = tag("a", str(near.feature), href=address) if address else str(near.feature)
        parts.append([" ", number, tag("span", f" (cosine {near.cosine:.2f})", class_="dim")])
    return tag("p", parts)


def _folded(title: str, inside: list[Markup]) -> Markup | None:
    return tag("details", tag("summary", title), inside) if inside else None
