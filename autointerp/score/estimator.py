"""Scores of a sparse feature from few windows, with intervals.

docs/ESTIMATOR.md, "The sample". For one feature and one explanation, from the moments
x_i = (n, t, p, t2, p2, tp) of the S windows drawn by `autointerp.score.sampling.draw`:
1. Hajek totals X = sum over classes h of N_h x mean of x over the n_h windows of h;
2. r = Pearson's correlation of X;
3. value = r - its bias by the stratified jackknife (Jones 1974): sum over classes of (1 - n_h / N_h) (n_h - 1) x (mean
   of r without each of the class's windows - r). Without it values of labels that are right or over-broad are .01 too
   high, and of .05 where few windows hold many alarms: sum p^2 stands under a root in the denominator. That is little
   beside the error of one feature, and much in the mean of many;
4. linearise: z_i = x_i . (dr / dX), so that the error of r is that of a total of z;
5. V = sum_h N_h^2 (1 - n_h / N_h) s_h^2 / n_h, with s_h^2 the variance of z within class h: nothing is added
   for a class that was drawn whole. Sizes that come from a frame add N^2 (1/m - 1/N) x (variance of z
   between the classes) for the m firing windows of the reservoir and again for the m silent ones of the pool
   (two-phase sampling, Cochran 1977, section 12.2): 0 where the frame held everything;
6. where the jackknife, which does not linearise, gives more than V within the classes, the difference is added;
7. degrees of freedom by Satterthwaite, sum V^2 / sum (V_h^2 / (n_h - 1));
8. interval: Fisher's z of r -+ x, x = t sqrt(V) / (1 - r^2), moved down (towards 0) by r min(x, .25)^2: a sample that
   lacks the windows in which the label errs has both too high an r and too small a V, and the interval would lie above
   the truth more often than below it;
9. its lower end is no higher than r would be if the label missed a share of the firing windows that the n drawn of
   N do not exclude at 95 %: ln .05 / (N ln(1 - n/N)), 3/n where n is small beside N and 0 where all were drawn.
   Where the label is right in every window drawn, V is 0 and says nothing about the others.

A class with one window borrows the variance within the other classes of its kind. A class whose windows all
lack predictions gives its size to the nearest class of its kind (E and M to each other); where there is
none, the status is `failed`.

`pearson_framed` is the primary metric. Windows of R keep their weight, and their predictions count at a rate that is
pooled over the features of a dictionary (`alarms.py`): the six of one feature say nothing about alarms of one in 10,000
tokens. By simulation (`tests/slow/test_estimator_table.py`; heavy and light tails, firings clustered by document,
densities 1e-2 to 1e-4) its intervals cover .90 to .996, .955 on average, and miss on both sides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from autointerp.score.alarms import AlarmRate, residual_alarm_rate
from autointerp.score.census import census_pearson_interval
from autointerp.score.class_names import (
    CLASSES,
    EXPLANATION,
    FIRING,
    FIRST_BIN,
    LISTS,
    REST,
    TOKEN,
    TOP,
    silent_classes,
)
from autointerp.score.estimates import Estimates, pearson_gradient, pearson_interval
from autointerp.score.jackknife import stratified_jackknife
from autointerp.score.metrics import FloatArray, pearson, pearson_status
from autointerp.score.quotas import QUOTAS_60, QUOTAS_100, IntArray, allocate
from autointerp.score.sampling import (
    Sample,
    class_counts,
    class_sizes,
    classify,
    draw,
    firing_limits,
    pad_windows,
    window_weights,
)

__all__ = [
    "CLASSES",
    "QUOTAS_60",
    "QUOTAS_100",
    "AlarmRate",
    "Estimates",
    "Sample",
    "allocate",
    "block_moments",
    "census_pearson_interval",
    "class_sizes",
    "classify",
    "draw",
    "firing_limits",
    "frame_moments",
    "pad_windows",
    "pearson_framed",
    "pearson_sample",
    "residual_alarm_rate",
    "underpowered",
    "window_weights",
]

RULE_OF_THREE = 3.0
"""A rate of 3/n is not excluded (at 95 %) by n draws without an event; see `underpowered`."""

FEATURES_AT_ONCE = 4096
"""Features per chunk: 60 windows of 6 moments are 12 MB."""

_STAND_IN = {
    TOP: (5, 4, 3, 2, 1),
    1: (2, 3, 4, 5, TOP),
    2: (1, 3, 4, 5, TOP),
    3: (2, 4, 1, 5, TOP),
    4: (3, 5, 2, 1, TOP),
    5: (4, 3, 2, 1, TOP),
    **{part: (*(other for other in LISTS if other != part), TOKEN) for part in LISTS},
    TOKEN: LISTS,
}
"""Which classes take over the size of one without predictions, nearest first: T lies above F5, the parts of E are near
each other; R has none."""


def pearson_framed(
    window_moments: npt.ArrayLike,
    classes: npt.ArrayLike,
    sizes: npt.ArrayLike,
    available: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    charge: npt.ArrayLike | None = None,
) -> Estimates:
    """Pearson over the split with the windows of R at a pooled rate: the primary metric of the sample design.

    `window_moments` [..., W, 6] and `classes` [..., W] of the windows that have a prediction (NOT_SAMPLED for the
    others and for padding), `sizes` [..., H] and `available` [..., H] as in `Sample` (without `available` the
    sizes count as exact). `charge` [..., 2]: sums of p and p^2 that every window of R counts with
    (`alarms.pooled_charges(...).value`); without it they are 0. The interval takes the charge as given. R windows need
    no prediction here; that they are silent is known.
    """
    return _by_chunks(_framed_chunk, window_moments, classes, sizes, available, confidence, charge)


def pearson_sample(
    window_moments: npt.ArrayLike,
    classes: npt.ArrayLike,
    sizes: npt.ArrayLike,
    available: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> Estimates:
    """Pearson over the split with every prediction counted; arguments as for `pearson_framed`.

    Status `underpowered` (the value stands, and is not to be trusted) where `underpowered` says so.
    """
    return _by_chunks(_plain_chunk, window_moments, classes, sizes, available, confidence)


def underpowered(n: npt.ArrayLike, sizes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether the windows of R are too few for the corpus Pearson: [..., H] n_h, [..., H] N_h -> [...].

    The rule: n_R x N_F / N_R < 3. With n_R windows of R and no alarm among them, alarms in 3 / n_R of the
    windows of R are not excluded; that may be as many windows as fire at all, unless n_R is 3 N_R / N_F. The
    product is the density of firing windows times the number of silent windows looked at. By simulation,
    over labels, densities and alarms in 1e-4 to 1e-2 of the tokens: above 3 the intervals cover .87 to .97,
    at 1.9 .67 to .94, at 0.2 .18 to .93 (some of these cells: tests/slow/test_estimator_coverage.py).
    """
    count, size = np.asarray(n, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    firing = size[..., FIRING.start : FIRING.stop].sum(axis=-1)
    whole = count[..., REST] >= size[..., REST]
    return np.asarray(~whole & (count[..., REST] * firing < RULE_OF_THREE * size[..., REST]), dtype=np.bool_)


# --- moments for the comparison of dictionaries -----------------------------------------------------


def frame_moments(
    window_moments: npt.ArrayLike, classes: npt.ArrayLike, charge: npt.ArrayLike | None = None
) -> FloatArray:
    """The same moments with p and p2 of R windows at their charge [..., 2], or 0, and tp 0: [..., W, 6] -> the same."""
    moments = np.array(window_moments, dtype=np.float64)
    rest = np.asarray(classes) == REST
    moments[..., [2, 4, 5]] *= ~rest[..., None]
    if charge is not None:
        moments[..., [2, 4]] += rest[..., None] * np.asarray(charge, dtype=np.float64)[..., None, :]
    return moments


def block_moments(
    window_moments: npt.ArrayLike, classes: npt.ArrayLike, sizes: npt.ArrayLike, blocks: npt.ArrayLike, n_blocks: int
) -> FloatArray:
    """Weighted moments by document block: [F, W, 6], [F, W], [F, H], block of each window [F, W] -> [F, n_blocks, 6].

    What `autointerp.compare.clustered` leaves out block by block; pass `frame_moments(...)` for the framed metric.
    Sizes of classes without a prediction are passed on as in `pearson_framed`.
    """
    moments, kinds = np.asarray(window_moments, dtype=np.float64), np.asarray(classes, dtype=np.int64)
    size = np.array(sizes, dtype=np.float64)
    size, _ = _answered_sizes(class_counts(kinds, size.shape[-1]), size)
    weighted = moments * window_weights(kinds, size)[..., None]
    cell = np.arange(len(moments))[:, None] * n_blocks + np.asarray(blocks, dtype=np.int64)
    out = np.empty((len(moments), n_blocks, 6))
    for k in range(6):
        sums = np.bincount(cell.ravel(), weighted[..., k].ravel(), minlength=len(moments) * n_blocks)
        out[..., k] = sums.reshape(len(moments), n_blocks)
    return out


# --- the estimate -----------------------------------------------------------------------------------

_Chunk = Callable[[FloatArray, IntArray, FloatArray, IntArray | None, float, FloatArray | None], Estimates]


def _by_chunks(
    chunk: _Chunk,
    window_moments: npt.ArrayLike,
    classes: npt.ArrayLike,
    sizes: npt.ArrayLike,
    available: npt.ArrayLike | None,
    confidence: float,
    charge: npt.ArrayLike | None = None,
) -> Estimates:
    """Flatten the leading axes to F features, run `chunk` on some thousand at a time, and join."""
    kinds = np.asarray(classes, dtype=np.int64)
    lead, n_windows = kinds.shape[:-1], kinds.shape[-1]
    n_features = int(np.prod(lead, dtype=np.int64))
    moments = np.asarray(window_moments, dtype=np.float64).reshape(n_features, n_windows, 6)
    kinds = kinds.reshape(n_features, n_windows)
    n_classes = np.shape(sizes)[-1]
    size = np.broadcast_to(np.asarray(sizes, dtype=np.float64), (*lead, n_classes)).reshape(n_features, n_classes)
    frame = None
    if available is not None:
        frame = np.broadcast_to(np.asarray(available, dtype=np.int64), (*lead, n_classes))
        frame = frame.reshape(n_features, n_classes)
    charged = None if charge is None else np.broadcast_to(np.asarray(charge, dtype=np.float64), (*lead, 2))
    charged = None if charged is None else charged.reshape(n_features, 2)
    parts = []
    for start in range(0, max(n_features, 1), FEATURES_AT_ONCE):
        rows = slice(start, start + FEATURES_AT_ONCE)
        of_frame = None if frame is None else frame[rows]
        of_rest = None if charged is None else charged[rows]
        parts.append(chunk(moments[rows], kinds[rows], size[rows], of_frame, confidence, of_rest))
    return Estimates.join(parts, lead)


def _framed_chunk(
    moments: FloatArray,
    kinds: IntArray,
    sizes: FloatArray,
    available: IntArray | None,
    confidence: float,
    charge: FloatArray | None,
) -> Estimates:
    """R enters through its size alone: each of its windows is (n, 0, p, 0, p2, 0), with the mean n of R windows and the
    charge."""
    n_tokens = moments[..., 0]
    by_rest = _masked_mean(n_tokens, kinds == REST, otherwise=_masked_mean(n_tokens, kinds >= 0, otherwise=0.0))
    rest = np.zeros((len(moments), 6))
    rest[:, 0] = by_rest
    if charge is not None:
        rest[:, [2, 4]] = charge
    asked = np.where(kinds == REST, -1, kinds)
    others = sizes.copy()
    others[:, REST] = 0.0
    result, _ = _estimate(moments, asked, others, sizes, rest, available, confidence)
    return result.with_n((kinds >= 0).sum(axis=-1))


def _plain_chunk(
    moments: FloatArray,
    kinds: IntArray,
    sizes: FloatArray,
    available: IntArray | None,
    confidence: float,
    _charge: FloatArray | None,
) -> Estimates:
    result, n = _estimate(moments, kinds, sizes, sizes, None, available, confidence)
    weak = (result.status == "ok") & underpowered(n, sizes)
    return result.with_status(np.where(weak, "underpowered", result.status))


def _estimate(
    moments: FloatArray,
    kinds: IntArray,
    sizes: FloatArray,
    all_sizes: FloatArray,
    rest: FloatArray | None,
    available: IntArray | None,
    confidence: float,
) -> tuple[Estimates, IntArray]:
    """Steps 1 to 9 for F features; `rest` is the moment vector of every R window where R is not sampled."""
    n_classes = sizes.shape[-1]
    n = class_counts(kinds, n_classes)
    size, lost = _answered_sizes(n, sizes.copy())
    member = (kinds[..., None] == np.arange(n_classes)).astype(np.float64)  # [F, W, H]

    class_mean = np.einsum("fwh,fwk->fhk", member, moments) / np.maximum(n, 1)[..., None]
    totals = np.einsum("fh,fhk->fk", size, class_mean)
    if rest is not None:
        totals = totals + all_sizes[:, REST, None] * rest
        class_mean[:, REST] = rest

    n_firing = size[:, FIRING.start : FIRING.stop].sum(axis=-1)
    status = np.where(n_firing > 0, np.where(lost, "failed", pearson_status(totals)), "rare")
    gradient = pearson_gradient(totals)
    z = np.einsum("fwk,fk->fw", moments, gradient)
    mean_z = np.einsum("fhk,fk->fh", class_mean, gradient)
    deviation = z - np.take_along_axis(mean_z, np.maximum(kinds, 0), axis=-1)
    squares = np.einsum("fwh,fw->fh", member, deviation**2)

    bias, spread = stratified_jackknife(moments, kinds, size, n, totals, class_mean, squares)
    parts, part_df = [], []
    for kind in (tuple(FIRING), silent_classes(n_classes)):
        pooled_df = np.maximum(n[:, kind] - 1, 0).sum(axis=-1)
        pooled = squares[:, kind].sum(axis=-1) / np.maximum(pooled_df, 1)
        for h in kind:
            own_df = np.maximum(n[:, h] - 1, 0)
            variance = np.where(own_df > 0, squares[:, h] / np.maximum(own_df, 1), pooled)
            open_share = 1.0 - np.minimum(1.0, n[:, h] / np.where(size[:, h] > 0, size[:, h], 1.0))
            parts.append(np.where(n[:, h] > 0, size[:, h] ** 2 * open_share * variance / np.maximum(n[:, h], 1), 0.0))
            part_df.append(np.maximum(np.where(own_df > 0, own_df, pooled_df), 1))
    if available is not None:
        kept = size if rest is None else np.where(np.arange(n_classes) == REST, all_sizes, size)
        for frame in (slice(FIRST_BIN, EXPLANATION), slice(EXPLANATION, n_classes)):
            in_frame = available[:, frame].sum(axis=-1)
            parts.append(_between_classes(kept[:, frame], mean_z[:, frame], in_frame))
            part_df.append(np.maximum(in_frame - 1, 1))
    part, part_degrees = np.stack(parts, axis=-1), np.stack(part_df, axis=-1).astype(np.float64)
    variance = part.sum(axis=-1) + spread
    scatter = (part**2 / part_degrees).sum(axis=-1)
    df = np.where(
        scatter > 0, part.sum(axis=-1) ** 2 / np.where(scatter > 0, scatter, 1.0), np.maximum(n.sum(axis=-1) - 1, 1)
    )

    se, n_windows = np.sqrt(variance), n.sum(axis=-1)
    result = pearson_interval(pearson(totals), se, df, n_windows, status, confidence, shifted=True)
    fired = np.einsum("fh,fhk->fk", size[:, FIRING], class_mean[:, FIRING])
    missed = unseen_share(n[:, FIRING].sum(axis=-1), n_firing, confidence)
    return result.with_low(pearson(totals - missed[:, None] * fired * _PREDICTED)).less(bias), n


_PREDICTED = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
"""The moments that a prediction has a part in."""


def unseen_share(n: npt.ArrayLike, size: npt.ArrayLike, confidence: float = 0.95) -> FloatArray:
    """The largest share of `size` windows that n windows drawn from them do not exclude when none of them shows it."""
    drawn, whole = np.asarray(n, dtype=np.float64), np.asarray(size, dtype=np.float64)
    open_share = 1.0 - np.minimum(1.0, drawn / np.where(whole > 0, whole, 1.0))
    partly = (open_share > 0) & (open_share < 1)
    bound = np.log(1.0 - confidence) / (np.where(whole > 0, whole, 1.0) * np.log(np.where(partly, open_share, 0.5)))
    return np.asarray(np.where(partly, np.minimum(bound, open_share), open_share), dtype=np.float64)


def _between_classes(sizes: FloatArray, mean_z: FloatArray, frame: IntArray) -> FloatArray:
    """Variance of a total because the classes' sizes come from `frame` windows: [F, k], [F, k], [F] -> [F]."""
    total = sizes.sum(axis=-1)
    share = sizes / np.where(total > 0, total, 1.0)[:, None]
    spread = (share * (mean_z - (share * mean_z).sum(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    open_share = 1.0 - np.minimum(1.0, frame / np.where(total > 0, total, 1.0))
    return np.asarray(total**2 * open_share * spread / np.maximum(frame, 1), dtype=np.float64)


def _answered_sizes(n: IntArray, sizes: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Pass on the sizes of classes without a window (in place): [F, H] -> [F, H], and where that failed [F]."""
    n_classes = sizes.shape[-1]
    for h, others in _STAND_IN.items():
        if h >= n_classes:
            continue
        orphan = (n[..., h] == 0) & (sizes[..., h] > 0)
        for other in (other for other in others if other < n_classes):
            heir = orphan & (n[..., other] > 0)
            sizes[..., other] += np.where(heir, sizes[..., h], 0.0)
            sizes[..., h] = np.where(heir, 0.0, sizes[..., h])
            orphan &= ~heir
    return sizes, np.asarray(((n == 0) & (sizes > 0)).any(axis=-1), dtype=np.bool_)


def _masked_mean(values: FloatArray, mask: npt.NDArray[np.bool_], otherwise: npt.ArrayLike) -> FloatArray:
    count = mask.sum(axis=-1)
    return np.where(count > 0, (values * mask).sum(axis=-1) / np.maximum(count, 1), otherwise)
