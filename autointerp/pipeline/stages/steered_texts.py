"""Stage steered_texts: what the model writes with each measured feature's direction added, at one KL; or the reason why
it could not be.

1. Where `effects.steer_kl` names several, texts are written at each of them behind beginnings of the split select, of
   all dictionaries of the run, and one strength is chosen for all (`score/steering_strength.py`).
2. Texts behind beginnings of the split score are written at that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.extract.selected import Selected
from autointerp.extract.steered_texts import N_SELECT, PREFIX, SteeredTexts, beginnings, steered_texts
from autointerp.extract.token_change import ClampedPlaces, draw_places
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.rows.steered_rows import steered_rows, strength_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.pipeline.stages.measured_effects import measure_each
from autointerp.records import Int64
from autointerp.score.scorers.intervention import TextOfFeature, answered_by_tokens
from autointerp.score.steering_strength import StrengthAnswers, chosen_strength
from autointerp.store.evidence import read_vocab
from autointerp.store.writer import Transaction
from autointerp.subject.dictionary import steered_hook
from autointerp.subject.patching import typical_norm
from autointerp.subject.steering import steered_passes

STAGE = "steered_texts"
_PROMOTED = """
SELECT l.feature, list(v.text ORDER BY l.rank) AS texts FROM logit_effects l JOIN vocab v USING (token)
WHERE l.dictionary = $dictionary AND l.direction = 'promoted' AND l.rank <= 10 GROUP BY ALL
"""


@dataclass(frozen=True)
class _Beginnings:
    """Where texts begin."""

    select: ClampedPlaces
    score: ClampedPlaces


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other, all behind the same beginnings."""
    missing = by_dictionary(works)
    effects, seed = context.config.effects, context.config.seed
    strengths = effects.strengths
    names = list(missing) if len(strengths) == 1 else context.dictionary_names
    dictionaries, chosen = context.open(names), choose_measured(context, names)
    places = _Beginnings(
        draw_places(context.tokens, "select", N_SELECT, PREFIX, seed),
        draw_places(context.tokens, "score", effects.steered_texts, PREFIX, seed),
    )
    n = sum(len(chosen[name]) for name in missing)
    n += len(strengths) * sum(map(len, chosen.values())) if len(strengths) > 1 else 0
    with context.report.stage("steered texts", n, "features") as advance:
        answers = _answers(context, dictionaries, chosen, places, advance) if len(strengths) > 1 else {}
        at = chosen_strength(strengths, answers)

        def write(transaction: Transaction, work: Work) -> int:
            name = str(work.dictionary)
            shown = beginnings(context.tokens, places.score, context.prepared.tokens.bos)
            made = _write(context, dictionaries[name], chosen[name], places, shown, strengths[at], advance)
            n_rows = _append(transaction, work.key, name, made, places.score, strengths[at])
            tried = answers.get(name) or _untried(made)
            return n_rows + transaction.append(
                "steering_strengths", strength_rows(work.key, name, strengths, at, tried)
            )

        measure_each(context, missing, write)


def _answers(
    context: StageContext,
    dictionaries: Mapping[str, Selected],
    chosen: Mapping[str, Int64],
    places: _Beginnings,
    advance: Callable[[int], None],
) -> dict[str, StrengthAnswers]:
    """Step 1, by dictionary; those that cannot be steered are left out."""
    answers = {}
    vocab, seed = read_vocab(context.store), context.config.seed
    for name, dictionary in dictionaries.items():
        promoted = {row["feature"]: row["texts"] for row in context.store.rows(_PROMOTED, dictionary=name)}
        right, unreached, questions = [], [], []
        try:
            for kl in context.config.effects.strengths:
                tried = beginnings(context.tokens, places.select, context.prepared.tokens.bos)
                made = _write(context, dictionary, chosen[name], places, tried, kl, advance)
                answered = answered_by_tokens(_texts(made, vocab), promoted, seed)
                reached = made.reached()
                of_each = [answered.get(feature) for feature in made.features.tolist()]
                right.append([np.nan if one is None else one.mean() for one in of_each])
                unreached.append(int((~reached).sum()))
                questions.append(sum(len(one) for one in of_each if one is not None))
        except InputError:
            continue
        answers[name] = StrengthAnswers.of(np.array(right, dtype=np.float64).T, unreached, questions)
    return answers


def _untried(made: SteeredTexts) -> StrengthAnswers:
    """Of the only strength that there is."""
    n_unreached = [int((~made.reached()).sum())]
    return StrengthAnswers.of(np.full((len(made.features), 1), np.nan), n_unreached, [0])


def _texts(made: SteeredTexts, vocab: Sequence[str]) -> dict[int, list[TextOfFeature]]:
    """As the scorer gets them."""
    return {
        int(made.features[row]): [
            TextOfFeature(number, tuple(vocab[token] for token in text))
            for number, text in enumerate(made.tokens[row].tolist(), 1)
        ]
        for row in np.flatnonzero(made.reached()).tolist()
    }


def _write(
    context: StageContext,
    chosen: Selected,
    features: Int64,
    places: _Beginnings,
    texts: list[torch.Tensor],
    kl: float,
    advance: Callable[[int], None],
) -> SteeredTexts:
    """Texts behind these beginnings. Raises InputError where the dictionary cannot be steered."""
    subject, dictionary, effects = context.prepared.subject, chosen.dictionary, context.config.effects
    hook, bos = steered_hook(dictionary), context.prepared.tokens.bos
    subject.check_hook(hook)
    if not len(places.select) or not len(places.score):
        raise InputError(f"no context of the splits select and score has {PREFIX} tokens in a row that count")
    tried = beginnings(context.tokens, places.select, bos)
    if len(tried[0]) + effects.steered_tokens > subject.n_ctx:
        raise InputError(f"effects.steered_tokens = {effects.steered_tokens} do not fit into {subject.n_ctx:,} tokens")
    ids = tried[0].to(subject.device)
    first = 0 if bos is None else 1
    directions = dictionary.directions[torch.from_numpy(features)].detach().float().to(subject.device)
    writes = directions.norm(dim=1).cpu().numpy() > 0
    return steered_texts(
        steered_passes(subject, hook, ids, first),
        directions[torch.from_numpy(writes).to(directions.device)],
        features[writes],
        tried,
        texts,
        first,
        kl,
        effects.steered_tokens,
        float(typical_norm(subject, hook, ids)),
        context.config.seed,
        advance,
    )


def _append(transaction: Transaction, run: str, name: str, made: SteeredTexts, score: ClampedPlaces, kl: float) -> int:
    """Rows of `steered_texts`, one a feature and beginning, and of `failures`."""
    rows: dict[str, Any] = steered_rows(run, name, made, score)
    n_rows = transaction.append("steered_texts", rows) if len(rows["feature"]) else 0
    unreached = made.features[~made.reached()].tolist()
    if unreached:
        statuses = ["not_reached"] * len(unreached)
        reasons = [f"its direction does not move the output by {kl:g} nats"] * len(unreached)
        failed = failure_rows(STAGE, name, unreached, None, None, statuses, reasons)
        n_rows += transaction.append("failures", failed)
    return n_rows
