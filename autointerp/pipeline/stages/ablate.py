"""Stage ablate: what features do to the output, measured on a sample of them; or the reason why it could not be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.extract.ablate import Ablation
from autointerp.extract.effects import logit_path
from autointerp.extract.firings import draw_firings
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.ablation_rows import (
    FEATURES_AT_ONCE,
    MEASURED_SPLITS,
    ablation_rows,
    silent_features,
    stored_firings,
)
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.pipeline.stages.effect_features import choose_measured
from autointerp.records import SPLITS, Int64, Split
from autointerp.store.writer import Transaction
from autointerp.subject.baselines import FAMILIES, take_sample
from autointerp.subject.dictionary import written_hook
from autointerp.subject.patching import PatchedPasses, patched_passes

COVARIANCE_TOKENS = 1 << 13
"""Tokens of the explain split whose activations random directions take their covariance from."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other."""
    missing = by_dictionary(works)
    dictionaries = context.open(missing)
    effects = context.config.effects
    chosen = choose_measured(context, missing)
    n = 2 * effects.positions * sum(map(len, chosen.values()))
    with context.report.stage("ablation", n, "firings") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            with context.store.transaction() as transaction:
                try:
                    ablation = open_ablation(context, name, dictionaries[name], effects.after)
                    n_rows = _measure(context, transaction, work, ablation, chosen[name], advance)
                except InputError as error:
                    failed = failure_rows("ablate", name, [None], None, [None], ["not_possible"], [str(error)])
                    n_rows = transaction.append("failures", failed)
                context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


def open_ablation(context: StageContext, name: str, chosen: Selected, after: int) -> Ablation:
    """What a dictionary is measured with; `after`: positions behind a changed one whose logits are read. Raises
    InputError where that cannot be."""
    subject, tokens, seed = context.prepared.subject, context.tokens, context.config.seed
    dictionary = chosen.dictionary
    hook = written_hook(dictionary)
    subject.check_hook(hook)
    first = int(tokens.contexts_of("explain")[0])
    ids = torch.from_numpy(np.asarray(tokens.tokens[first][: int(tokens.n_valid[first])]).astype(np.int64))
    passes = patched_passes(subject, hook, after, ids.to(subject.device))
    limits = context.norm_limits([hook])
    sample = take_sample(
        subject, tokens, [hook], seed, context.prepared.work_folder, COVARIANCE_TOKENS, norm_limits=limits
    )
    seen = np.asarray(sum(tokens.count_tokens(split, subject.d_vocab) for split in SPLITS)) > 0
    return Ablation(
        subject=subject,
        tokens=tokens,
        dictionary=dictionary,
        name=name,
        passes=passes,
        covariance=FAMILIES["random_covariance"](sample.ordinary(hook)),
        path=logit_path(subject, dictionary, seen),
        usable=torch.from_numpy(np.flatnonzero(seen)).to(subject.device),
        seed=seed,
        differentiable=_differentiable(passes, ids.to(subject.device), subject.width(hook)),
    )


def _differentiable(passes: PatchedPasses, ids: Tensor, width: int) -> bool:
    """Whether a loss can be differentiated by what stands at the hook point: tried on a context."""
    if len(ids) < 2:
        return False
    try:
        first = torch.zeros(1, dtype=torch.long, device=ids.device)
        gradient = passes.loss_gradients([passes.open(ids)], [first], width)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return bool(gradient.isfinite().all())


def _measure(
    context: StageContext,
    transaction: Transaction,
    work: Work,
    ablation: Ablation,
    features: Int64,
    advance: Callable[[int], None],
) -> int:
    """Writes the rows of these features, some at a time, and returns how many."""
    n = 0
    for first in range(0, len(features), FEATURES_AT_ONCE):
        some = features[first : first + FEATURES_AT_ONCE]
        for split in MEASURED_SPLITS:
            n += _measure_split(context, transaction, work, ablation, some, split, advance)
    return n


def _measure_split(
    context: StageContext,
    transaction: Transaction,
    work: Work,
    ablation: Ablation,
    features: Int64,
    split: Split,
    advance: Callable[[int], None],
) -> int:
    name, positions = ablation.name, context.config.effects.positions
    candidates, weight = stored_firings(context.store, name, split, features)
    firings = draw_firings(candidates, weight, positions, ablation.seed, name)
    effects = ablation.measure(firings, advance)
    n = transaction.append("causal_effects", ablation_rows(work.key, name, firings, effects))
    silent = silent_features(features.tolist(), firings)
    if silent:
        reason = f"it fires nowhere in the {split} split"
        statuses, reasons = ["no_firings"] * len(silent), [reason] * len(silent)
        n += transaction.append("failures", failure_rows("ablate", name, silent, None, None, statuses, reasons))
    advance(positions * len(features) - len(firings))
    return n
