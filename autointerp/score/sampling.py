"""Which windows an LLM sees: a stratified sample with known inclusion probabilities.

docs/ESTIMATOR.md, "The sample":
1. every window of the score split is in exactly one class, the first that fits: T (the top 20), F1 to
   F5 (firing, by bins of its maximum), E (silent, but it stands on the list of some explanation of the feature), M
   (silent, holds one of the feature's top tokens), R (the other silent ones). Of several lists each has a part of E:
   that of the first list that fits, and `autointerp.score.listed` puts the rarest first;
2. the size N_h of a class is known (T) or estimated from a frame: the reservoir of firing windows for
   F1 to F5, the run's pool of windows for the silent ones;
3. from each class come the n_h windows of smallest u = hash01(seed, feature, window); pi = n_h / N_h. How many:
   `autointerp.score.quotas`.

The limits of F1 to F5 cut the total of the window maxima into five equal parts: few windows are strong
and they carry the moments, so the strong bins are small and are drawn nearly whole. By simulation
(tests/slow/test_estimator_coverage.py, density 1e-2) the spread of `pearson_framed` is .057 with them, .066 with
equal counts and .090 with equal widths for a good label; .090, .121 and .156 for a narrow one, and its intervals
cover .97, .90 and .90.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.score.class_names import (
    CLASSES,
    EXPLANATION,
    FIRST_BIN,
    LISTS,
    N_CLASSES,
    NOT_SAMPLED,
    REST,
    TOKEN,
    TOP,
    class_numbers,
)
from autointerp.score.metrics import FloatArray
from autointerp.score.quotas import QUOTAS_60, QUOTAS_100, IntArray, allocate

__all__ = [
    "CLASSES",
    "EXPLANATION",
    "FIRST_BIN",
    "NOT_SAMPLED",
    "N_CLASSES",
    "QUOTAS_60",
    "QUOTAS_100",
    "REST",
    "TOKEN",
    "TOP",
    "IntArray",
    "Sample",
    "allocate",
    "class_counts",
    "class_numbers",
    "class_sizes",
    "classify",
    "classify_silent",
    "draw",
    "firing_limits",
    "pad_windows",
    "window_weights",
]

N_FIRING_BINS = 5


@dataclass(frozen=True)
class Sample:
    """The windows chosen for one feature and one explanation. S windows, classes in the order of CLASSES."""

    index: IntArray
    """[S] positions in the arrays given to `draw`, by class, then by u."""
    classes: IntArray
    """[S] class of each."""
    n: IntArray
    """[H] windows chosen of each class, n_h."""
    sizes: FloatArray
    """[H] windows of each class in the split, N_h."""
    available: IntArray
    """[H] candidates of each class in the frames (top windows, reservoir, pool)."""
    pi: FloatArray
    """[S] inclusion probability n_h / N_h of each chosen window, at most 1."""


def firing_limits(maxima: npt.ArrayLike) -> FloatArray:
    """The four limits between F1 to F5 from the maxima of the explain split's firing windows [n] -> [4]."""
    ordered = np.sort(np.asarray(maxima, dtype=np.float64))
    if ordered.size == 0:
        return np.full(N_FIRING_BINS - 1, np.inf)
    mass = np.cumsum(ordered)
    limits = np.searchsorted(mass, mass[-1] * np.arange(1, N_FIRING_BINS) / N_FIRING_BINS)
    return np.asarray(ordered[limits], dtype=np.float64)


def classify(
    maximum: npt.ArrayLike,
    is_top: npt.ArrayLike,
    listed: npt.ArrayLike,
    has_top_token: npt.ArrayLike,
    limits: npt.ArrayLike,
) -> IntArray:
    """The class of each window [W]: the first that fits of T, F1 to F5, the parts of E, M, R.

    `maximum` is the largest activation of the window (0: silent), `is_top` marks the 20 highest, `listed` where it
    stands on a list (boolean, of one list; or the number of the list, from 0, and -1 where it stands on none),
    `has_top_token` where one of the feature's top-20 tokens stands, `limits` is [4] from `firing_limits`.
    """
    top = np.asarray(maximum, dtype=np.float64)
    firing_bin = FIRST_BIN + np.searchsorted(np.asarray(limits, dtype=np.float64), top, side="right")
    on = np.asarray(listed)
    number = np.where(on, 0, -1) if on.dtype == np.bool_ else on
    silent = classify_silent(number, has_top_token)
    return np.where(top > 0, np.where(np.asarray(is_top), TOP, firing_bin), silent).astype(np.int64)


def classify_silent(number: IntArray, has_top_token: npt.ArrayLike) -> IntArray:
    """The class of each silent window [W], by the number of the list that it is of, -1 for none."""
    rest = np.where(np.asarray(has_top_token), TOKEN, REST)
    return np.where(number >= 0, np.take(LISTS, np.maximum(number, 0)), rest).astype(np.int64)


