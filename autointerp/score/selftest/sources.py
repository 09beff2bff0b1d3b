"""Where predictions come from: the three ways in which a run gets them, for features and labels of the self-test.

census      a lookup over every token
published   a lookup on the windows that the published protocols choose
scorer      a scorer's own questions, answered by a judge of `judges.py`
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from autointerp.config.judging import Judge
from autointerp.errors import AutointerpError
from autointerp.explain.lookup import EMPTY, Entries
from autointerp.explain.triggers import either
from autointerp.own_code import one_line
from autointerp.records import ANY_TOKEN, Explanation, Float64, Int64
from autointerp.score.metric import Metric
from autointerp.score.metric_registry import metrics_for
from autointerp.score.predictions import Generated
from autointerp.score.sampled import PublishedWindows
from autointerp.score.scorers.logit_effects import LogitEffects, Truth
from autointerp.score.scorers.protocol import Questions, Scorer, ShownExplanation, TestFeature
from autointerp.score.selftest.judges import BLIND_RULES, BlindJudge, OddJudge, RuleJudge, SelftestJudge
from autointerp.score.selftest.planted import TRUTHS, PlantedFeature, Rule, RuleLabel
from autointerp.score.selftest.planted_others import MakeDistractors, with_others
from autointerp.score.selftest.planted_texts import written_texts
from autointerp.score.selftest.replies import CannotAnswer
from autointerp.score.selftest.shown_lines import LineReader, ShownLine
from autointerp.score.selftest.test_material import SelftestMaterial

Result = TypeVar("Result")
_NONE = np.zeros(0, np.int64)
NOTHING = RuleLabel("rule-0-nothing", Rule(EMPTY), dict.fromkeys(TRUTHS, _NONE))
"""Says that the feature never fires, and promotes and suppresses nothing."""


def everything(n_vocabulary: int) -> RuleLabel:
    """Says that the feature fires on every token, and promotes and suppresses every one."""
    every, ones = np.arange(n_vocabulary), np.ones(n_vocabulary, dtype=np.float32)
    rule = Rule(Entries(np.full(n_vocabulary, ANY_TOKEN, np.int32), every.astype(np.int32), ones, ones))
    return RuleLabel("rule-0-everything", rule, dict.fromkeys(TRUTHS, every))


def asks_about(scorer: Scorer) -> Truth | None:
    """What it asks about tokens; None: it asks where a feature fires. Texts were written with the feature turned up."""
    if isinstance(scorer, LogitEffects):
        return scorer.truth
    return {"rated": "direct", "picked": "measured"}.get(scorer.shape)  # type: ignore[return-value]


CENSUS_SCORER = "simulation"
"""What the rows of the census are called, as in a run."""


@dataclass(frozen=True)
class FeatureGroup:
    """Some planted features with what they are tested on."""

    features: Sequence[PlantedFeature]
    tests: Sequence[TestFeature]
    published: Sequence[PublishedWindows]
    together: bool = False
    """Whether the labels of a feature are compared, as explainers of one run are: what any of them lists decides what
    all are asked about. Else each label is tried by itself."""
    materials: dict[tuple[str, int], Any] = field(default_factory=dict)
    """By scorer and row, once they are made; of labels that are tried together."""

    def __len__(self) -> int:
        return len(self.features)

    def some(self, rows: Sequence[int]) -> FeatureGroup:
        """Those of these rows, each label by itself."""
        return FeatureGroup(
            [self.features[row] for row in rows],
            [self.tests[row] for row in rows],
            [self.published[row] for row in rows],
        )


def group_of(
    material: SelftestMaterial,
    features: Sequence[PlantedFeature],
    distractors: MakeDistractors,
    *,
    together: bool = False,
) -> FeatureGroup:
    """Draws what they are tested on."""
    alone = [material.feature(feature) for feature in features]
    texts = material.corpus.vocabulary.texts
    tests = with_others(features, alone, distractors, written_texts(material.text, features, texts, material.seed))
    published = [material.published(feature, test) for feature, test in zip(features, tests, strict=True)]
    return FeatureGroup(features, tests, published, together)


class PredictionSource(ABC):
    """One of the three ways. Its methods raise CannotAnswer where a judge of the self-test cannot do it."""

    rows: list[tuple[str, Metric]]
    """The scorers and metrics that read its predictions."""
    judged = False
    """Whether a judge answers: then judges that read nothing can be tried."""

    @abstractmethod
    def predict(self, group: FeatureGroup, labels: Sequence[RuleLabel]) -> Sequence[Any]:
        """What a label predicts of each feature; one label for each."""

    def blindly(self, _group: FeatureGroup) -> dict[str, Sequence[Any]]:
        """What each of BLIND_RULES predicts; nothing where nobody is asked."""
        return {}


class CensusSource(PredictionSource):
    """Every token."""

    def __init__(self, material: SelftestMaterial, own: Sequence[Metric]) -> None:
        self._material = material
        self.rows = [(CENSUS_SCORER, metric) for metric in metrics_for("counted", CENSUS_SCORER, own)]

    def predict(self, group: FeatureGroup, labels: Sequence[RuleLabel]) -> Sequence[Any]:
        """The census's sums."""
        return self._material.census(group.features, {"": labels})[""]


