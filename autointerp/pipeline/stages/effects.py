"""Stage effects: direct logit effects of each feature, and tokens that are hard to tell from those that it promotes; or
the reason why a dictionary has none."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from autointerp.explain.token_text import is_fragment
from autointerp.extract.effects import TOP, logit_path, strongest_effects
from autointerp.extract.hard_tokens import hard_tokens
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.effect_rows import distractor_rows, effect_rows, effect_strength_rows
from autointerp.pipeline.rows.failure_rows import failure_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.records import SPLITS, Bool, Int64


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One dictionary after the other; tokens that never occur are left out."""
    missing = by_dictionary(works)
    subject = context.prepared.subject
    seen, fit = seen_and_fit(context)
    dictionaries = context.open(missing)
    with context.report.stage("logit effects", len(missing), "dictionaries") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            chosen = dictionaries[name]
            path = logit_path(subject, chosen.dictionary, seen > 0)
            if path is not None:
                effects = strongest_effects(path, chosen.dictionary.directions, chosen.features)
                hard = {side: hard_tokens(path, chosen.dictionary.directions, effects, fit, seen, side) for side in TOP}
            with context.store.transaction() as transaction:
                if path is None:
                    reason = f"there is no direct path from {chosen.dictionary.hook} to the logits"
                    failed = failure_rows("effects", name, [None], None, [None], ["no_direct_path"], [reason])
                    n = transaction.append("failures", failed)
                else:
                    n = 0
                    for side in TOP:
                        n += transaction.append("logit_effects", effect_rows(name, effects, side))
                        strengths = effect_strength_rows(name, effects, side)
                        n += transaction.append("logit_strengths", strengths)
                        distractors = distractor_rows(name, hard[side]) | {"direction": side}
                        n += transaction.append("logit_distractors", distractors)
                context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)


def seen_and_fit(context: StageContext) -> tuple[Int64, Bool]:
    """[V] how often each token stands in the corpus, and which tokens judges may be asked about: whole characters."""
    d_vocab = context.prepared.subject.d_vocab
    seen = np.asarray(sum(context.tokens.count_tokens(split, d_vocab) for split in SPLITS), dtype=np.int64)
    rows = context.store.rows("SELECT text, is_special FROM vocab ORDER BY token")
    return seen, (seen > 0) & np.array([not row["is_special"] and not is_fragment(row["text"]) for row in rows])
