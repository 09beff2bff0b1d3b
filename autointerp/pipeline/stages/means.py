"""Stage means: the mean of each dictionary, explainer, scorer and metric, with its interval and floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from autointerp.compare.clustered import block_influence, mean_interval
from autointerp.pipeline.plan.work import BUILDS_ON, Work
from autointerp.pipeline.rows.stored_scores import (
    About,
    DictionaryScores,
    by_about,
    explainers_in,
    read_dictionary_scores,
    read_scores,
    trusted_values,
)
from autointerp.pipeline.stages.context import StageContext, by_dictionary, columns_of
from autointerp.records import Float64, Score
from autointerp.score.metric_registry import bounds_of
from autointerp.score.metrics import pearson, pearson_status
from autointerp.words import CONTROLS, JUDGED_ALWAYS, RANKINGS, explainers_written, shuffled_of

BOTH, FEATURES = "features and documents", "features"
"""What an interval counts the spread of."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """Rows of each dictionary in one transaction."""
    missing = by_dictionary(works)
    with context.report.stage("means", len(missing), "dictionaries") as advance:
        for name, mine in missing.items():
            controls = cache(partial(read_scores, context.store))  # the floors of several works are the same scores
            with context.store.transaction() as transaction:
                for work in mine:
                    begun = time.monotonic()
                    rows = list(_means_of(context, name, work, controls))
                    n = transaction.append("dictionary_scores", columns_of(rows)) if rows else 0
                    context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)
    context.publish()


def _means_of(
    context: StageContext, name: str, work: Work, scores_of: Callable[[str, str], list[Score]]
) -> Iterator[dict[str, Any]]:
    assert work.explainer is not None
    store = context.store
    run = context.prepared.work("score", name, work.explainer, work.scorer).key
    floors = work.decided_by[BUILDS_ON]["floors"]
    if work.scorer is not None:
        judged = context.prepared.work("judge", name, work.explainer, work.scorer).key
        controls = [score for of, key in floors.items() for score in scores_of(key, of)]
        for explainer in explainers_in(store, run):  # the lookup on the same windows among them
            # each explainer's own shuffled control, and those of all
            own = [s for s in controls if s.explainer in (*JUDGED_ALWAYS, "shuffled", shuffled_of(explainer))]
            scores = read_dictionary_scores(store, name, explainer, run, judged)
            yield from mean_rows(work.key, scores, explainer, own)
        return
    controls = [s for one in explainers_written(CONTROLS) for s in scores_of(floors[CONTROLS], one)]
    more = RANKINGS if work.explainer == CONTROLS else ()
    for explainer in (*explainers_written(work.explainer), *more):
        yield from mean_rows(work.key, read_dictionary_scores(store, name, explainer, run), explainer, controls)


def mean_rows(run: str, of: DictionaryScores, explainer: str, controls: Sequence[Score]) -> list[dict[str, Any]]:
    """Rows of `dictionary_scores` of one dictionary and explainer; `controls` are the scores of all controls.

    A value that is not to be trusted is in no mean.
    """
    rows, of_controls = [], by_about(controls)
    for about in of.abouts:
        scorer, metric, design = about
        floor = _floor(of_controls.get(about, []))
        scores = of.of(about)
        values = trusted_values(scores)
        low, high, over = _interval(of, about, values)
        framed = metric == "pearson_framed"
        rows.append(
            {
                "run": run,
                "dictionary": of.dictionary,
                "explainer": explainer,
                "scorer": scorer,
                "metric": metric,
                "design": design,
                "mean": _mean(scores),
                "mean_all": _mean_all(list(values.values()), len(scores), floor),
                "ci_low": low,
                "ci_high": high,
                "interval_over": over,
                "floor": floor,
                "residual_alarm_rate": of.alarms.value if framed else None,
                "residual_alarm_high": of.alarms.ci_high if framed else None,
                "n_residual": of.alarms.n if framed else None,
            }
        )
    return rows


def _floor(controls: Sequence[Score]) -> float | None:
    """The best mean of a control."""
    of_each: dict[str, list[Score]] = {}
    for score in controls:
        of_each.setdefault(score.explainer, []).append(score)
    means = [_mean(scores) for scores in of_each.values()]
    return max((mean for mean in means if mean is not None), default=None)


def _mean(scores: Sequence[Score]) -> float | None:
    values = list(trusted_values(scores).values())
    return float(np.mean(values)) if values else None


def _mean_all(values: Sequence[float], n: int, floor: float | None) -> float | None:
    if n == 0 or (floor is None and len(values) < n):
        return None
    return float((sum(values) + (n - len(values)) * (floor or 0.0)) / n)


def _interval(
    of: DictionaryScores, about: About, values: dict[int, float]
) -> tuple[float | None, float | None, str | None]:
    """Of the mean, and what it counts: documents too where there are moments by document."""
    features = list(values)
    units = [of.unit.get(feature, feature) for feature in features]
    influence = influence_of(of, about, features)
    counted = mean_interval(list(values.values()), units, influence)
    if counted is None:
        return None, None, None
    least, most = bounds_of(about[1], about[2])
    return max(counted.low, least), min(counted.high, most), FEATURES if influence is None else BOTH


def influence_of(of: DictionaryScores, about: About, features: Sequence[int]) -> Float64 | None:
    """How each document block moves the scores of these features, [n, B]; None where no moments are stored."""
    known = of.blocks(about)
    if known is None:
        return None
    numbers, blocks = known
    place = {int(feature): index for index, feature in enumerate(numbers)}
    return block_influence(blocks[[place[feature] for feature in features]], zero_where_constant)


def zero_where_constant(sums: Float64) -> Float64:
    """Pearson, 0 where the prediction is constant in the documents drawn (as in the scores themselves)."""
    return np.where(pearson_status(sums) == "constant", 0.0, pearson(sums))
