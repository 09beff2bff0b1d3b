"""Stage means: the mean of each dictionary, explainer, scorer and metric, with its floor: over all features, and over
those with a score, each with its interval. Of a sample of features also what is likely of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from autointerp.compare.clustered import mean_interval
from autointerp.compare.holds import Known
from autointerp.pipeline.feature_sample import Stratified, strata_of
from autointerp.pipeline.free_covariates import known_of
from autointerp.pipeline.plan.work import BUILDS_ON, Work
from autointerp.pipeline.rows.feature_values import FeatureValues, feature_values
from autointerp.pipeline.rows.label_chance_rows import label_chances
from autointerp.pipeline.rows.powered_rows import cheap_values, powered, powered_mean_row
from autointerp.pipeline.rows.score_counts import read_counts, with_counts
from autointerp.pipeline.rows.score_reader import RunScores, ScoreReader
from autointerp.pipeline.rows.stored_scores import FRAMED, About, DictionaryScores, StoredScores
from autointerp.pipeline.stages.context import StageContext, by_dictionary, columns_of
from autointerp.score.metric_registry import bounds_of
from autointerp.words import (
    CONTROLS,
    JUDGED_ALWAYS,
    RANKINGS,
    explainers_written,
    permuted_of,
    predictor_among,
    shuffled_of,
)

Scores = Mapping[About, StoredScores]
BOTH, FEATURES = "features and documents", "features"
"""What an interval counts the spread of."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """Rows of each dictionary in one transaction."""
    missing = by_dictionary(works)
    with context.report.stage("means", len(missing), "dictionaries") as advance:
        for name, mine in missing.items():
            reader = ScoreReader(context.store)
            controls = cache(reader.scores)  # the floors of several works are the same scores
            cheap = cache(partial(_cheap_of, reader, name))
            known = cache(partial(_known_of, context, name))
            with context.store.transaction() as transaction:
                for work in mine:
                    begun = time.monotonic()
                    rows: list[dict[str, Any]] = []
                    powered_rows: list[dict[str, Any]] = []
                    chances: list[dict[str, Any]] = []
                    counts = read_counts(context.store, _score_work(context, name, work).key)
                    for explainer, scores in _scores_of(context, name, work, reader):
                        means = mean_rows(work.key, scores, explainer, _floors_of(work, explainer, controls))
                        rows += with_counts(means, counts)
                        if explainer == work.explainer:
                            powered_rows = _powered_of(context, work, scores, means, cheap)
                            chances = list(_chances_of(context, work, scores, known))
                    n = transaction.append("dictionary_scores", columns_of(rows)) if rows else 0
                    n += transaction.append("powered_means", columns_of(powered_rows)) if powered_rows else 0
                    for columns in chances:
                        n += transaction.append("label_chances", {"run": work.key, **columns})
                    context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)
    context.publish()


def _score_work(context: StageContext, name: str, work: Work) -> Work:
    return context.prepared.work("score", name, str(work.explainer), work.scorer)


def _scores_of(
    context: StageContext, name: str, work: Work, reader: ScoreReader
) -> Iterator[tuple[str, DictionaryScores]]:
    """By explainer, those whose means a piece of work is about."""
    assert work.explainer is not None
    judged = None
    scores = reader.scores(_score_work(context, name, work).key)
    explainers = [*explainers_written(work.explainer), *(RANKINGS if work.explainer == CONTROLS else ())]
    explainers += [permuted_of(work.explainer)] * (permuted_of(work.explainer) in scores)
    if work.scorer is not None:
        judged = context.prepared.work("judge", name, work.explainer, work.scorer).key
        explainers = list(scores)  # the lookup on the same windows among them
    for explainer in explainers:
        yield explainer, reader.dictionary_scores(name, explainer, scores.get(explainer, {}), judged)


def _floors_of(work: Work, explainer: str, scores_of: Callable[[str], RunScores]) -> list[Scores]:
    """The scores of the controls that an explainer's floor is taken from."""
    floors = work.decided_by[BUILDS_ON]["floors"]
    if work.scorer is None:
        return [scores_of(floors[CONTROLS]).get(control, {}) for control in explainers_written(CONTROLS)]
    # each explainer's own shuffled control, and those of all
    own = (*JUDGED_ALWAYS, "shuffled", shuffled_of(explainer))
    return [scores_of(floors[control]).get(control, {}) for control in own if control in floors]


def _cheap_of(reader: ScoreReader, name: str, predictor: str, run: str) -> FeatureValues:
    return cheap_values(reader.dictionary_scores(name, predictor, reader.scores(run)[predictor]))


