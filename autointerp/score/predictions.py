"""What is predicted from an explanation, in six shapes, and what it was asked about.

    Simulated   an activation at each token of some windows     stored in `simulations`
    Judged      how likely each of some items is right          stored in `judgements`
    Rated       how strongly each of some tokens is promoted    stored in `token_judgements`
    Chosen      which of some windows is the one asked for      stored in `choices`
    Generated   texts, and how strongly the feature fires there stored in `generations`
    Picked      which of some texts the feature's direction made stored in `picks`

A scorer makes predictions of one shape; a metric reads one shape. Scores are functions of these and of nothing else. A
failure is a prediction without a value, with status and reason.

Letters in shapes: S windows drawn, L tokens of a window, n items or tokens asked about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from autointerp.records import Bool, Float32, Float64, Int64, Windows


@dataclass(frozen=True)
class Drawn:
    """The sample of one feature and explanation: what a simulator is shown, and the truth."""

    feature: int
    windows: Windows  # [S]
    truth: Float32  # [S, L] 0 where silent or not scored
    classes: Int64  # [S] as numbered by `class_names.CLASSES`
    n: Int64  # [H] windows drawn of each class
    sizes: Float64  # [H] windows that each class stands for
    available: Int64  # [H] candidates of each class
    threshold: float = 0.0  # the activation above which a token counts in thresholded metrics

    @property
    def n_class(self) -> Int64:
        """Windows drawn from each window's class, [S]."""
        return self.n[self.classes]

    @property
    def size_class(self) -> Float64:
        """Windows that each window's class stands for, [S]."""
        return self.sizes[self.classes]


@dataclass(frozen=True)
class Simulated:
    """A simulator's predictions on a sample; nan at a scored token is a failure of its window."""

    drawn: Drawn
    prediction: Float32  # [S, L] 0 where not scored
    status: tuple[str, ...] = ()  # [S] ok, or why a window has no prediction; empty: all are ok
    reason: str = ""  # of the first failure

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.drawn.feature

    @cached_property
    def predicted(self) -> Bool:
        """Windows with a prediction at every scored token, [S]."""
        missing = np.isnan(self.prediction) & self.drawn.windows.scored
        return np.asarray(~missing.any(axis=1), dtype=np.bool_)


N_OPTIONS = 5
"""Windows of one question, where one is to be chosen."""
LEAST_QUESTIONS = 3
"""With fewer questions there is nothing to score."""

LEAST_ITEMS = 8
"""With fewer items there is nothing to score."""


STRENGTHS = ("weak", "middle", "strong")
"""Strata of right items: the thirds of a feature's firing windows by their maximum, a third of the windows each."""
CLAIMED, REST = "claimed", "rest"
"""Strata of silent windows that stand for others: something claims that the feature fires there, or nothing does."""
STRATA = (*STRENGTHS, "right", "wrong", CLAIMED, REST)
"""All strata of items."""


@dataclass(frozen=True)
class Items:
    """What a judge is asked about one feature, in the order it is asked."""

    feature: int
    windows: Windows  # [n]
    right: Bool  # [n] detection: it fires; fuzzing: the marked tokens are those that fire
    marks: Bool  # [n, L] marked tokens; none in detection
    groups: tuple[int, ...]  # sizes of the groups that are asked together
    stratum: tuple[str, ...] = ()  # [n] one of STRENGTHS, right, wrong, CLAIMED, REST; empty: right or wrong
    weight: Float64 | None = None  # [n] windows of the split that it stands for; 0: none; None: nobody stands for any

    def __len__(self) -> int:
        return len(self.right)

    # What many judgements of the same items ask for is made once.

    @cached_property
    def strata(self) -> tuple[str, ...]:
        """Why each item is asked about, [n]."""
        return self.stratum or tuple("right" if right else "wrong" for right in self.right.tolist())

    @cached_property
    def stratum_number(self) -> Int64:
        """The same as numbers of STRATA, [n]."""
        return np.array([STRATA.index(word) for word in self.strata], dtype=np.int64)

    @cached_property
    def matched(self) -> Bool:
        """Right items and the wrong ones that were made like them, [n]: not those that only stand for others."""
        return np.array([word not in (CLAIMED, REST) for word in self.strata], dtype=np.bool_)

    @cached_property
    def of_stratum(self) -> dict[str, Bool]:
        """Which items each stratum has, [n] by name."""
        words = np.array(self.strata, dtype=np.str_)
        return {word: words == word for word in dict.fromkeys(self.strata)}

    @property
    def weights(self) -> Float64:
        """Windows of the split that each item stands for, [n]."""
        return np.zeros(len(self)) if self.weight is None else self.weight


@dataclass(frozen=True)
class JudgeCall:
    """The call of an LLM that something was said in."""

    request: str
    sample: int


@dataclass(frozen=True)
class Judged:
    """What a judge said about the items of one feature."""

    items: Items
    probability: Float64  # [n] that the item is right; 0 or 1 where the judge gives no more; nan where it failed
    status: tuple[str, ...]  # [n] ok, or why there is no judgement
    reason: str = ""  # of the first failure
    calls: tuple[JudgeCall | None, ...] = ()  # [n] what each was said in; empty: nobody was asked, or it is not known

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.items.feature

    @cached_property
    def answered(self) -> Bool:
        """Items with a judgement, [n]."""
        return np.asarray(~np.isnan(self.probability), dtype=np.bool_)


