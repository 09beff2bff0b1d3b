"""Stage score: every score of every scorer, from stored predictions; no model runs and nothing is asked.

    embedded explainers   the census from its stored sums; the sample and the published protocols from their lookups,
                          whose predictions are stored the first time
    judged ones           what the LLM said, read back from the tables of predictions

So a new metric, or a new version of one, appears in a store that is there already.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from autointerp.config.judging import Judge
from autointerp.explain.lookup import EMPTY, Entries, entries_of
from autointerp.pipeline.asking.shown_explanation import read_said
from autointerp.pipeline.asking.test_material import TestMaterial
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.plan.work_graph import own_metrics
from autointerp.pipeline.rows.census_rows import SCORER, read_sums, read_truth
from autointerp.pipeline.rows.embedded_predictions import StoredPredictions, read_stored
from autointerp.pipeline.rows.explanation_rows import read_all_explanations, read_explanations
from autointerp.pipeline.rows.prediction_rows import (
    empty_prediction,
    read_predictions,
    read_rated,
    read_simulated,
    write_predictions,
)
from autointerp.pipeline.rows.published_rows import published_of_judge, published_rows, read_densities
from autointerp.pipeline.rows.score_rows import score_columns
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.records import Explanation
from autointerp.score.census_sums import counted
from autointerp.score.gram_index import LookedUpWindows
from autointerp.score.metric import Metric
from autointerp.score.metric_registry import judged_published, metrics_for
from autointerp.score.predictions import Prediction, Rated, TokenItems
from autointerp.score.sampled import Answered, answer, published_windows
from autointerp.score.scorers.logit_effects import RANKINGS as TOKEN_RANKINGS
from autointerp.score.scorers.protocol import LooksUpWindows, Scorer, TestFeature
from autointerp.score.scorers.registry import measured_by, scorers_of
from autointerp.score.scores import ScoreTable, score_rows, subjects
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.tokens import TokenFile
from autointerp.words import (
    BESIDE,
    CONTROLS,
    LOGIT_SCORERS,
    RANKINGS,
    explainers_written,
    is_ceiling,
    is_label,
    permuted_of,
)

UNEMBEDDING = "unembedding"
"""Who judges in the rankings of logit effects without an explanation."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other: what is embedded, then what an LLM judged."""
    missing, judged = by_dictionary(works), context.done_keys("judge")
    with context.report.stage("scoring", context.n_features(missing), "features") as advance:
        for name, mine in missing.items():
            _score_embedded(context, name, [work for work in mine if work.scorer is None])
            by_judge = [work for work in mine if work.scorer is not None]
            for explainer in dict.fromkeys(work.explainer for work in by_judge):
                with context.store.transaction() as transaction:
                    for work in by_judge:
                        if work.explainer == explainer:
                            _score_judged(context, transaction, name, work, judged)
            advance(context.n_features([name]))


# --- embedded explainers


@dataclass
class EmbeddedScores:
    """What is computed for one embedded explainer of one dictionary."""

    explainer: str
    scores: list[ScoreTable] = field(default_factory=list)
    predictions: dict[str, dict[int, Prediction]] = field(default_factory=dict)
    """By the scorer's name in the rows."""
    measured: set[str] = field(default_factory=set)
    """Of these names, those of scorers that ask about what was measured."""
    answered: dict[int, Answered] = field(default_factory=dict)
    """Of the published protocols, by feature: rows of `judgements` where detection is asked for."""


