"""Prediction-powered means beside plain ones: what an LLM's scores of drawn features say of all of them, in
sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.show.score_kind import ScoreKind
from autointerp.store.query import Queryable


@dataclass(frozen=True)
class PoweredMean:
    """A row of `powered_mean_table`."""

    store: str
    dictionary: str
    explainer: str
    scorer: str
    metric: str
    design: str
    predictor: str
    """Whose census of all features sharpens the mean."""
    n: int
    """Features drawn."""
    n_all: int
    mean: float
    ci_low: float
    ci_high: float
    slope: float
    as_good_as: float
    """So many drawn features would say as much by their plain mean."""

    @property
    def about(self) -> ScoreKind:
        return ScoreKind(self.design, self.metric, self.scorer, self.explainer)


@dataclass(frozen=True)
class PoweredDifference:
    """A row of `powered_difference_table`."""

    store: str
    a: str
    b: str
    explainer: str
    scorer: str
    metric: str
    design: str
    predictor: str
    difference: float
    low: float
    """Of the interval that holds for all pairs at once."""
    high: float
    verdict: str

    @property
    def about(self) -> ScoreKind:
        return ScoreKind(self.design, self.metric, self.scorer, self.explainer)


def load_powered(store: Queryable, name: str) -> tuple[list[PoweredMean], list[PoweredDifference]]:
    """Those that count, of the dictionaries of the latest run."""
    means = [PoweredMean(store=name, **row) for row in store.rows(_MEANS)]
    return means, [PoweredDifference(store=name, **row) for row in store.rows(_DIFFERENCES)]


_MEANS = """
WITH latest AS (SELECT arg_max(run, started_at) AS run FROM runs)
SELECT dictionary, explainer, scorer, metric, design, predictor, n, n_all, mean, ci_low, ci_high, slope, as_good_as
FROM powered_mean_table
SEMI JOIN (FROM works SEMI JOIN latest USING (run)) w USING (dictionary, explainer)
ORDER BY explainer, scorer, metric, dictionary
"""
_DIFFERENCES = """
SELECT a, b, explainer, scorer, metric, design, predictor, difference, simultaneous_low AS low,
       simultaneous_high AS high, verdict
FROM powered_difference_table ORDER BY explainer, scorer, metric, a, b
"""


def powered_sentences(
    means: Sequence[PoweredMean], differences: Sequence[PoweredDifference], several: bool = False
) -> list[str]:
    """What they say about one kind of score, for each store: the means with their gain, then the differences."""
    lines = []
    for store in dict.fromkeys(row.store for row in means):
        front = f"{store}: " if several else ""
        mine = [row for row in means if row.store == store]
        parts = [
            f"{row.dictionary} {row.mean:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}], {row.n:,} of {row.n_all:,} "
            f"features drawn, as good as {row.as_good_as:,.0f} (b {row.slope:.2f})"
            for row in mine
        ]
        lines.append(f"{front}Prediction-powered means, by {mine[0].predictor}'s census: {'; '.join(parts)}.")
        pairs = [_difference(row) for row in differences if row.store == store]
        if pairs:
            lines.append(f"{front}Differences of these: {'; '.join(pairs)}.")
    return lines


def _difference(row: PoweredDifference) -> str:
    verdict = {"A": row.a, "B": row.b}.get(row.verdict, row.verdict)
    return f"{row.a} - {row.b} {row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}], {verdict}"
