"""How many features of a dictionary can be read off the token alone: part of a higher score is being more like a
token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.store.query import Queryable

ALONE = 0.9
"""Correlation with the activation on the token alone, from which on a feature is read off the token."""


@dataclass(frozen=True)
class TokenLikeness:
    """A dictionary."""

    store: str
    dictionary: str
    share: float
    """Of the features that could be measured, those whose activation is that on the token alone (r >= ALONE)."""
    n: int
    """Features that fire in the sample on which it was measured."""


def load_token_likeness(store: Queryable, name: str) -> list[TokenLikeness]:
    """The dictionaries of the latest run whose features were measured, the most token-like first."""
    return [TokenLikeness(store=name, **row) for row in store.rows(_SHARES, alone=ALONE)]


_SHARES = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs)
SELECT dictionary, avg((alone_correlation >= $alone)::INTEGER) AS share, count(*) AS n
FROM feature_diagnostics
SEMI JOIN (FROM works SEMI JOIN latest USING (run)) w USING (dictionary)
WHERE alone_correlation IS NOT NULL GROUP BY dictionary ORDER BY share DESC, dictionary
"""


def token_likeness_sentence(rows: Sequence[TokenLikeness], several: bool = False) -> str | None:
    """Which share of each dictionary is read off the token alone; None where nothing was measured."""
    if not rows:
        return None
    shares = [f"{row.store + ': ' if several else ''}{row.dictionary} {100 * row.share:.0f} %" for row in rows]
    return (
        f"Read off the token alone (r >= {ALONE:g} with the activation on the token by itself): {', '.join(shares)} of "
        "the features. A dictionary of more such features is easier to label."
    )