def _score_embedded(context: StageContext, name: str, works: Sequence[Work]) -> None:
    if not works or not context.texts_are_there(name):
        return
    context.settle_lists(name)
    begun = time.monotonic()
    scorers, own = scorers_of(context.config.score.scorers), own_metrics(context.config)
    material = context.materials.of(name)
    sample = set(context.materials.sample_of(name).tolist())
    groups = {str(work.explainer): list(explainers_written(str(work.explainer))) for work in works}
    names = [one for group in groups.values() for one in group]
    tests = embedded_tests(material, scorers, sample)
    scored = score_dictionary(context.store, material, names, scorers, own, sample, tests)
    ranked = [scorers[name] for name in LOGIT_SCORERS if name in scorers]
    if ranked:
        for explainer in RANKINGS if CONTROLS in groups else ():
            scored[explainer] = _ranking(context, material, explainer, ranked, own, tests)
            groups[CONTROLS].append(explainer)
        for explainer in [one for one in names if is_label(one)]:
            permuted = permuted_of(explainer)
            scored[permuted] = _permuted(context.store, material, explainer, ranked, own, tests)
            groups[explainer].append(permuted)
    stored = read_stored(context.store, name)
    shared = (time.monotonic() - begun) / len(works)
    with context.store.transaction() as transaction:
        for work in works:
            of_run = read_stored(context.store, name, work.key)
            n = sum(
                _write(
                    transaction,
                    work.key,
                    name,
                    scored[explainer],
                    stored.get(explainer, StoredPredictions()),
                    of_run.get(explainer, StoredPredictions()),
                    context.tokens,
                )
                for explainer in groups[str(work.explainer)]
            )
            context.mark_done(transaction, work, n, shared)


Tests = Mapping[str, Mapping[int, Any]]
"""By scorer and feature, of scorers with an embedded judge: what explainers of the first wave are tested on."""


def embedded_tests(material: TestMaterial, scorers: Mapping[str, Scorer], sample: set[int]) -> Tests:
    """Of the features of `sample` that are alive."""
    tests: dict[str, dict[int, Any]] = {}
    for scorer in scorers.values():
        if scorer.embedded is not None:
            asked = {f for f in sample if f in material.measured} if measured_by(scorer) else sample
            mine = (feature for f, feature in material.ready.items() if f in asked)
            tests[scorer.name] = {feature.feature: scorer.material(feature, None) for feature in mine}
    return tests


class _EmbeddedJudge:
    """An embedded judge with what features are tested on: windows that most explainers share are looked at together."""

    def __init__(self, scorer: Scorer, tests: Mapping[int, Any], ready: Mapping[int, TestFeature]) -> None:
        self._scorer, self._tests, self._ready = scorer, tests, ready

    @cached_property
    def _windows(self) -> LookedUpWindows | None:
        """None: the judge looks at each feature by itself."""
        scorer = self._scorer
        if not isinstance(scorer, LooksUpWindows):
            return None
        return LookedUpWindows({f: scorer.looked_at(test) for f, test in self._tests.items()})

    def predictions(
        self, tested: Mapping[int, TestFeature], texts: Mapping[int, str], entries: Mapping[int, Entries]
    ) -> dict[int, Prediction | None]:
        """What it says of each feature, as an explainer is tested on it."""
        scorer, windows, tests = self._scorer, self._windows, self._tests
        together = {} if windows is None else windows.look_up(entries)
        said: dict[int, Prediction | None] = {}
        for f, feature in tested.items():
            if feature is not self._ready[f]:  # its explainer came later: windows of its own
                said[f] = scorer.look_up(feature, scorer.material(feature, None), texts[f], entries[f])
            elif isinstance(scorer, LooksUpWindows):
                said[f] = scorer.said_of(tests[f], *together[f])
            else:
                said[f] = scorer.look_up(feature, tests[f], texts[f], entries[f])
        return said


