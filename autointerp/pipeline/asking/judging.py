"""Asking a judge about the explanations of one explainer of one dictionary, and what comes of it.

1. For each explanation and scorer its questions are rendered as they are needed (`_Asked.questions`), and
   sent in a stream.
2. When all answers about a feature and scorer are there, they are read and the answers forgotten: memory holds
   predictions, not replies.
3. Scores are computed from the predictions. A failure is a prediction without a value, with status and reason; it is
   counted in n_failed.

The cheap simulator stands on the same windows: `lexical`'s lookup as scorer `simulation:lookup@EXPLAINER`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.explain.lookup import Entries
from autointerp.hashing import hash64, stream_key
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline.asking.asker import Asker, Unanswered
from autointerp.pipeline.asking.shown_explanation import Told
from autointerp.pipeline.asking.test_material import Ground, shown_windows
from autointerp.pipeline.rows.prediction_rows import judgement_rows, rating_rows, score_rows, simulation_rows
from autointerp.pipeline.stages.score import without_score
from autointerp.records import Explanation, Int64, Score
from autointerp.score.sampled import Drawn, Simulated, draw_windows, simulate
from autointerp.score.sampling import QUOTAS_60
from autointerp.score.scorers.detection import METRICS as JUDGE_METRICS
from autointerp.score.scorers.detection import Judged, Kind, judge_asks, judge_scores, read_judgements
from autointerp.score.scorers.llm_simulators import calibrate, chunks, simulator_named, spread
from autointerp.score.scorers.logit_effects import METRICS as LOGIT_METRICS
from autointerp.score.scorers.logit_effects import Rated, logit_ask, logit_scores, read_ratings
from autointerp.score.scorers.shown import Reply, ShownWindow
from autointerp.score.scores import sample_scores, subjects
from autointerp.store.writer import Transaction


@dataclass
class Findings:
    """Everything that a judge said of one explainer of one dictionary."""

    explainer: str
    simulated: dict[int, Simulated] = field(default_factory=dict)
    window_status: dict[int, tuple[str, ...]] = field(default_factory=dict)
    judged: dict[Kind, dict[int, Judged]] = field(default_factory=dict)
    rated: dict[int, Rated] = field(default_factory=dict)
    permuted: dict[int, Rated] = field(default_factory=dict)
    beside: dict[int, Simulated] = field(default_factory=dict)
    """`lexical`'s lookup on the same windows."""
    failures: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Feature, scorer, status, reason."""
    unanswered: Unanswered = field(default_factory=Unanswered)


def control_features(sample: Int64, dictionary: str, seed: int, n: int) -> Int64:
    """The features of the sample on which controls are judged: the n of smallest hash."""
    order = np.argsort(hash64(stream_key(seed, "controls", dictionary), sample), kind="stable")
    return np.sort(sample[order[:n]])


# --- asking -----------------------------------------------------------------------------------------


@dataclass
class _Pending:
    """The questions about one feature and scorer, and the answers that are there."""

    read: Callable[[list[Answer]], None]
    answers: list[Answer | None]

    def take(self, part: int, answer: Answer) -> bool:
        self.answers[part] = answer
        return all(one is not None for one in self.answers)


class _Asked:
    """The questions of one explainer, and where their answers go."""

    def __init__(
        self,
        ground: Ground,
        told: Sequence[Told],
        judge: Judge,
        scorers: Sequence[str],
        found: Findings,
        permuted: Sequence[str] | None,
        permuted_on: Collection[int],
        beside: Mapping[int, Entries] | None,
        samples: Mapping[tuple[int, str], int],
    ) -> None:
        self.ground, self.told, self.judge, self.scorers, self.found = ground, told, judge, scorers, found
        self.permuted, self.permuted_on, self.beside, self.samples = permuted, permuted_on, beside, samples
        self.simulator = simulator_named(judge.simulate, judge.logprobs, judge.windows_per_call)
        self.pending: dict[tuple[int, str], _Pending] = {}

    def questions(self) -> Iterator[Ask]:
        for told in self.told:
            feature = told.explanation.feature
            for scorer in self.scorers:
                yield from self._about(told, feature, scorer)
            if self.permuted is not None and "logits" in self.scorers and feature in self.permuted_on:
                yield from self._logits(told, feature, "permuted")

    def _about(self, told: Told, feature: int, scorer: str) -> Iterator[Ask]:
        if scorer == "simulation":
            yield from self._simulation(told, feature)
        elif scorer == "logits":
            yield from self._logits(told, feature, "logits")
        elif scorer in self.ground.items:
            yield from self._judgement(told, feature, scorer)

    def _open(self, feature: int, scorer: str, asks: list[Ask], read: Callable[[list[Answer]], None]) -> Iterator[Ask]:
        self.pending[feature, scorer] = _Pending(read, [None] * len(asks))
        about = {"dictionary": self.ground.dictionary, "feature": feature, "explainer": self.found.explainer}
        sample = self.samples.get((feature, scorer), 0)
        for part, ask in enumerate(asks):
            yield replace(ask, sample=sample, about={**about, "scorer": scorer, "part": part})

    def _simulation(self, told: Told, feature: int) -> Iterator[Ask]:
        drawn = draw_windows(self.ground.ready[feature], told.triggers, QUOTAS_60)
        if self.beside is not None:
            self.found.beside[feature] = simulate(drawn, self.beside[feature])
        shown = shown_windows(self.ground.corpus, drawn.windows, self.judge.context)
        # in an order that says nothing of the classes
        key = stream_key(self.ground.corpus.seed, "order", "simulation")
        order = np.argsort(hash64(key, feature, drawn.windows.window), kind="stable").tolist()
        parts = list(chunks([shown[row] for row in order], self.simulator.group))
        groups = [self.simulator.asks(told.explanation.text, part) for part in parts]

        def read(answers: list[Answer]) -> None:
            rest = iter(answers)
            replies = [
                reply
                for part, asks in zip(parts, groups, strict=True)
                for reply in self.simulator.read([next(rest) for _ in asks], part)
            ]
            by_row = dict(zip(order, replies, strict=True))
            self._simulated(feature, drawn, shown, [by_row[row] for row in range(len(shown))])

        yield from self._open(feature, "simulation", [ask for asks in groups for ask in asks], read)

    def _simulated(self, feature: int, drawn: Drawn, shown: list[ShownWindow], replies: list[Reply]) -> None:
        length = drawn.truth.shape[1]
        steps = np.zeros((len(replies), length), dtype=np.float32)
        for row, (window, reply) in enumerate(zip(shown, replies, strict=True)):
            steps[row, : len(window.tokens)] = spread(reply, window)
        values = calibrate(steps, self.ground.maximum[feature])
        self.found.simulated[feature] = Simulated(drawn, values, np.clip(steps / 10.0, 0.0, 1.0).astype(np.float32))
        self.found.window_status[feature] = tuple(reply.status for reply in replies)
        self._failed(feature, "simulation", next((reply for reply in replies if reply.values is None), None))

    def _judgement(self, told: Told, feature: int, kind: Kind) -> Iterator[Ask]:
        items = self.ground.items[kind][feature]
        form = self.judge.judgements
        asks = judge_asks(
            kind,
            told.explanation.text,
            items,
            self.ground.corpus.vocabulary.texts,
            form=form,
            logprobs=self.judge.logprobs,
        )

        def read(answers: list[Answer]) -> None:
            judged = read_judgements(items, answers, form)
            self.found.judged.setdefault(kind, {})[feature] = judged
            bad = next((status for status in judged.status if status != "ok"), None)
            self._failed(feature, kind, None if bad is None else Reply(None, bad, judged.reason))

        if not asks:  # too few windows: nothing is asked, and nothing waited for
            read([])
            return
        yield from self._open(feature, kind, asks, read)

    def _logits(self, told: Told, feature: int, scorer: str) -> Iterator[Ask]:
        items = self.ground.tokens[feature]
        texts = self.permuted if scorer == "permuted" else self.ground.corpus.vocabulary.texts
        assert texts is not None
        into = self.found.permuted if scorer == "permuted" else self.found.rated
        if len(items) == 0:
            into[feature] = Rated(items, np.zeros(0))
            return

        def read(answers: list[Answer]) -> None:
            rated = into[feature] = read_ratings(items, answers[0])
            bad = None if rated.status == "ok" else Reply(None, rated.status, rated.reason)
            self._failed(feature, "logits", bad)

        ask = logit_ask(told.effects_text, items, texts, self.judge.logprobs)
        yield from self._open(feature, scorer, [ask], read)

    def _failed(self, feature: int, scorer: str, reply: Reply | None) -> None:
        if reply is not None:
            self.found.failures.append((feature, scorer, reply.status, reply.reason))

    def take(self, answer: Answer) -> None:
        """Files an answer; the last one of a feature and scorer is read with the others, and all are forgotten."""
        about = answer.ask.about
        key = about["feature"], about["scorer"]
        self.found.unanswered.note(answer)
        pending = self.pending[key]
        if pending.take(about["part"], answer):
            del self.pending[key]
            pending.read([one for one in pending.answers if one is not None])


def ask_judge(
    ground: Ground,
    explainer: str,
    told: Sequence[Told],
    judge: Judge,
    scorers: Sequence[str],
    asker: Asker,
    *,
    permuted: Sequence[str] | None = None,
    permuted_on: Collection[int] = (),
    beside: Mapping[int, Entries] | None = None,
    samples: Mapping[tuple[int, str], int] = MappingProxyType({}),
    advance: Callable[[int], None] = lambda n: None,
) -> Findings:
    """Steps 1 and 2, of the explanations that can be judged: status ok, of a feature that is alive and sampled.

    `permuted` are the texts of the vocabulary's permutation, where that control is wanted, on features `permuted_on`;
    `beside` the lookups that stand on the same windows; `samples` the sample numbers of features and scorers that are
    not asked about for the first time.
    """
    found = Findings(explainer)
    sampled = {feature for feature in ground.sample.tolist() if feature in ground.ready}
    fit = [one for one in told if one.explanation.status == "ok" and one.explanation.feature in sampled]
    asked = _Asked(ground, fit, judge, scorers, found, permuted, permuted_on, beside, samples)
    for answer in asker.answers(asked.questions(), judge):
        asked.take(answer)
        advance(1)
    if asked.pending and not found.unanswered.over_budget:
        raise AssertionError(f"{len(asked.pending)} questions were never answered")
    return found


# --- scores -----------------------------------------------------------------------------------------


def judge_name(judge: LLMModel) -> str:
    """What stands behind the scorer's name."""
    return judge.model


