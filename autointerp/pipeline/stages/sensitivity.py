"""Stage sensitivity: KL against the size of a step along features, random directions and neurons; or the reason why it
could not be measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from autointerp.errors import InputError
from autointerp.extract.firings import draw_firings
from autointerp.extract.selected import Selected
from autointerp.extract.sensitivity import RANDOM, Sensitivity, neuron_outputs, step_sizes
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.ablation_rows import FEATURES_AT_ONCE, silent_features, stored_firings
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.rows.sensitivity_rows import sensitivity_rows
from autointerp.pipeline.stages.ablate import COVARIANCE_TOKENS
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.records import Int64
from autointerp.store.writer import Transaction
from autointerp.subject.baselines import FAMILIES, take_sample
from autointerp.subject.dictionary import SparseAutoencoder, written_hook
from autointerp.subject.patching import patched_passes

STAGE = "sensitivity"


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    effects = context.config.effects
    chosen = choose_measured(context, missing)
    n = effects.sensitivity_positions * sum(map(len, chosen.values()))
    with context.report.stage("sensitivity", n, "tokens") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            with context.store.transaction() as transaction:
                try:
                    steps = open_sensitivity(context, name, dictionaries[name])
                    n_rows = _measure(context, transaction, work, steps, chosen[name], advance)
                except InputError as error:
                    failed = failure_rows(STAGE, name, [None], None, [None], ["not_possible"], [str(error)])
                    n_rows = transaction.append("failures", failed)
                context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


def open_sensitivity(context: StageContext, name: str, chosen: Selected) -> Sensitivity:
    """What a dictionary is measured with. Raises InputError where that cannot be."""
    subject, tokens, seed = context.prepared.subject, context.tokens, context.config.seed
    dictionary = chosen.dictionary
    if isinstance(dictionary, SparseAutoencoder) and dictionary.incomplete is not None:
        raise InputError("a feature writes to several places of the model")
    hook = written_hook(dictionary)
    subject.check_hook(hook)
    first = int(tokens.contexts_of("explain")[0])
    ids = torch.from_numpy(np.asarray(tokens.tokens[first][: int(tokens.n_valid[first])]).astype(np.int64))
    passes = patched_passes(subject, hook, 0, ids.to(subject.device))
    limits = context.norm_limits([hook])
    sample = take_sample(
        subject, tokens, [hook], seed, context.prepared.work_folder, COVARIANCE_TOKENS, norm_limits=limits
    )
    x = sample.ordinary(hook)
    return Sensitivity(
        tokens=tokens,
        dictionary=dictionary,
        name=name,
        passes=passes,
        draws={direction: FAMILIES[family](x) for direction, family in RANDOM.items()},
        neurons=neuron_outputs(subject, hook),
        size=step_sizes(float(x.norm(dim=1).median())),
        device=subject.device,
        d_vocab=subject.d_vocab,
        seed=seed,
    )


def _measure(
    context: StageContext,
    transaction: Transaction,
    work: Work,
    steps: Sensitivity,
    features: Int64,
    advance: Callable[[int], None],
) -> int:
    """Writes the rows of these features, some at a time, and returns how many. Tokens are of the split score: those of
    the stage `ablate`, the first of them."""
    n, name, positions = 0, steps.name, context.config.effects.sensitivity_positions
    for first in range(0, len(features), FEATURES_AT_ONCE):
        some = features[first : first + FEATURES_AT_ONCE]
        candidates, weight = stored_firings(context.store, name, "score", some)
        firings = draw_firings(candidates, weight, positions, steps.seed, name)
        curves = steps.measure(firings, advance)
        if curves:
            rows = sensitivity_rows(work.key, name, firings, steps.size, curves)
            n += transaction.append("sensitivity", rows)
        silent = silent_features(some.tolist(), firings)
        if silent:
            statuses, reasons = ["no_firings"] * len(silent), ["it fires nowhere in the score split"] * len(silent)
            n += transaction.append("failures", failure_rows(STAGE, name, silent, None, None, statuses, reasons))
        advance(positions * len(some) - len(firings))
    return n
