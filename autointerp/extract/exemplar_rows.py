"""Rows of exemplars: the windows that were chosen, the span of tokens that each shows, and its activations.

Random windows, T and F show the window that was drawn. The others show a span of as many tokens around the token that
they were chosen for, most of it before: a feature is a function of what stands before. The span may cross the borders
of windows, and holds all activations there; it ends where the context or a dropped window does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from autointerp.extract.summary.events import centred
from autointerp.extract.summary.smallest_keys import Kept
from autointerp.extract.summary.summary import Summary
from autointerp.records import Int32, Int64
from autointerp.subject.tokens import TokenFile

SCALE = float(1 << 63)
"""A hash over this is between 0 and 1."""
SPANS_AT_ONCE = 1 << 13
"""Contexts with a dropped window that are looked at together."""


@dataclass(frozen=True)
class Exemplars:
    """Rows of the table `exemplars` of one summary, without activations where the window is silent."""

    feature: Int64  # [n] number in the dictionary
    split: str
    stratum: list[str]
    rank: Int64
    window: Int64  # the window that was drawn, or that holds the peak
    start: Int32  # first token shown, position in the context
    n_tokens: Int32  # tokens shown
    peak: Int32
    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray
    u: np.ndarray
    length: Int32  # activations of each window
    place: Int32  # [sum of length] position in the context
    value: np.ndarray  # [sum of length]

    def portions(self, n: int) -> Iterator[Exemplars]:
        """The same rows, `n` at a time."""
        ends = np.concatenate([[0], np.cumsum(self.length, dtype=np.int64)])
        for first in range(0, len(self.feature), n):
            rows = slice(first, first + n)
            inner = slice(ends[first], ends[min(first + n, len(self.feature))])
            yield Exemplars(
                split=self.split,
                **{item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name not in WHOLE},
                place=self.place[inner],
                value=self.value[inner],
            )


WHOLE = ("split", "place", "value")
"""Fields of Exemplars that have no element a row."""


def feature_numbers(summary: Summary, kept: Kept) -> Int64:
    """The features' numbers in their dictionary, where each is a group."""
    return np.asarray(kept.group.long().cpu().numpy() + summary.plan.first)


def whole_windows(tokens: TokenFile, window: Int64) -> tuple[Int32, Int32]:
    """First token and number of tokens of windows; the padding after a short context is none."""
    context = window // tokens.windows_per_context
    start = (window % tokens.windows_per_context) * tokens.window
    length = np.minimum(tokens.n_valid[context] - start, tokens.window)
    return start.astype(np.int32), length.astype(np.int32)


def spans_around(summary: Summary, tokens: TokenFile, window: Int64, peak: np.ndarray) -> tuple[Int32, Int32]:
    """First token and number of tokens of the spans around `peak`."""
    context = window // tokens.windows_per_context
    first, stop = np.zeros(len(window), dtype=np.int64), tokens.n_valid[context].astype(np.int64)
    cut = np.flatnonzero(tokens.has_dropped[context])
    for part in range(0, len(cut), SPANS_AT_ONCE):
        rows = cut[part : part + SPANS_AT_ONCE]
        which, of = np.unique(context[rows], return_inverse=True)
        first[rows], stop[rows] = (side[of, peak[rows]] for side in tokens.shown_runs(which))
    place, low, high = (torch.from_numpy(column) for column in (peak.astype(np.int64), first, stop))
    start, end = centred(place, low, high, summary.plan.left, summary.plan.window)
    return start.int().numpy(), (end - start).int().numpy()


def rows_of_kept(
    summary: Summary,
    kept: Kept,
    shown: tuple[Int32, Int32],
    split: str,
    stratum: list[str],
    rank: Tensor,
    probability: np.ndarray,
    u: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Exemplars:
    """`shown`: first token and number of tokens of each."""
    empty = np.full(len(kept.group), np.nan)
    return Exemplars(
        start=shown[0],
        n_tokens=shown[1],
        feature=feature_numbers(summary, kept),
        split=split,
        stratum=stratum,
        rank=rank.cpu().numpy(),
        window=kept.window.cpu().numpy(),
        peak=kept.peak.cpu().numpy(),
        low=empty if low is None else low,
        high=empty if high is None else high,
        probability=probability,
        u=u,
        length=kept.length.int().cpu().numpy(),
        place=kept.place.cpu().numpy(),
        value=kept.value.cpu().numpy(),
    )
