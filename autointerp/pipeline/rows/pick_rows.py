"""Picks as rows of `picks`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.pipeline.rows.columns import by_feature, joined, numbers, words
from autointerp.score.predictions import N_TEXTS, Picked, TextOptions
from autointerp.store.query import Queryable


def pick_rows(
    run: str | None, dictionary: str, explainer: str, scorer: str, picked: Mapping[int, Picked]
) -> dict[str, Any]:
    """Rows of `picks`: an option each, question after question."""
    asked = [one.options for one in picked.values()]
    number = np.zeros(0, np.int64)
    question = joined([of.question for of in asked], number)
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in asked], [len(of) for of in asked]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "question": (question + 1).astype(np.int32),
        "option": (np.arange(len(question)) % N_TEXTS + 1).astype(np.int32),
        "source": joined([of.source for of in asked], number).astype(np.int32),
        "number": joined([of.number for of in asked], number).astype(np.int32),
        "is_right": joined([of.right for of in asked], np.zeros(0, bool)),
        "probability": pa.array(joined([one.probability for one in picked.values()], np.zeros(0)), from_pandas=True),
        "status": [one.status for one in picked.values() for _ in range(len(one.options))],
    }


def read_picked(store: Queryable, run: str | None, dictionary: str, explainer: str, scorer: str) -> dict[int, Picked]:
    """The picks of a piece of work, by feature; the texts do not come back."""
    rows = store.query(_PICKS, run=run, dictionary=dictionary, explainer=explainer, scorer=scorer)
    if not len(rows):
        return {}
    question, source, number = (numbers(rows, name).astype(np.int64) for name in ("question", "source", "number"))
    right = rows["is_right"].to_numpy(zero_copy_only=False).astype(np.bool_)
    probability = rows["probability"].to_numpy(zero_copy_only=False).astype(np.float64)
    status = words(rows, "status")
    return {
        feature: Picked(
            TextOptions(feature, question[mine] - 1, source[mine], number[mine], right[mine], ()),
            probability[mine],
            status[mine.start],
        )
        for feature, mine in by_feature(rows)
    }


_PICKS = """
SELECT feature, question, source, number, is_right, probability, status FROM picks
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer AND run IS NOT DISTINCT FROM $run
ORDER BY feature, question, option
"""