def _powered_of(
    context: StageContext,
    work: Work,
    dear: DictionaryScores,
    means: Sequence[dict[str, Any]],
    cheap_of: Callable[[str, str], FeatureValues],
) -> list[dict[str, Any]]:
    """Rows of `powered_means`, of a work whose features were drawn; `means` are the rows of its explainer."""
    key = work.decided_by[BUILDS_ON].get("predictor")
    predictor = predictor_among(context.config.explain.embedded)
    if key is None or predictor is None:
        return []
    cheap = cheap_of(predictor, key)
    floors = {(row["scorer"], row["metric"], row["design"]): row["floor"] for row in means}
    rows = []
    for about in dear.abouts:
        of = powered(feature_values(dear, about, floors.get(about)), cheap)
        if of is not None:
            scorer, metric, design = about
            names = {"run": work.key, "dictionary": dear.dictionary, "explainer": work.explainer, "scorer": scorer}
            about_it = {"metric": metric, "design": design, "predictor": predictor}
            rows.append({**names, **about_it, **powered_mean_row(about, of)})
    return rows


Facts = tuple[Stratified, Known]
"""The features of a dictionary, and what is known of them for nothing."""


def _known_of(context: StageContext, name: str, free: tuple[tuple[str, str], ...]) -> Facts:
    seed = context.config.seed
    of = strata_of(context.store, name, seed)
    return of, known_of(context.store, name, of, seed, dict(free))


def _chances_of(
    context: StageContext, work: Work, of: DictionaryScores, known: Callable[[tuple[tuple[str, str], ...]], Facts]
) -> Iterator[dict[str, Any]]:
    """Columns of `label_chances`, of a work whose features were drawn and whose explainer writes labels."""
    free = work.decided_by[BUILDS_ON].get("free")
    if free is not None:
        facts = known(tuple(sorted(free.items())))
        yield from label_chances(context.store, of.dictionary, str(work.explainer), of.scores, *facts)


def mean_rows(run: str, of: DictionaryScores, explainer: str, controls: Sequence[Scores]) -> list[dict[str, Any]]:
    """Rows of `dictionary_scores` of one dictionary and explainer; `controls` are the scores of each control.

    A value that is not to be trusted is in no mean: over all features it stands at the floor, as if there were none.
    """
    rows = []
    for about in of.abouts:
        scorer, metric, design = about
        floor = _floor([scores[about] for scores in controls if about in scores])
        every = feature_values(of, about, floor)
        scored = every.complete()
        known = floor is not None or not every.n_unscored
        low, high = _interval(scored, about)
        all_low, all_high = _interval(every, about) if known else (None, None)
        framed = (metric, design) == FRAMED
        rows.append(
            {
                "run": run,
                "dictionary": of.dictionary,
                "explainer": explainer,
                "scorer": scorer,
                "metric": metric,
                "design": design,
                "mean": _mean(scored),
                "ci_low": low,
                "ci_high": high,
                "mean_all": _mean(every) if known else None,
                "mean_all_low": all_low,
                "mean_all_high": all_high,
                "interval_over": None if low is None and all_low is None else counted_by(every),
                "floor": floor,
                "residual_alarm_rate": of.alarms.value if framed else None,
                "residual_alarm_high": of.alarms.ci_high if framed else None,
                "n_residual": of.alarms.n if framed else None,
                "residual_alarm_cost": _cost(scored) if framed else None,
            }
        )
    return rows


def _floor(controls: Sequence[StoredScores]) -> float | None:
    """The best mean of a control."""
    return max((float(scores.values[scores.known].mean()) for scores in controls if scores.known.any()), default=None)


def _mean(of: FeatureValues) -> float | None:
    return float(of.values.mean()) if len(of) else None


def _cost(of: FeatureValues) -> float | None:
    """By how much the mean would be higher if what is predicted in windows of R counted as 0."""
    return float(of.limits.cost.mean()) if of.limits is not None and len(of) else None


def _interval(of: FeatureValues, about: About) -> tuple[float | None, float | None]:
    """Of the mean, as far as the metric reaches."""
    counted = mean_interval(of.values, of.clusters, of.influence)
    if counted is None:
        return None, None
    if of.limits is not None:
        counted = counted.and_limits(*of.limits.of_mean())
    least, most = bounds_of(about[1], about[2])
    return max(counted.low, least), min(counted.high, most)


def counted_by(*of: FeatureValues) -> str:
    """What an interval counts: documents too where the moments of all sides are stored."""
    return FEATURES if any(side.influence is None for side in of) else BOTH
