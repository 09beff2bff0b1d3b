"""Predictions as rows of `scores`, `simulations`, `judgements` and `token_judgements`.

`run` is the work of stage judge that asked; none for the embedded simulators and judges, whose rows are there once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from autointerp.records import Int64, Score, Windows
from autointerp.score.sampled import Simulated
from autointerp.score.sampling import CLASSES
from autointerp.score.scorers.detection import Judged
from autointerp.score.scorers.logit_effects import Rated
from autointerp.store.columns import csr_list
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.tokens import TokenFile

_CARRIED = {
    "scores": "SELECT * EXCLUDE (run) FROM scores WHERE run = $run AND NOT list_contains($features, feature)",
    "simulations": "SELECT * EXCLUDE (run) FROM simulations WHERE run = $run AND NOT list_contains($features, feature)",
    "judgements": "SELECT * EXCLUDE (run) FROM judgements WHERE run = $run AND NOT list_contains($features, feature)",
    "token_judgements": (
        "SELECT * EXCLUDE (run) FROM token_judgements WHERE run = $run AND NOT list_contains($features, feature)"
    ),
}


def carry_over(store: Queryable, transaction: Transaction, old: str, new: str, features: Collection[int]) -> int:
    """All that the work `old` of stage judge made, but for these features, as rows of the work `new`."""
    n = 0
    for table, sql in _CARRIED.items():
        rows = store.query(sql, run=old, features=sorted(features))
        columns = {name: rows[name].combine_chunks() for name in rows.column_names}
        n += transaction.append(table, {"run": new, **columns}) if len(rows) else 0
    return n


_SCORE = ("feature", "explainer", "scorer", "metric", "design", "value", "ci_low", "ci_high", "n", "n_failed", "status")


def score_rows(run: str, dictionary: str, scores: Sequence[Score]) -> dict[str, Any]:
    """Rows of `scores`."""
    return {"run": run, "dictionary": dictionary} | {name: [getattr(one, name) for one in scores] for name in _SCORE}


def window_start(windows: Windows, tokens: TokenFile) -> Int64:
    """Position in its context of each window's first token."""
    return np.asarray((windows.window - windows.context * tokens.windows_per_context) * tokens.window)


def joined(parts: list[npt.NDArray[Any]], empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The parts one after the other; `empty` gives type and width where there are none."""
    return np.concatenate([*parts, empty])


def simulation_rows(
    run: str | None,
    dictionary: str,
    explainer: str,
    scorer: str,
    simulated: Mapping[int, Simulated],
    tokens: TokenFile,
    status: Mapping[int, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Rows of `simulations`; `status` of each window by feature, where some may have failed."""
    drawn = [one.drawn for one in simulated.values()]
    number, values = np.zeros(0, np.int64), np.zeros((0, tokens.window), np.float32)
    classes = joined([of.classes for of in drawn], number)
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in drawn], [len(of.windows) for of in drawn]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "context": joined([of.windows.context for of in drawn], number),
        "window_start": joined([window_start(of.windows, tokens) for of in drawn], number),
        "class": [CLASSES[kind] for kind in classes],
        "n_class": joined([of.n_class for of in drawn], number),
        "size_class": joined([of.size_class for of in drawn], number.astype(np.float64)),
        "truth": joined([of.truth for of in drawn], values),
        "prediction": joined([one.prediction for one in simulated.values()], values),
        "scored": joined([of.windows.scored for of in drawn], values.astype(bool)),
        "status": "ok" if status is None else [one for feature in simulated for one in status[feature]],
    }


def judgement_rows(
    run: str | None, dictionary: str, explainer: str, scorer: str, judged: Mapping[int, Judged], tokens: TokenFile
) -> dict[str, Any]:
    """Rows of `judgements` of detection and fuzzing."""
    items = [one.items for one in judged.values()]
    number, truth = np.zeros(0, np.int64), np.zeros(0, bool)
    probability = joined([one.probability for one in judged.values()], number.astype(np.float64))
    right = joined([of.right for of in items], truth)
    marks = joined([of.marks for of in items], np.zeros((0, tokens.window), bool))
    start = np.concatenate([[0], np.cumsum(marks.sum(axis=1))]).astype(np.int64)
    answered = ~np.isnan(probability)
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in items], [len(of) for of in items]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "context": joined([of.windows.context for of in items], number),
        "window_start": joined([window_start(of.windows, tokens) for of in items], number),
        "stratum": np.where(right, "right", "wrong").tolist(),
        "marks": csr_list(start, np.nonzero(marks)[1].astype(np.uint8), pa.uint8()),
        "fires": right,
        "judged": pa.array(np.where(answered, probability >= 0.5, False), mask=~answered),
        "probability": pa.array(probability, from_pandas=True),
        "status": [status for one in judged.values() for status in one.status],
    }


def rating_rows(
    run: str | None, dictionary: str, explainer: str, scorer: str, rated: Mapping[int, Rated]
) -> dict[str, Any]:
    """Rows of `token_judgements`."""
    items = [one.items for one in rated.values()]
    number = np.zeros(0, np.int64)
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in items], [len(of) for of in items]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "token": joined([of.token for of in items], number).astype(np.int32),
        "promoted": joined([of.promoted for of in items], np.zeros(0, bool)),
        "rating": pa.array(joined([one.rating for one in rated.values()], np.zeros(0)), from_pandas=True),
        "status": [one.status for one in rated.values() for _ in range(len(one.items))],
    }