def findings_scores(
    ground: Ground, explanations: Sequence[Explanation], found: Findings, scorers: Sequence[str], model: str
) -> list[Score]:
    """Step 3: a row for each sampled feature, scorer and metric."""
    chosen = set(ground.sample.tolist())
    few = subjects([one for one in explanations if one.feature in chosen], ground.status)
    rows: list[Score] = []
    if "simulation" in scorers:
        rows += sample_scores(few, found.simulated, f"simulation:{model}")
    for feature, status in zip(few.features.tolist(), few.status, strict=True):
        for kind in ("detection", "fuzzing"):
            if kind not in scorers:
                continue
            judged = found.judged.get(kind, {}).get(feature)
            if status == "ok" and judged is not None:
                rows += judge_scores(judged, few.explainer, f"{kind}:{model}")
            else:
                rows += without_score(few.explainer, feature, f"{kind}:{model}", JUDGE_METRICS, status)
        if "logits" in scorers:
            rated = found.rated.get(feature)
            if status == "ok" and rated is not None:
                rows += logit_scores(rated, few.explainer, f"logits:{model}")
            else:
                rows += without_score(few.explainer, feature, f"logits:{model}", LOGIT_METRICS, status)
    for rated in found.permuted.values():
        rows += logit_scores(rated, f"permuted:{few.explainer}", f"logits:{model}")
    if found.beside:
        lexical = [Explanation(feature, "lexical", "", "ok") for feature in sorted(found.beside)]
        beside = subjects(lexical, ground.status)
        rows += sample_scores(beside, found.beside, f"simulation:lookup@{few.explainer}")
    return rows