@dataclass(frozen=True)
class TokenItems:
    """The tokens that a judge is asked about for one feature, in the order it is asked."""

    feature: int
    token: Int64  # [n]
    promoted: Bool  # [n]
    shown: Int64  # tokens that explainers saw
    kind: tuple[str, ...] = ()  # [n] promoted, random, or how a wrong one was made; empty: promoted or random
    pair: Int64 | None = None  # [n] number of the promoted token and the wrong one beside it; None: there are no pairs

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Why each token is asked about, [n]: made once for all ratings of the same tokens."""
        return self.kind or tuple("promoted" if yes else "random" for yes in self.promoted.tolist())

    def __len__(self) -> int:
        return len(self.token)


@dataclass(frozen=True)
class Rated:
    """A judge's ratings; nan where it failed."""

    items: TokenItems
    rating: Float64  # [n]
    status: str = "ok"
    reason: str = ""

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.items.feature


@dataclass(frozen=True)
class Choices:
    """Questions about one feature: of N_OPTIONS windows, which is the one asked for? Question after question."""

    feature: int
    windows: Windows  # [n]
    marks: Bool  # [n, L] marked tokens; none where none are shown
    question: Int64  # [n] from 0
    right: Bool  # [n] one option of each question
    source: Int64  # [n] the feature whose window it is
    stratum: tuple[str, ...]  # [n] why it is an option: one of STRENGTHS, other

    def __len__(self) -> int:
        return len(self.right)

    @property
    def n_questions(self) -> int:
        """Questions."""
        return len(self) // N_OPTIONS


@dataclass(frozen=True)
class Chosen:
    """What a judge chose."""

    choices: Choices
    probability: Float64  # [n] that the option is the one; 1 and 0 where a judge says no more; nan where it failed
    status: tuple[str, ...]  # [n] ok, or why there is no answer
    reason: str = ""  # of the first failure

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.choices.feature

    @property
    def answered(self) -> Bool:
        """Options of questions with an answer, [n]."""
        return np.asarray(~np.isnan(self.probability), dtype=np.bool_)


UNREAD = "unread"
"""Status of a generated text that the subject has not read yet."""


@dataclass(frozen=True)
class Generated:
    """Texts that a judge wrote from an explanation, and what the feature does on them."""

    feature: int
    texts: tuple[str, ...]  # [n]; empty where it failed
    intended: Bool  # [n] written to fire
    maxima: Float64  # [m] largest activations in a uniform sample of the feature's own firing windows; not stored
    firing_share: float  # of all windows, those in which the feature fires; not stored
    maximum: Float64  # [n] largest activation on the text; nan where it was not read
    reached: Float64  # [n] share of `maxima` that are no larger, 0 where it is silent; nan where it was not read
    corpus_rank: Float64  # [n] share of all windows whose largest activation is smaller, ties by half; nan as before
    n_tokens: Int64  # [n] tokens read
    status: tuple[str, ...]  # [n] ok, UNREAD, or why there is no text
    reason: str = ""  # of the first failure

    def __len__(self) -> int:
        return len(self.intended)

    @property
    def answered(self) -> Bool:
        """Texts that were read, [n]."""
        return np.asarray(~np.isnan(self.maximum), dtype=np.bool_)

    def read(self, maximum: Float64, n_tokens: Int64) -> Generated:
        """With the largest activation on each text, [n]; that of a text without a token is nan."""
        ordered = np.sort(self.maxima)
        share = np.searchsorted(ordered, maximum, side="right") / max(len(ordered), 1)
        reached = np.where(np.isnan(maximum), np.nan, np.where(maximum > 0, share, 0.0))
        below = (share + np.searchsorted(ordered, maximum, side="left") / max(len(ordered), 1)) / 2
        silent = 1.0 - self.firing_share
        rank = np.where(maximum > 0, silent + self.firing_share * below, silent / 2)
        rank = np.where(np.isnan(maximum), np.nan, rank)
        status = tuple(
            word if word != UNREAD else "empty" if np.isnan(value) else "ok"
            for word, value in zip(self.status, maximum.tolist(), strict=True)
        )
        return replace(self, maximum=maximum, reached=reached, corpus_rank=rank, n_tokens=n_tokens, status=status)


N_TEXTS = 3
"""Texts of one question, where one is to be picked."""


@dataclass(frozen=True)
class TextOptions:
    """Questions about one feature: of N_TEXTS texts that the model wrote with a direction added, which is of this
    feature? Question after question."""

    feature: int
    question: Int64  # [n] from 0
    source: Int64  # [n] the feature whose direction was added
    number: Int64  # [n] of the text among those of its source
    right: Bool  # [n] one of each question
    texts: tuple[tuple[str, ...], ...]  # [n] token by token; not stored with the answers

    def __len__(self) -> int:
        return len(self.right)

    @property
    def n_questions(self) -> int:
        """Questions."""
        return len(self) // N_TEXTS


@dataclass(frozen=True)
class Picked:
    """What a judge picked."""

    options: TextOptions
    probability: Float64  # [n] that it is the one; nan where the judge failed
    status: str = "ok"
    reason: str = ""

    @property
    def feature(self) -> int:
        """The feature that it is about."""
        return self.options.feature


Prediction = Simulated | Judged | Rated | Chosen | Generated | Picked


def failure_of(prediction: Prediction) -> tuple[str, str] | None:
    """Status and reason of the first thing that a prediction lacks; None where it is whole."""
    statuses = (prediction.status,) if isinstance(prediction.status, str) else prediction.status
    broken = next((status for status in statuses if status != "ok"), None)
    return None if broken is None else (broken, prediction.reason)
