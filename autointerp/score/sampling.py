"""Which windows an LLM sees: a stratified sample with known inclusion probabilities.

ESTIMATOR.md, "The sample", points 3 to 5:
1. every window of the score split is in exactly one class, the first that fits: T (the top 20), F1 to
   F5 (firing, by bins of its maximum), E (silent, but a cheap simulator of this explanation fires),
   M (silent, holds one of the feature's top tokens), R (the other silent ones);
2. the size N_h of a class is known (T) or estimated from a frame: the reservoir of firing windows for
   F1 to F5, the run's pool of windows for E, M and R;
3. from each class come the n_h windows of smallest u = hash01(seed, feature, window), so that all
   explainers share windows wherever their classes agree; pi = n_h / N_h.

The limits of F1 to F5 cut the total of the window maxima into five equal parts: few windows are strong
and they carry the moments, so the strong bins are small and are drawn nearly whole. By simulation
(tests/slow/test_estimator_coverage.py, density 1e-2) the spread of `pearson_framed` is .057 with them, .066 with
equal counts and .090 with equal widths for a good label; .090, .121 and .156 for a narrow one, and its intervals
cover .97, .90 and .90.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.score.metrics import FloatArray

IntArray = npt.NDArray[np.int64]

CLASSES = ("T", "F1", "F2", "F3", "F4", "F5", "E", "M", "R")
N_CLASSES = len(CLASSES)
TOP, FIRST_BIN, EXPLANATION, TOKEN, REST = 0, 1, 6, 7, 8
"""Class index of T, F1, E, M and R."""
NOT_SAMPLED = -1
"""Class index of padding, of a window that has no prediction, and of a candidate outside the frames."""
FIRING, SILENT = range(0, 6), range(6, 9)
N_FIRING_BINS = 5

QUOTAS_60 = (6, 3, 4, 5, 6, 8, 18, 4, 6)
"""32 firing (6 of T; 3, 4, 5, 6, 8 of F1 to F5), 18 of E, 4 of M, 6 of R."""
QUOTAS_100 = (8, 4, 5, 6, 8, 9, 40, 8, 12)
"""40 firing (8 of T; 4, 5, 6, 8, 9 of F1 to F5: the split of 60 scaled by 1.25), 40 of E, 8 of M, 12 of R."""


def class_numbers(names: Iterable[str]) -> IntArray:
    """Class indices of classes by name, as the column `class` of `simulations` has them."""
    return np.array([CLASSES.index(name) for name in names], dtype=np.int64)


@dataclass(frozen=True)
class Sample:
    """The windows chosen for one feature and one explanation. S windows, classes in the order of CLASSES."""

    index: IntArray
    """[S] positions in the arrays given to `draw`, by class, then by u."""
    classes: IntArray
    """[S] class of each."""
    n: IntArray
    """[9] windows chosen of each class, n_h."""
    sizes: FloatArray
    """[9] windows of each class in the split, N_h."""
    available: IntArray
    """[9] candidates of each class in the frames (top windows, reservoir, pool)."""
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
    cheap_fires: npt.ArrayLike,
    has_top_token: npt.ArrayLike,
    limits: npt.ArrayLike,
) -> IntArray:
    """The class of each window [W]: the first that fits, in the order of CLASSES.

    `maximum` is the largest activation of the window (0: silent), `is_top` marks the 20 highest,
    `cheap_fires` where the explanation's own cheap simulator predicts firing, `has_top_token` where one of
    the feature's top-20 tokens stands, `limits` is [4] from `firing_limits`.
    """
    top = np.asarray(maximum, dtype=np.float64)
    firing_bin = FIRST_BIN + np.searchsorted(np.asarray(limits, dtype=np.float64), top, side="right")
    silent = np.where(np.asarray(cheap_fires), EXPLANATION, np.where(np.asarray(has_top_token), TOKEN, REST))
    return np.where(top > 0, np.where(np.asarray(is_top), TOP, firing_bin), silent).astype(np.int64)


def class_sizes(n_windows: npt.ArrayLike, n_firing: npt.ArrayLike, available: npt.ArrayLike) -> FloatArray:
    """Windows of each class in the split: [...], [...], [..., 9] -> [..., 9].

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


