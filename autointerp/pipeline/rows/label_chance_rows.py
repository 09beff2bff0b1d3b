"""P(label holds) of the features that a sample left unscored, as columns of `label_chances`.

1. Of each scorer's first metric on sampled windows, whose scale is known: a metric of the user's own has none.
2. The scored features are those with a label and a row of this work, whatever its status: a score that failed, or
   cannot be trusted, counts as a label that does not hold. They are weighed by strata, as in `autointerp whole`.
3. Of the others each gets a probability with an interval (`compare/holds.py`), or the reason why it has none.
Where every feature was scored there are no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autointerp.compare.holds import Known, fit_holds
from autointerp.compare.population import Population
from autointerp.pipeline.feature_sample import Stratified
from autointerp.pipeline.free_covariates import limit_of, reasons_of
from autointerp.pipeline.rows.stored_scores import About, StoredScores, places_of
from autointerp.score.metric_registry import metric_named
from autointerp.store.query import Queryable
from autointerp.words import scorer_and_judge


def label_chances(
    store: Queryable,
    dictionary: str,
    explainer: str,
    scores: Mapping[About, StoredScores],
    of: Stratified,
    known: Known,
) -> Iterator[dict[str, Any]]:
    """Columns but `run`, of one scorer and metric each; `of` the dictionary's features, of which `known` is."""
    abouts = [about for about in sorted(scores) if _is_first(about)]
    reason = reasons_of(store, dictionary, explainer)
    for about in abouts:
        scorer, metric, _ = about
        drawn = places_of(scores[about].features, of.features)
        fires = (drawn >= 0) & (of.strata[drawn] >= 0)
        drawn, values = drawn[fires], scores[about].values[fires]
        left = np.setdiff1d(np.arange(known.n), drawn)
        if not (of.strata[left] >= 0).any():
            continue
        limit = limit_of(metric)
        holds = (np.nan_to_num(values, nan=-np.inf) >= limit).astype(np.float64)
        weights = Population(of.strata, drawn).weights if len(drawn) else np.zeros(0)
        said = reason[drawn] == ""
        n_scored = int(said.sum())
        fit = fit_holds(known, drawn[said], holds[said], weights[said])
        status = np.where(reason == "", fit.basis if n_scored else "nothing_scored", reason)[left]
        has = np.isin(status, ("covariates", "base_rate"))
        numbers = {"probability": fit.chance, "ci_low": fit.low, "ci_high": fit.high}
        yield {
            "dictionary": dictionary,
            "feature": of.features[left],
            "explainer": explainer,
            "scorer": scorer,
            "metric": metric,
            "holds_from": limit,
            **{name: np.where(has, column[left], np.nan) for name, column in numbers.items()},
            "status": status.tolist(),
            "n_scored": n_scored,
        }


def _is_first(about: About) -> bool:
    scorer, metric, design = about
    known = metric_named(metric, design)
    return design == "sample" and known is not None and known.is_first(scorer_and_judge(scorer)[0])
