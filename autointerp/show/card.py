"""A feature's card in the terminal: what it is, what is said of it, what it promotes, where it fires.

Exemplars stand one a line with the token they were chosen for in one column, as in a concordance: what comes
before it, and what it is, can be read from top to bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from autointerp.show.card_data import (
    CardDiagnostics,
    ExplanationLine,
    FeatureCard,
    LogitEffect,
    Match,
    Neighbour,
    load_card,
)
from autointerp.show.card_exemplars import CardExemplar
from autointerp.show.card_scores import card_scores
from autointerp.show.context_effects import context_lines
from autointerp.show.feature_matches import matches_line
from autointerp.show.geometry import geometry_line
from autointerp.show.layout import FittedToWidth
from autointerp.show.logit_baselines import card_lines
from autointerp.show.measured_effects import measured_lines
from autointerp.show.output_score import output_score_line
from autointerp.show.plot import bars, levels
from autointerp.show.sensitivity import sensitivity_line
from autointerp.show.text import running, safe, token_text, visible, wrapped
from autointerp.show.token_change import token_change_lines
from autointerp.store.query import Queryable
from autointerp.words import NO_LABEL, is_control


def feature_card(
    store: Queryable,
    dictionary: str,
    feature: int,
    *,
    top: int = 8,
    each: int = 1,
    everything: bool = False,
    marks: bool = False,
) -> RenderableType:
    """The card of a feature, read and rendered. `everything`: controls, all metrics, and exemplars by quantile too.

    `marks`: «…» around active tokens, for output without colours.
    """
    card = load_card(store, dictionary, feature, top=top, each=each, quantiles=everything)
    return render_card(card, everything=everything, marks=marks)


def render_card(card: FeatureCard, *, everything: bool = False, marks: bool = False) -> RenderableType:
    """From the record to the page."""
    lines = [line for line in card.explanations if everything or not is_control(line.explainer)]
    parts: list[RenderableType] = [_header(card), Text()]
    parts.append(_explanations(lines) if lines else Text("no explanations yet", style="dim"))
    if any(line.scores for line in lines):
        beside = card_lines([*card.without, *(line for line in card.explanations if is_control(line.explainer))])
        unit = [line for line in card.without if line.explainer == NO_LABEL]
        parts += [Text(), card_scores([*lines, *beside, *unit], everything)]
    if card.promoted or card.suppressed:
        parts += [Text(), _logit_effects("promotes", card.promoted), _logit_effects("suppresses", card.suppressed)]
    parts += [line for line in lines_measured(card) if line is not None]
    parts += [Text(), _exemplars(card, marks) if card.exemplars else Text("no exemplars", style="dim")]
    return Group(*parts)


def lines_measured(card: FeatureCard) -> tuple[Text | None, ...]:
    """What was measured by changing the model's activations, or its text."""
    return (
        measured_lines(card.measured),
        token_change_lines(card.token_change),
        output_score_line(card.output_score),
        context_lines(card.contexts),
        sensitivity_line(card.sensitivity),
        geometry_line(card.geometry),
        matches_line(card.matches),
    )


# --- what it is

_STATUS_STYLE = {"alive": "green", "rare": "yellow", "dead": "red"}


def _header(card: FeatureCard) -> Text:
    header = Text()
    header.append(f"{visible(card.dictionary)}/{card.feature}", style="bold")
    header.append(f"   {visible(card.kind)} at {visible(card.hook)}   ", style="dim")
    header.append(card.status, style=_STATUS_STYLE.get(card.status, ""))
    if card.diagnostics is not None and card.diagnostics.density_cluster == "ultralow":
        header.append(", of the ultralow-density cluster", style="yellow")
    if card.planted_label is not None:
        header.append(f"\nplanted: {visible(card.planted_label)}")
    if card.match is not None:
        header.append(f"\n{_match(card.match)}")
    header.append(f"\nfires on {card.n_firing:,} of {card.n_tokens:,} tokens ({100 * card.density:.2g} %)")
    if not card.n_firing:
        return header.append("\nno activation on the explain split", style="dim")
    if card.single_token_share is not None:
        header.append(f"; heaviest token {100 * card.single_token_share:.0f} %")
    if card.token_entropy is not None:
        header.append(f", token entropy {card.token_entropy:.2f} nats")
    header.append("\n").append_text(_histogram(card))
    if card.diagnostics is not None:
        header.append("\n").append_text(_alone(card.diagnostics))
        header.append("\n").append_text(_nearest(card.diagnostics, card.neighbours))
    return header


