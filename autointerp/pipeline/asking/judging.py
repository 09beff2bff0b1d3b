"""Asking a judge about the explanations of one explainer of one dictionary, and what comes of it.

1. For each explanation and scorer the scorer renders its questions as they are needed, and they are sent in a stream.
2. When all answers about a feature and scorer are there, the scorer reads them, and they are forgotten: memory holds
   predictions, not replies.
A failure is a prediction without a value, with status and reason. Scores are computed later, from the stored
predictions.

What `lexical` says and the table `context_lookup` stand on the same windows, as scorer `simulation:lookup@EXPLAINER`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.asker import Asker, Unanswered
from autointerp.pipeline.asking.test_material import TestMaterial
from autointerp.score.predictions import Judged, Prediction, Simulated
from autointerp.score.scorers.fitting import fit_items
from autointerp.score.scorers.protocol import Questions, Scorer, ShownExplanation, TestFeature
from autointerp.score.scorers.reply_values import call_of
from autointerp.words import of_permuted


@dataclass
class Findings:
    """What a judge said of one explainer of one dictionary, by one scorer."""

    predictions: dict[int, Prediction] = field(default_factory=dict)
    beside: dict[str, dict[int, Simulated]] = field(default_factory=dict)
    """What lookups predict on the same windows, by their explainer."""
    unanswered: Unanswered = field(default_factory=Unanswered)


@dataclass(frozen=True)
class ScorerTask:
    """What one scorer is to ask about."""

    scorer: Scorer
    features: frozenset[int]
    beside: Mapping[str, Mapping[int, Entries]] = field(default_factory=dict)
    """Lookups that stand on the same windows, by their explainer and by feature."""
    samples: Mapping[int, int] = field(default_factory=dict)
    """Sample numbers of the features that are not asked about for the first time; others: 0."""


@dataclass
class _Pending:
    """The questions about one feature and scorer, and the answers that are there."""

    questions: Questions
    answers: list[Answer | None]

    def take(self, part: int, answer: Answer) -> bool:
        self.answers[part] = answer
        return all(known is not None for known in self.answers)


class _Stream:
    """The questions of one explainer by all its tasks, and where their answers go."""

    def __init__(
        self,
        material: TestMaterial,
        explainer: str,
        shown: Sequence[ShownExplanation],
        judge: Judge,
        tasks: Sequence[ScorerTask],
    ) -> None:
        self.material, self.explainer, self.shown, self.judge, self.tasks = material, explainer, shown, judge, tasks
        self.findings = {task.scorer.name: Findings() for task in tasks}
        self.pending: dict[tuple[int, str], _Pending] = {}

    def questions(self) -> Iterator[Ask]:
        for shown in self.shown:
            feature = self.material.for_explainer(shown.feature, self.explainer)
            if feature is None or shown.explanation.status != "ok":
                continue
            for task in self.tasks:
                if shown.feature in task.features:
                    yield from self._about(shown, feature, task)

    def _about(self, shown: ShownExplanation, feature: TestFeature, task: ScorerTask) -> Iterator[Ask]:
        scorer, number = task.scorer, feature.feature
        material = self.material.of_scorer(scorer, feature, fit_items(self.judge))
        if of_permuted(self.explainer) is not None:
            feature = replace(feature, corpus=self.material.corpus.permuted)
        questions = scorer.questions(shown, feature, material, self.judge)
        findings = self.findings[scorer.name]
        if questions.beside is not None:
            for name, lookups in task.beside.items():
                if number in lookups:
                    findings.beside.setdefault(name, {})[number] = questions.beside(lookups[number])
        if not questions.asks:  # too few windows or tokens: nothing is asked, and nothing waited for
            findings.predictions[number] = questions.read([])
            return
        self.pending[number, scorer.name] = _Pending(questions, [None] * len(questions.asks))
        about: dict[str, Any] = {
            "dictionary": self.material.dictionary, "feature": number, "explainer": self.explainer,
            "scorer": scorer.name,
        }  # fmt: skip
        sample = task.samples.get(number, 0)
        for part, ask in enumerate(questions.asks):
            yield replace(ask, sample=sample, about={**about, "part": part})

    def take(self, answer: Answer) -> None:
        """Files an answer; the last one of a feature and scorer is read with the others, and all are forgotten."""
        about = answer.ask.about
        key = about["feature"], about["scorer"]
        findings = self.findings[about["scorer"]]
        findings.unanswered.note(answer)
        pending = self.pending[key]
        if pending.take(about["part"], answer):
            del self.pending[key]
            answers = [known for known in pending.answers if known is not None]
            findings.predictions[about["feature"]] = _with_calls(pending.questions.read(answers), answers)


def _with_calls(prediction: Prediction, answers: Sequence[Answer]) -> Prediction:
    """What a scorer of the user's own made of a single answer was said in that one's call."""
    if isinstance(prediction, Judged) and not prediction.calls and len(answers) == 1:
        return replace(prediction, calls=(call_of(answers[0]),) * len(prediction.items))
    return prediction


def ask_judge(
    material: TestMaterial,
    explainer: str,
    shown: Sequence[ShownExplanation],
    judge: Judge,
    tasks: Sequence[ScorerTask],
    asker: Asker,
    advance: Callable[[int], None] = lambda _n: None,
) -> dict[str, Findings]:
    """Steps 1 and 2, of the explanations that can be judged: status ok, of a feature that is alive and in the material.
    By scorer."""
    stream = _Stream(material, explainer, shown, judge, tasks)
    for answer in asker.answers(stream.questions(), judge):
        stream.take(answer)
        advance(1)
    if stream.pending and not any(found.unanswered.over_budget for found in stream.findings.values()):
        raise AssertionError(f"{len(stream.pending)} questions were never answered")
    return stream.findings