def score_dictionary(
    store: Queryable,
    material: TestMaterial,
    explainers: Sequence[str],
    scorers: Mapping[str, Scorer],
    own: Sequence[Metric],
    sample: set[int],
    tests: Tests | None = None,
) -> dict[str, EmbeddedScores]:
    """The census's scores of these embedded explainers, and those of `scorers` on the features of `sample`, tested on
    their `embedded_tests`."""
    tests = embedded_tests(material, scorers, sample) if tests is None else tests
    dictionary, status = material.dictionary, material.status
    n_features = dictionary_row(store, dictionary)["n_features"]
    ready = {f: feature for f, feature in material.ready.items() if f in sample}
    density = read_densities(store, dictionary)
    of_protocols = {
        f: published_windows(feature.candidates, feature.maximum, density[f]) for f, feature in ready.items()
    }
    windows = LookedUpWindows({f: of.windows for f, of in of_protocols.items()})
    embedded = {name: _EmbeddedJudge(scorers[name], mine, ready) for name, mine in tests.items()}
    truth = read_truth(store, dictionary, n_features)
    said_by = read_all_explanations(store, dictionary, explainers, n_features, sample)
    scores_of = {}
    for explainer, (explanations, lookup) in said_by.items():
        made = scores_of[explainer] = EmbeddedScores(explainer)
        everyone = subjects(explanations, status)
        sums = read_sums(store, dictionary, explainer, n_features)
        census = metrics_for("counted", SCORER, own)
        made.scores += score_rows(everyone, counted(truth, sums, everyone.features), census, SCORER)
        few = subjects([e for e in explanations if e.feature in sample], status)
        texts = {e.feature: e.text for e in explanations}
        fit = [f for f, word in zip(few.features.tolist(), few.status, strict=True) if word == "ok" and f in ready]
        entries = {f: entries_of(lookup, f) for f in fit}
        looked_up = windows.look_up(entries)
        answered = {f: answer(of_protocols[f], *looked_up[f]) for f in fit}
        tested = {f: feature for f in fit if (feature := material.for_explainer(f, explainer)) is not None}
        if "detection" in scorers:
            made.answered = answered
        for scorer in scorers.values():
            published = metrics_for("published", scorer.name, own)
            made.scores += score_rows(few, answered, published, scorer.name)
            if scorer.embedded is None or (scorer.shape in ("rated", "picked") and is_ceiling(explainer)):
                continue  # a table says nothing of what a feature promotes
            asked, subject_of = tested, few
            if measured_by(scorer):
                made.measured.add(scorer.embedded)
                asked = {f: feature for f, feature in tested.items() if f in material.measured}
                subject_of = subjects([e for e in explanations if e.feature in sample & material.measured], status)
            said = embedded[scorer.name].predictions(asked, texts, entries)
            predictions = {f: prediction for f, prediction in said.items() if prediction is not None}
            made.predictions[scorer.embedded] = predictions
            mine = metrics_for(scorer.shape, scorer.name, own)
            made.scores += score_rows(subject_of, predictions, mine, scorer.embedded)
    return scores_of


def _ranking(
    context: StageContext,
    material: TestMaterial,
    explainer: str,
    scorers: Sequence[Scorer],
    own: Sequence[Metric],
    tests: Tests,
) -> EmbeddedScores:
    """A ranking of tokens without an explanation, by each of these scorers. The model's unembedding is read once, to
    make it."""
    made = EmbeddedScores(explainer)
    for scorer in scorers:
        name = f"{scorer.name}:{UNEMBEDDING}"
        mine = tests[scorer.name]
        rated = _stored_ratings(context.store, material.dictionary, explainer, name, mine)
        said = subjects([Explanation(f, explainer, "", "ok") for f in sorted(mine)], material.status)
        missing = {f: items for f, items in mine.items() if f not in rated}
        if any(len(items) for items in missing.values()):
            rated |= {f: TOKEN_RANKINGS[explainer](items, context.unembedding) for f, items in missing.items()}
        # about a feature with too few tokens nothing is asked, and no row is kept
        predictions: dict[int, Prediction] = {f: rated.get(f, Rated(items, np.zeros(0))) for f, items in mine.items()}
        made.predictions[name] = predictions
        made.scores += score_rows(said, predictions, metrics_for("rated", scorer.name, own), name)
    return made


def _stored_ratings(
    store: Queryable, dictionary: str, explainer: str, scorer: str, asked: Mapping[int, TokenItems]
) -> dict[int, Rated]:
    """Of what is asked, what an earlier ranking of the very same tokens says."""
    rows = store.rows(_LATEST_RATING, dictionary=dictionary, explainer=explainer, scorer=scorer)
    rated = read_rated(store, rows[0]["run"] if rows else None, dictionary, explainer, scorer)
    return {f: of for f, of in rated.items() if f in asked and np.array_equal(of.items.token, asked[f].token)}


_LATEST_RATING = """
SELECT run FROM token_judgements WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer
ORDER BY rowid DESC LIMIT 1
"""


