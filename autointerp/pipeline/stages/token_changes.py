"""Stage token_changes: what rises and falls where a feature is clamped at its maximum; or the reason why it could not
be measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autointerp.errors import InputError
from autointerp.extract.ablate import Ablation
from autointerp.extract.effects import logit_readers
from autointerp.extract.hard_tokens import hard_tokens_of_changes
from autointerp.extract.token_change import (
    SIDES,
    ClampedPlaces,
    clamp,
    draw_places,
    features_at_once,
    shown_then_asked,
)
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.ablation_rows import MEASURED_SPLITS
from autointerp.pipeline.rows.effect_rows import distractor_rows
from autointerp.pipeline.rows.output_score_rows import largest_activations
from autointerp.pipeline.rows.token_change_rows import change_rows, change_strength_rows
from autointerp.pipeline.stages.ablate import open_ablation
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.pipeline.stages.effects import seen_and_fit
from autointerp.pipeline.stages.measured_effects import measure_each, silent_rows
from autointerp.records import Int64
from autointerp.store.writer import Transaction


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other, all at the same places."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    effects = context.config.effects
    chosen = choose_measured(context, missing)
    places = [
        draw_places(context.tokens, split, effects.change_contexts, effects.change_tokens, context.config.seed)
        for split in MEASURED_SPLITS
    ]
    n = sum(map(len, places)) * sum(map(len, chosen.values()))
    with context.report.stage("clamping", n, "contexts") as advance:

        def write(transaction: Transaction, work: Work) -> int:
            name = str(work.dictionary)
            tools = open_ablation(context, name, dictionaries[name], effects.change_tokens - 1)
            return _measure(context, transaction, work, tools, places, chosen[name], advance)

        measure_each(context, missing, write)


def _measure(
    context: StageContext,
    transaction: Transaction,
    work: Work,
    tools: Ablation,
    places: Sequence[ClampedPlaces],
    features: Int64,
    advance: Callable[[int], None],
) -> int:
    """Writes the rows of these features, some at a time, and returns how many."""
    for of_split in places:
        if len(of_split) < 2:
            raise InputError(f"{len(of_split)} contexts of the {of_split.split} split have room; 2 are needed")
    maximum = largest_activations(context.store, tools.name, features)
    silent, n = features[maximum <= 0].tolist(), 0
    features, maximum = features[maximum > 0], maximum[maximum > 0]
    seen, fit = seen_and_fit(context)
    ids = tools.usable.cpu().numpy()
    unembedding = logit_readers(tools.subject, seen > 0).T
    at_once = features_at_once(tools, len(places))
    for first in range(0, len(features), at_once):
        some, largest = features[first : first + at_once], maximum[first : first + at_once]
        clamped = [clamp(tools, of_split, some, largest, advance) for of_split in places]
        n += transaction.append(
            "token_change_strengths", change_strength_rows(work.key, tools, places, some, largest, clamped)
        )
        for of_split, logits in zip(places, clamped, strict=True):
            n += transaction.append("token_changes", change_rows(work.key, tools, of_split.split, some, logits))
        for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
            ranked, change = shown_then_asked(tools, clamped, side), sign * clamped[1].change[:, 0]
            hard = hard_tokens_of_changes(unembedding, ids, some, change, ranked, fit, seen)
            rows = {"run": work.key, "side": side} | distractor_rows(tools.name, hard)
            n += transaction.append("token_change_distractors", rows)
    n += silent_rows(transaction, work, silent, "explain")
    advance(sum(map(len, places)) * len(silent))
    return n
