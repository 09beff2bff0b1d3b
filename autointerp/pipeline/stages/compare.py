"""Stage compare: the pairs of dictionaries that belong together, and whether their means differ.

Pairs: every two dictionaries read from files (planted ones aside), and every baseline with the one it is
matched to, feature by feature, or, unmatched, with those at its hook; where there is none, with all, as another
site. `NAME@natural` is in no pair: it stands beside NAME. Every explainer, scorer, metric and design is a family of
its own: Holm's correction and the simultaneous intervals run over its pairs, those of which both sides have scores. The
lookup that was judged on an LLM's windows, and the ranking of logit effects that needs no label, are explainers like
others.

The verdict is on the difference over all features, those without a score at the floor of their dictionary. Beside it
stands the one on complete cases: of a pair of features both, else each, with a score. Where there is no floor, complete
cases are all there is, and the row says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from autointerp.compare.interval import Interval
from autointerp.compare.pairs import is_baseline, pairs_of
from autointerp.compare.statistics import LEVEL, decide, detectable_difference, holm, simultaneous_confidence
from autointerp.pipeline.plan.work import BUILDS_ON, Work
from autointerp.pipeline.rows.feature_pairs import FeaturePair
from autointerp.pipeline.rows.feature_values import FeatureValues, feature_values
from autointerp.pipeline.rows.powered_rows import cheap_values, powered_pairs
from autointerp.pipeline.rows.score_reader import RunScores, ScoreReader
from autointerp.pipeline.rows.stored_scores import About, DictionaryScores, Floors, read_floors
from autointerp.pipeline.stages.context import StageContext, columns_of
from autointerp.pipeline.stages.means import counted_by
from autointerp.score.metric_registry import bounds_of
from autointerp.words import CONTROLS, RANKINGS, is_control, predictor_among


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All comparisons in one transaction: the pages show those of one run."""
    config = context.config
    with (
        context.report.stage("comparing", len(works), "explainers") as advance,
        context.store.transaction() as transaction,
    ):
        reading = _Reading(context)
        for work in works:
            begun = time.monotonic()
            assert work.explainer is not None
            n = 0
            for table, rows in _rows_of(reading, work, config.score.margin).items():
                n += transaction.append(table, columns_of(rows)) if rows else 0
            context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)


class _Reading:
    """What the works of a run read; the cheap scores that many of them share are read once."""

    def __init__(self, context: StageContext) -> None:
        self._context, self._reader = context, ScoreReader(context.store)
        self._cheap_values = cache(self._read_cheap)
        self.predictor = predictor_among(context.config.explain.embedded)

    def sides(self, work: Work) -> dict[str, tuple[list[DictionaryScores], Floors]]:
        """By explainer, of those whose scores a piece of work compares: a side for each dictionary, and their floors.
        They are its explainer and what was scored beside it that is no control."""
        context = self._context
        scores = {name: self._scored(name, work) for name in context.dictionary_names}
        sides: dict[str, tuple[list[DictionaryScores], Floors]] = {}
        for explainer in sorted({explainer for of in scores.values() for explainer in of}):
            of_all, floors = [], {}
            for name, mine in scores.items():
                judged = None if work.scorer is None else self._key("judge", name, work)
                of_all.append(self._reader.dictionary_scores(name, explainer, mine.get(explainer, {}), judged))
                floors[name] = read_floors(context.store, self._key("means", name, work), explainer)
            sides[explainer] = of_all, floors
        return sides

    def _scored(self, name: str, work: Work) -> RunScores:
        """What is compared of the scores of a dictionary."""
        scores = self._reader.scores(self._key("score", name, work))
        if work.explainer == CONTROLS:
            return {one: scores.get(one, {}) for one in RANKINGS}
        if work.scorer is None:
            return {str(work.explainer): scores.get(str(work.explainer), {})}
        return {one: of for one, of in scores.items() if not is_control(one)}

    def cheap(self, work: Work) -> dict[str, FeatureValues]:
        """By dictionary the cheap scores that sharpen its means; none where its features were not drawn."""
        by_dictionary = {}
        for name in self._context.dictionary_names:
            means = self._context.prepared.work("means", name, work.explainer, work.scorer)
            key = means.decided_by[BUILDS_ON].get("predictor")
            if key is not None and self.predictor is not None:
                by_dictionary[name] = self._cheap_values(name, key)
        return by_dictionary

    def _read_cheap(self, name: str, key: str) -> FeatureValues:
        predictor = str(self.predictor)
        return cheap_values(self._reader.dictionary_scores(name, predictor, self._reader.scores(key)[predictor]))

    def _key(self, stage: str, name: str, work: Work) -> str:
        return self._context.prepared.work(stage, name, work.explainer, work.scorer).key


def _rows_of(reading: _Reading, work: Work, margin: float) -> dict[str, list[dict[str, Any]]]:
    """Rows of each table that a piece of work makes."""
    rows: dict[str, list[dict[str, Any]]] = {"comparisons": [], "powered_differences": []}
    cheap = reading.cheap(work)
    for explainer, (sides, floors) in reading.sides(work).items():
        for about in abouts_of(sides):
            pairs = pairs_about(sides, about, floors)
            names = {
                "run": work.key,
                "explainer": explainer,
                "scorer": about[0],
                "metric": about[1],
                "design": about[2],
            }
            rows["comparisons"] += [names | row for row in comparisons(pairs, about, margin)]
            if explainer == work.explainer and cheap:
                names["predictor"] = str(reading.predictor)
                rows["powered_differences"] += [names | row for row in powered_rows(pairs, cheap, about, margin)]
    return rows


