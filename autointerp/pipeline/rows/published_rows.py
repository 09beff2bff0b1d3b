"""What the published protocols ask about, as rows of `judgements` (stratum top, firing or silent); and what their
metrics read of the store: densities, and what LLM judges were asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autointerp.pipeline.rows.columns import joined
from autointerp.records import Float64
from autointerp.score.predictions import Judged, Prediction, Simulated
from autointerp.score.published_measures import OfJudge, of_judged, of_simulated
from autointerp.score.sampled import Answered
from autointerp.store.columns import words_of
from autointerp.store.query import Queryable
from autointerp.subject.tokens import TokenFile


def published_rows(dictionary: str, explainer: str, answered: dict[int, Answered], tokens: TokenFile) -> dict[str, Any]:
    """Rows of `judgements` of the embedded judge."""
    replies = list(answered.values())
    asked = [reply.published for reply in replies]
    number = np.zeros(0, np.int64)
    truth = np.zeros(0, bool)
    top = joined([of.top for of in asked], truth)
    silent = joined([of.silent for of in asked], truth)
    return {
        "run": None,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in asked], [len(of) for of in asked]).astype(np.int32),
        "explainer": explainer,
        "scorer": "detection",
        "context": joined([of.windows.context for of in asked], number),
        "window_start": joined([tokens.window_start(of.windows) for of in asked], number),
        "stratum": words_of(np.where(top, 0, np.where(silent, 1, 2)), ("top", "silent", "firing")),
        "marks": None,
        "weight": None,
        "fires": joined([np.asarray((of.truth > 0).any(axis=1)) for of in asked], truth),
        "judged": joined([reply.fires for reply in replies], truth),
        "probability": joined([reply.probability for reply in replies], number.astype(np.float64)),
        "status": "ok",
        "request": None,
        "sample": None,
    }


def read_densities(store: Queryable, dictionary: str) -> dict[int, float]:
    """Share of the score split's tokens that each feature fires on."""
    return {row["feature"]: row["density"] for row in store.rows(_DENSITIES, dictionary=dictionary)}


def published_of_judge(store: Queryable, dictionary: str, predictions: Mapping[int, Prediction]) -> dict[int, OfJudge]:
    """What the published metrics look at of predictions as they come back from the store, by feature."""
    simulated = {f: of_simulated(one) for f, one in predictions.items() if isinstance(one, Simulated)}
    judged = {f: one for f, one in predictions.items() if isinstance(one, Judged)}
    heights = _heights(store, dictionary, judged) if judged else {}
    return simulated | {f: of_judged(one, heights[f]) for f, one in judged.items()}


def _heights(store: Queryable, dictionary: str, judged: Mapping[int, Judged]) -> dict[int, Float64]:
    """The feature's largest activation in each window asked about, [n]: in those that are kept as firing ones it is
    stored, and in all others that are asked about the feature is silent, measured."""
    windows = [of.items.windows for of in judged.values()]
    lengths = [len(of) for of in windows]
    rows = store.query(
        _HEIGHTS,
        dictionary=dictionary,
        features=np.repeat(list(judged), lengths).tolist(),
        contexts=np.concatenate([of.context for of in windows]).tolist(),
        starts=np.concatenate([of.window for of in windows]).tolist(),  # as read back: where the window begins
    )
    height = rows["height"].to_numpy().astype(np.float64)
    return dict(zip(judged, np.split(height, np.cumsum(lengths)[:-1]), strict=True))


_DENSITIES = """
SELECT feature, density FROM feature_splits WHERE dictionary = $dictionary AND split = 'score'
"""
_HEIGHTS = """
WITH asked AS (
    SELECT unnest($features::INTEGER[]) AS feature, unnest($contexts::BIGINT[]) AS context,
           unnest($starts::INTEGER[]) AS window_start, generate_subscripts($features::INTEGER[], 1) AS place
)
SELECT coalesce(max(e.max_activation), 0) AS height
FROM asked a LEFT JOIN exemplars e ON e.dictionary = $dictionary AND e.split = 'score' AND e.feature = a.feature
     AND e.context = a.context AND e.window_start = a.window_start
GROUP BY a.place ORDER BY a.place
"""
