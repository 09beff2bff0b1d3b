"""What a scorer is: a way to test explanations. It knows no store, no model and no provider.

1. `material`: what a feature is tested on, the same for every explainer.
2. `questions`: what a judge is asked about an explanation, and how its answers become a prediction.
3. The prediction has one of six shapes (`score/predictions.py`), and gets the metrics that read that shape
   (`score/metric_registry.py`): a scorer computes no score.

To write one, make a class like `Detection` in `detection.py`, and give it a row in `registry.py`; or name a class of
your own in a run file: `[score] scorers = ["simulation", { python = "module:Class", name = "mine" }]`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from autointerp.config.judging import Judge
from autointerp.explain.lookup import Entries
from autointerp.explain.triggers import any_of
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Bool, Explanation, Float32, Int64, Windows
from autointerp.score.predictions import Drawn, Prediction, Simulated
from autointerp.score.sampled import Candidates, draw_windows, look_up
from autointerp.score.scorers.claims import Cells, cells_of
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.silent_windows import Silent, TokenTraits
from autointerp.score.scorers.vocabulary import Vocabulary

PredictedShape = Literal["simulated", "judged", "rated", "chosen", "generated", "picked"]
"""Shapes of predictions (`score/predictions.py`)."""


@dataclass(frozen=True)
class ShownExplanation:
    """An explanation as a judge is shown it."""

    explanation: Explanation
    triggers: Entries
    """Where a cheap simulator of it fires: the sample's class E."""

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.explanation.feature

    @property
    def effects_text(self) -> str:
        """What a judge of logit effects reads: both answers."""
        said = self.explanation
        return f"{said.text} Promotes: {said.promotes}" if said.promotes else said.text


@dataclass(frozen=True)
class TestCorpus:
    """What all features of a store share."""

    __test__ = False  # no test class

    vocabulary: Vocabulary
    traits: TokenTraits
    silent: Silent
    """The shared windows that wrong items are taken from."""
    seed: int
    show: Callable[[Windows, int], list[ShownWindow]]
    """Windows as text, with up to so many tokens of what stands in front of each."""


@dataclass(frozen=True)
class Distractors:
    """Tokens of one kind that a feature does not promote."""

    kind: str
    token: Int64  # [n]
    made_like: Int64  # [n] the promoted token that each is made like; empty where they are made like none


@dataclass(frozen=True)
class EffectTruth:
    """What a feature does to tokens on one side, directly or as it was measured."""

    ranked: Int64
    """The ten that explainers are shown, then those asked about, the strongest first."""
    distractors: tuple[Distractors, ...] = ()
    """Tokens that are hard to tell from these, by kind."""


@dataclass(frozen=True)
class OtherFeature:
    """Another feature of the dictionary, and where it fires."""

    feature: int
    fires: Int64  # rows of the shared windows


@dataclass(frozen=True)
class Panel:
    """Windows in which some features of a dictionary fire: the same for all its features. [n]"""

    feature: Int64
    windows: Windows
    fires: Bool  # [n, L] the tokens on which it does


def no_neighbours() -> tuple[OtherFeature, ...]:
    """Where none are known."""
    return ()


def no_panel() -> Panel:
    """Where there is none."""
    number, tokens = np.zeros(0, np.int64), np.zeros((0, 1), np.int32)
    nothing = np.zeros((0, 1), np.bool_)
    return Panel(number, Windows(number, number, number.astype(np.int32), tokens, tokens, nothing), nothing)


