"""The page of `autointerp steer`, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.pipeline.steer import ContinuedText, SteeredDirection, SteerReport
from autointerp.show.layout import Column, sheet
from autointerp.show.plain_json import as_json, plain
from autointerp.show.steer_names import DIRECTION_NAMES
from autointerp.show.text import safe, token_text, visible

FORMAT, VERSION = "autointerp-steering", 1


def steer_page(report: SteerReport, label: str | None) -> RenderableType:
    """Sizes, texts, and what may come next."""
    choice = report.choice
    head = Text(f"{report.dictionary}/{report.feature}", style="bold")
    if choice.against:
        head.append(" taken away", style="bold")
    if label:
        head.append(f"  {visible(label)}", style="not bold")
    how = "the likeliest token each time" if choice.temperature == 0 else f"drawn at {choice.temperature:g}"
    share = f", {100 * choice.kl / report.entropy:.2g} % of its entropy" if report.entropy > 0 else ""
    parts: list[RenderableType] = [
        head,
        safe(f"{report.hook}, every token but the BOS; the next token's prediction moves by {choice.kl:g} nats{share}"),
        Text(),
        _sizes(report.directions),
        Text(),
        safe(f"what comes next after {len(report.tokens)} tokens, log probabilities", "bold"),
        _next_tokens(report),
        Text(),
        safe(f"the text, and what is written after it ({how})", "bold"),
        _text("as it is", report.prompt, report.as_it_is),
    ]
    parts += [_text(DIRECTION_NAMES[of.name], report.prompt, of.continued) for of in report.directions if of.continued]
    return Group(*parts)


def _sizes(directions: Sequence[SteeredDirection]) -> RenderableType:
    columns = [
        Column("direction", [DIRECTION_NAMES[of.name] for of in directions], key=True),
        Column("KL", [_kl(of) for of in directions], right=True),
        Column("size", [_number(of.size) for of in directions], right=True),
        Column("of an activation", [_number(of.of_activation) for of in directions], right=True),
        Column("of the largest firing", [_number(of.of_largest) for of in directions], right=True),
        Column("KL a token written", [_number(_mean(of.continued, "kl")) for of in directions], right=True),
        Column("log p of it", [_number(_mean(of.continued, "logp")) for of in directions], right=True),
        Column("as it is", [_number(_mean(of.continued, "logp_as_it_is")) for of in directions], right=True),
    ]
    return sheet(None, columns)


def _kl(direction: SteeredDirection) -> str:
    return f"{direction.kl:.3g}" if direction.size is not None else f"never: {direction.kl:.2g} at most"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _mean(text: ContinuedText | None, column: str) -> float | None:
    values: tuple[float, ...] = () if text is None else getattr(text, column)
    return sum(values) / len(values) if values else None


def _next_tokens(report: SteerReport) -> RenderableType:
    tokens = report.next_tokens
    columns = [
        Column("token", [token_text(token.text) for token in tokens], key=True),
        Column("as it is", [f"{token.as_it_is:.2f}" for token in tokens], right=True),
    ]
    columns += [
        Column(DIRECTION_NAMES[of.name], [_log(token.steered[row]) for token in tokens], right=True)
        for row, of in enumerate(report.directions)
    ]
    return sheet(None, columns)


def _log(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _text(name: str, prompt: str, text: ContinuedText) -> Text:
    line = Text(f"  {name}: ", style="dim")
    line.append(visible(prompt), style="not dim")
    line.append(visible("".join(text.texts)), style="not dim bold")
    return line


def steer_json(report: SteerReport, label: str | None) -> str:
    """All of it."""
    page = {"format": FORMAT, "version": VERSION, "label": label, **plain(report)}
    return as_json(page).decode()