def _match(match: Match) -> str:
    other = visible(match.dictionary) + ("" if match.feature is None else f"/{match.feature}")
    words = {"unmatched": "not matched to", "natural": "at its natural density, beside"}
    few = " (too few firings to match)" if match.status == "unmatched" else ""
    return f"{words.get(match.status or '', 'density matched to')} {other}{few}"


def _histogram(card: FeatureCard) -> Text:
    filled = [i for i, count in enumerate(card.histogram_log) if count]
    if not filled:
        return Text(f"max {card.max_activation:.3g}")
    low, high = filled[0], filled[-1]
    line = Text("activations ")
    line.append(f"{2.0 ** (low - 16):.1g} ", style="dim")
    line.append(bars(card.histogram_log[low : high + 1]), style="cyan")
    line.append(f" {card.max_activation:.3g}", style="dim")
    line.append(" (by octave, log)   ", style="dim")
    return line.append_text(_places(card))


def _places(card: FeatureCard) -> Text:
    line = Text("by place ")
    shares = [0.0 if math.isnan(share) else share for share in card.position_shares]
    largest = max(shares, default=0.0)
    steps = [0 if largest == 0 else math.ceil(8 * share / largest) for share in shares]
    line.append(levels(steps), style="cyan")
    return line.append(f" up to {100 * largest:.2g} %", style="dim")


def _alone(diagnostics: CardDiagnostics) -> Text:
    """Can it be read off the embedding?"""
    line = Text("token alone ")
    line.append(_correlation(diagnostics.alone_correlation, diagnostics.alone_status))
    for text, activation in diagnostics.alone:
        line.append(f"  {token_text(text)}", style="not dim").append(f" {activation:.2g}", style="dim")
    return line


def _nearest(diagnostics: CardDiagnostics, neighbours: Sequence[Neighbour]) -> Text:
    """Is it a neuron, and which features are like it?"""
    line = Text("nearest neuron ")
    if diagnostics.neuron is None:
        line.append(f"none: {visible(diagnostics.neuron_status)}", style="dim")
    else:
        line.append(f"{visible(str(diagnostics.neuron_hook))}/{diagnostics.neuron} ")
        line.append(
            f"r {diagnostics.neuron_correlation:.2f}",
            style="bold" if abs(diagnostics.neuron_correlation or 0) >= 0.9 else "dim",
        )
    if neighbours:
        line.append("; features")
    for near in neighbours[:3]:
        line.append(f"  {near.feature}").append(f" cos {near.cosine:.2f}", style="dim")
        line.append("" if near.correlation is None else f" r {near.correlation:.2f}", style="dim")
    return line


def _correlation(value: float | None, status: str) -> Text:
    if value is None:
        return Text(f"none: {visible(status)}", style="dim")
    return Text(f"r {value:.2f}", style="bold" if value >= 0.9 else "")


# --- what is said of it


def _explanations(lines: Sequence[ExplanationLine]) -> FittedToWidth:
    named = max(cell_len(visible(line.explainer)) for line in lines)

    def texts(width: int) -> Group:
        # A long name (a model's) goes above its text.
        beside = named + 2 if named <= width // 4 else 0
        parts = []
        for number, line in enumerate(lines):
            dim = "dim" if number else ""
            name = safe(line.explainer, dim or "bold")
            name.append(" " * (beside - name.cell_len) if beside else "\n  ")
            text = f"none: {line.status}" if line.text is None else line.text
            if line.text and any(other.text and other.text.startswith(line.text) for other in lines[:number]):
                text = "(the beginning of the text above)"
            if line.description_length is not None:
                text += f" · {line.description_length:,} tokens"
            indented = wrapped(visible(text), width - (beside or 2)).replace("\n", "\n" + " " * (beside or 2))
            parts.append(name.append(indented, "yellow" if line.text is None else dim or "not bold"))
        return Group(*parts)

    return FittedToWidth(texts)


# --- what it promotes


