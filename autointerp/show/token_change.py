"""What measurably rises and falls where a feature is clamped: read from the store, and its lines on a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from autointerp.show.text import token_text
from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable

SHOWN = 10
_STRENGTHS = """
SELECT run, direction, activation, n_contexts, kl, spread, agreement, direct_share FROM token_change_strengths
WHERE dictionary = $dictionary AND feature = $feature AND split = 'explain' ORDER BY direction <> 'feature'
"""
_CHANGES = """
SELECT t.run, t.side, v.text, t.change, t.error FROM token_changes t JOIN vocab v USING (token)
WHERE t.dictionary = $dictionary AND t.feature = $feature AND t.split = 'explain' AND t.direction = 'feature'
  AND t.rank <= $shown
ORDER BY t.side, t.rank
"""


@dataclass(frozen=True)
class MovedToken:
    """A token whose logit moves."""

    text: str
    change: float
    """Of its logit, the median change taken off."""
    error: float
    """Standard error over contexts."""


@dataclass(frozen=True)
class TokenChange:
    """A feature clamped at its maximum in contexts of the explain split."""

    activation: float
    """Its maximum."""
    n_contexts: int
    kl: float
    """Nats, a token."""
    kl_random: float
    """That of a random direction of the same norm, spread as the activations are."""
    spread: float
    """Standard deviation of the changes over the vocabulary."""
    spread_random: float
    agreement: float | None
    """Correlation of the changes with those in contexts of the score split."""
    direct_share: float | None
    """Correlation of the changes with the direct logit effects."""
    risen: tuple[MovedToken, ...]
    fallen: tuple[MovedToken, ...]


def load_token_change(store: Queryable, dictionary: str, feature: int) -> TokenChange | None:
    """None: it was not measured."""
    about = {"dictionary": dictionary, "feature": feature}
    rows = store.rows(_STRENGTHS, **about)
    works = current_works(store, "token_changes") if rows else None
    mine = [row for row in rows if works is None or row["run"] in works]
    if not mine:
        return None
    own, random = mine
    tokens = [row for row in store.rows(_CHANGES, shown=SHOWN, **about) if row["run"] == own["run"]]
    sides = {
        side: tuple(MovedToken(row["text"], row["change"], row["error"]) for row in tokens if row["side"] == side)
        for side in ("risen", "fallen")
    }
    return TokenChange(
        activation=own["activation"],
        n_contexts=own["n_contexts"],
        kl=own["kl"],
        kl_random=random["kl"],
        spread=own["spread"],
        spread_random=random["spread"],
        agreement=own["agreement"],
        direct_share=own["direct_share"],
        risen=sides["risen"],
        fallen=sides["fallen"],
    )


def token_change_lines(change: TokenChange | None) -> Text | None:
    """The tokens, and how far the output moves; None where nothing was measured."""
    if change is None:
        return None
    line = Text("clamped", style="bold")
    line.append("     rises ", style="not bold").append_text(_tokens(change.risen, "green"))
    line.append("\n            falls ", style="not bold").append_text(_tokens(change.fallen, "red"))
    facts = [f"KL {change.kl:.2g} nats (random direction {change.kl_random:.2g})"]
    if change.agreement is not None:
        facts.append(f"agreement of splits {change.agreement:.2f}")
    if change.direct_share is not None:
        facts.append(f"direct share {change.direct_share:.2f}")
    line.append(
        f"\n            at {change.activation:.3g} in {change.n_contexts} contexts: {'; '.join(facts)}",
        style="dim not bold",
    )
    return line


def _tokens(tokens: Sequence[MovedToken], style: str) -> Text:
    shown = Text()
    for token in tokens:
        shown.append(token_text(token.text), style=f"not bold {style}")
        shown.append(f" {token.change:+.2g} ", style="dim not bold")
    return shown
