"""The sampled windows of several features side by side: what the estimator reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.records import Float64, Int64
from autointerp.score import metrics
from autointerp.score.class_names import CLASSES, NOT_SAMPLED
from autointerp.score.predictions import Simulated
from autointerp.score.sampling import pad_windows


@dataclass(frozen=True)
class SampleMoments:
    """The samples of n features side by side, for the estimator and for the comparison of dictionaries."""

    moments: Float64  # [n, W, 6]
    classes: Int64  # [n, W] NOT_SAMPLED where there is no prediction
    sizes: Float64  # [n, H]
    available: Int64  # [n, H]
    blocks: Int64  # [n, W] document block of each window
    n_failed: Int64  # [n] windows without a prediction


def sample_moments(simulated: Sequence[Simulated]) -> SampleMoments:
    """Each window's six sums over its scored tokens."""
    values, kinds, blocks, failed = [], [], [], []
    for simulation in simulated:
        windows = simulation.drawn.windows
        usable = simulation.predicted
        weight = windows.scored & usable[:, None]
        values.append(metrics.moments(simulation.drawn.truth, simulation.prediction, weight))
        kinds.append(np.where(usable, simulation.drawn.classes, NOT_SAMPLED))
        blocks.append(windows.block)
        failed.append(int((~usable).sum()))
    stacked, classes = pad_windows(values, kinds)
    of_block = np.zeros(classes.shape, dtype=np.int64)
    for i, row in enumerate(blocks):
        of_block[i, : len(row)] = row
    sizes, available = ([getattr(one.drawn, name) for one in simulated] for name in ("sizes", "available"))
    none = (0, len(CLASSES))
    return SampleMoments(
        stacked,
        classes,
        np.asarray(sizes, dtype=np.float64) if simulated else np.zeros(none),
        np.asarray(available, dtype=np.int64) if simulated else np.zeros(none, dtype=np.int64),
        of_block,
        np.asarray(failed, dtype=np.int64),
    )
