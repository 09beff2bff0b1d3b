"""Comparing: means of each dictionary with intervals, and the pairs of dictionaries that belong together.

Pairs: every two dictionaries read from files (planted ones aside), and every baseline with the one it is
matched to, feature by feature, or, unmatched, with those at its hook; where there is none, with all, as another
site. `NAME@natural` is in no pair: it stands beside NAME. Holm's correction and the simultaneous intervals run over
all pairs of one explainer and metric.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from autointerp.compare.bootstrap import Interval, crossed_bootstrap
from autointerp.compare.statistics import (
    detectable_difference,
    holm,
    sign_flip_test,
    simultaneous_confidence,
    studentised_permutation_test,
    verdict,
)
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.plan.work_graph import JUDGED
from autointerp.pipeline.rows.census_rows import SCORER
from autointerp.pipeline.rows.stored_scores import Side, read_side
from autointerp.pipeline.stages.context import StageContext, columns_of
from autointerp.records import Float64, Int64
from autointerp.score.metrics import pearson, pearson_status
from autointerp.words import STUDIED


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All comparisons in one transaction: the pages show those of one run."""
    config = context.config
    with (
        context.report.stage("comparing", len(works), "explainers") as advance,
        context.store.transaction() as transaction,
    ):
        for work in works:
            begun = time.monotonic()
            assert work.explainer is not None
            explainer, scorer, sides = _sides(context, work.explainer)
            rows = [
                row
                for metric, design in COMPARED
                if all(metric in side.moments for side in sides)
                for row in comparisons(
                    work.key,
                    sides,
                    explainer,
                    scorer,
                    metric,
                    design,
                    n_draws=config.score.bootstrap,
                    margin=config.score.margin,
                    seed=config.seed,
                )
            ]
            n = transaction.append("comparisons", columns_of(rows)) if rows else 0
            context.done(transaction, work, n, time.monotonic() - begun)
            advance(1)


def _sides(context: StageContext, explainer: str) -> tuple[str, str, list[Side]]:
    """Whose scores by whom are compared: the embedded simulator's, or the judge's."""
    store, prepared = context.store, context.prepared
    if not explainer.startswith(JUDGED):
        runs = {name: prepared.work("score", name, explainer).key for name in context.names}
        return explainer, SCORER, [read_side(store, name, explainer, run) for name, run in runs.items()]
    explainer = explainer.removeprefix(JUDGED)
    assert context.config.score.judge is not None
    scorer = f"{SCORER}:{context.config.score.judge.model}"
    sides = []
    for name in context.names:
        run = prepared.work("judge", name, explainer).key
        sides.append(read_side(store, name, explainer, run, scorer))
    return explainer, scorer, sides


COMPARED = (("pearson", "census"), ("pearson_framed", "sample"))
"""The primary metric of each design: the ones with moments by document, and so with intervals of means."""


def _zero_where_constant(sums: Float64) -> Float64:
    """Pearson, 0 where the prediction is constant in the documents drawn (as in the scores themselves)."""
    return np.where(pearson_status(sums) == "constant", 0.0, pearson(sums))


def is_baseline(side: Side) -> bool:
    return side.kind not in (*STUDIED, "planted")


def pairs_of(sides: Sequence[Side]) -> list[tuple[Side, Side]]:
    """Which dictionaries are compared with which."""
    files = [side for side in sides if side.kind in STUDIED]
    baselines = [side for side in sides if is_baseline(side) and side.natural_of is None]
    found = list(combinations(files, 2))
    hooks = {side.hook for side in files}
    for side in files:
        for baseline in baselines:
            beside = baseline.hook == side.hook or baseline.hook not in hooks
            unmatched_here = baseline.matched_to is None and beside
            if baseline.matched_to == side.dictionary or unmatched_here:
                found.append((side, baseline))
    return found


