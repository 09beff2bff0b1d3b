"""What baselines are matched to: how often each feature of a dictionary fires on the sample, and in which order the
features are paired with units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autointerp.hashing import hash64, stream_key
from autointerp.records import Bool, Int64
from autointerp.subject.dictionary import Dictionary, SparseAutoencoder

MATCH_AT_LEAST = 100
"""Firings on the explain split below which a feature is not matched."""
ROWS = 4096
"""Rows that are encoded at once."""
PLACE_AT_LEAST = 10
"""Firings in the sample below which theta cannot be placed."""


@dataclass(frozen=True)
class Target:
    """The dictionary that baselines are matched to."""

    features: Int64  # those that units may be paired with, rising: the first ones by `match_order`
    n_firing: Int64  # firings of each in the sample
    n_selected: int  # features that are selected, with those that no unit is paired with


def match_order(features: Int64, seed: int, dictionary: str) -> Int64:
    """Features of a dictionary in the order in which baselines are paired with them, whatever the baseline."""
    return features[np.argsort(hash64(stream_key(seed, "match", dictionary), features), kind="stable")]


def count_firings(dictionary: Dictionary, x: Tensor, features: Int64, share: float = 0.0) -> Target:
    """Rows of x on which each of `features` fires; with `share`, above so much of its largest activation in x, which is
    then read twice. Features that do not compete with others are encoded by themselves."""
    own = features
    if isinstance(dictionary, SparseAutoencoder) and not dictionary.competes:
        dictionary, own = dictionary.only(torch.from_numpy(features)), np.arange(len(features))
    least = torch.zeros(dictionary.n_features)
    if share:
        for first in range(0, len(x), ROWS):
            torch.maximum(least, dictionary.encode(x[first : first + ROWS]).max(dim=0).values, out=least)
        least *= share
    counts = np.zeros(dictionary.n_features, dtype=np.int64)
    for first in range(0, len(x), ROWS):
        fires = dictionary.encode(x[first : first + ROWS]).numpy() > least.numpy()
        counts += np.count_nonzero(fires, axis=0)
    return Target(features, counts[own], len(features))


def enough_firings(n_firing: Int64, share: float) -> Bool:
    """Which features fire often enough to be matched, by their firings in a sample of this share of the split."""
    return np.asarray((n_firing / max(share, 1e-12) >= MATCH_AT_LEAST) & (n_firing >= PLACE_AT_LEAST))
