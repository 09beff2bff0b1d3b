"""A feature's card in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from autointerp.show.card_data import CONTROLS, Exemplar, ExplanationLine, FeatureCard, LogitEffect, load_card
from autointerp.show.plot import bars
from autointerp.show.text import safe, visible
from autointerp.store.query import Queryable


def feature_card(
    store: Queryable, dictionary: str, feature: int, *, top: int = 8, each: int = 1, marks: bool = False
) -> RenderableType:
    """The card of a feature, read and rendered. `marks`: «…» around active tokens, for output without colours."""
    return render_card(load_card(store, dictionary, feature, top=top, each=each), marks=marks)


def render_card(card: FeatureCard, *, marks: bool = False) -> RenderableType:
    """From the record to the page."""
    parts: list[RenderableType] = [_header(card), _histogram(card), Text()]
    parts.append(_explanations(card.explanations) if card.explanations else Text("no explanations yet", style="dim"))
    if card.promoted or card.suppressed:
        parts += [Text(), _logit_effects("promotes", card.promoted), _logit_effects("suppresses", card.suppressed)]
    parts.append(Text())
    parts.append(_exemplars(card, marks) if card.exemplars else Text("no exemplars", style="dim"))
    return Group(*parts)


_STATUS_STYLE = {"alive": "green", "rare": "yellow", "dead": "red"}


def _header(card: FeatureCard) -> Text:
    header = Text()
    header.append(f"{visible(card.dictionary)}/{card.feature}", style="bold")
    header.append(f"   {visible(card.kind)} at {visible(card.hook)}   ", style="dim")
    header.append(card.status, style=_STATUS_STYLE.get(card.status, ""))
    header.append(
        f"\ndensity {card.density:.3g} ({card.n_firing:,} of {card.n_tokens:,} tokens)   max {card.max_activation:.4g}"
    )
    if card.token_entropy is not None:
        header.append(f"   token entropy {card.token_entropy:.2f} nats")
    if card.single_token_share is not None:
        header.append(f"   heaviest token holds {card.single_token_share:.0%}")
    if card.planted_label is not None:
        header.append(f"\nplanted: {visible(card.planted_label)}")
    if card.match is not None:
        matched = card.match.dictionary + ("" if card.match.feature is None else f"/{card.match.feature}")
        site = "   (another site)" if card.match.other_site else ""
        header.append(f"\n{card.match.status or 'matched'}: density as {visible(matched)}{site}")
    return header


def _histogram(card: FeatureCard) -> Text:
    filled = [i for i, count in enumerate(card.histogram_log) if count]
    if not filled:
        return Text("no activation on the explain split", style="dim")
    low, high = filled[0], filled[-1]
    line = Text("activations by octave  ")
    line.append(f"{2.0 ** (low - 16):.3g} ", style="dim")
    line.append(bars(card.histogram_log[low : high + 1]), style="cyan")
    line.append(f" {2.0 ** (high - 15):.3g}", style="dim")
    line.append("   (height: log of the count)", style="dim")
    return line


def _explanations(lines: tuple[ExplanationLine, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("explainer")
    table.add_column("explanation", overflow="fold", ratio=1)
    table.add_column("score, 95 % interval", no_wrap=True)
    for line in lines:
        dim = "dim" if line.explainer in CONTROLS else ""
        text = safe(line.text, dim) if line.text is not None else safe(f"none: {line.status}", "yellow")
        table.add_row(safe(line.explainer, dim), text, _scores(line, dim))
    return table


def _scores(line: ExplanationLine, style: str) -> Text:
    rows = []
    for score in line.scores:
        name = f"{score.metric} ({score.design}, {score.scorer})"
        value = score.status if score.value is None else f"{score.value:.3f}"
        if score.ci_low is not None and score.ci_high is not None:
            value += f" [{score.ci_low:.3f}, {score.ci_high:.3f}]"
        if score.value is not None and score.status != "ok":
            value += f" {score.status}"
        rows.append(visible(f"{value:<22} {name}"))
    return Text("\n".join(rows), style=style)


def _logit_effects(verb: str, effects: tuple[LogitEffect, ...], n: int = 12) -> Text:
    line = Text(f"{verb:<11}", style="bold")
    for effect in effects[:n]:
        line.append(f" {visible(effect.text)} ", style="green" if verb == "promotes" else "red")
        line.append(f"{effect.z:+.1f}", style="dim not bold")
        line.append("  ")
    return line


def _exemplars(card: FeatureCard, marks: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("stratum", no_wrap=True)
    table.add_column("max", justify="right", no_wrap=True)
    table.add_column("window (line breaks as ⏎)", overflow="fold", ratio=1)
    before = "top"
    for exemplar in card.exemplars:
        table.add_row(
            safe(exemplar.stratum, "" if exemplar.stratum == "top" else "dim"),
            Text(f"{exemplar.max_activation:.3g}"),
            _window(exemplar, card.max_activation, marks),
            end_section=before == "top" != exemplar.stratum,
        )
        before = exemplar.stratum
    return table


def _window(exemplar: Exemplar, maximum: float, marks: bool) -> Text:
    text = Text()
    for token in exemplar.tokens:
        shown = visible(token.text)
        share = token.activation / maximum if maximum > 0 else 0.0
        if token.activation == 0:
            text.append(shown, style="" if token.scored else "dim")
        else:
            text.append(f"«{shown}»" if marks else shown, style=_heat(share))
    return text


def _heat(share: float) -> Style:
    """Black on pale yellow to orange: readable whatever the terminal's own colours are."""
    share = min(max(share, 0.0), 1.0)
    return Style(color="#000000", bgcolor=f"#ff{round(240 - 130 * share):02x}{round(190 * (1 - share)):02x}")
