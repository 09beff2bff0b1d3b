"""The jackknife of a stratified sample, for many correlations at once (Jones 1974, Biometrika 61).

Each window is left out in turn, and the others of its class make up for it. How the correlation moves says what its
bias is and what its variance; no derivative is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autointerp.score.metrics import FloatArray, pearson
from autointerp.score.quotas import IntArray


def stratified_jackknife(
    moments: FloatArray,
    kinds: IntArray,
    size: FloatArray,
    n: IntArray,
    totals: FloatArray,
    class_mean: FloatArray,
    squares: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The bias of r, and by how much its variance exceeds the linearised one, at least 0: [F], [F].

    Of F features: `moments` [F, W, 6] and `kinds` [F, W] of the windows, `size` and `n` [F, H] windows that each class
    stands for and windows drawn, `totals` [F, 6] and `class_mean` [F, H, 6], `squares` [F, H] the squared deviations of
    the linearised values within each class. Classes of one window take no part.
    """
    kind = np.maximum(kinds, 0)

    def of_window(values: npt.NDArray[np.generic]) -> FloatArray:
        return np.take_along_axis(np.asarray(values, dtype=np.float64), kind, axis=-1)

    count, whole, r = of_window(n), of_window(size), np.nan_to_num(pearson(totals))
    used = (kinds >= 0) & (count > 1)
    own_mean = np.take_along_axis(class_mean, kind[..., None], axis=1)
    moved = (whole / np.maximum(count - 1.0, 1.0))[..., None] * (moments - own_mean)
    by = np.where(used, np.nan_to_num(pearson(totals[:, None] - moved)) - r[:, None], 0.0)
    member = ((kinds[..., None] == np.arange(size.shape[-1])) & used[..., None]).astype(np.float64)
    several = np.maximum(n, 1).astype(np.float64)
    mean = np.einsum("fwh,fw->fh", member, by) / several
    left = np.einsum("fwh,fw->fh", member, (by - of_window(mean)) ** 2)
    open_share = np.where(n > 1, 1.0 - np.minimum(1.0, n / np.where(size > 0, size, 1.0)), 0.0)
    bias = (open_share * (several - 1.0) * mean).sum(axis=-1)
    jackknife = (open_share * (several - 1.0) / several * left).sum(axis=-1)
    linear = (open_share * size**2 / several * squares / np.maximum(several - 1.0, 1.0)).sum(axis=-1)
    return bias, np.asarray(np.maximum(jackknife - linear, 0.0), dtype=np.float64)
