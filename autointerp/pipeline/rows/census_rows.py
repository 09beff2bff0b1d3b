"""The census as rows of `feature_blocks` and `score_moments`, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autointerp.records import Int64
from autointerp.score.census_sums import CensusSums, CensusTruth
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction

SCORER = "simulation"


_TRUTH = "SELECT feature, n, t, t2 FROM feature_blocks WHERE dictionary = $dictionary ORDER BY feature"


_SUMS = """
SELECT feature, p, p2, tp, positives, negatives FROM score_moments
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer ORDER BY feature
"""


def write_truth(transaction: Transaction, dictionary: str, features: Int64, truth: CensusTruth) -> int:
    """Rows of `feature_blocks`."""
    return transaction.append(
        "feature_blocks",
        {
            "dictionary": dictionary,
            "feature": features.astype(np.int32),
            "n": np.broadcast_to(truth.n, (len(features), len(truth.n))).copy(),
            "t": truth.t[features],
            "t2": truth.t2[features],
        },
    )


def write_sums(transaction: Transaction, dictionary: str, explainer: str, features: Int64, of: CensusSums) -> int:
    """Rows of `score_moments` of one explainer."""
    return transaction.append(
        "score_moments",
        {
            "dictionary": dictionary,
            "feature": features.astype(np.int32),
            "explainer": explainer,
            "scorer": SCORER,
            "p": of.p[features],
            "p2": of.p2[features],
            "tp": of.tp[features],
            "positives": of.positives[features],
            "negatives": of.negatives[features],
        },
    )


def read_census(store: Queryable, dictionary: str, explainer: str, n_features: int) -> tuple[CensusTruth, CensusSums]:
    """The stored sums, with a row for every feature of the dictionary (zeros where it was not extracted)."""
    truth = store.rows(_TRUTH, dictionary=dictionary)
    sums = store.rows(_SUMS, dictionary=dictionary, explainer=explainer, scorer=SCORER)

    def wide(rows: list[dict[str, Any]], column: str) -> npt.NDArray[Any]:
        values = np.array([row[column] for row in rows])
        filled = np.zeros((n_features, values.shape[1] if len(values) else 0), dtype=values.dtype)
        filled[np.array([row["feature"] for row in rows], dtype=np.int64)] = values
        return filled

    n = np.array(truth[0]["n"], dtype=np.int64) if truth else np.zeros(0, np.int64)
    return (
        CensusTruth(n=n, t=wide(truth, "t"), t2=wide(truth, "t2")),
        CensusSums(
            p=wide(sums, "p"),
            p2=wide(sums, "p2"),
            tp=wide(sums, "tp"),
            positives=wide(sums, "positives"),
            negatives=wide(sums, "negatives"),
        ),
    )
