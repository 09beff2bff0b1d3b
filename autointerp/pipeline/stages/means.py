"""Stage means: the mean of each dictionary and explainer, with its interval and floor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autointerp.compare.bootstrap import crossed_bootstrap_mean
from autointerp.pipeline.plan.work import BUILDS_ON, Work
from autointerp.pipeline.plan.work_graph import JUDGED
from autointerp.pipeline.rows.stored_scores import Side, judged_sides, read_scores, read_side
from autointerp.pipeline.stages.compare import COMPARED, _zero_where_constant
from autointerp.pipeline.stages.context import StageContext, by_dictionary, columns_of
from autointerp.records import Score
from autointerp.words import COMPLETION, CONTROLS, JUDGED_ALWAYS, members, shuffled_of


def run(context: StageContext, works: Sequence[Work]) -> None:
    """Rows of each dictionary in one transaction."""
    missing = by_dictionary(works)
    with context.report.stage("means", len(missing), "dictionaries") as advance:
        for name, mine in missing.items():
            with context.store.transaction() as transaction:
                for work in mine:
                    begun = time.monotonic()
                    rows = list(_means_of(context, name, work))
                    n = transaction.append("dictionary_scores", columns_of(rows)) if rows else 0
                    context.done(transaction, work, n, time.monotonic() - begun)
            advance(1)
    context.publish()


def _means_of(context: StageContext, name: str, work: Work) -> Iterator[dict[str, Any]]:
    assert work.explainer is not None
    drawn = context.config.score.bootstrap, context.config.seed
    if work.explainer.startswith(JUDGED):
        run = context.prepared.work("judge", name, work.explainer.removeprefix(JUDGED)).key
        floors = work.decided_by[BUILDS_ON]["floors"]
        controls = [score for of, key in floors.items() for score in read_scores(context.store, key, of)]
        for explainer, side in judged_sides(context.store, name, run):
            # each explainer's own shuffled control, and those of all
            own = [s for s in controls if s.explainer in (*JUDGED_ALWAYS, "shuffled", shuffled_of(explainer))]
            yield from dictionary_scores(work.key, side, explainer, own, *drawn)
        return
    floor = context.prepared.work("score", name, CONTROLS).key
    controls = [s for one in members(CONTROLS) for s in read_scores(context.store, floor, one)]
    run = context.prepared.work("score", name, work.explainer).key
    more = [COMPLETION] if work.explainer == CONTROLS else []
    for one in (*members(work.explainer), *more):
        yield from dictionary_scores(work.key, read_side(context.store, name, one, run), one, controls, *drawn)


def dictionary_scores(
    run: str, side: Side, explainer: str, controls: Sequence[Score], n_draws: int, seed: int
) -> list[dict[str, Any]]:
    """Rows of `dictionary_scores` of one dictionary and explainer; `controls` are the scores of all controls."""
    rows = []
    for scorer, metric, design in sorted({(s.scorer, s.metric, s.design) for s in side.scores}):
        about = (scorer, metric, design)
        floor = _floor([s for s in controls if (s.scorer, s.metric, s.design) == about])
        scores = [s for s in side.scores if (s.scorer, s.metric, s.design) == about]
        values = [s.value for s in scores if s.value is not None]
        low, high = _interval(side, explainer, metric, design, n_draws, seed) if values else (None, None)
        framed = metric == "pearson_framed"
        rows.append(
            {
                "run": run,
                "dictionary": side.dictionary,
                "explainer": explainer,
                "scorer": scorer,
                "metric": metric,
                "design": design,
                "mean": _mean(scores),
                "mean_all": _mean_all(values, len(scores), floor),
                "ci_low": low,
                "ci_high": high,
                "floor": floor,
                "residual_alarm_rate": side.alarms.value if framed else None,
                "residual_alarm_high": side.alarms.ci_high if framed else None,
                "n_residual": side.alarms.n if framed else None,
            }
        )
    return rows


def _floor(controls: Sequence[Score]) -> float | None:
    """The best mean of a control."""
    means = [_mean([s for s in controls if s.explainer == name]) for name in {s.explainer for s in controls}]
    return max((mean for mean in means if mean is not None), default=None)


def _mean(scores: Sequence[Score]) -> float | None:
    values = [score.value for score in scores if score.value is not None]
    return float(np.mean(values)) if values else None


def _mean_all(values: Sequence[float], n: int, floor: float | None) -> float | None:
    if n == 0 or (floor is None and len(values) < n):
        return None
    return float((sum(values) + (n - len(values)) * (floor or 0.0)) / n)


def _interval(
    side: Side, explainer: str, metric: str, design: str, n_draws: int, seed: int
) -> tuple[float | None, float | None]:
    """Crossed bootstrap of the mean; none for metrics without moments by document."""
    if (metric, design) not in COMPARED or metric not in side.moments:
        return None, None
    features, blocks = side.moments[metric]
    values = side.values(metric, design)
    scored = np.array([int(feature) in values for feature in features])
    if scored.sum() < 2:
        return None, None
    clusters = np.array([side.unit.get(int(feature), int(feature)) for feature in features])
    name = f"{side.dictionary}/{explainer}/{metric}"
    found = crossed_bootstrap_mean(
        blocks[scored], scores=_zero_where_constant, clusters=clusters[scored], n_draws=n_draws, seed=seed, name=name
    )
    return max(found.low, -1.0), min(found.high, 1.0)