class PublishedSource(PredictionSource):
    """The published protocols."""

    def __init__(self, material: SelftestMaterial, scorers: Iterable[str], own: Sequence[Metric]) -> None:
        self._material = material
        self.rows = [(scorer, metric) for scorer in scorers for metric in metrics_for("published", scorer, own)]

    def predict(self, group: FeatureGroup, labels: Sequence[RuleLabel]) -> Sequence[Any]:
        """The embedded simulator's and judge's answers."""
        return [self._material.answered(of, label) for of, label in zip(group.published, labels, strict=True)]


class ScorerSource(PredictionSource):
    """A scorer's questions. `is_own`: it is a class of the user's."""

    judged = True

    def __init__(
        self,
        scorer: Scorer,
        reader: LineReader,
        labels: Iterable[RuleLabel],
        own: Sequence[Metric],
        stock: Mapping[str, ShownLine],
        *,
        is_own: bool,
    ) -> None:
        self.scorer, self.is_own = scorer, is_own
        self.rows = [(scorer.name, metric) for metric in metrics_for(scorer.shape, scorer.name, own)]
        self._judge = Judge(provider="openai", model="rule")
        self._reader, self._stock = reader, stock
        self._by_rule = RuleJudge(reader, labels, truth=asks_about(scorer), stock=stock)

    def predict(self, group: FeatureGroup, labels: Sequence[RuleLabel]) -> Sequence[Any]:
        """Asked as a judge of a run is asked, and read as its replies are."""
        return [
            self._read(of, self._questions(group, row, label), self._judge_of(label))
            for row, (of, label) in enumerate(zip(group.features, labels, strict=True))
        ]

    def _judge_of(self, label: RuleLabel) -> SelftestJudge:
        """Where no explanation is shown, the judge knows the label all the same: it sees what the label names."""
        return self._by_rule if self.scorer.reads_label else OddJudge(self._reader, label)

    def blindly(self, group: FeatureGroup) -> dict[str, Sequence[Any]]:
        """Each question is rendered once."""
        asked = [self._questions(group, row, of.labels["true"]) for row, of in enumerate(group.features)]
        judges = {rule: BlindJudge(self._reader, rule, self._stock) for rule in BLIND_RULES}
        return {
            rule: [self._read(of, questions, judge) for of, questions in zip(group.features, asked, strict=True)]
            for rule, judge in judges.items()
        }

    def _questions(self, group: FeatureGroup, row: int, label: RuleLabel) -> Questions:
        of = group.features[row]
        compared = of.labels.values() if group.together else (label,)
        listed = [of.grams, *(other.rule.entries for other in compared if len(other.rule.entries))]
        test = replace(group.tests[row], lists=(tuple(listed),))
        key = self.scorer.name, row
        material = group.materials.get(key) if group.together else None
        if material is None:
            material = self._guarded(of.number, partial(self.scorer.material, test, None))
        if group.together:
            group.materials[key] = material
        # the lookup of a run stands in class E, and so does what the label itself points to
        said = Explanation(of.number, "selftest", label.text, "ok")
        shown = ShownExplanation(said, either(of.grams, label.rule.entries))
        return self._guarded(of.number, lambda: self.scorer.questions(shown, test, material, self._judge))

    def _read(self, of: PlantedFeature, questions: Questions, judge: SelftestJudge) -> Any:
        answers = [judge.answer(ask) for ask in questions.asks]
        made = self._guarded(of.number, lambda: questions.read(answers))
        return made.read(*self._on_texts(of, made.texts)) if isinstance(made, Generated) else made

    def _on_texts(self, of: PlantedFeature, texts: Sequence[str]) -> tuple[Float64, Int64]:
        """As the subject would read them: the planted feature's largest activation on each, and its tokens."""
        lines = [self._reader.line(text) if text else None for text in texts]
        largest = [
            np.nan if line is None else of.rule.strengths(line.tokens, line.previous, line.states).max(initial=0.0)
            for line in lines
        ]
        n_tokens = [0 if line is None else len(line.tokens) for line in lines]
        return np.array(largest, dtype=np.float64), np.array(n_tokens, dtype=np.int64)

    def _guarded(self, feature: int, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except (CannotAnswer, AutointerpError):
            raise
        except Exception as error:  # the user's code
            if not self.is_own:
                raise
            what = f"{type(error).__name__}: {one_line(error)}"
            raise AutointerpError(f'scorer "{self.scorer.name}" failed on planted feature {feature}: {what}') from error
