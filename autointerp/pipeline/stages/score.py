"""Stage score: the census from its stored sums, the sample from windows drawn here, one dictionary after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import entries_of
from autointerp.pipeline.asking.test_material import Ground
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.census_rows import SCORER, read_census
from autointerp.pipeline.rows.explanation_rows import read_explanations
from autointerp.pipeline.rows.prediction_rows import (
    joined,
    judgement_rows,
    rating_rows,
    score_rows,
    simulation_rows,
    window_start,
)
from autointerp.pipeline.stages.context import StageContext, by_dictionary, explainers_of, flat
from autointerp.records import LookupTable, Score
from autointerp.score.sampled import (
    Answered,
    Candidates,
    PublishedWindows,
    Simulated,
    answer,
    draw_windows,
    published_windows,
    simulate,
)
from autointerp.score.scorers.detection import METRICS as JUDGE_METRICS
from autointerp.score.scorers.detection import Judged, Kind, judge_scores, look_up_judgements
from autointerp.score.scorers.logit_effects import METRICS as LOGIT_METRICS
from autointerp.score.scorers.logit_effects import Rated, completion, logit_scores, read_text
from autointerp.score.scores import Subjects, census_scores, published_scores, sample_scores, subjects
from autointerp.store.evidence import dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.writer import Transaction
from autointerp.subject.tokens import TokenFile
from autointerp.words import COMPLETION, CONTROLS, members

T = TypeVar("T")


def run(context: StageContext, works: Sequence[Work]) -> None:
    """Rows of each dictionary in one transaction."""
    missing = by_dictionary(works)
    with context.report.stage("scoring", context.n_features(missing), "features") as advance:
        for name, mine in missing.items():
            begun = time.monotonic()
            ground = context.materials.ground(name)
            asked = flat(members(explainer) for explainer in explainers_of(mine))
            scored = {one.explainer: one for one in score_dictionary(context.store, ground, asked, ground.scorers)}
            if any(work.explainer == CONTROLS for work in mine) and "logits" in ground.scorers:
                scored[COMPLETION] = completion_floor(ground, context.prepared.subject.unembedding())
            stored = {explainer: read_stored(context.store, name, explainer) for explainer in scored}
            shared = (time.monotonic() - begun) / len(mine)
            with context.store.transaction() as transaction:
                for work in mine:
                    assert work.explainer is not None
                    floors = [COMPLETION] if work.explainer == CONTROLS and COMPLETION in scored else []
                    n = sum(
                        write_scores(transaction, work.key, name, scored[one], stored[one], context.tokens)
                        for one in (*members(work.explainer), *floors)
                    )
                    context.done(transaction, work, n, shared)
            advance(context.n_features([name]))


@dataclass(frozen=True)
class ScoredExplainer:
    """Everything computed for one explainer of one dictionary."""

    explainer: str
    scores: list[Score]
    simulated: dict[int, Simulated]
    answered: dict[int, Answered]
    judged: dict[Kind, dict[int, Judged]]
    rated: dict[int, Rated]


LOOKUP, TEXT_JUDGE, UNEMBEDDING = "lookup", "logits:text", "unembedding"
"""Who judges where no LLM does."""


def score_dictionary(
    store: Queryable, ground: Ground, explainers: Sequence[str], scorers: Sequence[str]
) -> list[ScoredExplainer]:
    """The census's scores, and those of `scorers` on the features that the sample design is run on."""
    dictionary, status, ready = ground.dictionary, ground.status, ground.ready
    n_features = dictionary_row(store, dictionary)["n_features"]
    of_protocols = {f: published_windows(one, ground.maximum[f]) for f, one in ready.items()}
    found = []
    for explainer in explainers:
        explanations, lookup = read_explanations(store, dictionary, explainer, n_features)
        everyone = subjects(explanations, status)
        truth, sums = read_census(store, dictionary, explainer, n_features)
        scores = census_scores(everyone, truth, sums)
        chosen = set(ground.sample.tolist())
        few = subjects([e for e in explanations if e.feature in chosen], status)
        simulated, answered = _predict(few, lookup, ready, of_protocols)
        of_sample = sample_scores(few, simulated) + published_scores(few, answered)
        scores += [score for score in of_sample if score.scorer in scorers]
        simulated = simulated if SCORER in scorers else {}
        answered = answered if "detection" in scorers else {}
        texts = {one.feature: one.text for one in explanations}
        judged = _judged(few, lookup, ground)
        rated = {
            f: read_text(texts[f], items, ground.corpus.vocabulary.texts)
            for f, items in ground.tokens.items()
            if texts.get(f)
        }
        scores += embedded_scores(few, judged, rated, ground)
        found.append(ScoredExplainer(explainer, scores, simulated, answered, judged, rated))
    return found


def _judged(few: Subjects, lookup: LookupTable, ground: Ground) -> dict[Kind, dict[int, Judged]]:
    """What each explanation's lookup says of the items of detection and fuzzing."""
    fit = [f for f, status in zip(few.features.tolist(), few.status, strict=True) if status == "ok"]
    return {
        kind: {f: look_up_judgements(kind, of[f], entries_of(lookup, f)) for f in fit if f in of}
        for kind, of in ground.items.items()
    }


