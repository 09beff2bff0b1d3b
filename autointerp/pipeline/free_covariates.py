"""What a store knows of every feature without a judge: covariates of P(label holds) (`compare/holds.py`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from autointerp.compare.holds import FOLDS, Known
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline.feature_sample import Stratified
from autointerp.pipeline.rows.stored_scores import places_of
from autointerp.score.metric_registry import metric_named
from autointerp.store.query import Queryable

COVARIATES = ("density", "token_entropy", "lexical", "context_lookup", "cosine")
"""log10 density, token entropy, census Pearson of the two embedded explainers, cosine to the nearest feature. Beside
these: the share of labels that hold among the nearest features that were scored."""
ABOVE_CHANCE = 0.5
"""A label holds, unless a limit is stated, where it gets half of the way from chance to the metric's largest value."""
_KNOWN = """
SELECT f.feature, CASE WHEN f.density > 0 THEN log10(f.density) END AS density, f.token_entropy, x.value AS lexical,
       y.value AS context_lookup, n.cosine
FROM features f
LEFT JOIN (
    FROM scores WHERE run = $lexical AND explainer = 'lexical' AND design = 'census' AND metric = 'pearson'
) x USING (dictionary, feature)
LEFT JOIN (
    FROM scores WHERE run = $context_lookup AND explainer = 'context_lookup' AND design = 'census'
         AND metric = 'pearson'
) y USING (dictionary, feature)
LEFT JOIN (
    SELECT feature, max(cosine) AS cosine FROM feature_neighbours WHERE dictionary = $dictionary GROUP BY feature
) n USING (feature)
WHERE f.dictionary = $dictionary ORDER BY f.feature
"""
_NEIGHBOURS = """
SELECT feature, neighbour FROM feature_neighbours WHERE dictionary = $dictionary ORDER BY feature, rank
"""
_REASONS = """
SELECT f.feature, CASE WHEN f.status <> 'alive' THEN f.status WHEN e.text IS NULL THEN 'no_label' ELSE '' END AS reason
FROM features f
LEFT JOIN current_explanations e
       ON e.dictionary = f.dictionary AND e.feature = f.feature AND e.explainer = $explainer
WHERE f.dictionary = $dictionary ORDER BY f.feature
"""
_FREE = """
SELECT explainer, work FROM current_works WHERE stage = 'score' AND scorer IS NULL AND dictionary = $dictionary
"""


def current_free_scores(store: Queryable, dictionary: str) -> dict[str, str]:
    """The work of stage score that counts, by embedded explainer."""
    return {row["explainer"]: row["work"] for row in store.rows(_FREE, dictionary=dictionary)}


def known_of(store: Queryable, dictionary: str, of: Stratified, seed: int, free: Mapping[str, str]) -> Known:
    """Of the features `of`. `free`: the work of stage score that made the census scores, by explainer; of one that is
    not there the covariate is missing."""
    works = {name: free.get(name) for name in ("lexical", "context_lookup")}
    table = store.query(_KNOWN, dictionary=dictionary, **works)
    columns = [table[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in COVARIATES]  # null: nan
    pairs = store.query(_NEIGHBOURS, dictionary=dictionary)
    owner, near = (places_of(pairs[name].to_numpy().astype(np.int64), of.features) for name in ("feature", "neighbour"))
    there = (owner >= 0) & (near >= 0)
    folds = hash64(stream_key(seed, "folds", dictionary), of.features) % np.uint64(FOLDS)
    return Known(np.stack(columns, axis=1), owner[there], near[there], folds.astype(np.int64))


def reasons_of(store: Queryable, dictionary: str, explainer: str) -> npt.NDArray[np.object_]:
    """Why a feature has no label that could hold: rare, dead or no_label; "" where it has one. [N]"""
    table = store.query(_REASONS, dictionary=dictionary, explainer=explainer)
    return np.asarray(table["reason"].to_numpy(zero_copy_only=False), dtype=object)


def limit_of(metric: str) -> float:
    """Half of the way from what knows nothing gets to the metric's largest value."""
    known = metric_named(metric, "sample")
    most = 1.0 if known is None else known.bounds[1]
    return chance_of(metric) + ABOVE_CHANCE * (most - chance_of(metric))


def chance_of(metric: str) -> float:
    """What knows nothing gets; 0 where it depends on the feature."""
    known = metric_named(metric, "sample")
    return 0.0 if known is None or known.chance is None else known.chance
