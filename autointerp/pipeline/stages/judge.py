"""Stage judge: what an LLM says of explanations, as rows; what is asked again is asked again alone."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from autointerp.config.judging import Judge
from autointerp.explain.lexical import lexical_lookup
from autointerp.explain.lookup import entries_of
from autointerp.pipeline.asking.judging import ask_judge, control_features, findings_scores, write_findings
from autointerp.pipeline.asking.shown_explanation import Told, read_told
from autointerp.pipeline.asking.test_material import Ground
from autointerp.pipeline.plan.reask import first_sample
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.prediction_rows import carry_over
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.store.evidence import read_gram_tables
from autointerp.words import HUMAN, is_control

_FAILED = """
SELECT DISTINCT feature, scorer, starts_with(explainer, 'permuted:') AS permuted FROM scores
WHERE run = $run AND (status = 'failed' OR n_failed > 0)
"""


class _Desk:
    """What judging one dictionary's explainers takes; its ground is laid once for all of it."""

    def __init__(self, context: StageContext, name: str, judge: Judge) -> None:
        self.name, self.judge, self._context = name, judge, context
        self.lexical = lexical_lookup(*read_gram_tables(context.store, name))
        sample = context.materials.sample_of(name)
        self.few = set(control_features(sample, name, context.config.seed, judge.controls).tolist())
        self._whole: Ground | None = None

    def told(self, explainer: str, only: Collection[int] | None) -> list[Told]:
        """What is judged: of a control a few, `only` these where it is given."""
        told = read_told(
            self._context.store, self.name, explainer, self._context.materials.corpus().vocabulary.texts, self.lexical
        )
        wanted = self.few if is_control(explainer) else {one.explanation.feature for one in told}
        wanted = wanted if only is None else wanted & set(only)
        return [one for one in told if one.explanation.feature in wanted]

    def ground(self, more: Sequence[int], only: Collection[int] | None) -> Ground:
        """The sampled features and `more`; `only` these where it is given."""
        if more or only is not None:
            return self._context.materials.ground(self.name, self.judge.items_per_call, more, only)
        if self._whole is None:
            self._whole = self._context.materials.ground(self.name, self.judge.items_per_call)
        return self._whole


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All judgements that are missing, but for explanations that are waited for."""
    judge = context.config.score.judge
    assert judge is not None  # there is no such work without one
    for name, mine in by_dictionary(works).items():
        desk = _Desk(context, name, judge)
        for work in mine:
            if (name, work.explainer) not in context.asking.unexplained:
                _judged(context, desk, work)


def _judged(context: StageContext, desk: _Desk, work: Work) -> None:
    """Judges an explainer; of one that was judged before, only what is asked again, the rest is carried over."""
    begun = time.monotonic()
    name, judge = desk.name, desk.judge
    assert work.explainer is not None
    done = [link for link in work.links if context.store.done(link.stage, link.key)]
    before = done[-1] if done else None
    later = work.links[work.links.index(before) + 1 :] if before is not None else []
    redone = {feature for link in later if link.redo is not None for feature in link.redo.judged}
    only = None if before is None else redone
    told = desk.told(work.explainer, only)
    # what people chose to label is judged, sampled or not
    more = [one.explanation.feature for one in told] if work.explainer == HUMAN else []
    ground = desk.ground(more, only)
    control = is_control(work.explainer)
    beside = work.decided_by["beside"]
    with context.report.stage(f"judging {work.explainer} of {name}", None, "answers") as advance:
        found = ask_judge(
            ground,
            work.explainer,
            told,
            judge,
            ground.scorers,
            context.asking.client(),
            permuted=None if control else ground.corpus.vocabulary.permuted(context.config.seed),
            permuted_on=desk.few,
            advance=advance,
            samples=_samples(context, work, before),
            beside={f: entries_of(desk.lexical, f) for f in ground.ready} if beside else None,
        )
    if not context.asking.whole(found.unanswered):
        return
    said = [one.explanation for one in told]
    scores = findings_scores(ground, said, found, ground.scorers, judge.model)
    with context.store.transaction() as transaction:
        again = 0 if work.redo is None else work.redo.number
        n = write_findings(transaction, work.key, ground, found, scores, judge.model, again)
        n += 0 if before is None else carry_over(context.store, transaction, before.key, work.key, redone)
        context.done(transaction, work, n, time.monotonic() - begun)
    context.publish()


def _samples(context: StageContext, work: Work, before: Work | None) -> dict[tuple[int, str], int]:
    """Numbers of the request's own for what failed before it: a failure in a batch would stand."""
    if before is None or work.redo is None:
        return {}
    number = first_sample(work.redo.number)
    rows = context.store.rows(_FAILED, run=before.key)
    asked = [("permuted" if row["permuted"] else row["scorer"].split(":")[0], row["feature"]) for row in rows]
    return {(feature, scorer): number for scorer, feature in asked}