def embedded_scores(
    few: Subjects, judged: dict[Kind, dict[int, Judged]], rated: dict[int, Rated], ground: Ground
) -> list[Score]:
    """Rows of the embedded judges: `detection:lookup`, `fuzzing:lookup`, `logits:text`."""
    rows: list[Score] = []
    for feature, status in zip(few.features.tolist(), few.status, strict=True):
        for kind in ground.items:
            one = judged[kind].get(feature)
            name = f"{kind}:{LOOKUP}"
            if one is not None:
                rows += judge_scores(one, few.explainer, name)
            else:
                rows += without_score(few.explainer, feature, name, JUDGE_METRICS, status)
        if "logits" in ground.scorers:
            rating = rated.get(feature)
            if status == "ok" and rating is not None:
                rows += logit_scores(rating, few.explainer, TEXT_JUDGE)
            else:
                rows += without_score(few.explainer, feature, TEXT_JUDGE, LOGIT_METRICS, status)
    return rows


def without_score(explainer: str, feature: int, scorer: str, metrics: Sequence[str], status: str) -> list[Score]:
    """Rows that say why there is no score."""
    reason = "failed" if status == "ok" else status
    return [Score(feature, explainer, scorer, metric, "sample", None, None, None, 0, 0, reason) for metric in metrics]


def completion_floor(ground: Ground, unembedding: npt.NDArray[np.float32]) -> ScoredExplainer:
    """The floor of logit effects: a ranking by similarity to the shown tokens, without an explanation."""
    rated = {f: completion(items, unembedding) for f, items in ground.tokens.items()}
    scores = [row for one in rated.values() for row in logit_scores(one, COMPLETION, f"logits:{UNEMBEDDING}")]
    return ScoredExplainer(COMPLETION, scores, {}, {}, {}, rated)


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
    transaction: Transaction, run: str, dictionary: str, one: ScoredExplainer, stored: Stored, tokens: TokenFile
) -> int:
    """Rows of `scores`; and of the predictions, which are there once, those not `stored` before."""
    n = transaction.append("scores", score_rows(run, dictionary, one.scores))
    about = (None, dictionary, one.explainer)
    simulated = stored.without(SCORER, one.simulated)
    n += transaction.append("simulations", simulation_rows(*about, SCORER, simulated, tokens))
    answered = stored.without("detection", one.answered)
    n += transaction.append("judgements", _published_rows(dictionary, one.explainer, answered, tokens))
    for kind, of in one.judged.items():
        scorer = f"{kind}:{LOOKUP}"
        n += transaction.append("judgements", judgement_rows(*about, scorer, stored.without(scorer, of), tokens))
    scorer = f"logits:{UNEMBEDDING}" if one.explainer == COMPLETION else TEXT_JUDGE
    return n + transaction.append("token_judgements", rating_rows(*about, scorer, stored.without(scorer, one.rated)))


@dataclass(frozen=True)
class Stored:
    """The features whose embedded predictions by one explanation are stored, by scorer."""

    features: dict[str, set[int]]

    def without(self, scorer: str, of: dict[int, T]) -> dict[int, T]:
        """Those that are new."""
        return {feature: one for feature, one in of.items() if feature not in self.features.get(scorer, ())}


def read_stored(store: Queryable, dictionary: str, explainer: str) -> Stored:
    """What earlier scoring left: the windows of a feature depend on nothing that scoring may change."""
    found: dict[str, set[int]] = {}
    for row in store.rows(_STORED, dictionary=dictionary, explainer=explainer):
        found.setdefault(row["scorer"], set()).add(row["feature"])
    return Stored(found)


_STORED = """
SELECT DISTINCT scorer, feature FROM (
    SELECT scorer, feature, dictionary, explainer, run FROM simulations
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM judgements
    UNION ALL SELECT scorer, feature, dictionary, explainer, run FROM token_judgements
) WHERE dictionary = $dictionary AND explainer = $explainer AND run IS NULL
"""


def _published_rows(
    dictionary: str, explainer: str, answered: dict[int, Answered], tokens: TokenFile
) -> dict[str, Any]:
    replies = list(answered.values())
    asked = [reply.published for reply in replies]
    number = np.zeros(0, np.int64)
    truth = np.zeros(0, bool)
    top = joined([of.top for of in asked], truth)
    silent = joined([of.silent for of in asked], truth)
    return {
        "run": None,
        "dictionary": dictionary,
        "feature": np.repeat([of.feature for of in asked], [len(of) for of in asked]).astype(np.int32),
        "explainer": explainer,
        "scorer": "detection",
        "context": joined([of.windows.context for of in asked], number),
        "window_start": joined([window_start(of.windows, tokens) for of in asked], number),
        "stratum": np.where(top, "top", np.where(silent, "silent", "firing")).tolist(),
        "marks": None,
        "fires": joined([np.asarray((of.truth > 0).any(axis=1)) for of in asked], truth),
        "judged": joined([reply.fires for reply in replies], truth),
        "probability": joined([reply.probability for reply in replies], number.astype(np.float64)),
        "status": "ok",
    }