def abouts_of(sides: Sequence[DictionaryScores]) -> list[About]:
    """Scorer, metric and design of which any dictionary has scores."""
    return sorted({about for side in sides for about in side.abouts})


Pair = tuple[DictionaryScores, DictionaryScores, FeaturePair]


def pairs_about(sides: Sequence[DictionaryScores], about: About, floors: Floors) -> list[Pair]:
    """The pairs of dictionaries of which both have scores by this scorer, metric and design: a family."""
    values = {
        side.dictionary: feature_values(side, about, floors.get(side.dictionary, {}).get(about))
        for side in sides
        if about in side.scores
    }
    pairs = []
    for a, b in pairs_of(sides):
        if a.dictionary in values and b.dictionary in values:
            paired = b.matched_to == a.dictionary
            pair = FeaturePair(values[a.dictionary], values[b.dictionary], paired)
            pairs.append((a, b, pair.matched(b) if paired else pair))
    return pairs


def comparisons(family: Sequence[Pair], about: About, margin: float) -> list[dict[str, Any]]:
    """Columns of `comparisons` that are about the pairs."""
    rows: list[dict[str, Any]] = []
    pairs: list[FeaturePair] = []
    every: list[Interval | None] = []
    complete: list[Interval | None] = []
    for a, b, pair in family:
        scored = pair.complete()
        counted = scored if pair.unknown else pair
        rows.append(
            {
                "a": a.dictionary, "b": b.dictionary, "paired": pair.paired,
                "other_site": is_baseline(b) and a.hook != b.hook, "over": SCORED if pair.unknown else ALL,
                "n_a": len(counted.a), "n_b": len(counted.b),
                "n_unscored_a": pair.a.n_unscored, "n_unscored_b": pair.b.n_unscored,
                "interval_over": counted_by(pair.a, pair.b), "margin": margin,
                "scored_n_a": len(scored.a), "scored_n_b": len(scored.b),
            }
        )  # fmt: skip
        pairs.append(counted)
        every.append(counted.difference())
        complete.append(scored.difference())
    made = []
    n_known = sum(interval is not None for interval in every)
    for row, pair, of_all, of_scored in zip(
        rows, pairs, decided(every, about, margin), decided(complete, about, margin), strict=True
    ):
        over = row["interval_over"] if of_all["difference"] is not None else None
        hangs = not pair.holds_in_spite_of_failures(of_all["verdict"], n_known, margin)
        verdict = "undecided" if hangs else of_all["verdict"]
        beside = {f"scored_{name}": of_scored[name] for name in _BESIDE}
        made.append(row | of_all | beside | {"interval_over": over, "verdict": verdict, "hangs_on_failures": hangs})
    return made


def powered_rows(
    family: Sequence[Pair], cheap: Mapping[str, FeatureValues], about: About, margin: float
) -> list[dict[str, Any]]:
    """Columns of `powered_differences` that are about the pairs; a verdict that hangs on failures is `undecided`."""
    sharpened = powered_pairs(family, cheap)
    together = decided([row.pop("interval") for row, _, _ in sharpened], about, margin)
    rows = []
    for (row, pair, difference), of in zip(sharpened, together, strict=True):
        stands = pair.holds_in_spite_of_failures(of["verdict"], len(sharpened), margin, difference)
        rows.append(row | {name: of[name] for name in _POWERED} | ({} if stands else {"verdict": "undecided"}))
    return rows


ALL, SCORED = "all", "scored"
"""What a difference is over: all features, or those with a score."""
_NOTHING: dict[str, Any] = dict.fromkeys(
    ("difference", "se", "se_documents", "df", "ci_low", "ci_high", "simultaneous_low", "simultaneous_high", "p",
     "p_holm", "detectable")
) | {"verdict": "undecided"}  # fmt: skip
_BESIDE = ("difference", "simultaneous_low", "simultaneous_high", "p_holm", "verdict")
"""What is stored of complete cases, as `scored_...`."""
_POWERED = ("difference", "se", "simultaneous_low", "simultaneous_high", "p_holm", "verdict")
"""What is stored of prediction-powered differences."""


def decided(intervals: Sequence[Interval | None], about: About, margin: float) -> list[dict[str, Any]]:
    """Columns of each difference of a family, with what holds for all of its pairs at once."""
    known = [interval for interval in intervals if interval is not None]
    adjusted = iter(holm([interval.p_value for interval in known]))
    rows = []
    for interval in intervals:
        if interval is None:
            rows.append(_NOTHING)
            continue
        low, high = _clipped(interval, about)
        all_low, all_high = _clipped(interval.at(simultaneous_confidence(len(known))), about)
        rows.append(
            {
                "difference": interval.value,
                "se": interval.se,
                "se_documents": interval.se_documents,
                "df": interval.df,
                "ci_low": low,
                "ci_high": high,
                "simultaneous_low": all_low,
                "simultaneous_high": all_high,
                "p": interval.p_value,
                "p_holm": float(next(adjusted)),
                "detectable": detectable_difference(interval.largest_se, interval.df, LEVEL / len(known)),
                "verdict": decide(interval, len(known), margin),
            }
        )
    return rows


def _clipped(interval: Interval, about: About) -> tuple[float, float]:
    """The interval as far as differences of this metric reach."""
    least, most = bounds_of(about[1], about[2])
    return max(interval.low, least - most), min(interval.high, most - least)
