"""What an activation depends on, and what a feature does to the tokens that follow: read from the store, and their
lines on a card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from autointerp.show.text import token_text
from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable

_DEPENDS = """
SELECT run, context, peak, activation, position, other, removed, masked, replaced, cut, between
FROM context_effects WHERE dictionary = $dictionary AND feature = $feature AND activation > 0
ORDER BY activation DESC, context, peak, other NULLS FIRST, position, other
"""

_FOLLOWING = """
SELECT run, context, peak, start, logp_change FROM following_effects
WHERE dictionary = $dictionary AND feature = $feature ORDER BY context, peak
"""

_CONTEXTS = "SELECT context, tokens FROM contexts WHERE context IN (SELECT unnest($contexts::BIGINT[]))"
_TEXTS = "SELECT token, text FROM vocab WHERE token IN (SELECT unnest($tokens::INTEGER[]))"

SHOWN = 4
"""Tokens named on a line."""
LEAST_LOST, LEAST_NATS = 0.05, 0.05
"""Share of the activation, and change of a log probability, below which a token is not named."""


@dataclass(frozen=True)
class ChangedToken:
    """A token before the peak, by the share of the activation that is lost where it is changed; below 0: it grows."""

    text: str
    place: int
    """Before the peak: -1 is the token in front of it."""
    removed: float | None
    masked: float | None
    replaced: float | None
    cut: float | None
    """The text begins behind it."""
    between: float | None
    """It and all up to the peak are masked."""

    @property
    def lost(self) -> float:
        """Masked where that could be done, else replaced."""
        value = self.replaced if self.masked is None else self.masked
        return 0.0 if value is None else value


@dataclass(frozen=True)
class ChangedPair:
    """Two tokens that are changed together."""

    first: ChangedToken
    second: ChangedToken
    lost: float
    """Share of the activation, as `ChangedToken.lost`."""

    @property
    def beyond(self) -> float:
        """What the two lose together above what they lose apart: large where either is enough."""
        return self.lost - self.first.lost - self.second.lost


@dataclass(frozen=True)
class ContextDependence:
    """One exemplar."""

    context: int
    peak: int
    text: str
    """Of the strongest token."""
    activation: float
    alone: float | None
    """Share of the activation that the strongest token has without all before it; None: not all was left out."""
    tokens: tuple[ChangedToken, ...]
    """The farthest first."""
    pairs: tuple[ChangedPair, ...]
    """Those that lose more together than apart first."""


@dataclass(frozen=True)
class TokensBehind:
    """One exemplar's context without the feature."""

    context: int
    peak: int
    start: int
    """Position in the context of the first of `texts`."""
    texts: tuple[str, ...]
    logp_change: tuple[float, ...]
    """Of each, nats; below 0: the feature makes the token likelier."""


@dataclass(frozen=True)
class ContextsOfFeature:
    """All that was measured on a feature's exemplars; empty where nothing was."""

    depends: tuple[ContextDependence, ...] = ()
    behind: tuple[TokensBehind, ...] = ()


NOT_MEASURED = ContextsOfFeature()


def load_contexts(store: Queryable, dictionary: str, feature: int) -> ContextsOfFeature:
    """The strongest exemplar first."""
    key = {"dictionary": dictionary, "feature": feature}
    rows, behind = store.rows(_DEPENDS, **key), store.rows(_FOLLOWING, **key)
    works = current_works(store, "context_effects") if rows or behind else None
    if works is not None:
        rows, behind = ([row for row in of if row["run"] in works] for of in (rows, behind))
    numbers = sorted({row["context"] for row in [*rows, *behind]})
    if not numbers:
        return ContextsOfFeature()
    tokens = {row["context"]: row["tokens"] for row in store.rows(_CONTEXTS, contexts=numbers)}
    ids = sorted({token for context in tokens.values() for token in context})
    text = {row["token"]: row["text"] for row in store.rows(_TEXTS, tokens=ids)}
    texts = {context: [text.get(token, f"<{token}>") for token in of] for context, of in tokens.items()}
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["context"], row["peak"]), []).append(row)
    return ContextsOfFeature(
        tuple(_dependence(group, texts[context]) for (context, _), group in groups.items()),
        tuple(
            TokensBehind(
                row["context"],
                row["peak"],
                row["start"],
                tuple(texts[row["context"]][row["start"] :]),
                tuple(row["logp_change"]),
            )
            for row in behind
        ),
    )


