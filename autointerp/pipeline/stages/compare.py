"""Stage compare: the pairs of dictionaries that belong together, and whether their means differ.

Pairs: every two dictionaries read from files (planted ones aside), and every baseline with the one it is
matched to, feature by feature, or, unmatched, with those at its hook; where there is none, with all, as another
site. `NAME@natural` is in no pair: it stands beside NAME. Every scorer and metric that all dictionaries have scores of
is a family of its own: Holm's correction and the simultaneous intervals run over the pairs of one explainer, scorer and
metric.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from autointerp.compare.clustered import difference_interval
from autointerp.compare.interval import Interval
from autointerp.compare.statistics import LEVEL, decide, detectable_difference, holm, simultaneous_confidence
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.stored_scores import About, DictionaryScores, read_dictionary_scores, trusted_values
from autointerp.pipeline.stages.context import StageContext, columns_of
from autointerp.pipeline.stages.means import BOTH, FEATURES, influence_of
from autointerp.records import Float64, Int64
from autointerp.score.metric_registry import bounds_of
from autointerp.words import PLANTED, STUDIED


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
            sides = [_scores_of(context, name, work) for name in context.dictionary_names]
            rows = [
                row
                for about in shared_abouts(sides)
                for row in comparisons(work.key, sides, work.explainer, about, config.score.margin)
            ]
            n = transaction.append("comparisons", columns_of(rows)) if rows else 0
            context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)


def _scores_of(context: StageContext, name: str, work: Work) -> DictionaryScores:
    explainer = str(work.explainer)
    run = context.prepared.work("score", name, explainer, work.scorer).key
    judged = None if work.scorer is None else context.prepared.work("judge", name, explainer, work.scorer).key
    return read_dictionary_scores(context.store, name, explainer, run, judged)


def shared_abouts(sides: Sequence[DictionaryScores]) -> list[About]:
    """Scorer, metric and design of which every dictionary has scores."""
    shared = set(sides[0].abouts).intersection(*(side.abouts for side in sides[1:]))
    return sorted(shared)


def is_baseline(side: DictionaryScores) -> bool:
    return side.kind not in (*STUDIED, PLANTED)


def pairs_of(sides: Sequence[DictionaryScores]) -> list[tuple[DictionaryScores, DictionaryScores]]:
    """Which dictionaries are compared with which."""
    studied = [side for side in sides if side.kind in STUDIED]
    baselines = [side for side in sides if is_baseline(side) and side.natural_of is None]
    pairs = list(combinations(studied, 2))
    hooks = {side.hook for side in studied}
    for side in studied:
        for baseline in baselines:
            beside = baseline.hook == side.hook or baseline.hook not in hooks
            unmatched_here = baseline.matched_to is None and beside
            if baseline.matched_to == side.dictionary or unmatched_here:
                pairs.append((side, baseline))
    return pairs


@dataclass(frozen=True)
class _Pair:
    """The features of two dictionaries that are compared, with their scores."""

    features_a: list[int]
    features_b: list[int]
    values_a: Float64
    values_b: Float64
    clusters: Int64  # paired: of the pairs; else those of b


def comparisons(
    run: str, sides: Sequence[DictionaryScores], explainer: str, about: About, margin: float
) -> list[dict[str, Any]]:
    """Rows of `comparisons` for one explainer, scorer and metric: the whole family of pairs."""
    scorer, metric, design = about
    rows: list[dict[str, Any]] = []
    intervals: list[Interval | None] = []
    for a, b in pairs_of(sides):
        paired = b.matched_to == a.dictionary
        pair = _pair(a, b, about, paired)
        row: dict[str, Any] = {
            "run": run, "a": a.dictionary, "b": b.dictionary, "explainer": explainer, "scorer": scorer,
            "metric": metric, "design": design, "paired": paired,
            "other_site": is_baseline(b) and a.hook != b.hook, "n_a": len(pair.features_a),
            "n_b": len(pair.features_b), "difference": None, "ci_low": None, "ci_high": None,
            "simultaneous_low": None, "simultaneous_high": None, "interval_over": None, "p": None, "p_holm": None,
            "detectable": None, "margin": margin, "verdict": "undecided",
        }  # fmt: skip
        rows.append(row)
        interval, over = _difference(a, b, about, pair, paired)
        intervals.append(interval)
        if interval is None:
            continue
        low, high = _clipped(interval, about)
        row |= {"difference": interval.value, "ci_low": low, "ci_high": high, "p": interval.p_value}
        row["interval_over"] = over
    _decide(rows, intervals, about, margin)
    return rows


def _clipped(interval: Interval, about: About) -> tuple[float, float]:
    """The interval as far as differences of this metric reach."""
    least, most = bounds_of(about[1], about[2])
    return max(interval.low, least - most), min(interval.high, most - least)


def _difference(
    a: DictionaryScores, b: DictionaryScores, about: About, pair: _Pair, paired: bool
) -> tuple[Interval | None, str]:
    """The difference with its interval, and what that counts: documents too where their moments are stored."""
    if min(len(pair.features_a), len(pair.features_b)) < 2:
        return None, ""
    of_a, of_b = influence_of(a, about, pair.features_a), influence_of(b, about, pair.features_b)
    interval = difference_interval(
        pair.values_a,
        pair.values_b,
        pair.clusters if paired else _units(a, pair.features_a),
        pair.clusters if paired else _units(b, pair.features_b),
        paired=paired,
        influence_a=of_a,
        influence_b=of_b,
    )
    if interval is not None:
        (down_a, up_a), (down_b, up_b) = a.alarm_shift(about, pair.features_a), b.alarm_shift(about, pair.features_b)
        interval = interval.and_limits(math.hypot(down_a, up_b), math.hypot(up_a, down_b))
    return interval, FEATURES if of_a is None or of_b is None else BOTH


def _decide(rows: list[dict[str, Any]], intervals: Sequence[Interval | None], about: About, margin: float) -> None:
    """Adds to the rows of a family what holds for all of its pairs at once."""
    known = [index for index, row in enumerate(rows) if row["p"] is not None]
    adjusted = holm([rows[index]["p"] for index in known])
    for index, p_holm in zip(known, adjusted, strict=True):
        interval = intervals[index]
        assert interval is not None
        low, high = _clipped(interval.at(simultaneous_confidence(len(known))), about)
        rows[index] |= {
            "simultaneous_low": low,
            "simultaneous_high": high,
            "p_holm": float(p_holm),
            "detectable": detectable_difference(interval.largest_se, interval.df, LEVEL / len(known)),
            "verdict": decide(interval, len(known), margin),
        }


def _pair(a: DictionaryScores, b: DictionaryScores, about: About, paired: bool) -> _Pair:
    """The features with a value that counts; paired ones in the order of their pairs, with their clusters."""
    of_a, of_b = (trusted_values(side.of(about)) for side in (a, b))
    if paired:
        pairs = [(b.partner[mine], mine) for mine in sorted(of_b) if mine in b.partner and b.partner[mine] in of_a]
        features_a, features_b = [theirs for theirs, _ in pairs], [mine for _, mine in pairs]
        clusters = np.array([b.unit.get(mine, mine) for mine in features_b], dtype=np.int64)
    else:
        features_a, features_b, clusters = sorted(of_a), sorted(of_b), np.zeros(0, np.int64)
    values_a = np.array([of_a[feature] for feature in features_a])
    return _Pair(features_a, features_b, values_a, np.array([of_b[f] for f in features_b]), clusters)


def _units(side: DictionaryScores, features: Sequence[int]) -> Int64:
    """Cluster ids: features of one unit share one."""
    return np.array([side.unit.get(feature, feature) for feature in features], dtype=np.int64)
