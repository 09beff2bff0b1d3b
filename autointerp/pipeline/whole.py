"""What scores of a sample of features say of the whole dictionary: read from a store, nothing is asked or written.

1. The drawn features are those with a row in `score_table` of this explainer, scorer and metric, whatever its status: a
   failure counts at the floor, as a feature that fires too seldom does.
2. Strata are those of `feature_sample.py`. Where the run drew by them (`strata = true`), the weights are those of the
   draw; of a plain sample they are weights after the fact.
3. A label holds where its score is at least the limit. P(label holds) of the features that were not drawn comes from
   what the store knows of them (`compare/holds.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from autointerp.compare.holds import FOLDS, HoldsFit, Known, fit_holds
from autointerp.compare.interval import Interval
from autointerp.compare.population import Population, population_mean, population_share
from autointerp.errors import UserError, nearest
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline.feature_sample import Stratified, strata_of
from autointerp.records import Int64
from autointerp.score.metric_registry import metric_named
from autointerp.score.metrics import FloatArray
from autointerp.store.query import Queryable
from autointerp.words import is_control

_SEED = "SELECT seed, config FROM runs ORDER BY started_at DESC LIMIT 1"
_SCORED = """
SELECT dictionary, explainer, scorer, metric, count(*) AS n, count(value) AS n_values FROM score_table
WHERE design = 'sample' GROUP BY ALL ORDER BY ALL
"""
_SCORES = """
SELECT feature, CASE WHEN status = 'underpowered' THEN NULL ELSE value END AS value, ci_low, ci_high FROM score_table
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer AND metric = $metric
  AND design = 'sample' ORDER BY feature
"""
_FLOOR = """
SELECT floor FROM dictionary_summary WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer
  AND metric = $metric AND design = 'sample'
"""
_KNOWN = """
WITH free AS (
    PIVOT (FROM score_table WHERE design = 'census' AND metric = 'pearson' AND dictionary = $dictionary
           AND explainer IN ('lexical', 'context_lookup'))
    ON explainer IN ('lexical', 'context_lookup') USING any_value(value) GROUP BY feature
)
SELECT f.feature, CASE WHEN f.density > 0 THEN log10(f.density) END AS density, f.token_entropy, free.lexical,
       free.context_lookup, n.cosine
FROM features f LEFT JOIN free USING (feature)
LEFT JOIN (
    SELECT feature, max(cosine) AS cosine FROM feature_neighbours WHERE dictionary = $dictionary GROUP BY feature
) n USING (feature)
WHERE f.dictionary = $dictionary ORDER BY f.feature
"""
_NEIGHBOURS = """
SELECT feature, neighbour FROM feature_neighbours WHERE dictionary = $dictionary ORDER BY feature, rank
"""
COVARIATES = ("log10 density", "token entropy", "lexical", "context_lookup", "nearest cosine")
"""Beside these: the share of labels that hold among the nearest features that were scored."""
ABOVE_CHANCE = 0.5
"""A label holds, unless a limit is stated, where it gets half of the way from chance to the metric's largest value."""


@dataclass(frozen=True)
class WholeChoice:
    """Which scores; None: what there is, where there is one only."""

    dictionary: str | None = None
    explainer: str | None = None
    scorer: str | None = None
    metric: str | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Whole:
    """What is said of one dictionary's labels."""

    dictionary: str
    explainer: str
    scorer: str
    metric: str
    limit: float
    by_strata: bool
    """Whether the run drew by strata; else they are weights after the fact."""
    n_features: int
    """Extracted."""
    n_drawn: int
    n_failed: int
    """Of the drawn ones, without a value."""
    n_unscorable: int
    """Rare and dead."""
    floor: float
    mean: Interval
    """Of all features, what cannot be scored at the floor."""
    plain_mean: float
    """Of the drawn ones with a value."""
    share: Interval
    """Of all features, whose labels hold."""
    fit: HoldsFit
    features: Int64  # [N] what `fit.p` is about
    stratum: Int64  # [N]
    weight: FloatArray  # [N] nan where not drawn
    score: FloatArray  # [N] nan where there is none
    drawn: Int64  # [n] places

    @property
    def p(self) -> FloatArray:
        """P(label holds) of every feature: of the drawn ones held out, 0 of those that cannot be scored."""
        p = self.fit.p.copy()
        p[self.drawn] = self.fit.held_out
        p[self.stratum < 0] = 0.0
        return p


def whole(store: Queryable, choice: WholeChoice) -> list[Whole]:
    """One for each set of scores that fits the choice. Raises UserError where none does."""
    sets = _sets(store, choice)
    seed = store.rows(_SEED)[0]
    chosen = json.loads(seed["config"]).get("score", {}).get("features")
    by_strata = isinstance(chosen, dict) and bool(chosen.get("strata"))
    return [_one(store, row, choice.limit, int(seed["seed"]), by_strata) for row in sets]


