"""What is predicted from an explanation, in three shapes, and what it was asked about.

    Simulated   an activation at each token of some windows     stored in `simulations`
    Judged      how likely each of some items is right          stored in `judgements`
    Rated       how strongly each of some tokens is promoted    stored in `token_judgements`

A scorer makes predictions of one shape; a metric reads one shape. Scores are functions of these and of nothing else. A
failure is a prediction without a value, with status and reason.

Letters in shapes: S windows drawn, L tokens of a window, n items or tokens asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    @property
    def predicted(self) -> Bool:
        """Windows with a prediction at every scored token, [S]."""
        missing = np.isnan(self.prediction) & self.drawn.windows.scored
        return np.asarray(~missing.any(axis=1), dtype=np.bool_)


LEAST_ITEMS = 8
"""With fewer items there is nothing to score."""


STRENGTHS = ("weak", "middle", "strong")
"""Strata of right items: the thirds of a feature's firing windows by their maximum, a third of the windows each."""
CLAIMED, REST = "claimed", "rest"
"""Strata of silent windows that stand for others: something claims that the feature fires there, or nothing does."""


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
class Judged:
    """What a judge said about the items of one feature."""

    items: Items
    probability: Float64  # [n] that the item is right; 0 or 1 where the judge gives no more; nan where it failed
    status: tuple[str, ...]  # [n] ok, or why there is no judgement
    reason: str = ""  # of the first failure

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


Prediction = Simulated | Judged | Rated


def failure_of(prediction: Prediction) -> tuple[str, str] | None:
    """Status and reason of the first thing that a prediction lacks; None where it is whole."""
    statuses = (prediction.status,) if isinstance(prediction.status, str) else prediction.status
    broken = next((status for status in statuses if status != "ok"), None)
    return None if broken is None else (broken, prediction.reason)
