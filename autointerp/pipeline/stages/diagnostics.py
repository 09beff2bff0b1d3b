"""Stage diagnostics: what a sample of tokens says about each feature."""

from __future__ import annotations

import time
from collections.abc import Sequence

from autointerp.extract.diagnose.sample import take_diagnostic_sample
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.diagnostic_rows import diagnose_dictionary, write_diagnostics
from autointerp.pipeline.stages.context import StageContext, by_dictionary


def run(context: StageContext, works: Sequence[Work]) -> None:
    """One sample for all dictionaries, then one after the other."""
    missing = by_dictionary(works)
    dictionaries, subject, begun = context.open(missing), context.prepared.subject, time.monotonic()
    hooks = sorted({chosen.dictionary.hook for chosen in dictionaries.values()})
    with context.report.stage("diagnostics: a sample of tokens", None, "tokens") as advance:
        sample = take_diagnostic_sample(
            subject, context.tokens, hooks, context.config.seed, context.prepared.work_folder, advance
        )
    shared = (time.monotonic() - begun) / len(missing)
    with context.report.stage("diagnostics", len(sample.token) * len(missing), "tokens") as advance:
        for name, [work] in missing.items():
            begun = time.monotonic()
            chosen = dictionaries[name]
            diagnostics, start = diagnose_dictionary(context.store, name, chosen, sample, subject, advance)
            with context.store.transaction() as transaction:
                n = write_diagnostics(context.store, transaction, name, chosen.features, diagnostics, start)
                context.mark_done(transaction, work, n, shared + time.monotonic() - begun)
    context.publish()
