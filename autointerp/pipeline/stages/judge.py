"""Stage judge: what an LLM says of explanations, as rows; what is asked again is asked again alone.

All scorers of an explainer are asked in one stream. Each is a piece of work of its own, and is done when its replies
are there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autointerp.config.judging import Judge
from autointerp.errors import OverBudget
from autointerp.explain.context_lookup import context_lookup
from autointerp.explain.lookup import entries_of
from autointerp.pipeline.asking.judging import Findings, ScorerTask, ask_judge
from autointerp.pipeline.asking.reading_texts import with_activations
from autointerp.pipeline.asking.shown_explanation import read_shown
from autointerp.pipeline.plan.reask import first_sample
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.explanation_rows import read_explanations
from autointerp.pipeline.rows.prediction_rows import carry_over, failed_features, write_findings
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.records import LookupTable
from autointerp.score.predictions import Generated, Prediction
from autointerp.score.scorers.registry import scorers_of
from autointerp.store.evidence import dictionary_row, read_gram_tables
from autointerp.store.writer import Transaction
from autointerp.words import BESIDE


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All judgements that are missing, but of dictionaries some of whose explanations are waited for."""
    judge = context.asking.judge()
    done = context.done_keys("judge")
    for name, mine in by_dictionary(works).items():
        if not context.texts_are_there(name):
            continue
        context.settle_lists(name)
        table = context_lookup(*read_gram_tables(context.store, name))
        beside = _beside(context, name)
        for explainer in dict.fromkeys(str(work.explainer) for work in mine):
            scorer_works = [_ScorerWork(context, work, done) for work in mine if work.explainer == explainer]
            _judge(context, judge, table, beside, name, explainer, scorer_works)
    context.publish()


def _beside(context: StageContext, name: str) -> dict[str, LookupTable]:
    """The lookups that stand on the same windows, as far as the run has them."""
    n_features = dictionary_row(context.store, name)["n_features"]
    here = [one for one in BESIDE if one in context.config.explain.embedded]
    return {one: read_explanations(context.store, name, one, n_features)[1] for one in here}


@dataclass
class _ScorerWork:
    """A piece of work with what of it is done: of one that was judged before, only what is asked again is missing."""

    context: StageContext
    work: Work
    done: set[str]
    """Keys of all judging that was done when the stage began."""

    def __post_init__(self) -> None:
        before = [link for link in self.work.links if link.key in self.done]
        self.before = before[-1] if before else None
        later = self.work.links[self.work.links.index(self.before) + 1 :] if self.before is not None else []
        self.redone = {feature for link in later if link.redo is not None for feature in link.redo.judged}

    def task(self, name: str, explainer: str, beside: Mapping[str, LookupTable]) -> ScorerTask:
        """What its scorer is to ask about."""
        assert self.work.scorer is not None
        scorer = scorers_of(self.context.config.score.scorers)[self.work.scorer]
        tested = {int(feature) for feature in self.context.materials.asked_of(name, explainer, scorer)}
        features = tested if self.before is None else tested & self.redone
        lookups = {one: {f: entries_of(beside[one], f) for f in features} for one in self.work.decided_by["beside"]}
        return ScorerTask(scorer, frozenset(features), lookups, self._samples())

    def _samples(self) -> dict[int, int]:
        """Numbers of the request's own for what failed before it: a failure in a batch would stand."""
        if self.before is None or self.work.redo is None:
            return {}
        failed = failed_features(self.context.store, self.before.key)
        return dict.fromkeys(failed, first_sample(self.work.redo.number))


def _judge(
    context: StageContext,
    judge: Judge,
    table: LookupTable,
    beside: Mapping[str, LookupTable],
    name: str,
    explainer: str,
    scorer_works: Sequence[_ScorerWork],
) -> None:
    """Asks all scorers of an explainer at once, and writes each that is whole."""
    begun = time.monotonic()
    tasks = [scorer_work.task(name, explainer, beside) for scorer_work in scorer_works]
    wanted = frozenset().union(*(task.features for task in tasks))
    again = all(scorer_work.before is not None for scorer_work in scorer_works)
    material = context.materials.some(name, wanted) if again else context.materials.of(name)
    by_text = context.materials.corpus.by_text
    shown = [one for one in read_shown(context.store, name, explainer, by_text, table) if one.feature in wanted]
    with context.report.stage(f"judging {explainer} of {name}", None, "answers") as advance:
        findings_of = ask_judge(material, explainer, shown, judge, tasks, context.asking.client(), advance)
    shared = (time.monotonic() - begun) / len(scorer_works)
    over_budget, whole = "", []
    for scorer_work in scorer_works:
        findings = findings_of[str(scorer_work.work.scorer)]
        if findings.unanswered.over_budget:
            over_budget = findings.unanswered.over_budget
        elif context.asking.whole(findings.unanswered):
            if any(isinstance(one, Generated) for one in findings.predictions.values()):
                findings.predictions = _read(context, name, findings.predictions)
            whole.append((scorer_work, findings))
    with context.store.transaction() as transaction:
        for scorer_work, findings in whole:
            _write(context, transaction, judge, name, explainer, scorer_work, findings, shared)
    context.publish_at_times()
    if over_budget:
        raise OverBudget(over_budget)


def _read(context: StageContext, name: str, predictions: dict[int, Prediction]) -> dict[int, Prediction]:
    """Texts that the judge wrote, read by the subject."""
    return with_activations(
        context.prepared.subject,
        context.open([name])[name],
        predictions,
        context.prepared.tokens.bos,
        context.prepared.tokens.context_length,
    )


def _write(
    context: StageContext,
    transaction: Transaction,
    judge: Judge,
    name: str,
    explainer: str,
    scorer_work: _ScorerWork,
    findings: Findings,
    seconds: float,
) -> None:
    work = scorer_work.work
    again = 0 if work.redo is None else work.redo.number
    row_name = f"{work.scorer}:{judge.model}"
    n = write_findings(transaction, work.key, name, explainer, row_name, findings, context.tokens, again)
    if scorer_work.before is not None:
        n += carry_over(context.store, transaction, scorer_work.before.key, work.key, scorer_work.redone)
    context.mark_done(transaction, work, n, seconds)