def comparisons(
    run: str,
    sides: Sequence[Side],
    explainer: str,
    scorer: str,
    metric: str,
    design: str,
    *,
    n_draws: int,
    margin: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of `comparisons` for one explainer and metric: the whole family of pairs."""
    rows: list[dict[str, Any]] = []
    intervals: list[Interval | None] = []
    for a, b in pairs_of(sides):
        name = f"{a.dictionary}/{b.dictionary}/{explainer}/{metric}"
        paired = b.matched_to == a.dictionary
        features_a, features_b, clusters = _members(a, b, metric, design, paired)
        row: dict[str, Any] = {
            "run": run,
            "a": a.dictionary,
            "b": b.dictionary,
            "explainer": explainer,
            "scorer": scorer,
            "metric": metric,
            "design": design,
            "paired": paired,
            "other_site": is_baseline(b) and a.hook != b.hook,
            "n_a": len(features_a),
            "n_b": len(features_b),
            "difference": None,
            "ci_low": None,
            "ci_high": None,
            "simultaneous_low": None,
            "simultaneous_high": None,
            "p": None,
            "p_holm": None,
            "detectable": None,
            "margin": margin,
            "verdict": "undecided",
        }
        rows.append(row)
        if min(len(features_a), len(features_b)) < 2:
            intervals.append(None)
            continue
        found = crossed_bootstrap(
            _moments(a, metric, features_a),
            _moments(b, metric, features_b),
            scores=_zero_where_constant,
            clusters_a=clusters if paired else None,
            clusters_b=clusters if paired else _units(b, features_b),
            n_draws=n_draws,
            seed=seed,
            name=name,
        ).difference
        of_a, of_b = a.values(metric, design), b.values(metric, design)
        values_a = np.array([of_a[feature] for feature in features_a])
        values_b = np.array([of_b[feature] for feature in features_b])
        if paired:
            test = sign_flip_test(values_a - values_b, clusters, seed=seed, name=name)
        else:
            test = studentised_permutation_test(values_a, values_b, seed=seed, name=name)
        row |= {"difference": found.value, "ci_low": found.low, "ci_high": found.high, "p": test.p_value}
        intervals.append(found)
    known = [index for index, row in enumerate(rows) if row["p"] is not None]
    adjusted = holm([rows[index]["p"] for index in known])
    confidence = simultaneous_confidence(len(known))
    for index, p_holm in zip(known, adjusted, strict=True):
        interval = intervals[index]
        assert interval is not None
        wide = interval.at(confidence)
        rows[index] |= {
            "simultaneous_low": wide.low,
            "simultaneous_high": wide.high,
            "p_holm": float(p_holm),
            "detectable": detectable_difference(interval.se, 1 - confidence),
            "verdict": verdict(wide.low, wide.high, float(p_holm), margin),
        }
    return rows


def _members(a: Side, b: Side, metric: str, design: str, paired: bool) -> tuple[list[int], list[int], Int64]:
    """The features compared, those with a value; paired ones in the order of their pairs, with their clusters."""
    of_a, of_b = a.values(metric, design), b.values(metric, design)
    if not paired:
        return sorted(of_a), sorted(of_b), np.zeros(0, np.int64)
    pairs = [(b.partner[mine], mine) for mine in sorted(of_b) if mine in b.partner and b.partner[mine] in of_a]
    clusters = np.array([b.unit.get(mine, mine) for _, mine in pairs], dtype=np.int64)
    return [theirs for theirs, _ in pairs], [mine for _, mine in pairs], clusters


def _units(side: Side, features: Sequence[int]) -> Int64:
    """Cluster ids from 0 (those of the other side are negative)."""
    return np.array([side.unit.get(feature, feature) for feature in features], dtype=np.int64)


def _moments(side: Side, metric: str, features: Sequence[int]) -> Float64:
    known, blocks = side.moments[metric]
    place = {int(feature): index for index, feature in enumerate(known)}
    return blocks[[place[feature] for feature in features]]