def _dependence(rows: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> ContextDependence:
    first = rows[0]
    peak, activation = first["peak"], first["activation"]

    def lost(row: Mapping[str, Any], way: str) -> float | None:
        return None if row[way] is None else 1 - row[way] / activation

    tokens = {
        row["position"]: ChangedToken(
            texts[row["position"]],
            row["position"] - peak,
            *(lost(row, way) for way in ("removed", "masked", "replaced", "cut", "between")),
        )
        for row in rows
        if row["other"] is None
    }
    pairs = []
    for row in rows:
        if row["other"] is None:
            continue
        together = lost(row, "replaced") if row["masked"] is None else lost(row, "masked")
        pairs.append(ChangedPair(tokens[row["position"]], tokens[row["other"]], together or 0.0))
    nearest = tokens.get(peak - 1)
    return ContextDependence(
        context=first["context"],
        peak=peak,
        text=texts[peak],
        activation=activation,
        alone=None if nearest is None or nearest.cut is None else 1 - nearest.cut,
        tokens=tuple(tokens[position] for position in sorted(tokens)),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.beyond)),
    )


def changes_around(behind: Iterable[TokensBehind], context: int, peak: int, first: int, n: int) -> tuple[float, ...]:
    """Changes of `n` tokens of a context from position `first` on, 0 before the first firing; empty: not measured."""
    for of in behind:
        if (of.context, of.peak) == (context, peak):
            change = dict(enumerate(of.logp_change, start=of.start))
            return tuple(change.get(position, 0.0) for position in range(first, first + n))
    return ()


def context_lines(contexts: ContextsOfFeature) -> Text | None:
    """What the strongest exemplar depends on, and the tokens behind that change most; None: nothing was measured."""
    if not contexts.depends and not contexts.behind:
        return None
    lines = [_depends_line(contexts.depends[0])] if contexts.depends else []
    if contexts.behind:
        lines.append(_behind_line(contexts.behind))
    return Text("\n").join(lines)


def _depends_line(exemplar: ContextDependence) -> Text:
    line = Text("depends on", style="bold")
    at = f"  at {token_text(exemplar.text)} {exemplar.activation:.3g}:"
    line.append(at, style="not bold")
    if exemplar.alone is not None:
        line.append(f" alone {100 * exemplar.alone:.0f} %;", style="not bold")
    strong = sorted(exemplar.tokens, key=lambda token: -abs(token.lost))[:SHOWN]
    named = [token for token in strong if abs(token.lost) >= LEAST_LOST]
    without = ", ".join(f"{token_text(token.text)} {-100 * token.lost:+.0f} %" for token in named)
    line.append(f" without {without}" if named else " on no single token before it", style="not bold")
    pair = next((pair for pair in exemplar.pairs if pair.beyond >= LEAST_LOST), None)
    if pair is not None:
        both = f"{token_text(pair.first.text)} and {token_text(pair.second.text)}"
        line.append(f"\n            without both {both} {-100 * pair.lost:+.0f} %", style="dim not bold")
    return line


def _behind_line(behind: Sequence[TokensBehind]) -> Text:
    changed = [pair for of in behind for pair in zip(of.texts, of.logp_change, strict=True)]
    line = Text("then", style="bold")
    for name, sign in (("likelier", -1), ("less likely", 1)):
        strongest: dict[str, float] = {}
        for text, change in sorted(changed, key=lambda pair: -sign * pair[1]):
            if sign * change >= LEAST_NATS:
                strongest.setdefault(text, change)
        shown = ", ".join(f"{token_text(text)} {-change:+.2g}" for text, change in list(strongest.items())[:SHOWN])
        line.append(f"  {name}: {shown or 'none'};" if sign < 0 else f" {name}: {shown or 'none'}", style="not bold")
    contexts = "context" if len(behind) == 1 else "contexts"
    line.append(f"  (nats, by the feature, in {len(behind)} {contexts})", style="dim not bold")
    return line