def allocate(available: npt.ArrayLike, quotas: Sequence[int] = QUOTAS_60) -> IntArray:
    """How many windows to take of each class: [9], [9] -> [9]; a short class passes its quota on.

    The rule: what a class cannot fill goes to the next class of its own kind (firing or silent) that has room,
    in the order of CLASSES and round from the last to the first; what its kind cannot hold goes to the next
    class of the other kind in the same way.
    """
    room = np.asarray(available, dtype=np.int64)
    wanted = np.asarray(quotas, dtype=np.int64)
    taken = np.minimum(room, wanted)
    spare = wanted - taken
    for reach in (FIRING, SILENT, range(N_CLASSES)):
        for h in reach:
            for other in (*range(h + 1, reach.stop), *range(reach.start, h)):
                moved = min(int(spare[h]), int(room[other] - taken[other]))
                taken[other] += moved
                spare[h] -= moved
    return taken


def draw(classes: npt.ArrayLike, u: npt.ArrayLike, sizes: npt.ArrayLike, quotas: Sequence[int] = QUOTAS_60) -> Sample:
    """The sample of one feature: of each class the n_h candidates of smallest u (position breaks ties).

    `classes` [C] is the class of each candidate (all top windows, the reservoir's others, the pool's silent ones,
    each window once; NOT_SAMPLED to leave one out), `u` [C] its hash, `sizes` [9] from `class_sizes`.
    """
    kinds, hashes = np.asarray(classes, dtype=np.int64), np.asarray(u, dtype=np.float64)
    total = np.asarray(sizes, dtype=np.float64)
    available = np.bincount(kinds[kinds >= 0], minlength=N_CLASSES).astype(np.int64)
    n = allocate(available, quotas)
    chosen = []
    for h in range(N_CLASSES):
        members = np.flatnonzero(kinds == h)
        if 0 < n[h] < members.size:  # only candidates that can be among the n_h smallest are sorted
            members = members[hashes[members] <= np.partition(hashes[members], n[h] - 1)[n[h] - 1]]
        chosen.append(members[np.argsort(hashes[members], kind="stable")][: n[h]])
    index = np.concatenate(chosen)
    pi = np.minimum(1.0, n / np.where(total > 0, total, 1.0))
    return Sample(index, kinds[index], n, total, available, pi[kinds[index]])


def class_counts(classes: npt.ArrayLike) -> IntArray:
    """Windows of each class: [..., W] -> [..., 9]; NOT_SAMPLED is not counted."""
    kinds = np.asarray(classes, dtype=np.int64)
    rows = kinds.reshape(int(np.prod(kinds.shape[:-1])), kinds.shape[-1])
    # one row of counts each; NOT_SAMPLED is -1 and falls into a column of its own
    cell = np.arange(len(rows))[:, None] * (N_CLASSES + 1) + rows + 1
    counts = np.bincount(cell.ravel(), minlength=len(rows) * (N_CLASSES + 1)).reshape(len(rows), N_CLASSES + 1)
    return counts[:, 1:].reshape(*kinds.shape[:-1], N_CLASSES)


def window_weights(classes: npt.ArrayLike, sizes: npt.ArrayLike) -> FloatArray:
    """The Hajek weight N_h / n_h of each window: [..., W], [..., 9] -> [..., W]; 0 for NOT_SAMPLED.

    n_h counts the windows given, so a window without a prediction is made up for by the others of its class.
    """
    kinds = np.asarray(classes, dtype=np.int64)
    weight = np.asarray(sizes, dtype=np.float64) / np.maximum(class_counts(kinds), 1)
    weight = np.broadcast_to(weight, (*kinds.shape[:-1], N_CLASSES))
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
