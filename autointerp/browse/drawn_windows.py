"""Windows of text with their tokens shaded, as markup. Written without a template: a page holds thousands of tokens,
and tokens at which nothing happens stand together as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from autointerp.browse.simulated_data import SimulatedToken
from autointerp.browse.wrong_data import JudgedToken
from autointerp.show.card_exemplars import CardExemplar
from autointerp.show.feature_parts import shade
from autointerp.show.text import running


@lru_cache(maxsize=20_000)
def broken(text: str) -> Markup:
    """`running`, with a place behind each line break where the page may break it."""
    return Markup(str(escape(running(text))).replace("⏎", '⏎<i class="lb"></i>'))  # noqa: S704 - escaped


NATS = (0.05, 0.2, 0.5, 1.0)
"""Changes of a log probability from which a token is underlined, thinly to thickly."""


def exemplar_text(window: CardExemplar, largest: float) -> Markup:
    """A window and what stands around it; underlined where the feature makes a token likelier or less likely."""
    n = len(window.before)
    changed = dict(enumerate(map(_underlined, window.changes), start=-n))
    nothing: tuple[list[str], str] = ([], "")
    pieces: list[tuple[str, str, str]] = []
    for place, token in enumerate(window.tokens):
        level = shade(token.activation, largest)
        classes = [f"a{level}"] if level else []
        classes += ["peak"] * (place == window.peak) + ["unscored"] * (not token.scored)
        title = f"{token.activation:.3g}{'' if token.scored else ' (not counted)'}" if classes else ""
        line, said = changed.get(place, nothing)
        pieces.append((token.text, " ".join(classes + line), "; ".join(filter(None, (title, said)))))
    around = []
    for texts, first in ((window.before, -n), (window.after, len(window.tokens))):
        lines = [changed.get(first + i, nothing) for i in range(len(texts))]
        around.append(
            _joined([(text, " ".join(line), said) for text, (line, said) in zip(texts, lines, strict=True)], "context")
        )
    return Markup(f"{around[0]}{_joined(pieces, 't')}{around[1]}")  # noqa: S704 - escaped


def _underlined(change: float) -> tuple[list[str], str]:
    """Classes and title."""
    level = sum(abs(change) >= least for least in NATS)
    if not level:
        return [], ""
    return [f"{'raised' if change < 0 else 'lowered'}{level}"], f"log p {-change:+.2g} by the feature"


def simulated_text(tokens: Iterable[SimulatedToken], largest_truth: float, largest_prediction: float) -> Markup:
    """Tokens with what is true above and what is predicted below."""
    pieces = []
    for token in tokens:
        true, predicted = shade(token.truth, largest_truth), shade(token.prediction, largest_prediction)
        classes = [f"u{true}"] * bool(true) + [f"p{predicted}"] * bool(predicted)
        classes += [token.wrong.replace(" ", "-")] * bool(token.wrong) + ["unscored"] * (not token.scored)
        title = f"true {token.truth:.3g}, predicted {token.prediction:.3g}{': ' * bool(token.wrong)}{token.wrong}"
        pieces.append((token.text, " ".join(classes), title if classes else ""))
    return _joined(pieces, "t both")


def judged_text(tokens: Iterable[JudgedToken], largest: float) -> Markup:
    """Tokens with their true activations, and what was marked for the judge."""
    pieces = []
    for token in tokens:
        level = shade(token.activation, largest)
        classes = [f"a{level}"] * bool(level) + ["marked"] * token.marked
        pieces.append((token.text, " ".join(classes), f"{token.activation:.3g}" if level else ""))
    return _joined(pieces, "t")


def _joined(pieces: Sequence[tuple[str, str, str]], kind: str) -> Markup:
    """Text, classes and title of each piece; neighbours without classes in one element."""
    parts, plain = [], ""
    for text, classes, title in pieces:
        if not classes:
            plain += text
            continue
        if plain:
            parts.append(f'<span class="{kind}">{broken(plain)}</span>')
            plain = ""
        said = f' title="{title}"' if title else ""
        parts.append(f'<span class="{kind} {classes}"{said}>{broken(text)}</span>')
    if plain:
        parts.append(f'<span class="{kind}">{broken(plain)}</span>')
    return Markup("".join(parts))  # noqa: S704 - texts are escaped, classes and titles are ours
