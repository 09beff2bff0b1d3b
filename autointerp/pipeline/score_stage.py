"""Scoring one dictionary: the census from its stored sums, the sample from windows drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import entries_of
from autointerp.pipeline.census_stage import SCORER, read_census
from autointerp.pipeline.explain_stage import read_explanations
from autointerp.records import Int64, LookupTable, Score, Split, Windows
from autointerp.score.sampled import (
    Answered,
    Candidates,
    Pool,
    PublishedWindows,
    Simulated,
    answer,
    candidates,
    draw_windows,
    published_windows,
    simulate,
    top_tokens,
)
from autointerp.score.sampling import CLASSES, firing_limits
from autointerp.score.scores import (
    Subjects,
    census_scores,
    published_scores,
    sample_scores,
    subjects,
)
from autointerp.store.evidence import (
    dictionary_row,
    read_feature_windows,
    read_gram_tables,
    read_pool,
    read_pool_firing,
)
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.tokens import TokenFile

_FEATURES = "SELECT feature, status, max_activation FROM features WHERE dictionary = $dictionary ORDER BY feature"
_MAXIMA = """
SELECT feature, list(max_activation ORDER BY stratum, rank) AS maxima FROM exemplars
WHERE dictionary = $dictionary AND split = 'explain' AND stratum LIKE 'quantile%' GROUP BY feature
"""


@dataclass(frozen=True)
class ScoredExplainer:
    """Everything computed for one explainer of one dictionary."""

    explainer: str
    scores: list[Score]
    simulated: dict[int, Simulated]
    answered: dict[int, Answered]


def score_dictionary(
    store: Queryable,
    dictionary: str,
    explainers: Sequence[str],
    scorers: Sequence[str],
    sample: Int64,
    tokens: TokenFile,
    seed: int,
) -> list[ScoredExplainer]:
    """The census's scores, and those of `scorers` on `sample`, the features that the sample design is run on."""
    n_features = dictionary_row(store, dictionary)["n_features"]
    rows = store.rows(_FEATURES, dictionary=dictionary)
    status = {row["feature"]: row["status"] for row in rows}
    maximum = {row["feature"]: row["max_activation"] for row in rows}
    sampled = [int(feature) for feature in sample if status[int(feature)] == "alive"]
    ready = sample_candidates(store, dictionary, sampled, tokens, seed)
    of_protocols = {f: published_windows(ready[f], maximum[f]) for f in sampled}
    found = []
    for explainer in explainers:
        explanations, lookup = read_explanations(store, dictionary, explainer, n_features)
        everyone = subjects(explanations, status)
        truth, sums = read_census(store, dictionary, explainer, n_features)
        scores = census_scores(everyone, truth, sums)
        chosen = set(sample.tolist())
        few = subjects([e for e in explanations if e.feature in chosen], status)
        simulated, answered = _predict(few, lookup, ready, of_protocols)
        of_sample = sample_scores(few, simulated) + published_scores(few, answered)
        scores += [score for score in of_sample if score.scorer in scorers]
        simulated = simulated if SCORER in scorers else {}
        answered = answered if "detection" in scorers else {}
        found.append(ScoredExplainer(explainer, scores, simulated, answered))
    return found


def sample_candidates(
    store: Queryable, dictionary: str, features: list[int], tokens: TokenFile, seed: int, split: Split = "score"
) -> dict[int, Candidates]:
    """What the samples of each of `features` are drawn from, on the split that is scored or the one to choose on."""
    pool = Pool(read_pool(store, tokens.window, tokens.windows_per_context, split))
    firing_in_pool = read_pool_firing(store, dictionary, split)
    heavy, _ = read_gram_tables(store, dictionary)
    maxima = {row["feature"]: row["maxima"] for row in store.rows(_MAXIMA, dictionary=dictionary)}
    found = {}
    for firing in read_feature_windows(store, dictionary, features, tokens.window, tokens.windows_per_context, split):
        feature = firing.feature
        found[feature] = candidates(
            firing,
            tokens.windows(firing.window),
            pool,
            firing_in_pool.pools[firing_in_pool.start[feature] : firing_in_pool.start[feature + 1]],
            firing_limits(maxima.get(feature, [])),
            top_tokens(heavy, feature),
            seed,
        )
    return found


def _predict(
    few: Subjects,
    lookup: LookupTable,
    ready: dict[int, Candidates],
    of_protocols: dict[int, PublishedWindows],
) -> tuple[dict[int, Simulated], dict[int, Answered]]:
    simulated, answered = {}, {}
    for feature, status in zip(few.features.tolist(), few.status, strict=True):
        if status != "ok":
            continue
        entries = entries_of(lookup, feature)
        simulated[feature] = simulate(draw_windows(ready[feature], entries), entries)
        if feature in of_protocols:
            answered[feature] = answer(of_protocols[feature], entries)
    return simulated, answered


