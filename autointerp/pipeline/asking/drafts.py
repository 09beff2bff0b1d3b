"""Best-of-n, probes and revision (`best_of`, `probe`, `revise`): several drafts of an explanation, of which one stays.

1. `best_of` drafts of each feature: the same request under as many sample numbers.
2. The run's judge reads each draft and says of windows of the select split whether the feature fires there (one call
   of detection a draft, more where the judge's context has no room for all windows; the same windows for all drafts of
   a feature); the draft with the best balanced accuracy leads, the earlier one where two are equal. A single draft that
   has no rival is not judged.
3. `probe` times: `probes.py`.
4. `revise` times: the judge reads the leading draft on *other* documents of the select split
   (`score/scorers/select_exam.py` says why others); the windows that it gets wrong there are shown to the explainer,
   with the evidence and its own answer. The new draft is judged as in 2, and leads if it is better. A feature whose
   leading draft gets nothing wrong is left.
5. What leads is the explanation; where no judge chooses, the last draft that is none of the failures. Scores come from
   the score split, of which nothing is read here.

How many windows stand in one question decides nothing: with another number what was chosen stays chosen.

Rounds go over the whole dictionary, so that they fit into batches; a feature whose replies are not all there yet waits,
the others go on. Rare features have too few windows to choose by: they get one draft. Failures of drafts are values
with their reasons: the rest compete, and a feature fails where all its drafts did. Where the judge fails, what led
before leads on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from autointerp.config.explainers import LLMExplainer
from autointerp.config.judging import Judge
from autointerp.explain.evidence import Draft, Evidence, Exemplar
from autointerp.explain.prompt import explain_ask
from autointerp.explain.revise import MOST_SHOWN, Counterexamples, revise_ask, revise_version
from autointerp.explain.shortening import fitted
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.asker import Asker, Unanswered
from autointerp.pipeline.asking.evidence import read_evidence
from autointerp.pipeline.asking.explaining import Asked, features_to_explain, style_of
from autointerp.pipeline.asking.probes import ReadTexts, TriedText, probe_round
from autointerp.pipeline.asking.room import answers_in_room
from autointerp.pipeline.asking.test_material import Corpus, each_exam
from autointerp.pipeline.asking.tried_drafts import DraftsOfFeature, Judging, Tried, written_of
from autointerp.pipeline.plan.reask import Redo, first_sample
from autointerp.pipeline.rows.explanation_rows import Written
from autointerp.records import Explanation, Int64
from autointerp.score.predictions import Items, Judged
from autointerp.score.scorers.fitting import fit_items
from autointerp.score.scorers.select_exam import Exam, select_score, wrong_rows
from autointerp.score.scorers.yes_no import judge_asks, read_judgements
from autointerp.store.query import Queryable


@dataclass
class Refined:
    """What came of refining an explainer's drafts of one dictionary."""

    asked: Asked
    tried: list[Tried]
    chosen: set[tuple[int, int]]  # feature and number of the drafts that are kept
    trouble: dict[int, tuple[str, str]]
    """Features of which the judge could not try a draft, with status and reason."""
    probes: list[TriedText]
    unchosen: int
    """Features that fire too seldom on the select split to choose by."""
    unshown: int
    """Features that fire too seldom there to be revised."""

    def lines(self) -> list[str]:
        """What is to be said of it."""
        said = [
            (len(self.trouble), "drafts that could not be tried (table failures); what led without is kept"),
            (self.unchosen, "too few firings on the select split to choose by; the first draft is kept"),
            (self.unshown, "too few firings on its other documents to be revised"),
        ]
        return [f"{n:,} {'feature' if n == 1 else 'features'} with {what}" for n, what in said if n]


def refine(
    store: Queryable,
    corpus: Corpus,
    dictionary: str,
    entry: LLMExplainer,
    judge: Judge | None,
    asker: Asker,
    advance: Callable[[int], None],
    read: ReadTexts,
    redo: Redo | None = None,
) -> Refined:
    """All rounds, as far as the replies at hand allow. `judge`: needed where it chooses."""
    work = Refining(store, corpus, dictionary, entry, judge, asker, advance, redo)
    work.draft()
    more = entry.revise + entry.probe
    work.judge([one for feature in work.open() for one in feature.good if len(feature.good) > 1 or more])
    for number in range(1, entry.probe + 1):
        work.judge(probe_round(work, number, read))
    for number in range(1, entry.revise + 1):
        work.find_wrong()
        work.judge(work.revise(entry.probe + number))
    return work.result()