def class_sizes(n_windows: npt.ArrayLike, n_firing: npt.ArrayLike, available: npt.ArrayLike) -> FloatArray:
    """Windows of each class in the split: [...], [...], [..., H] -> [..., H].

    `n_windows` is N and `n_firing` N_F of the split, `available` the candidates by class: all top windows, the
    reservoir's other windows, the pool's silent windows. N_T is known; the rest of N_F is shared out as the
    reservoir is, N - N_F as the silent windows of the pool are.
    """
    counts = np.asarray(available, dtype=np.float64)
    firing = np.asarray(n_firing, dtype=np.float64)
    sizes = np.zeros(counts.shape)
    sizes[..., TOP] = counts[..., TOP]
    for kind, total in (
        (slice(FIRST_BIN, EXPLANATION), firing - counts[..., TOP]),
        (slice(EXPLANATION, None), np.asarray(n_windows, dtype=np.float64) - firing),
    ):
        frame = counts[..., kind].sum(axis=-1)
        sizes[..., kind] = counts[..., kind] * (total / np.where(frame > 0, frame, 1.0))[..., None]
    return sizes


def draw(classes: npt.ArrayLike, u: npt.ArrayLike, sizes: npt.ArrayLike, quotas: npt.ArrayLike = QUOTAS_60) -> Sample:
    """The sample of one feature: of each class the n_h candidates of smallest u (position breaks ties).

    `classes` [C] is the class of each candidate (all top windows, the reservoir's others, the pool's silent ones,
    each window once; NOT_SAMPLED to leave one out), `u` [C] its hash, `sizes` [H] from `class_sizes`.
    """
    kinds, hashes = np.asarray(classes, dtype=np.int64), np.asarray(u, dtype=np.float64)
    total = np.asarray(sizes, dtype=np.float64)
    available = np.bincount(kinds[kinds >= 0], minlength=total.size).astype(np.int64)
    n = allocate(available, quotas)
    chosen = [np.zeros(0, dtype=np.int64)]
    for h in np.flatnonzero(n).tolist():
        members = np.flatnonzero(kinds == h)
        if n[h] < members.size:  # only candidates that can be among the n_h smallest are sorted
            members = members[hashes[members] <= np.partition(hashes[members], n[h] - 1)[n[h] - 1]]
        chosen.append(members[np.argsort(hashes[members], kind="stable")][: n[h]])
    index = np.concatenate(chosen)
    pi = np.minimum(1.0, n / np.where(total > 0, total, 1.0))
    return Sample(index, kinds[index], n, total, available, pi[kinds[index]])


def class_counts(classes: npt.ArrayLike, n_classes: int = N_CLASSES) -> IntArray:
    """Windows of each class: [..., W] -> [..., n_classes]; NOT_SAMPLED is not counted."""
    kinds = np.asarray(classes, dtype=np.int64)
    rows = kinds.reshape(int(np.prod(kinds.shape[:-1])), kinds.shape[-1])
    # one row of counts each; NOT_SAMPLED is -1 and falls into a column of its own
    cell = np.arange(len(rows))[:, None] * (n_classes + 1) + rows + 1
    counts = np.bincount(cell.ravel(), minlength=len(rows) * (n_classes + 1)).reshape(len(rows), n_classes + 1)
    return counts[:, 1:].reshape(*kinds.shape[:-1], n_classes)


def window_weights(classes: npt.ArrayLike, sizes: npt.ArrayLike) -> FloatArray:
    """The Hajek weight N_h / n_h of each window: [..., W], [..., H] -> [..., W]; 0 for NOT_SAMPLED.

    n_h counts the windows given, so a window without a prediction is made up for by the others of its class.
    """
    kinds = np.asarray(classes, dtype=np.int64)
    size = np.asarray(sizes, dtype=np.float64)
    weight = size / np.maximum(class_counts(kinds, size.shape[-1]), 1)
    weight = np.broadcast_to(weight, (*kinds.shape[:-1], size.shape[-1]))
    return np.where(kinds >= 0, np.take_along_axis(weight, np.maximum(kinds, 0), axis=-1), 0.0)


def pad_windows(
    window_moments: Sequence[FloatArray], classes: Sequence[npt.NDArray[np.integer]]
) -> tuple[FloatArray, IntArray]:
    """Features with different numbers of windows as one pair of arrays: [F, W, 6], [F, W] (NOT_SAMPLED pads)."""
    longest = max((len(rows) for rows in classes), default=0)
    moments = np.zeros((len(classes), longest, 6))
    kinds = np.full((len(classes), longest), NOT_SAMPLED, dtype=np.int64)
    for i, (values, rows) in enumerate(zip(window_moments, classes, strict=True)):
        moments[i, : len(rows)], kinds[i, : len(rows)] = values, rows
    return moments, kinds
