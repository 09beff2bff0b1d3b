"""A feature's output score: read from the store, and its line on a card."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from autointerp.show.text import token_text
from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable

_SCORE = """
SELECT run, status, activation, o.token, v.text, probability, rank, score, score_before
FROM output_scores o LEFT JOIN vocab v ON v.token = o.token WHERE dictionary = $dictionary AND feature = $feature
"""


@dataclass(frozen=True)
class OutputScore:
    """What the model says when a feature is turned up at the end of a neutral prompt."""

    status: str
    """ok, or why there is none: silent, writes_nothing, not_finite."""
    activation: float | None
    """What was added to its activation."""
    token: str | None
    """The likeliest then of the 20 that it promotes most."""
    probability: float | None
    rank: int | None
    """Among all tokens, from 1."""
    score: float | None
    """The probability times a term that falls from 1 to 0 with the rank."""
    score_before: float | None
    """That of the likeliest of the 20 where nothing is turned up."""


def load_output_score(store: Queryable, dictionary: str, feature: int) -> OutputScore | None:
    """None: it was not measured."""
    rows = store.rows(_SCORE, dictionary=dictionary, feature=feature)
    works = current_works(store, "output_scores") if rows else None
    mine = [row for row in rows if works is None or row["run"] in works]
    if not mine:
        return None
    row = mine[0]
    columns = ("status", "activation", "probability", "rank", "score", "score_before")
    return OutputScore(token=row["text"], **{column: row[column] for column in columns})


def output_score_line(score: OutputScore | None) -> Text | None:
    """The score, the token and what it is without the feature; None where nothing was measured."""
    if score is None:
        return None
    line = Text("turned up", style="bold")
    if score.score is None:
        return line.append(f"  no output score: {score.status}", style="dim not bold")
    line.append(f"   output score {score.score:.3g}: ", style="not bold")
    line.append(token_text(score.token or ""), style="not bold green")
    line.append(f" of probability {score.probability:.2g}, rank {score.rank:,}", style="not bold")
    line.append(f" (without it {score.score_before:.2g})", style="dim not bold")
    return line
