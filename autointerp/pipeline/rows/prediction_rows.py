"""Predictions as rows of `simulations`, `judgements`, `token_judgements`, `choices` and `generations`, and back.

`run` is the work of stage judge that asked; none for the embedded simulators and judges, whose rows are there once.
What comes back has all that metrics read, in the order in which it was asked; of windows the tokens, and of
`TokenItems` the tokens shown to explainers, do not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from autointerp.pipeline.asking.judging import Findings
from autointerp.pipeline.rows.choice_rows import choice_rows, read_chosen
from autointerp.pipeline.rows.columns import by_feature, joined, numbers, some_windows, windows_of, words
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.rows.generation_rows import generation_rows, read_generated
from autointerp.pipeline.rows.pick_rows import pick_rows, read_picked
from autointerp.records import Windows
from autointerp.score.predictions import (
    STRATA,
    Choices,
    Chosen,
    Drawn,
    Generated,
    Items,
    JudgeCall,
    Judged,
    Picked,
    Prediction,
    Rated,
    Simulated,
    TextOptions,
    TokenItems,
    failure_of,
)
from autointerp.score.sampling import CLASSES, class_numbers
from autointerp.store.columns import csr_list, to_csr, words_of
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.tokens import TokenFile

T = TypeVar("T", Simulated, Judged, Rated, Chosen, Generated, Picked)

# --- to rows


def write_predictions(
    transaction: Transaction,
    run: str | None,
    dictionary: str,
    explainer: str,
    scorer: str,
    predictions: Mapping[int, Prediction],
    tokens: TokenFile,
) -> int:
    """Rows of the tables of their shapes."""
    about = (run, dictionary, explainer, scorer)
    n = 0
    if simulated := _of_shape(predictions, Simulated):
        n += transaction.append("simulations", simulation_rows(*about, simulated, tokens))
    if judged := _of_shape(predictions, Judged):
        n += transaction.append("judgements", judgement_rows(*about, judged, tokens))
    if rated := _of_shape(predictions, Rated):
        n += transaction.append("token_judgements", rating_rows(*about, rated))
    if chosen := _of_shape(predictions, Chosen):
        n += transaction.append("choices", choice_rows(*about, chosen, tokens))
    if generated := _of_shape(predictions, Generated):
        n += transaction.append("generations", generation_rows(*about, generated))
    if picked := _of_shape(predictions, Picked):
        n += transaction.append("picks", pick_rows(*about, picked))
    return n


def _of_shape(predictions: Mapping[int, Prediction], shape: type[T]) -> dict[int, T]:
    return {feature: made for feature, made in predictions.items() if isinstance(made, shape)}


def write_findings(
    transaction: Transaction,
    run: str,
    dictionary: str,
    explainer: str,
    scorer: str,
    findings: Findings,
    tokens: TokenFile,
    again: int = 0,
) -> int:
    """All rows of a piece of judging; `again` is the number of the request that it is done for."""
    n = write_predictions(transaction, run, dictionary, explainer, scorer, findings.predictions, tokens)
    at = f"simulation:lookup@{explainer}"
    for name, predictions in findings.beside.items():
        n += write_predictions(transaction, run, dictionary, name, at, predictions, tokens)
    failed = [(f, failure) for f, made in findings.predictions.items() if (failure := failure_of(made)) is not None]
    if failed:
        n += transaction.append(
            "failures",
            failure_rows(
                "judge", dictionary, [f for f, _ in failed], explainer, [scorer] * len(failed),
                [status for _, (status, _) in failed], [reason for _, (_, reason) in failed], again,
            ),
        )  # fmt: skip
    return n


_CARRIED = {
    "simulations": "SELECT * EXCLUDE (run) FROM simulations WHERE run = $run AND NOT list_contains($features, feature)",
    "judgements": "SELECT * EXCLUDE (run) FROM judgements WHERE run = $run AND NOT list_contains($features, feature)",
    "token_judgements": (
        "SELECT * EXCLUDE (run) FROM token_judgements WHERE run = $run AND NOT list_contains($features, feature)"
    ),
    "choices": "SELECT * EXCLUDE (run) FROM choices WHERE run = $run AND NOT list_contains($features, feature)",
    "picks": "SELECT * EXCLUDE (run) FROM picks WHERE run = $run AND NOT list_contains($features, feature)",
    "generations": "SELECT * EXCLUDE (run) FROM generations WHERE run = $run AND NOT list_contains($features, feature)",
}


def carry_over(store: Queryable, transaction: Transaction, old: str, new: str, features: Collection[int]) -> int:
    """All that the work `old` of stage judge predicted, but for these features, as rows of the work `new`."""
    n = 0
    for table, sql in _CARRIED.items():
        rows = store.query(sql, run=old, features=sorted(features))
        columns = {name: rows[name].combine_chunks() for name in rows.column_names}
        n += transaction.append(table, {"run": new, **columns}) if len(rows) else 0
    return n


def failed_features(store: Queryable, run: str) -> set[int]:
    """The features of which a piece of judging has predictions that failed."""
    return {row["feature"] for row in store.rows(_FAILED, run=run)}


_FAILED = """
SELECT DISTINCT feature FROM (
    SELECT run, feature, status FROM simulations UNION ALL SELECT run, feature, status FROM judgements
    UNION ALL SELECT run, feature, status FROM token_judgements UNION ALL SELECT run, feature, status FROM choices
    UNION ALL SELECT run, feature, status FROM picks
    UNION ALL SELECT run, feature, status FROM generations
) WHERE run = $run AND status <> 'ok'
"""


def simulation_rows(
    run: str | None,
    dictionary: str,
    explainer: str,
    scorer: str,
    simulated: Mapping[int, Simulated],
    tokens: TokenFile,
) -> dict[str, Any]:
    """Rows of `simulations`."""
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
        "window_start": joined([tokens.window_start(of.windows) for of in drawn], number),
        "class": words_of(classes, CLASSES),
        "n_class": joined([of.n_class for of in drawn], number),
        "size_class": joined([of.size_class for of in drawn], number.astype(np.float64)),
        "available_class": joined([of.available[of.classes] for of in drawn], number),
        "truth": joined([of.truth for of in drawn], values),
        "prediction": joined([one.prediction for one in simulated.values()], values),
        "scored": joined([of.windows.scored for of in drawn], values.astype(bool)),
        "status": _statuses([one.status or ("ok",) * len(one.prediction) for one in simulated.values()]),
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
    calls: list[JudgeCall | None] = []
    if any(one.calls for one in judged.values()):
        calls = [call for one in judged.values() for call in one.calls or (None,) * len(one.items)]
    return {
        "run": run,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in items], [len(of) for of in items]).astype(np.int32),
        "explainer": explainer,
        "scorer": scorer,
        "context": joined([of.windows.context for of in items], number),
        "window_start": joined([tokens.window_start(of.windows) for of in items], number),
        "stratum": words_of(joined([of.stratum_number for of in items], number), STRATA),
        "marks": csr_list(start, np.nonzero(marks)[1].astype(np.uint8), pa.uint8()),
        "weight": pa.array(joined([_weights(of) for of in items], probability[:0]), from_pandas=True),
        "fires": right,
        "judged": pa.array(np.where(answered, probability >= 0.5, False), mask=~answered),
        "probability": pa.array(probability, from_pandas=True),
        "status": _statuses([one.status for one in judged.values()]),
        "request": [None if call is None else call.request for call in calls] or None,
        "sample": [None if call is None else call.sample for call in calls] or None,
    }


def _statuses(of: Sequence[tuple[str, ...]]) -> str | list[str]:
    """The status of each row; one word for all, where all are ok."""
    return [word for words in of for word in words] if any(set(words) - {"ok"} for words in of) else "ok"


def _weights(of: Items) -> npt.NDArray[np.float64]:
    return np.full(len(of), np.nan) if of.weight is None else of.weight


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
        "kind": list(chain.from_iterable(of.kinds for of in items)),
        "rating": pa.array(joined([one.rating for one in rated.values()], np.zeros(0)), from_pandas=True),
        "status": _statuses([(one.status,) * len(one.items) for one in rated.values()]),
    }


# --- and back


def read_simulated(
    store: Queryable, run: str | None, dictionary: str, explainer: str, scorer: str
) -> dict[int, Simulated]:
    """The simulations of a piece of work, by feature."""
    rows = store.query(_SIMULATIONS, run=run, dictionary=dictionary, explainer=explainer, scorer=scorer)
    if not len(rows):
        return {}
    kinds = class_numbers(words(rows, "class"))
    truth, prediction, scored = (
        to_csr(rows[name])[1].reshape(len(rows), -1) for name in ("truth", "prediction", "scored")
    )
    windows = windows_of(rows, scored.astype(np.bool_))
    n, size, available = (numbers(rows, name) for name in ("n_class", "size_class", "available_class"))
    status, threshold = words(rows, "status"), numbers(rows, "threshold")
    simulated = {}
    for feature, mine in by_feature(rows):
        of_class = kinds[mine]
        wide = [np.zeros(len(CLASSES), dtype=values.dtype) for values in (n, size, available)]
        for values, into in zip((n, size, available), wide, strict=True):
            into[of_class] = values[mine]
        drawn = Drawn(
            feature, some_windows(windows, mine), truth[mine], of_class, wide[0], wide[1], wide[2],
            float(threshold[mine.start]),
        )  # fmt: skip
        simulated[feature] = Simulated(drawn, prediction[mine], tuple(status[mine]))
    return simulated


def read_judged(store: Queryable, run: str | None, dictionary: str, explainer: str, scorer: str) -> dict[int, Judged]:
    """The judgements of a piece of work, by feature."""
    rows = store.query(_JUDGEMENTS, run=run, dictionary=dictionary, explainer=explainer, scorer=scorer)
    if not len(rows):
        return {}
    marks = np.zeros((len(rows), int(numbers(rows, "n_places").max())), dtype=np.bool_)
    for row, places in enumerate(rows["marks"].to_pylist()):
        marks[row, places or []] = True
    right = rows["fires"].to_numpy(zero_copy_only=False).astype(np.bool_)
    probability = rows["probability"].to_numpy(zero_copy_only=False).astype(np.float64)
    weight = rows["weight"].to_numpy(zero_copy_only=False).astype(np.float64)
    windows, status = windows_of(rows, np.zeros(marks.shape, dtype=np.bool_)), words(rows, "status")
    strata = words(rows, "stratum")

    def items(feature: int, mine: slice) -> Items:
        group = (mine.stop - mine.start,)
        stands_for = None if np.isnan(weight[mine]).any() else weight[mine]
        return Items(
            feature, some_windows(windows, mine), right[mine], marks[mine], group, tuple(strata[mine]), stands_for
        )  # fmt: skip

    return {
        feature: Judged(items(feature, mine), probability[mine], tuple(status[mine]))
        for feature, mine in by_feature(rows)
    }


def read_rated(store: Queryable, run: str | None, dictionary: str, explainer: str, scorer: str) -> dict[int, Rated]:
    """The ratings of a piece of work, by feature."""
    rows = store.query(_RATINGS, run=run, dictionary=dictionary, explainer=explainer, scorer=scorer)
    if not len(rows):
        return {}
    token, none = numbers(rows, "token"), np.zeros(0, dtype=np.int64)
    promoted = rows["promoted"].to_numpy(zero_copy_only=False).astype(np.bool_)
    rating = rows["rating"].to_numpy(zero_copy_only=False).astype(np.float64)
    status = words(rows, "status")
    return {
        feature: Rated(TokenItems(feature, token[mine], promoted[mine], none), rating[mine], status[mine.start])
        for feature, mine in by_feature(rows)
    }


_READERS: dict[str, Callable[..., Mapping[int, Prediction]]] = {
    "simulated": read_simulated,
    "judged": read_judged,
    "rated": read_rated,
    "chosen": read_chosen,
    "generated": read_generated,
    "picked": read_picked,
}


def read_predictions(
    store: Queryable, shape: str, run: str, dictionary: str, explainer: str, scorer: str
) -> dict[int, Prediction]:
    """The predictions of a piece of judging, by feature."""
    return dict(_READERS[shape](store, run, dictionary, explainer, scorer))


def empty_prediction(shape: str, feature: int, window: int) -> Prediction:
    """Of a feature about which nothing was asked, for want of windows or tokens."""
    number, truth = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    places = np.zeros((0, window), dtype=np.bool_)
    windows = Windows(number, number, number.astype(np.int32), places.astype(np.int32), places.astype(np.int32), places)
    if shape == "judged":
        return Judged(Items(feature, windows, truth, places, ()), np.zeros(0), ())
    if shape == "rated":
        return Rated(TokenItems(feature, number, truth, number), np.zeros(0))
    if shape == "chosen":
        return Chosen(Choices(feature, windows, places, number, truth, number, ()), np.zeros(0), ())
    if shape == "picked":
        return Picked(TextOptions(feature, number, number, number, truth, ()), np.zeros(0))
    if shape == "generated":
        none = np.zeros(0)
        return Generated(feature, (), truth, none, 0.0, none, none, none, number, ())
    counts = np.zeros(len(CLASSES), dtype=np.int64)
    values = np.zeros((0, window), dtype=np.float32)
    return Simulated(Drawn(feature, windows, values, number, counts, counts.astype(np.float64), counts), values)


_SIMULATIONS = """
SELECT s.feature, s.context, s.window_start, s.class, s.n_class, s.size_class, s.available_class, s.truth,
       s.prediction, s.scored, s.status, c.document_block, b.threshold
FROM simulations s JOIN contexts c USING (context) JOIN feature_blocks b USING (dictionary, feature)
WHERE s.dictionary = $dictionary AND s.explainer = $explainer AND s.scorer = $scorer
      AND s.run IS NOT DISTINCT FROM $run
ORDER BY s.feature, s.rowid
"""
_JUDGEMENTS = """
SELECT j.feature, j.context, j.window_start, j.stratum, j.marks, j.weight, j.fires, j.probability, j.status,
       c.document_block,
       coalesce(list_max(j.marks)::INTEGER + 1, 0) AS n_places
FROM judgements j JOIN contexts c USING (context)
WHERE j.dictionary = $dictionary AND j.explainer = $explainer AND j.scorer = $scorer
      AND j.run IS NOT DISTINCT FROM $run
ORDER BY j.feature, j.rowid
"""
_RATINGS = """
SELECT feature, token, promoted, rating, status FROM token_judgements
WHERE dictionary = $dictionary AND explainer = $explainer AND scorer = $scorer AND run IS NOT DISTINCT FROM $run
ORDER BY feature, rowid
"""
