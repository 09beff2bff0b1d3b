"""Stage extract: pass 1 over all tokens, and the evidence of each dictionary as rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from autointerp.extract.engines.choose import make_engine
from autointerp.extract.engines.job import make_job
from autointerp.extract.engines.pass_one import Summaries
from autointerp.extract.score_spool import kept_path
from autointerp.extract.selected import Selected
from autointerp.pipeline.hook_norms import write_norms
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows import evidence_rows
from autointerp.pipeline.stages.context import StageContext, by_dictionary
from autointerp.progress import Advance
from autointerp.store.writer import Transaction


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All missing dictionaries in one pass, their rows and marks in one transaction."""
    begun = time.monotonic()
    missing = by_dictionary(works)
    dictionaries, tokens, config = context.open(missing), context.tokens, context.config
    norms = context.norms(sorted({chosen.dictionary.hook for chosen in dictionaries.values()}))
    limits = context.norm_limits(norms)
    job = make_job(context.prepared.subject, tokens, dictionaries, config.evidence, config.engine, config.seed, limits)
    work_keys = [work.key for [work] in missing.values()]
    engine = make_engine(job, context.prepared.subject, tokens, config, work_keys, context.report)
    engine.gather()
    n_features = sum(chosen.dictionary.n_features for chosen in dictionaries.values())
    stored = {row["context"] for row in context.store.rows("SELECT context FROM contexts")}
    n_rows = Counter[str]()
    with (
        context.report.stage("pass 1: storing evidence", n_features, "features") as advance,
        context.store.transaction() as transaction,
    ):
        write_norms(context.store, transaction, norms)
        for name, chosen in dictionaries.items():
            n_rows[name] = transaction.append("dictionaries", evidence_rows.dictionary_row(name, chosen))
        for summaries in engine.rounds():
            n_rows += _write_round(context, transaction, dictionaries, summaries, stored, advance)
        shared = (engine.seconds + time.monotonic() - begun) / len(missing)
        for name, [work] in missing.items():
            context.mark_done(transaction, work, n_rows[name], shared)
    engine.keep_score_events({name: kept_path(tokens, work.key) for name, [work] in missing.items()})
    engine.discard_checkpoints()
    context.publish()


def _write_round(
    context: StageContext,
    transaction: Transaction,
    dictionaries: Mapping[str, Selected],
    summaries: Summaries,
    stored: set[int],
    advance: Advance,
) -> Counter[str]:
    """Rows written, by dictionary; `stored` gets the contexts. Nothing of a round is held when it returns."""
    n_rows = Counter[str]()
    for piece, summary in summaries.items():
        name = piece.dictionary
        more, seen = evidence_rows.write_dictionary(
            transaction, name, dictionaries[name], summary, context.tokens, context.config.evidence
        )
        contexts = evidence_rows.context_rows(context.tokens, seen - stored)
        n_rows[name] += more + transaction.append("contexts", contexts)
        stored.update(seen)
        advance(piece.last - piece.first)
    return n_rows
