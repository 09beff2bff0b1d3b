"""The feature of each other dictionary that fires most like this one: read from the store, and its line on a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from autointerp.show.text import visible
from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable
from autointerp.words import is_label

_MATCHES = """
SELECT m.run, m.other, m.match, m.correlation, m.cosine, m.status, f.feature IS NOT NULL AS extracted
FROM feature_matches m LEFT JOIN features f ON f.dictionary = m.other AND f.feature = m.match
WHERE m.dictionary = $dictionary AND m.feature = $feature
ORDER BY m.correlation DESC NULLS LAST, m.other
"""

_LABELS = """
WITH said AS (
    SELECT e.dictionary, e.explainer, arg_max_null(e.text, e.again) AS text
    FROM explanations e
    JOIN (SELECT unnest($others::VARCHAR[]) AS dictionary, unnest($features::INTEGER[]) AS feature) m
         USING (dictionary, feature)
    WHERE list_contains($features::INTEGER[], e.feature) GROUP BY e.dictionary, e.explainer
)
FROM said WHERE text IS NOT NULL ORDER BY dictionary, explainer
"""
SHOWN = 3
"""Matches that a card names."""


@dataclass(frozen=True)
class FeatureMatch:
    """The feature of another dictionary whose activations correlate most with this one's."""

    other: str
    match: int | None
    """None where status is not ok."""
    correlation: float | None
    cosine: float | None
    """Of their directions; None where they write at different hooks."""
    status: str
    extracted: bool
    """Whether it has a page."""
    explainer: str | None
    label: str | None
    """By the first explainer, in the order of their names, that labels this feature too; None: it has no label."""


def load_matches(
    store: Queryable, dictionary: str, feature: int, explainers: Sequence[str]
) -> tuple[FeatureMatch, ...]:
    """The best first; empty where nobody looked. `explainers`: those of this feature."""
    rows = store.rows(_MATCHES, dictionary=dictionary, feature=feature)
    works = current_works(store, "similarity") if rows else None
    rows = [row for row in rows if works is None or row["run"] in works]
    some = [row for row in rows if row["extracted"]]
    labels: dict[str, tuple[str, str]] = {}
    if some:
        asked = {"others": [row["other"] for row in some], "features": [row["match"] for row in some]}
        for label in store.rows(_LABELS, **asked):
            if label["explainer"] in explainers and is_label(label["explainer"]):
                labels.setdefault(label["dictionary"], (label["explainer"], label["text"]))
    return tuple(
        FeatureMatch(
            **{key: value for key, value in row.items() if key != "run"},
            explainer=labels.get(row["other"], (None, None))[0],
            label=labels.get(row["other"], (None, None))[1],
        )
        for row in rows
    )


def matches_line(matches: Sequence[FeatureMatch]) -> Text | None:
    """The SHOWN best; None where nobody looked."""
    if not matches:
        return None
    line = Text("elsewhere", style="bold")
    known = [near for near in matches if near.status == "ok"]
    if not known:
        return line.append(f"   no match in other dictionaries: {matches[0].status}", style="dim not bold")
    for near in known[:SHOWN]:
        line.append(f"   {visible(near.other)}/{near.match}", style="not bold")
        line.append(f" r {near.correlation:.2f}", style="bold" if (near.correlation or 0) >= 0.7 else "dim not bold")
        line.append("" if near.cosine is None else f" cos {near.cosine:.2f}", style="dim not bold")
    return line
