"""Where predictions come from: the three ways in which a run gets them, for features and labels of the self-test.

census      a lookup over every token
published   a lookup on the windows that the published protocols choose
scorer      a scorer's own questions, answered by a judge of `judges.py`
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from autointerp.config.judging import Judge
from autointerp.errors import AutointerpError
from autointerp.explain.lookup import EMPTY, Entries
from autointerp.explain.triggers import either
from autointerp.own_code import one_line
from autointerp.records import ANY_TOKEN, Explanation
from autointerp.score.metric import Metric
from autointerp.score.metric_registry import metrics_for
from autointerp.score.sampled import PublishedWindows
from autointerp.score.scorers.protocol import Questions, Scorer, ShownExplanation, TestFeature
from autointerp.score.selftest.judges import BLIND_RULES, BlindJudge, RuleJudge, SelftestJudge
from autointerp.score.selftest.planted import PlantedFeature, Rule, RuleLabel
from autointerp.score.selftest.replies import CannotAnswer
from autointerp.score.selftest.shown_lines import LineReader
from autointerp.score.selftest.test_material import SelftestMaterial

Result = TypeVar("Result")
NOTHING = RuleLabel("rule-0-nothing", Rule(EMPTY), np.zeros(0, np.int64))
"""Says that the feature never fires and promotes nothing."""


def everything(n_vocabulary: int) -> RuleLabel:
    """Says that the feature fires on every token, and promotes every one."""
    every, ones = np.arange(n_vocabulary), np.ones(n_vocabulary, dtype=np.float32)
    rule = Rule(Entries(np.full(n_vocabulary, ANY_TOKEN, np.int32), every.astype(np.int32), ones, ones))
    return RuleLabel("rule-0-everything", rule, every)


CENSUS_SCORER = "simulation"
"""What the rows of the census are called, as in a run."""


@dataclass(frozen=True)
class FeatureGroup:
    """Some planted features with what they are tested on."""

    features: Sequence[PlantedFeature]
    tests: Sequence[TestFeature]
    published: Sequence[PublishedWindows]
    materials: dict[str, list[Any]] = field(default_factory=dict)
    """By scorer, once they are made."""

    def __len__(self) -> int:
        return len(self.features)

    def some(self, rows: Sequence[int]) -> FeatureGroup:
        """Those of these rows."""
        return FeatureGroup(
            [self.features[row] for row in rows],
            [self.tests[row] for row in rows],
            [self.published[row] for row in rows],
        )


def group_of(material: SelftestMaterial, features: Sequence[PlantedFeature]) -> FeatureGroup:
    """Draws what they are tested on."""
    tests = [material.feature(feature) for feature in features]
    return FeatureGroup(features, tests, [material.published(test) for test in tests])


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
        self, scorer: Scorer, reader: LineReader, labels: Iterable[RuleLabel], own: Sequence[Metric], *, is_own: bool
    ) -> None:
        self.scorer, self.is_own = scorer, is_own
        self.rows = [(scorer.name, metric) for metric in metrics_for(scorer.shape, scorer.name, own)]
        self._judge = Judge(provider="openai", model="rule")
        self._reader = reader
        self._by_rule = RuleJudge(reader, labels, rated=scorer.shape == "rated")

    def predict(self, group: FeatureGroup, labels: Sequence[RuleLabel]) -> Sequence[Any]:
        """Asked as a judge of a run is asked, and read as its replies are."""
        return [
            self._read(of, self._questions(group, row, label), self._by_rule)
            for row, (of, label) in enumerate(zip(group.features, labels, strict=True))
        ]

    def blindly(self, group: FeatureGroup) -> dict[str, Sequence[Any]]:
        """Each question is rendered once."""
        asked = [self._questions(group, row, of.labels["true"]) for row, of in enumerate(group.features)]
        judges = {rule: BlindJudge(self._reader, rule) for rule in BLIND_RULES}
        return {
            rule: [self._read(of, questions, judge) for of, questions in zip(group.features, asked, strict=True)]
            for rule, judge in judges.items()
        }

    def _questions(self, group: FeatureGroup, row: int, label: RuleLabel) -> Questions:
        of, test = group.features[row], group.tests[row]
        if self.scorer.name not in group.materials:
            group.materials[self.scorer.name] = [
                self._guarded(test.feature, partial(self.scorer.material, test, None)) for test in group.tests
            ]
        material = group.materials[self.scorer.name][row]
        # the lookup of a run is in class E of every explainer's sample, and so is what the label itself points to
        shown = ShownExplanation(
            Explanation(of.number, "selftest", label.text, "ok"), either(of.grams, label.rule.entries)
        )
        return self._guarded(of.number, lambda: self.scorer.questions(shown, test, material, self._judge))

    def _read(self, of: PlantedFeature, questions: Questions, judge: SelftestJudge) -> Any:
        answers = [judge.answer(ask) for ask in questions.asks]
        return self._guarded(of.number, lambda: questions.read(answers))

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
