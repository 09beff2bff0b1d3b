"""The census as rows of `feature_blocks` and `score_moments`, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from autointerp.records import Float64, Int64
from autointerp.score.census_sums import CensusSums, CensusTruth
from autointerp.score.metrics import MOMENTS
from autointerp.store.columns import to_csr
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction

SCORER = "simulation"
FEATURES_AT_ONCE = 1 << 14
"""Features whose rows are made at once."""


_TRUTH = """
SELECT feature, n, t, t2, threshold, n_above FROM feature_blocks WHERE dictionary = $dictionary ORDER BY feature
"""


_SUMS = """
SELECT feature, p, p2, tp, positives, negatives, above, below FROM score_moments
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer ORDER BY feature
"""


_TRUTH_SUMS = "SELECT feature, n, t, t2 FROM feature_blocks WHERE dictionary = $dictionary ORDER BY feature"
_MOMENTS = """
SELECT feature, p, p2, tp FROM score_moments
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer ORDER BY feature
"""


def read_maxima(store: Queryable, dictionary: str, n_features: int) -> npt.NDArray[np.float64]:
    """The largest activation of each feature on the explain split, [F]; 0 where it is dead, or was not extracted."""
    maximum = np.zeros(n_features)
    rows = store.query(_MAXIMA, dictionary=dictionary)
    maximum[rows["feature"].to_numpy()] = rows["max_activation"].to_numpy()
    return maximum


_MAXIMA = "SELECT feature, max_activation FROM features WHERE dictionary = $dictionary ORDER BY feature"


def write_truth(transaction: Transaction, dictionary: str, features: Int64, truth: CensusTruth) -> int:
    """Rows of `feature_blocks`."""
    return sum(
        transaction.append(
            "feature_blocks",
            {
                "dictionary": dictionary,
                "feature": some.astype(np.int32),
                "n": np.broadcast_to(truth.n, (len(some), len(truth.n))).copy(),
                "t": truth.t[some],
                "t2": truth.t2[some],
                "threshold": truth.threshold[some],
                "n_above": truth.n_above[some],
            },
        )
        for some in _portions(features)
    )


def _portions(features: Int64) -> list[Int64]:
    """FEATURES_AT_ONCE at a time."""
    return [features[first : first + FEATURES_AT_ONCE] for first in range(0, len(features), FEATURES_AT_ONCE)]


def write_sums(transaction: Transaction, dictionary: str, explainer: str, features: Int64, of: CensusSums) -> int:
    """Rows of `score_moments` of one explainer."""
    return sum(
        transaction.append(
            "score_moments",
            {
                "dictionary": dictionary,
                "feature": some.astype(np.int32),
                "explainer": explainer,
                "scorer": SCORER,
                "p": of.p[some],
                "p2": of.p2[some],
                "tp": of.tp[some],
                "positives": of.positives[some],
                "negatives": of.negatives[some],
                "above": of.above[some],
                "below": of.below[some],
            },
        )
        for some in _portions(features)
    )


def read_moments(store: Queryable, dictionary: str, explainer: str, n_features: int) -> Float64:
    """The stored sums by document block alone, for every feature of the dictionary: [F, B, 6]; B is 0 where there are
    none."""
    truth = store.query(_TRUTH_SUMS, dictionary=dictionary)
    sums = store.query(_MOMENTS, dictionary=dictionary, explainer=explainer, scorer=SCORER)
    n = to_csr(truth["n"].slice(0, 1))[1] if len(truth) else np.zeros(0)
    made = np.zeros((n_features, len(n) if len(sums) else 0, len(MOMENTS)))
    if made.size:
        made[..., MOMENTS.index("n")] = n
        for rows, names in ((truth, ("t", "t2")), (sums, ("p", "p2", "tp"))):
            for name in names:
                made[..., MOMENTS.index(name)] = _wide(rows, name, n_features, np.float64)
    return made


def _wide(rows: pa.Table, column: str, n_features: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """A column of lists with a row for every feature: zeros where it has none."""
    values = to_csr(rows[column])[1].reshape(len(rows), -1) if len(rows) else np.zeros((0, 0))
    filled = np.zeros((n_features, values.shape[1]), dtype=dtype)
    filled[rows["feature"].to_numpy()] = values
    return filled


def read_truth(store: Queryable, dictionary: str, n_features: int) -> CensusTruth:
    """The stored truth, with a row for every feature of the dictionary (zeros where it was not extracted)."""
    truth = store.query(_TRUTH, dictionary=dictionary)
    n = to_csr(truth["n"].slice(0, 1))[1] if len(truth) else np.zeros(0)
    threshold = np.zeros(n_features)
    threshold[truth["feature"].to_numpy()] = truth["threshold"].to_numpy()
    return CensusTruth(
        n=n.astype(np.int64),
        t=_wide(truth, "t", n_features, np.float64),
        t2=_wide(truth, "t2", n_features, np.float64),
        threshold=threshold,
        n_above=_wide(truth, "n_above", n_features, np.int64),
    )


def read_sums(store: Queryable, dictionary: str, explainer: str, n_features: int) -> CensusSums:
    """The stored sums of one explainer, likewise."""
    sums = store.query(_SUMS, dictionary=dictionary, explainer=explainer, scorer=SCORER)
    of_activations = {name: _wide(sums, name, n_features, np.float64) for name in ("p", "p2", "tp")}
    counts = ("positives", "negatives", "above", "below")
    return CensusSums(**of_activations, **{name: _wide(sums, name, n_features, np.int64) for name in counts})
