"""Choices as rows of `choices`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from autointerp.pipeline.rows.columns import by_feature, joined, numbers, some_windows, windows_of, words
from autointerp.score.predictions import N_OPTIONS, Choices, Chosen
from autointerp.store.columns import csr_list
from autointerp.store.query import Queryable
from autointerp.subject.tokens import TokenFile


def choice_rows(
    run: str | None, dictionary: str, explainer: str, scorer: str, chosen: Mapping[int, Chosen], tokens: TokenFile
) -> dict[str, Any]:
    """Rows of `choices`: an option each, question after question."""
    asked = [one.choices for one in chosen.values()]
    number = np.zeros(0, np.int64)
    marks = joined([of.marks for of in asked], np.zeros((0, tokens.window), bool))
    start = np.concatenate([[0], np.cumsum(marks.sum(axis=1))]).astype(np.int64)
    question = joined([of.question for of in asked], number)
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in asked], [len(of) for of in asked]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "question": (question + 1).astype(np.int32),
        "option": (np.arange(len(question)) % N_OPTIONS + 1).astype(np.int32),
        "source": joined([of.source for of in asked], number).astype(np.int32),
        "context": joined([of.windows.context for of in asked], number),
        "window_start": joined([tokens.window_start(of.windows) for of in asked], number),
        "stratum": [word for of in asked for word in of.stratum],
        "marks": csr_list(start, np.nonzero(marks)[1].astype(np.uint8), pa.uint8()),
        "is_right": joined([of.right for of in asked], np.zeros(0, bool)),
        "probability": pa.array(joined([one.probability for one in chosen.values()], np.zeros(0)), from_pandas=True),
        "status": [word for one in chosen.values() for word in one.status],
    }


def read_chosen(store: Queryable, run: str | None, dictionary: str, explainer: str, scorer: str) -> dict[int, Chosen]:
    """The choices of a piece of work, by feature; marks do not come back."""
    rows = store.query(_CHOICES, run=run, dictionary=dictionary, explainer=explainer, scorer=scorer)
    if not len(rows):
        return {}
    none = np.zeros((len(rows), 1), dtype=np.bool_)
    windows = windows_of(rows, none)
    question, source = numbers(rows, "question"), numbers(rows, "source")
    right = rows["is_right"].to_numpy(zero_copy_only=False).astype(np.bool_)
    probability = rows["probability"].to_numpy(zero_copy_only=False).astype(np.float64)
    stratum, status = words(rows, "stratum"), words(rows, "status")
    return {
        feature: Chosen(
            Choices(
                feature,
                some_windows(windows, mine),
                none[mine],
                question[mine].astype(np.int64) - 1,
                right[mine],
                source[mine].astype(np.int64),
                tuple(stratum[mine]),
            ),
            probability[mine],
            tuple(status[mine]),
        )
        for feature, mine in by_feature(rows)
    }


_CHOICES = """
SELECT j.feature, j.question, j.source, j.context, j.window_start, j.stratum, j.is_right, j.probability, j.status,
       c.document_block
FROM choices j JOIN contexts c USING (context)
WHERE j.dictionary = $dictionary AND j.explainer = $explainer AND j.scorer = $scorer
      AND j.run IS NOT DISTINCT FROM $run
ORDER BY j.feature, j.question, j.option
"""