@dataclass(frozen=True)
class TestFeature:
    """One feature, as scorers see it: alive, and of the sample design. All of it is of the score split."""

    __test__ = False  # no test class

    dictionary: str
    feature: int
    maximum: float
    """Largest activation on the explain split."""
    candidates: Candidates
    """The windows that it fires in and those that it is silent in, with their truth."""
    promoted: Int64
    """The tokens of largest direct logit effect, the strongest first; explainers are shown the first ten."""
    corpus: TestCorpus
    distractors: tuple[Distractors, ...] = ()
    """Tokens that are hard to tell from the promoted ones, by kind."""
    neighbours: Callable[[], Sequence[OtherFeature]] = no_neighbours
    """Reads other features: the nearest by direction first, then some by hash."""
    panel: Callable[[], Panel] = no_panel
    """Reads windows of other features."""
    effects: Mapping[str, EffectTruth] = field(default_factory=dict)
    """Beside what it promotes directly: by `logit_effects.Truth`; what was not measured is not there."""
    steered: Mapping[int, Sequence[Any]] = field(default_factory=dict)
    """Texts that the model wrote with a direction added (`intervention.TextOfFeature`), by feature: the same mapping
    for all features of the dictionary."""
    lists: tuple[tuple[Entries, ...], ...] = ((),)
    """What its explanations list, wave by wave: class E of its windows."""

    @property
    def drawn(self) -> Drawn:
        """The windows of the sample: drawn anew each time, always the same."""
        return draw_windows(self.candidates, self.lists[0], later=self.lists[1:])

    @property
    def claims(self) -> tuple[Entries, ...]:
        """Whatever says where it fires, a claimant each: what its explanations list, and its heaviest tokens."""
        listed = [entries for wave in self.lists for entries in wave]
        return (*listed, any_of(self.candidates.top_tokens))

    @cached_property
    def cells(self) -> Cells:
        """The silent windows of the pool by what claims them: the same for all scorers that ask about items."""
        return cells_of(self.candidates, self.claims)


@dataclass(frozen=True)
class Questions:
    """What a judge is asked about one explanation, and how it is read."""

    asks: list[Ask]
    read: Callable[[list[Answer]], Prediction]
    """Answers in the order of `asks`; a failed answer is a prediction without a value."""
    beside: Callable[[Entries], Simulated] | None = None
    """What a lookup predicts on the very same windows, where they depend on the explanation."""


@dataclass(frozen=True)
class Usual:
    """Questions about one feature and explanation as they usually are: what `--dry-run` counts with."""

    kind: str
    """`Ask.kind`."""
    calls: int
    input_tokens: int
    """Of one call."""
    output_tokens: int


class Scorer(Protocol):
    """A way to test explanations. A class of your own may derive from it, to have what has a default here."""

    name: str
    """In the run file; its rows are called NAME:MODEL."""
    shape: PredictedShape
    """Of its predictions."""
    sentence: str
    """What it asks, for documentation."""
    version: int = 1
    """Raised when it would ask something else of the same store: it is asked again then, and no other scorer."""
    settings: tuple[str, ...] = ()
    """Keys of score.judge that change what is asked."""
    reads_label: bool = True
    """Whether it judges explanations; else what it asks is asked once, of the explainer `unlabelled`."""
    measured_by: str | None = None
    """The stage that measured what it asks about: it tests the features of `effects.features` alone. None: it asks
    about nothing that was measured."""
    permuted: bool = False
    """Whether it has a control of its own: the same questions with the vocabulary permuted."""
    embedded: str | None = None
    """What the rows of its embedded judge are called; None: only an LLM can judge."""

    def prompts(self, judge: Judge) -> Sequence[str]:
        """All texts that its questions are made of: they decide what is asked again."""
        ...

    def usual(self, judge: Judge) -> Usual:
        """What a feature and explanation costs."""
        ...

    def material(self, feature: TestFeature, group: int | None) -> Any:
        """What the feature is tested on; at most `group` items are shown together, None: all of them."""
        ...

    def questions(self, shown: ShownExplanation, feature: TestFeature, material: Any, judge: Judge) -> Questions:
        """What the judge is asked about an explanation."""
        ...

    def examples(self, judge: Judge) -> Sequence[Ask]:
        """Questions of its kind about nothing: what the judge cannot do is refused before any call."""
        return ()

    def look_up(self, feature: TestFeature, material: Any, text: str, lookup: Entries) -> Prediction | None:
        """What the embedded judge says: from an explanation's text, or the lookup behind it."""
        return None


class LooksUpWindows(Scorer):
    """A scorer whose embedded judge looks explanations up in windows: those of many features at once."""

    @abstractmethod
    def looked_at(self, material: Any) -> Windows:
        """The windows, [S]."""

    @abstractmethod
    def said_of(self, material: Any, value: Float32, probability: Float32) -> Prediction:
        """What the judge says where a lookup predicts these activations and probabilities of firing: [S, L], [S, L]."""

    def look_up(self, feature: TestFeature, material: Any, text: str, lookup: Entries) -> Prediction | None:
        """Of one feature by itself."""
        return self.said_of(material, *look_up(lookup, self.looked_at(material)))
