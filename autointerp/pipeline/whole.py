"""What scores of a sample of features say of the whole dictionary: read from a store, nothing is asked or written.

1. The drawn features are those with a row in `score_table` of this explainer, scorer and metric, whatever its status: a
   failure counts at the floor, as a feature that fires too seldom does.
2. Strata are those of `feature_sample.py`. Where the run drew by them (`strata = true`), the weights are those of the
   draw; of a plain sample they are weights after the fact.
3. A label holds where its score is at least the limit. P(label holds) of the features that were not drawn comes from
   what the store knows of them (`compare/holds.py`), by those that were drawn and have a label.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from autointerp.compare.holds import HoldsFit, fit_holds
from autointerp.compare.interval import Interval
from autointerp.compare.population import Population, population_mean, population_share
from autointerp.errors import UserError, nearest
from autointerp.pipeline.feature_sample import strata_of
from autointerp.pipeline.free_covariates import chance_of, current_free_scores, known_of, limit_of, reasons_of
from autointerp.records import Bool, Int64
from autointerp.score.metric_registry import is_primary
from autointerp.score.metrics import FloatArray
from autointerp.store.query import Queryable
from autointerp.words import RANKINGS, is_control, is_label, without_label

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
    features: Int64  # [N] what `fit.chance` is about
    stratum: Int64  # [N]
    weight: FloatArray  # [N] nan where not drawn
    score: FloatArray  # [N] nan where there is none
    drawn: Int64  # [n] places
    fitted: Int64  # [m] places of the drawn ones that have a label: what `fit` is made of
    labelled: Bool  # [N] which have a label that could hold: neither rare nor dead, and not without a text

    @property
    def p(self) -> FloatArray:
        """P(label holds) of every feature: of the drawn ones held out, 0 of those without a label that could hold."""
        p = self.fit.chance.copy()
        p[self.fitted] = self.fit.held_out
        p[~self.labelled] = 0.0
        return p

    @property
    def interval(self) -> tuple[FloatArray, FloatArray]:
        """Of `p`, 95 %: nan of those that were drawn and of those without a label that could hold."""
        low, high = self.fit.low.copy(), self.fit.high.copy()
        for end in (low, high):
            end[self.drawn] = np.nan
            end[~self.labelled] = np.nan
        return low, high


def whole(store: Queryable, choice: WholeChoice) -> list[Whole]:
    """One for each set of scores that fits the choice. Raises UserError where none does."""
    sets = _sets(store, choice)
    seed = store.rows(_SEED)[0]
    chosen = json.loads(seed["config"]).get("score", {}).get("features")
    by_strata = isinstance(chosen, dict) and bool(chosen.get("strata"))
    return [_one(store, row, choice.limit, int(seed["seed"]), by_strata) for row in sets]


def _sets(store: Queryable, choice: WholeChoice) -> list[dict[str, str]]:
    there = [row for row in store.rows(_SCORED) if not is_control(row["explainer"])]
    if choice.explainer is None:
        there = [row for row in there if _is_of_labels(row["explainer"])] or there
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
            first = [row for row in there if is_primary(row["metric"], "sample", row["scorer"])]
            there = first or there
    return there


def _is_of_labels(explainer: str) -> bool:
    """Whether an explainer's scores are those of labels: of no table, and of no ranking without one."""
    return is_label(explainer) and explainer not in RANKINGS and not without_label(explainer)


def _one(store: Queryable, of: dict[str, str], limit: float | None, seed: int, by_strata: bool) -> Whole:
    name = of["dictionary"]
    keys = {key: of[key] for key in ("dictionary", "explainer", "scorer", "metric")}
    population = strata_of(store, name, seed)
    rows = store.rows(_SCORES, **keys)
    drawn = np.searchsorted(population.features, np.array([row["feature"] for row in rows], dtype=np.int64))
    keep = population.strata[drawn] >= 0
    rows, drawn = [row for row, kept in zip(rows, keep, strict=True) if kept], drawn[keep]
    floors = store.rows(_FLOOR, **keys)
    known_floor = floors[0]["floor"] if floors else None
    floor = chance_of(of["metric"]) if known_floor is None else float(known_floor)
    values = np.array([np.nan if row["value"] is None else row["value"] for row in rows], dtype=np.float64)
    missing = np.isnan(values)
    y = np.where(missing, floor, values)
    least = limit_of(of["metric"]) if limit is None else limit
    holds = np.where(missing, 0.0, (y >= least).astype(np.float64))
    world = Population(population.strata, drawn, floor)
    weights = world.weights if len(drawn) else np.zeros(0)
    score, weight = np.full(len(population.features), np.nan), np.full(len(population.features), np.nan)
    score[drawn], weight[drawn] = values, weights
    labelled = reasons_of(store, name, of["explainer"]) == ""
    said = labelled[drawn]
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
        fit=fit_holds(
            known_of(store, name, population, seed, current_free_scores(store, name)),
            drawn[said],
            holds[said],
            weights[said],
        ),
        features=population.features,
        stratum=population.strata,
        weight=weight,
        score=score,
        drawn=drawn,
        fitted=drawn[said],
        labelled=np.asarray(labelled, dtype=np.bool_),
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
