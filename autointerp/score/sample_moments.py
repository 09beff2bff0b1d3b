"""The sampled windows of several features side by side: what the estimator reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.records import Float64, Int64
from autointerp.score import metrics
from autointerp.score.class_names import CLASSES, NOT_SAMPLED
from autointerp.score.predictions import Simulated
from autointerp.score.side_by_side import FeatureRows


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
    if not simulated:
        return _NOTHING
    drawn = [one.drawn for one in simulated]
    scored = np.concatenate([of.windows.scored for of in drawn])
    prediction = np.concatenate([one.prediction for one in simulated])
    usable = ~(np.isnan(prediction) & scored).any(axis=1)
    truth = np.concatenate([of.truth for of in drawn])
    values = metrics.moments(truth, prediction, scored & usable[:, None])
    kinds = np.where(usable, np.concatenate([of.classes for of in drawn]), NOT_SAMPLED)
    rows = FeatureRows([len(of.classes) for of in drawn])
    place = (rows.of, np.arange(len(kinds)) - rows.start[rows.of])
    shape = (len(rows), int(rows.sizes.max()))
    moments, classes, blocks = np.zeros((*shape, 6)), np.full(shape, NOT_SAMPLED, np.int64), np.zeros(shape, np.int64)
    moments[place], classes[place] = values, kinds
    blocks[place] = np.concatenate([of.windows.block for of in drawn])
    return SampleMoments(
        moments,
        classes,
        np.asarray([of.sizes for of in drawn], dtype=np.float64),
        np.asarray([of.available for of in drawn], dtype=np.int64),
        blocks,
        rows.counts(~usable),
    )


_NOTHING = SampleMoments(
    np.zeros((0, 0, 6)),
    np.zeros((0, 0), np.int64),
    np.zeros((0, len(CLASSES))),
    np.zeros((0, len(CLASSES)), np.int64),
    np.zeros((0, 0), np.int64),
    np.zeros(0, np.int64),
)