def _permuted(
    store: Queryable,
    material: TestMaterial,
    explainer: str,
    scorers: Sequence[Scorer],
    own: Sequence[Metric],
    tests: Tests,
) -> EmbeddedScores:
    """The control of an explainer's texts: the same tokens are asked about, each under the name of another."""
    n_features = dictionary_row(store, material.dictionary)["n_features"]
    explanations, _ = read_explanations(store, material.dictionary, explainer, n_features)
    made = EmbeddedScores(permuted_of(explainer))
    for scorer in scorers:
        mine = tests[scorer.name]
        asked = {e.feature: replace(e, explainer=made.explainer) for e in explanations if e.feature in mine}
        said = subjects([*asked.values()], material.status)
        predictions: dict[int, Prediction] = {}
        for f, label in asked.items():
            feature = replace(material.ready[f], corpus=material.corpus.permuted)
            rated = scorer.look_up(feature, mine[f], label.text, EMPTY) if label.status == "ok" else None
            if rated is not None:
                predictions[f] = rated
        made.predictions[str(scorer.embedded)] = predictions
        metrics = metrics_for("rated", scorer.name, own)
        made.scores += score_rows(said, predictions, metrics, str(scorer.embedded))
    return made


def _write(
    transaction: Transaction,
    run: str,
    dictionary: str,
    of: EmbeddedScores,
    stored: StoredPredictions,
    of_run: StoredPredictions,
    tokens: TokenFile,
) -> int:
    """Rows of `scores`; and of the predictions, which are there once, those not `stored` before.

    Of what was measured each piece of scoring keeps its own answers; `of_run`: those that it has.
    """
    n = transaction.append("scores", score_columns(run, dictionary, of.scores))
    for scorer, predictions in of.predictions.items():
        if scorer in of.measured:  # what was measured anew is asked about anew
            new = of_run.without(scorer, predictions)
            n += write_predictions(transaction, run, dictionary, of.explainer, scorer, new, tokens)
            continue
        new = stored.without(scorer, predictions)
        n += write_predictions(transaction, None, dictionary, of.explainer, scorer, new, tokens)
    if answered := stored.without("detection", of.answered):
        n += transaction.append("judgements", published_rows(dictionary, of.explainer, answered, tokens))
    return n


# --- what an LLM judged


def _score_judged(context: StageContext, transaction: Transaction, name: str, work: Work, done: set[str]) -> None:
    """Of one explainer by one scorer; left alone where its replies are waited for: its judging is not among `done`."""
    begun = time.monotonic()
    judge = context.config.score.judge
    assert judge is not None
    assert work.explainer is not None
    assert work.scorer is not None
    judged = context.prepared.work("judge", name, work.explainer, work.scorer)
    if judged.key not in done:
        return
    scorer = scorers_of(context.config.score.scorers)[work.scorer]
    scores = judged_scores(context, name, work.explainer, scorer, judge, judged.key)
    n = transaction.append("scores", score_columns(work.key, name, scores)) if scores else 0
    context.mark_done(transaction, work, n, time.monotonic() - begun)


def judged_scores(
    context: StageContext, name: str, explainer: str, scorer: Scorer, judge: Judge, judged: str
) -> list[ScoreTable]:
    """From the rows of the piece of judging `judged`; and of the lookups that stand beside a simulator."""
    metrics = metrics_for(scorer.shape, scorer.name, own_metrics(context.config))
    status = context.materials.status_of(name)
    tested = set(context.materials.asked_of(name, explainer, scorer).tolist())
    said = [one for one in read_said(context.store, name, explainer) if one.feature in tested]
    few = subjects(said, status)
    row_name = f"{scorer.name}:{judge.model}"
    predictions = read_predictions(context.store, scorer.shape, judged, name, explainer, row_name)
    for feature, word in zip(few.features.tolist(), few.status, strict=True):
        if word == "ok" and feature not in predictions:  # nothing could be asked
            predictions[feature] = empty_prediction(scorer.shape, feature, context.tokens.window)
    scores = score_rows(few, predictions, metrics, row_name)
    if published := judged_published(scorer.name):
        scores += score_rows(few, published_of_judge(context.store, name, predictions), published, row_name)
    if scorer.shape == "simulated":
        at = f"{SCORER}:lookup@{explainer}"
        for lookup_name in BESIDE:
            beside = read_simulated(context.store, judged, name, lookup_name, at)
            said = [Explanation(feature, lookup_name, "", "ok") for feature in sorted(beside)]
            scores += score_rows(subjects(said, status), beside, metrics, at)
    return scores
