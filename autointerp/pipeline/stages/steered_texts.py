"""Stage steered_texts: what the model writes with each measured feature's direction added, at one KL; or the reason why
it could not be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.extract.selected import Selected
from autointerp.extract.steered_texts import N_SELECT, PREFIX, SteeredTexts, beginnings, steered_texts
from autointerp.extract.token_change import ClampedPlaces, draw_places
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.records import Int64
from autointerp.store.writer import Transaction
from autointerp.subject.dictionary import SparseAutoencoder, written_hook
from autointerp.subject.patching import typical_norm
from autointerp.subject.steering import steered_passes

STAGE = "steered_texts"


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other, all behind the same beginnings."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    effects, seed = context.config.effects, context.config.seed
    chosen = choose_measured(context, missing)
    select = draw_places(context.tokens, "select", N_SELECT, PREFIX, seed)
    score = draw_places(context.tokens, "score", effects.steered_texts, PREFIX, seed)
    with context.report.stage("steered texts", sum(map(len, chosen.values())), "features") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            with context.store.transaction() as transaction:
                try:
                    made = _write(context, dictionaries[name], chosen[name], select, score, advance)
                    n_rows = _append(transaction, work.key, name, made, score)
                except InputError as error:
                    failed = failure_rows(STAGE, name, [None], None, [None], ["not_possible"], [str(error)])
                    n_rows = transaction.append("failures", failed)
                context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


def _write(
    context: StageContext,
    chosen: Selected,
    features: Int64,
    select: ClampedPlaces,
    score: ClampedPlaces,
    advance: Callable[[int], None],
) -> SteeredTexts:
    subject, dictionary, effects = context.prepared.subject, chosen.dictionary, context.config.effects
    if isinstance(dictionary, SparseAutoencoder) and dictionary.incomplete is not None:
        raise InputError("a feature writes to several places of the model")
    hook, bos = written_hook(dictionary), context.prepared.tokens.bos
    subject.check_hook(hook)
    if not len(select) or not len(score):
        raise InputError(f"no context of the splits select and score has {PREFIX} tokens in a row that count")
    tried, shown = (beginnings(context.tokens, places, bos) for places in (select, score))
    if len(shown[0]) + effects.steered_tokens > subject.n_ctx:
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
        shown,
        first,
        effects.steer_kl,
        effects.steered_tokens,
        float(typical_norm(subject, hook, ids)),
        context.config.seed,
        advance,
    )


def _append(transaction: Transaction, run: str, name: str, made: SteeredTexts, score: ClampedPlaces) -> int:
    """Rows of `steered_texts`, one a feature and beginning, and of `failures`."""
    n, t = made.kl.shape
    rows: dict[str, Any] = {
        "run": run,
        "dictionary": name,
        "feature": np.repeat(made.features, t).astype(np.int32),
        "number": np.tile(np.arange(1, t + 1), n).astype(np.int32),
        "context": np.tile(score.context, n),
        "position": np.tile(score.position, n).astype(np.int32),
        "size": np.repeat(made.size, t),
        "kl_select": np.repeat(made.kl_select, t),
        "kl": made.kl.reshape(-1),
        "tokens": [text for of_feature in made.tokens.tolist() for text in of_feature],
    }
    n_rows = transaction.append("steered_texts", rows) if n else 0
    if made.unreached:
        statuses = ["not_reached"] * len(made.unreached)
        reasons = ["its direction does not move the output by effects.steer_kl"] * len(made.unreached)
        failed = failure_rows(STAGE, name, made.unreached, None, None, statuses, reasons)
        n_rows += transaction.append("failures", failed)
    return n_rows
