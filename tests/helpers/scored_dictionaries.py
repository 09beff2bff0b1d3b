"""Dictionaries with made-up scores, as stages means and compare read them from a store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from autointerp.pipeline.rows.stored_scores import About, DictionaryScores, StoredScores
from autointerp.records import Float64, Int64
from autointerp.score.alarms import AlarmLimits, AlarmRate
from autointerp.score.metrics import pearson

CENSUS: About = ("simulation", "pearson", "census")
NOT_CHARGED = AlarmLimits(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, dtype=np.int64))


def scored(
    name: str,
    blocks: Float64 | None = None,
    values: Float64 | None = None,
    *,
    matched_to: str | None = None,
    failed: Iterable[Any] = (),
    units: Int64 | None = None,
    kind: str | None = None,
    about: About = CENSUS,
) -> DictionaryScores:
    """A dictionary of n features: the Pearson of their moments by block [n, B, 6], or `values` [n] without moments.

    With `matched_to` a baseline, feature i matched to feature i; those of `failed` have no score.
    """
    known = pearson(blocks.sum(axis=1)) if values is None and blocks is not None else values
    assert known is not None
    lost = set(map(int, failed))
    n = len(known)
    rows = StoredScores(
        np.arange(n),
        np.array([np.nan if i in lost else value for i, value in enumerate(known)]),
        np.zeros(n, dtype=np.bool_),
    )
    return DictionaryScores(
        dictionary=name,
        kind=kind or ("sae" if matched_to is None else "neurons"),
        hook="blocks.0.hook_mlp_out",
        matched_to=matched_to,
        natural_of=None,
        partner={i: i for i in range(n)} if matched_to is not None else {},
        unit={} if units is None else dict(enumerate(map(int, units))),
        scores={about: rows},
        moments={} if blocks is None else {"pearson": (np.arange(n), blocks)},
        alarms=AlarmRate(None, None, None, 0, 0),
        limits=NOT_CHARGED,
    )
