"""Stage effects: direct logit effects of each feature, or the reason why a dictionary has none."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from autointerp.extract.effects import logit_effects
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.effect_rows import effect_rows, effect_strength_rows
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.records import SPLITS


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other; tokens that never occur are left out."""
    missing = by_dictionary(works)
    seen = sum(context.tokens.count_tokens(split, context.prepared.subject.d_vocab) for split in SPLITS)
    usable = np.asarray(seen) > 0
    dictionaries = context.open(missing)
    with context.report.stage("logit effects", len(missing), "dictionaries") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            chosen = dictionaries[name]
            effects = logit_effects(context.prepared.subject, chosen.dictionary, chosen.features, usable)
            with context.store.transaction() as transaction:
                if effects is None:
                    reason = f"there is no direct path from {chosen.dictionary.hook} to the logits"
                    failed = failure_rows("effects", name, [None], None, [None], ["no_direct_path"], [reason])
                    n = transaction.append("failures", failed)
                else:
                    n = 0
                    for side in ("promoted", "suppressed"):
                        n += transaction.append("logit_effects", effect_rows(name, effects, side))
                        strengths = effect_strength_rows(name, effects, side)
                        n += transaction.append("logit_strengths", strengths)
                context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)