def _sets(store: Queryable, choice: WholeChoice) -> list[dict[str, str]]:
    there = [row for row in store.rows(_SCORED) if not is_control(row["explainer"])]
    if not there:
        raise UserError("the store has no sampled scores: run a scorer with a judge, or of explainers with a lookup")
    for name in ("dictionary", "explainer", "scorer", "metric"):
        wanted = getattr(choice, name)
        known = sorted({row[name] for row in there})
        if wanted is not None:
            if wanted not in known:
                raise UserError(f'no sampled scores of {name} "{wanted}"{nearest(wanted, known, listed="there are")}')
            there = [row for row in there if row[name] == wanted]
        elif name == "metric":
            first = [row for row in there if _is_first(row)]
            there = first or there
    return there


def _is_first(row: dict[str, str]) -> bool:
    metric = metric_named(row["metric"], "sample")
    return metric is not None and metric.is_first(row["scorer"].split(" ")[0])


def _one(store: Queryable, of: dict[str, str], limit: float | None, seed: int, by_strata: bool) -> Whole:
    name = of["dictionary"]
    keys = {key: of[key] for key in ("dictionary", "explainer", "scorer", "metric")}
    population = strata_of(store, name, seed)
    rows = store.rows(_SCORES, **keys)
    drawn = np.searchsorted(population.features, np.array([row["feature"] for row in rows], dtype=np.int64))
    keep = population.strata[drawn] >= 0
    rows, drawn = [row for row, kept in zip(rows, keep, strict=True) if kept], drawn[keep]
    floors = store.rows(_FLOOR, **keys)
    floor = float(floors[0]["floor"] or 0.0) if floors else 0.0
    values = np.array([np.nan if row["value"] is None else row["value"] for row in rows], dtype=np.float64)
    missing = np.isnan(values)
    y = np.where(missing, floor, values)
    least = limit_of(of["metric"]) if limit is None else limit
    holds = np.where(missing, 0.0, (y >= least).astype(np.float64))
    world = Population(population.strata, drawn, floor)
    weights = world.weights if len(drawn) else np.zeros(0)
    score, weight = np.full(len(population.features), np.nan), np.full(len(population.features), np.nan)
    score[drawn], weight[drawn] = values, weights
    return Whole(
        **keys,
        limit=least,
        by_strata=by_strata,
        n_features=len(population.features),
        n_drawn=len(drawn),
        n_failed=int(missing.sum()),
        n_unscorable=int((population.strata < 0).sum()),
        floor=floor,
        mean=population_mean(y, world, _noise(rows)),
        plain_mean=float(values[~missing].mean()) if (~missing).any() else float("nan"),
        share=population_share(holds, world),
        fit=fit_holds(_known(store, name, population, seed), drawn, holds, weights),
        features=population.features,
        stratum=population.strata,
        weight=weight,
        score=score,
        drawn=drawn,
    )


def _noise(rows: list[dict[str, float | None]]) -> FloatArray | None:
    """Variance of each score itself, by its interval; None where scores have none."""
    widths = [
        (row["ci_high"] - row["ci_low"]) / (2 * 1.96)
        if row["ci_low"] is not None and row["ci_high"] is not None
        else 0.0
        for row in rows
    ]
    return np.square(np.array(widths, dtype=np.float64)) if any(widths) else None


def limit_of(metric: str) -> float:
    """Half of the way from what knows nothing gets to the metric's largest value."""
    known = metric_named(metric, "sample")
    chance = 0.0 if known is None or known.chance is None else known.chance
    most = 1.0 if known is None else known.bounds[1]
    return chance + ABOVE_CHANCE * (most - chance)


def _known(store: Queryable, dictionary: str, of: Stratified, seed: int) -> Known:
    rows = store.rows(_KNOWN, dictionary=dictionary)
    names = ("density", "token_entropy", "lexical", "context_lookup", "cosine")
    table = [[np.nan if row[name] is None else float(row[name]) for name in names] for row in rows]
    near: dict[int, list[int]] = {}
    place = {feature: at for at, feature in enumerate(of.features.tolist())}
    for row in store.rows(_NEIGHBOURS, dictionary=dictionary):
        if row["neighbour"] in place:
            near.setdefault(row["feature"], []).append(place[row["neighbour"]])
    folds = hash64(stream_key(seed, "folds", dictionary), of.features) % np.uint64(FOLDS)
    return Known(
        np.array(table, dtype=np.float64).reshape(len(of.features), len(names)),
        tuple(np.array(near.get(feature, []), dtype=np.int64) for feature in of.features.tolist()),
        folds.astype(np.int64),
    )
