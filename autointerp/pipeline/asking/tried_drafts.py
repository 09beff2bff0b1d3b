"""The drafts of one feature's explanation: what was written, what a judge said of each, and which of them leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autointerp.explain.evidence import Draft
from autointerp.llm.asks import TOO_LONG, Answer
from autointerp.pipeline.asking.explaining import explanation_of
from autointerp.pipeline.rows.explanation_rows import Written
from autointerp.records import Explanation, Int64
from autointerp.score.predictions import Items


@dataclass
class Tried:
    """A draft, and what came of it."""

    feature: int
    number: int  # among the feature's drafts, from 0
    round: int  # 0, or of the revision
    sample: int
    prompt: str
    status: str
    reason: str
    request: str
    model: str
    draft: Draft | None
    left_out: int  # exemplars, for want of room
    revised: int | None = None  # the draft that it revises
    shown: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))  # contexts of the counterexamples
    score: float | None = None
    score_status: str = "not_judged"
    n_items: int = 0
    items: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))  # contexts of the windows it was judged on


@dataclass
class Judging:
    """What a judge is asked about a draft: its items, and the answers that are there, one a group."""

    tried: Tried
    items: Items
    answers: list[Answer | None]


@dataclass
class DraftsOfFeature:
    """The drafts of one feature."""

    tried: list[Tried] = field(default_factory=list)
    waits: bool = False
    chooses: bool = True  # a judge chooses between the drafts
    settled: bool = False  # no revision can be asked for
    wrong: tuple[Int64, Int64] | None = None  # items of the exam's `shown` that the leading draft gets wrong
    trouble: tuple[str, str] | None = None  # why the judge could not choose or find counterexamples

    @property
    def good(self) -> list[Tried]:
        """Drafts that are none of the failures, in order."""
        return [one for one in self.tried if one.draft is not None]

    @property
    def leader(self) -> Tried | None:
        """The best draft, the earliest of equals; one without a score only where none has any. The last one, where
        nobody chooses."""
        if not self.chooses:
            return self.good[-1] if self.good else None
        return max(self.good, key=lambda one: -1.0 if one.score is None else one.score, default=None)


def written_of(name: str, tried: Sequence[Tried]) -> Written:
    """The explanation that a draft is, or the failure that all of them are."""
    first = tried[0]
    if first.draft is not None:
        said = explanation_of(name, first.feature, first.draft)
        return Written(said, "", first.prompt, first.request, first.model or None, first.left_out)
    reasons = Counter(f"{each.status}: {each.reason}" if each.reason else each.status for each in tried)
    what = "; ".join(reason if n == 1 else f"{reason} ({n} times)" for reason, n in reasons.items())
    reason = first.reason if len(tried) == 1 else f"none of {len(tried)} drafts is good: {what}"
    failed = Explanation(first.feature, name, "", first.status)
    left_out = None if first.status == TOO_LONG else first.left_out
    return Written(failed, reason, first.prompt, first.request or None, first.model or None, left_out)