def failure_rows(dictionary: str, found: Findings, model: str, again: int) -> dict[str, Any]:
    """Rows of `failures`."""
    return {
        "stage": "judge",
        "dictionary": dictionary,
        "feature": [feature for feature, _, _, _ in found.failures],
        "explainer": found.explainer,
        "scorer": [f"{scorer}:{model}" for _, scorer, _, _ in found.failures],
        "status": [status for _, _, status, _ in found.failures],
        "reason": [reason for _, _, _, reason in found.failures],
        "again": again,
    }


def write_findings(
    transaction: Transaction,
    run: str,
    ground: Ground,
    found: Findings,
    scores: Sequence[Score],
    model: str,
    again: int = 0,
) -> int:
    """All rows of a piece of judging; `again` is the number of the request that it is done for."""
    name, tokens = ground.dictionary, ground.corpus.tokens
    about = (run, name, found.explainer)
    n = transaction.append("scores", score_rows(run, name, scores))
    simulated = simulation_rows(*about, f"simulation:{model}", found.simulated, tokens, found.window_status)
    n += transaction.append("simulations", simulated)
    beside = simulation_rows(run, name, "lexical", f"simulation:lookup@{found.explainer}", found.beside, tokens)
    n += transaction.append("simulations", beside)
    for kind, of in found.judged.items():
        n += transaction.append("judgements", judgement_rows(*about, f"{kind}:{model}", of, tokens))
    n += transaction.append("token_judgements", rating_rows(*about, f"logits:{model}", found.rated))
    permuted = rating_rows(run, name, f"permuted:{found.explainer}", f"logits:{model}", found.permuted)
    n += transaction.append("token_judgements", permuted)
    return n + (transaction.append("failures", failure_rows(name, found, model, again)) if found.failures else 0)
