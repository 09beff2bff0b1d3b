"""Strata of a stored dictionary's features, and the sample that is drawn from them.

The same rule draws the sample of a run (`score.features = { sample = 500, strata = true }`) and weighs the scores of
any sample back to the dictionary (`autointerp whole`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.compare.strata import draw, feature_strata
from autointerp.hashing import hash64, stream_key
from autointerp.records import Int64
from autointerp.store.query import Queryable

_FEATURES = """
SELECT feature, density, token_entropy, status FROM features WHERE dictionary = $dictionary ORDER BY feature
"""


@dataclass(frozen=True)
class Stratified:
    """The extracted features of a dictionary, rising, with the stratum of each."""

    features: Int64
    strata: Int64
    order: npt.NDArray[np.uint64]
    """The hash order in which they are drawn: that in which baselines are paired with them."""


def strata_of(store: Queryable, dictionary: str, seed: int) -> Stratified:
    """Strata of density and token entropy of the features that fire often enough to be scored."""
    rows = store.rows(_FEATURES, dictionary=dictionary)
    features = np.array([row["feature"] for row in rows], dtype=np.int64)
    density = np.array([row["density"] for row in rows], dtype=np.float64)
    entropy = np.array(
        [np.nan if row["token_entropy"] is None else row["token_entropy"] for row in rows], dtype=np.float64
    )
    fires = np.array([row["status"] == "alive" for row in rows], dtype=np.bool_)
    order = hash64(stream_key(seed, "match", dictionary), features)  # as `match_order`
    ties = hash64(stream_key(seed, "strata", dictionary), features)
    return Stratified(features, feature_strata(density, entropy, fires, ties), order)


def draw_by_strata(store: Queryable, dictionary: str, n: int, seed: int) -> Int64:
    """The features of a stratified sample, rising."""
    of = strata_of(store, dictionary, seed)
    return of.features[draw(of.strata, of.order, n)]