def _logit_effects(verb: str, effects: Sequence[LogitEffect]) -> FittedToWidth:
    """As many as fit on a line, strongest first, each with its z."""

    def line(width: int) -> Text:
        text = Text(f"{verb:<10}", style="bold")
        for effect in effects:
            shown, z = f"  {token_text(effect.text)} ", f"{effect.z:+.1f}"
            if effect is not effects[0] and text.cell_len + cell_len(shown + z) > width:
                break
            text.append(shown, style="not bold green" if verb == "promotes" else "not bold red")
            text.append(z, style="dim not bold")
        return text

    return FittedToWidth(line)


# --- where it fires

_STRATUM, _ACTIVATION, _GAP = 12, 7, 2


def _exemplars(card: FeatureCard, marks: bool) -> FittedToWidth:
    return FittedToWidth(lambda width: Group(*_concordance(card, marks, width)))


def _concordance(card: FeatureCard, marks: bool, width: int) -> list[Text]:
    room = max(width - _STRATUM - _ACTIVATION - _GAP, 20)
    left = room // 3
    head = f"{'exemplars':<{_STRATUM}}{'at ▾':>{_ACTIVATION}}{'':{_GAP + left}}▾ the token each was chosen for"
    lines = [Text(head, style="dim")]
    stratum = None
    for exemplar in card.exemplars:
        shown = visible(exemplar.stratum) if exemplar.stratum != stratum else ""
        stratum = exemplar.stratum
        line = Text(f"{shown:<{_STRATUM}}", style="dim")
        peak = exemplar.tokens[exemplar.peak].activation if exemplar.peak < len(exemplar.tokens) else 0.0
        line.append(f"{peak:>{_ACTIVATION}.3g}{'':{_GAP}}", style="not dim")
        before, after = _window(exemplar, card.max_activation, marks)
        line.append_text(_cropped_left(before, left)).append_text(_cropped_right(after, room - left))
        lines.append(line)
    return lines


def _window(exemplar: CardExemplar, maximum: float, marks: bool) -> tuple[Text, Text]:
    """What stands before the token that the window was chosen for, and from there on."""
    before, after = Text(style="not dim"), Text(style="not dim")
    before.append("".join(map(running, exemplar.before)), style="dim")
    runs = [_run(exemplar, place) if marks else None for place in range(len(exemplar.tokens))]
    for place, token in enumerate(exemplar.tokens):
        part = before if place < exemplar.peak else after
        shown = running(token.text)
        if runs[place] is not None:
            opens = place == 0 or runs[place - 1] != runs[place]
            closes = place + 1 == len(runs) or runs[place + 1] != runs[place]
            shown = "«" * opens + shown + "»" * closes
        style = Style() if token.scored else Style(dim=True)
        if token.activation != 0 and not marks:
            style = _heat(token.activation / maximum if maximum > 0 else 0.0)
        if place == exemplar.peak:
            style += Style(bold=True, underline=token.activation == 0)
        part.append(shown, style=style)
    after.append("".join(map(running, exemplar.after)), style="dim")
    return before, after


def _run(exemplar: CardExemplar, place: int) -> int | None:
    """Which run of active tokens a token is in: those before the peak, the peak, those after it."""
    if exemplar.tokens[place].activation == 0:
        return None
    if place == exemplar.peak:
        return -1
    start = place
    while start > 0 and exemplar.tokens[start - 1].activation != 0 and start - 1 != exemplar.peak:
        start -= 1
    return start


def _cropped_left(text: Text, width: int) -> Text:
    """The end of the text, exactly `width` cells."""
    if text.cell_len > width:
        start = 0
        while cell_len(text.plain[start:]) > width - 1:
            start += 1
        text = Text("…", style="dim").append_text(text[start:])
    return Text(" " * (width - text.cell_len)).append_text(text)


def _cropped_right(text: Text, width: int) -> Text:
    """The beginning of the text, at most `width` cells."""
    if text.cell_len <= width:
        return text
    end = len(text)
    while cell_len(text.plain[:end]) > width - 1:
        end -= 1
    return text[:end].append("…", style="dim")


def _heat(share: float) -> Style:
    """Black on pale yellow to orange: readable whatever the terminal's own colours are."""
    share = min(max(share, 0.0), 1.0)
    return Style(color="#000000", bgcolor=f"#ff{round(240 - 130 * share):02x}{round(190 * (1 - share)):02x}")
