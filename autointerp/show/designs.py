"""Census and sample of one explainer beside each other: what differs between them, and by how much on the same
features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.store.query import Queryable


@dataclass(frozen=True)
class BothDesigns:
    """A dictionary's labels by one explainer, scored in both designs."""

    store: str
    dictionary: str
    explainer: str
    n: int
    """Features with a score in both."""
    census: float
    """Mean census Pearson of these."""
    sample: float
    """Mean framed Pearson of the sample."""


def load_designs(store: Queryable, name: str) -> list[BothDesigns]:
    """Every explainer with both, of the dictionaries of the latest run."""
    return [BothDesigns(store=name, **row) for row in store.rows(_BOTH)]


_BOTH = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs)
SELECT s.dictionary, s.explainer, count(*) AS n, avg(c.value) AS census, avg(s.value) AS sample
FROM score_table s JOIN score_table c USING (dictionary, feature, explainer)
SEMI JOIN (FROM works SEMI JOIN latest USING (run)) w ON w.dictionary = s.dictionary AND w.explainer = s.explainer
WHERE s.scorer = 'simulation' AND s.metric = 'pearson_framed' AND s.design = 'sample' AND NOT s.is_control
      AND c.scorer = 'simulation' AND c.metric = 'pearson' AND c.design = 'census'
      AND s.value IS NOT NULL AND c.value IS NOT NULL AND s.status <> 'underpowered'
GROUP BY s.dictionary, s.explainer ORDER BY s.explainer, s.dictionary
"""


def designs_sentence(rows: Sequence[BothDesigns], several: bool = False) -> str | None:
    """What differs between the two, of one explainer; None without both."""
    if not rows:
        return None
    beside = [
        f"{row.store + ': ' if several else ''}{row.dictionary} {row.census:.3f} and {row.sample:.3f} ({row.n:,})"
        for row in rows
    ]
    return (
        "Census and sample: the census has every feature and every token of the score split; the sample drawn features "
        "and some windows of each, and counts a prediction in a window that nothing points to as 0. Mean Pearson of "
        f"the two on the same features: {'; '.join(beside)}."
    )