def write_scores(
    transaction: Transaction, run: str, dictionary: str, one: ScoredExplainer, answered: Answers, tokens: TokenFile
) -> int:
    """Rows of `scores`; and of `simulations` and `judgements`, which are there once, those not `answered` before."""
    n = transaction.append(
        "scores",
        {"run": run, "dictionary": dictionary}
        | {
            column: [getattr(score, column) for score in one.scores]
            for column in (
                "feature", "explainer", "scorer", "metric", "design", "value", "ci_low", "ci_high", "n", "n_failed",
                "status",
            )
        },
    )  # fmt: skip
    new = replace(
        one,
        simulated={f: of for f, of in one.simulated.items() if f not in answered.simulated},
        answered={f: of for f, of in one.answered.items() if f not in answered.judged},
    )
    n_windows, length = tokens.windows_per_context, tokens.window
    n += transaction.append("simulations", _simulation_rows(dictionary, new, n_windows, length))
    return n + transaction.append("judgements", _judgement_rows(dictionary, new, n_windows, length))


@dataclass(frozen=True)
class Answers:
    """The features whose predictions by one explanation are stored."""

    simulated: frozenset[int]
    judged: frozenset[int]


def read_answers(store: Queryable, dictionary: str, explainer: str) -> Answers:
    """What earlier scoring left: the windows of a feature depend on nothing that scoring may change."""
    simulated, judged = (
        frozenset(row["feature"] for row in store.rows(sql, dictionary=dictionary, explainer=explainer))
        for sql in (_SIMULATED, _JUDGED)
    )
    return Answers(simulated, judged)


_SIMULATED = "SELECT DISTINCT feature FROM simulations WHERE dictionary = $dictionary AND explainer = $explainer"
_JUDGED = "SELECT DISTINCT feature FROM judgements WHERE dictionary = $dictionary AND explainer = $explainer"


def _window_start(windows: Windows, n_windows: int, length: int) -> Int64:
    """Position in its context of each window's first token."""
    return np.asarray((windows.window - windows.context * n_windows) * length)


def _joined(parts: list[npt.NDArray[Any]], empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([*parts, empty])


def _simulation_rows(dictionary: str, one: ScoredExplainer, n_windows: int, length: int) -> dict[str, Any]:
    drawn = [simulated.drawn for simulated in one.simulated.values()]
    number = np.zeros(0, np.int64)
    values = np.zeros((0, length), np.float32)
    classes = _joined([of.classes for of in drawn], number)
    return {
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in drawn], [len(of.windows) for of in drawn]).astype(np.int32),
        "explainer": one.explainer,
        "scorer": SCORER,
        "context": _joined([of.windows.context for of in drawn], number),
        "window_start": _joined([_window_start(of.windows, n_windows, length) for of in drawn], number),
        "class": [CLASSES[kind] for kind in classes],
        "n_class": _joined([of.n_class for of in drawn], number),
        "size_class": _joined([of.size_class for of in drawn], number.astype(np.float64)),
        "truth": _joined([of.truth for of in drawn], values),
        "prediction": _joined([simulated.prediction for simulated in one.simulated.values()], values),
        "scored": _joined([of.windows.scored for of in drawn], values.astype(bool)),
        "status": "ok",
    }


def _judgement_rows(dictionary: str, one: ScoredExplainer, n_windows: int, length: int) -> dict[str, Any]:
    replies = list(one.answered.values())
    asked = [reply.published for reply in replies]
    number = np.zeros(0, np.int64)
    truth = np.zeros(0, bool)
    top = _joined([of.top for of in asked], truth)
    silent = _joined([of.silent for of in asked], truth)
    return {
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in asked], [len(of) for of in asked]).astype(np.int32),
        "explainer": one.explainer,
        "scorer": "detection",
        "context": _joined([of.windows.context for of in asked], number),
        "window_start": _joined([_window_start(of.windows, n_windows, length) for of in asked], number),
        "stratum": np.where(top, "top", np.where(silent, "silent", "firing")).tolist(),
        "fires": _joined([np.asarray((of.truth > 0).any(axis=1)) for of in asked], truth),
        "judged": _joined([reply.fires for reply in replies], truth),
        "probability": _joined([reply.probability for reply in replies], number.astype(np.float64)),
        "status": "ok",
    }