class Refining:
    """The rounds under way."""

    def __init__(
        self,
        store: Queryable,
        corpus: Corpus,
        dictionary: str,
        entry: LLMExplainer,
        judge: Judge | None,
        asker: Asker,
        advance: Callable[[int], None],
        redo: Redo | None,
    ) -> None:
        self.store, self.corpus, self.dictionary = store, corpus, dictionary
        self.entry, self._judge_model = entry, judge
        self.asker, self.advance = asker, advance
        self.style = style_of(entry)
        self.first_sample = 0 if redo is None else first_sample(redo.number)
        self.status = features_to_explain(store, dictionary, redo, clamped=entry.sees_measured)
        self.probes: list[TriedText] = []
        self.features = {
            feature: DraftsOfFeature(chooses=entry.chooses) for feature, word in self.status.items() if word != "dead"
        }
        self.alive = [feature for feature in self.features if self.status[feature] == "alive"]
        self.unanswered = Unanswered()
        self.too_few: tuple[set[int], set[int]] = set(), set()  # features without windows to choose by, to be shown
        self._asked: dict[tuple[int, int], Judging] = {}  # what was asked of a draft and is not all answered

    def open(self) -> list[DraftsOfFeature]:
        """Features that can be chosen for and do not wait."""
        return [self.features[feature] for feature in self.alive if not self.features[feature].waits]

    # --- step 1

    def draft(self) -> None:
        """Asks for the first drafts."""

        def asks() -> Iterator[Ask]:
            for evidence in read_evidence(self.store, self.dictionary, list(self.features), self.texts):
                alive = self.status[evidence.feature] == "alive"
                ask, gone = self.fitted(evidence, lambda shown: explain_ask(self.style, shown, self.first_sample))
                for number in range(self.entry.best_of if alive else 1):
                    yield self.about(replace(ask, sample=self.first_sample + number), draft=number, left_out=gone)

        for answer in self.answers(asks(), self.entry):
            said = self._said(answer, self.style.version)
            self._take(Tried(**said, number=answer.ask.about["draft"], round=0))

    # --- step 2

    def judge(self, drafts: Sequence[Tried]) -> None:
        """Gives each good draft its score on the windows that choose; nothing where nobody chooses."""
        if not self.entry.chooses:
            return
        wanted: dict[int, list[Tried]] = {}
        for draft in drafts:
            wanted.setdefault(draft.feature, []).append(draft)

        def asks() -> Iterator[Ask]:
            for exam in self._exams(wanted):
                for draft in wanted[exam.feature]:
                    draft.items = exam.choosing.windows.context
                    draft.n_items = len(exam.choosing)
                    draft.score_status = "no_items"
                    yield from self._judging(draft, exam.choosing, split="select")
                if len(exam.choosing) == 0:
                    self.too_few[0].add(exam.feature)

        for draft, judged in self._judged(asks()):
            value = select_score(judged)
            draft.score, draft.score_status = value.value, value.status
            if value.value is None:
                self.features[draft.feature].trouble = value.status, judged.reason

    # --- step 3

    def find_wrong(self) -> None:
        """Tries the leading draft of each feature on the windows that may be shown."""
        leading: dict[int, Tried] = {}
        for feature in self.open():
            feature.wrong = None
            leader = feature.leader
            if leader is None or leader.score is None or feature.settled:
                continue
            leading[leader.feature] = leader

        def asks() -> Iterator[Ask]:
            for exam in self._exams(leading):
                yield from self._judging(leading[exam.feature], exam.shown, split="select", shown=True)
                if len(exam.shown) == 0:
                    self.too_few[1].add(exam.feature)

        for draft, judged in self._judged(asks()):
            feature, (misses, alarms) = self.features[draft.feature], wrong_rows(judged)
            feature.wrong = misses[:MOST_SHOWN], alarms[:MOST_SHOWN]
            feature.settled = len(misses) + len(alarms) == 0 and bool(judged.answered.all())
            if not judged.answered.all():
                status = next(status for status in judged.status if status != "ok")
                feature.trouble = status, judged.reason

    def revise(self, number: int) -> list[Tried]:
        """Asks again about the features whose leading draft gets something wrong, and returns what was written."""
        fit = [f for f in self.alive if self._is_wrong(self.features[f])]
        leading = {f: leader for f in fit if (leader := self.features[f].leader) is not None}
        contexts: dict[int, Int64] = {}

        def asks() -> Iterator[Ask]:
            evidences = read_evidence(self.store, self.dictionary, fit, self.texts)
            for evidence, exam in zip(evidences, self._exams(leading), strict=True):
                feature, leader = self.features[exam.feature], leading[exam.feature]
                assert feature.wrong is not None
                assert leader.draft is not None
                wrong = Counterexamples(*(self._shown(exam, rows) for rows in feature.wrong))
                contexts[exam.feature] = exam.shown.windows.context[np.concatenate(feature.wrong)]
                revise = partial(self._revise_ask, leader.draft, wrong, self.first_sample + number - 1)
                ask, gone = self.fitted(evidence, revise)
                about = {"draft": len(feature.tried), "revised": leader.number, "round": number, "left_out": gone}
                yield self.about(ask, **about)

        made = []
        for answer in self.answers(asks(), self.entry):
            about = answer.ask.about
            tried = self.revised(answer, revise_version(self.style), number, about["draft"], about["revised"])
            tried.shown = contexts.pop(tried.feature)
            made += [tried] if tried.draft is not None else []
        return made

    def revised(self, answer: Answer, prompt: str, number: int, draft: int, revised: int) -> Tried:
        """A draft that the explainer wrote on seeing another, of the round `number`."""
        tried = Tried(**self._said(answer, prompt), number=draft, round=number, revised=revised)
        self._take(tried)
        return tried

    def fitted(self, evidence: Evidence, ask_of: Callable[[Evidence], Ask]) -> tuple[Ask, int]:
        """The question with as many exemplars as fit the model's context, and how many do not."""
        return fitted(self.style, evidence, ask_of, self.entry.context_tokens, self.entry.max_tokens)

    def _revise_ask(self, draft: Draft, wrong: Counterexamples, sample: int, evidence: Evidence) -> Ask:
        return revise_ask(self.style, evidence, draft, wrong, sample)

    @staticmethod
    def _is_wrong(feature: DraftsOfFeature) -> bool:
        return not feature.waits and feature.wrong is not None and sum(map(len, feature.wrong)) > 0

    def _shown(self, exam: Exam, rows: Int64) -> list[Exemplar]:
        """Windows as exemplars, of their scored tokens."""
        shown = []
        for row in rows.tolist():
            scored = exam.shown.windows.scored[row]
            tokens = tuple(self.texts[token] for token in exam.shown.windows.tokens[row][scored].tolist())
            values = exam.truth[row][scored]
            stratum = "miss" if exam.shown.right[row] else "false_alarm"
            shown.append(Exemplar(stratum, tokens, tuple(map(float, values)), int(np.argmax(np.abs(values)))))
        return shown

    # --- step 4

    def result(self) -> Refined:
        """Explanations, where everything asked about a feature is answered."""
        name, written, chosen, trouble = self.entry.name, [], set(), {}
        for number, word in self.status.items():
            feature = self.features.get(number)
            if feature is None:
                written.append(Written(Explanation(number, name, "", word), prompt=self.style.version))
            elif not feature.waits and feature.tried:
                leader = feature.leader
                written.append(written_of(name, feature.tried if leader is None else [leader]))
                if leader is not None:
                    chosen.add((number, leader.number))
                if feature.trouble is not None:
                    trouble[number] = feature.trouble
        tried = [one for feature in self.features.values() for one in feature.tried]
        return Refined(Asked(written, self.unanswered), tried, chosen, trouble, self.probes, *map(len, self.too_few))

    # --- asking

    @property
    def _chooser(self) -> Judge:
        assert self._judge_model is not None  # the run file is asked for it
        return self._judge_model

    @property
    def texts(self) -> Sequence[str]:
        return self.corpus.vocabulary.texts

    def _exams(self, features: Iterable[int]) -> Iterator[Exam]:
        group = fit_items(self._chooser)
        return each_exam(self.store, self.corpus, self.dictionary, sorted(features), group)

    def about(self, ask: Ask, **more: Any) -> Ask:
        return replace(ask, about={**ask.about, "dictionary": self.dictionary, "explainer": self.entry.name, **more})

    def _judging(self, tried: Tried, items: Items, **about: Any) -> Iterator[Ask]:
        """The questions about all items, a group in each; none where there are no items."""
        assert tried.draft is not None
        form, logprobs = self._chooser.judgements, self._chooser.logprobs
        asks = judge_asks("detect", tried.draft.text, items, self.texts, form=form, logprobs=logprobs)
        if asks:
            self._asked[tried.feature, tried.number] = Judging(tried, items, [None] * len(asks))
        for group, ask in enumerate(asks):
            yield self.about(ask, feature=tried.feature, draft=tried.number, group=group, **about)

    def _judged(self, asks: Iterator[Ask]) -> Iterator[tuple[Tried, Judged]]:
        """Each draft, and what the judge says of it when all of its questions are answered."""
        for answer in self.answers(asks, self._chooser):
            key = answer.ask.about["feature"], answer.ask.about["draft"]
            if (judging := self._asked.get(key)) is None:
                continue  # another question about it waits
            judging.answers[answer.ask.about["group"]] = answer
            known = [answer for answer in judging.answers if answer is not None]
            if len(known) == len(judging.answers):
                del self._asked[key]
                yield judging.tried, read_judgements(judging.items, known, self._chooser.judgements)

    def answers(self, asks: Iterator[Ask], model: LLMExplainer | Judge) -> Iterator[Answer]:
        """Those that are answers; a feature without one waits."""
        for answer in answers_in_room(self.asker, asks, model):
            self.advance(1)
            self.unanswered.note(answer)
            if answer.status in ("waiting", "over_budget"):
                feature = answer.ask.about["feature"]
                self.features[feature].waits = True
                self._asked.pop((feature, answer.ask.about["draft"]), None)
            else:
                yield answer

    def _said(self, answer: Answer, prompt: str) -> dict[str, Any]:
        return {
            "feature": answer.ask.about["feature"],
            "sample": answer.ask.sample,
            "prompt": prompt,
            "status": answer.status,
            "reason": answer.reason,
            "request": answer.request,
            "model": answer.model,
            "draft": cast(Draft, answer.data) if answer.status == "ok" else None,
            "left_out": answer.ask.about["left_out"],
        }

    def _take(self, tried: Tried) -> None:
        mine = self.features[tried.feature].tried
        mine.append(tried)
        mine.sort(key=lambda one: one.number)
