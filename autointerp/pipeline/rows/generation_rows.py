"""Texts that a judge wrote as rows of `generations`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.pipeline.rows.columns import by_feature, joined, numbers, words
from autointerp.score.predictions import Generated
from autointerp.store.query import Queryable


def generation_rows(
    run: str | None, dictionary: str, explainer: str, scorer: str, generated: Mapping[int, Generated]
) -> dict[str, Any]:
    """Rows of `generations`: a text each."""
    made = list(generated.values())
    number = np.zeros(0, np.int64)
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in made], [len(of) for of in made]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "number": np.concatenate([number, *(np.arange(1, len(of) + 1) for of in made)]).astype(np.int32),
        "intended": joined([of.intended for of in made], np.zeros(0, bool)),
        "text": [text for of in made for text in of.texts],
        "n_tokens": joined([of.n_tokens for of in made], number).astype(np.int32),
        "max_activation": pa.array(joined([of.maximum for of in made], np.zeros(0)), from_pandas=True),
        "reached": pa.array(joined([of.reached for of in made], np.zeros(0)), from_pandas=True),
        "corpus_rank": pa.array(joined([of.corpus_rank for of in made], np.zeros(0)), from_pandas=True),
        "status": [word for of in made for word in of.status],
    }


def read_generated(
    store: Queryable, run: str | None, dictionary: str, explainer: str, scorer: str
) -> dict[int, Generated]:
    """The texts of a piece of work, by feature, with what the feature does on them."""
    rows = store.query(_GENERATIONS, run=run, dictionary=dictionary, explainer=explainer, scorer=scorer)
    if not len(rows):
        return {}
    maximum, reached, rank = (
        rows[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("max_activation", "reached", "corpus_rank")
    )
    intended = rows["intended"].to_numpy(zero_copy_only=False).astype(np.bool_)
    n_tokens = numbers(rows, "n_tokens").astype(np.int64)
    texts, status = words(rows, "text"), words(rows, "status")
    return {
        feature: Generated(
            feature,
            tuple(texts[mine]),
            intended[mine],
            np.zeros(0),
            0.0,
            maximum[mine],
            reached[mine],
            rank[mine],
            n_tokens[mine],
            tuple(status[mine]),
        )
        for feature, mine in by_feature(rows)
    }


_GENERATIONS = """
SELECT feature, intended, text, n_tokens, max_activation, reached, corpus_rank, status FROM generations
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer AND run IS NOT DISTINCT FROM $run
ORDER BY feature, number
"""
