"""The exemplars of a card: which windows are shown, and their texts.

Texts are as stored; whoever shows them makes them safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.show.context_effects import TokensBehind, changes_around
from autointerp.store.query import Queryable

Text = Callable[[int], str]
"""The text of a token."""
AROUND = 12
"""Tokens of the context read before and after a window, to show what it is cut from."""


@dataclass(frozen=True)
class ShownToken:
    """A token of an exemplar."""

    text: str
    activation: float
    scored: bool


@dataclass(frozen=True)
class CardExemplar:
    """A window of the explain split."""

    stratum: str
    rank: int
    document: str
    context: int
    window_start: int
    max_activation: float
    peak: int
    """Place in `tokens` of the token that it was chosen for; top: the largest activation."""
    before: tuple[str, ...]
    """The tokens before the window; whether they are active is not kept."""
    tokens: tuple[ShownToken, ...]
    after: tuple[str, ...]
    """The tokens after the window, likewise."""
    changes: tuple[float, ...] = ()
    """Change of the log probability of each token of `before`, `tokens` and `after` where the feature is taken away
    from the context, nats; below 0: it makes the token likelier. Empty: not measured."""


_EXEMPLARS = """
SELECT stratum, rank, context, window_start, n_tokens, max_activation, peak - window_start AS peak, stratum_high,
       positions, activations
FROM exemplars
WHERE dictionary = $dictionary AND feature = $feature AND split = 'explain'
      AND ($quantiles OR stratum NOT LIKE 'quantile%')
ORDER BY stratum <> 'top', stratum_high DESC NULLS LAST, stratum, rank
"""

_CONTEXTS = """
SELECT context, document_name, tokens, scored FROM contexts WHERE context IN (SELECT unnest($contexts))
"""


@dataclass(frozen=True)
class ChosenWindow:
    """A row of `exemplars` with its context's tokens before, in and after the window."""

    row: dict[str, Any]
    document: str
    before: list[int]
    tokens: list[int]
    scored: list[bool]
    after: list[int]


def choose_windows(store: Queryable, key: dict[str, Any], top: int, each: int, quantiles: bool) -> list[ChosenWindow]:
    n: Counter[str] = Counter()
    rows = []
    for row in store.rows(_EXEMPLARS, quantiles=quantiles, **key):
        n[row["stratum"]] += 1
        if n[row["stratum"]] <= (top if row["stratum"] == "top" else each):
            rows.append(row)
    numbers = sorted({row["context"] for row in rows})
    contexts = {row["context"]: row for row in store.rows(_CONTEXTS, contexts=numbers)}
    chosen = []
    for row in rows:
        of, first, last = contexts[row["context"]], row["window_start"], row["window_start"] + row["n_tokens"]
        tokens, before, after = of["tokens"], max(first - AROUND, 0), last + AROUND
        chosen.append(
            ChosenWindow(
                row,
                of["document_name"],
                tokens[before:first],
                tokens[first:last],
                of["scored"][first:last],
                tokens[last:after],
            )
        )
    return chosen


def card_exemplars(
    chosen: list[ChosenWindow], text: Text, behind: Sequence[TokensBehind] = ()
) -> tuple[CardExemplar, ...]:
    """`behind`: what was measured where the feature is taken away."""
    exemplars = []
    for window in chosen:
        row = window.row
        activation = dict(zip(row["positions"], row["activations"], strict=True))
        tokens = tuple(
            ShownToken(text(token), activation.get(place, 0.0), scored)
            for place, (token, scored) in enumerate(zip(window.tokens, window.scored, strict=True))
        )
        exemplars.append(
            CardExemplar(
                row["stratum"],
                row["rank"],
                window.document,
                row["context"],
                row["window_start"],
                row["max_activation"],
                row["peak"],
                tuple(map(text, window.before)),
                tokens,
                tuple(map(text, window.after)),
                _changes(window, behind) if row["stratum"] == "top" else (),
            )
        )
    return tuple(exemplars)


def _changes(window: ChosenWindow, behind: Sequence[TokensBehind]) -> tuple[float, ...]:
    row = window.row
    first = row["window_start"] - len(window.before)
    n = len(window.before) + len(window.tokens) + len(window.after)
    return changes_around(behind, row["context"], row["window_start"] + row["peak"], first, n)
