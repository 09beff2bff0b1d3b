"""Stage census (pass 2): every explanation's lookup against every token of the score split."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from autointerp.extract.pass_two import score_events
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.census_rows import read_maxima, write_sums, write_truth
from autointerp.pipeline.rows.explanation_rows import read_explanations
from autointerp.pipeline.stages.context import StageContext, by_dictionary, explainers_of, flat
from autointerp.progress import Advance
from autointerp.score.census_sums import CensusAccumulator, CensusSums, CensusTruth
from autointerp.store.query import Queryable
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile
from autointerp.words import explainers_written


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All missing dictionaries and explainers in one pass."""
    missing = by_dictionary(works)
    begun = time.monotonic()
    n_tokens = context.tokens.facts("score")["n_tokens"]
    explainers = {name: flat(map(explainers_written, explainers_of(mine))) for name, mine in missing.items()}
    with context.report.stage("pass 2: census of the score split", n_tokens, "tokens") as advance:
        counted = run_census(
            context.store,
            context.prepared.subject,
            context.tokens,
            context.open(missing),
            explainers,
            context.config.score.threshold,
            advance,
            context.config.engine.batch_size,
        )
    shared = (time.monotonic() - begun) / sum(map(len, missing.values()))
    with context.store.transaction() as transaction:
        for name, mine in missing.items():
            truth, sums = counted[name]
            features = context.prepared.features[name]
            for work in mine:
                if work.explainer is None:
                    n = write_truth(transaction, name, features, truth)
                else:
                    made = explainers_written(work.explainer)
                    n = sum(write_sums(transaction, name, one, features, sums[one]) for one in made)
                context.mark_done(transaction, work, n, shared)


def run_census(
    store: Queryable,
    subject: Subject,
    tokens: TokenFile,
    dictionaries: dict[str, Selected],
    explainers: Mapping[str, Sequence[str]],
    share: float,
    progress: Advance,
    batch_size: int,
) -> dict[str, tuple[CensusTruth, dict[str, CensusSums]]]:
    """One pass over the score split: truth, and sums by explainer, of each dictionary; `explainers` by dictionary,
    `share` of a feature's largest activation is its threshold."""
    counts = tokens.block_counts("score", subject.d_vocab)
    accumulators = {}
    for name, chosen in dictionaries.items():
        n = chosen.dictionary.n_features
        lookups = {explainer: read_explanations(store, name, explainer, n)[1] for explainer in explainers[name]}
        threshold = share * read_maxima(store, name, n)
        accumulators[name] = CensusAccumulator(n, counts, lookups, threshold, share)
    for name, events in score_events(subject, tokens, dictionaries, progress, batch_size):
        accumulators[name].add(events)
    return {name: accumulator.finish() for name, accumulator in accumulators.items()}
