"""What the stages of measured effects share: one dictionary after the other, at firing tokens of some features."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.extract.firings import Firings, draw_firings
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.ablation_rows import FEATURES_AT_ONCE, silent_features, stored_firings
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.stages.context import StageContext
from autointerp.records import Int64, Split
from autointerp.store.writer import Transaction
from autointerp.subject.dictionary import Dictionary, steered_hook
from autointerp.subject.patching import PatchedPasses, patched_passes

Advance = Callable[[int], None]


def measure_each(
    context: StageContext, missing: Mapping[str, list[Work]], write: Callable[[Transaction, Work], int]
) -> None:
    """`write` appends the rows of a dictionary's work and returns how many. Where it raises InputError the reason is a
    row of `failures` in their place."""
    for name, [work] in missing.items():
        begun = time.monotonic()
        with context.store.transaction() as transaction:
            try:
                n_rows = write(transaction, work)
            except InputError as error:
                failed = failure_rows(work.stage, name, [None], None, [None], ["not_possible"], [str(error)])
                n_rows = transaction.append("failures", failed)
            context.mark_done(transaction, work, n_rows, time.monotonic() - begun)
    context.publish()


def silent_rows(transaction: Transaction, work: Work, features: list[int], split: Split) -> int:
    """Appends a row of `failures` for each feature that fires nowhere in a split, and returns how many."""
    if not features:
        return 0
    statuses, reasons = ["no_firings"] * len(features), [f"it fires nowhere in the {split} split"] * len(features)
    rows = failure_rows(work.stage, str(work.dictionary), features, None, None, statuses, reasons)
    return transaction.append("failures", rows)


@dataclass(frozen=True)
class FiringTokens:
    """Where a stage looks: some firing tokens of each feature in each of these splits, the same in all stages."""

    splits: tuple[Split, ...]
    positions: int
    """Of a feature in a split, at most."""

    def write(
        self,
        context: StageContext,
        transaction: Transaction,
        work: Work,
        features: Int64,
        table: str,
        rows: Callable[[Firings], dict[str, Any]],
        advance: Advance,
    ) -> int:
        """Appends the `rows` of these features' firings to `table`, some features at a time, and returns how many;
        `rows` tells `advance` of the firings that it measures, here it is told of those that are not there."""
        name, n = str(work.dictionary), 0
        for first in range(0, len(features), FEATURES_AT_ONCE):
            some = features[first : first + FEATURES_AT_ONCE]
            for split in self.splits:
                candidates, weight = stored_firings(context.store, name, split, some)
                firings = draw_firings(candidates, weight, self.positions, context.config.seed, name)
                n += transaction.append(table, rows(firings)) if len(firings) else 0
                n += silent_rows(transaction, work, silent_features(some.tolist(), firings), split)
                advance(self.positions * len(some) - len(firings))
        return n


@dataclass(frozen=True)
class PatchedHook:
    """The place where a dictionary's features write, and what runs the model with something added there."""

    hook: str
    ids: Tensor
    """[L] the first context of the explain split: what can be done is tried out on it."""
    passes: PatchedPasses
    activations: Tensor
    """[N, d] at some tokens of the explain split, outliers left out: random directions are spread as they are."""


def open_patched(context: StageContext, dictionary: Dictionary, after: int) -> PatchedHook:
    """`after`: positions behind a changed one whose logits are read. Raises InputError where the features write to
    several places, or what is added there reaches no logit."""
    subject, tokens = context.prepared.subject, context.tokens
    hook = steered_hook(dictionary)
    subject.check_hook(hook)
    first = int(tokens.contexts_of("explain")[0])
    ids = torch.from_numpy(np.asarray(tokens.tokens[first][: int(tokens.n_valid[first])]).astype(np.int64))
    ids = ids.to(subject.device)
    passes = patched_passes(subject, hook, after, ids)
    return PatchedHook(hook, ids, passes, context.ordinary_activations(hook))
