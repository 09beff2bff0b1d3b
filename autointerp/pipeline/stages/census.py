"""Stage census (pass 2): every explanation's lookup against every token of the score split.

What pass 1 kept of the score split (`extract/score_spool.py`) is read from disk, a dictionary after the other. For the
dictionaries of which nothing usable is kept the model runs again, for all of them in one pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autointerp.extract.pass_two import score_events
from autointerp.extract.score_spool import UnusableEvents, kept_path, read_events, sweep
from autointerp.extract.selected import Selected
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.rows.census_rows import read_maxima, write_sums, write_truth
from autointerp.pipeline.rows.explanation_rows import read_explanations
from autointerp.pipeline.stages.context import StageContext, by_dictionary, explainers_of, flat
from autointerp.progress import Advance, rising
from autointerp.records import EventBatch, Int64, LookupTable
from autointerp.score.census_sums import CensusAccumulator, CensusSums, CensusTruth
from autointerp.store.query import Queryable
from autointerp.subject.model import Subject
from autointerp.subject.tokens import TokenFile
from autointerp.words import explainers_written

Counted = tuple[CensusTruth, Mapping[str, CensusSums]]
"""The truth of a dictionary, and the sums by explainer, which are made when they are asked for."""


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All missing dictionaries and explainers."""
    missing = by_dictionary(works)
    begun = time.monotonic()
    dictionaries = context.open(missing)
    n_tokens = context.tokens.facts("score")["n_tokens"]
    explainers = {name: flat(map(explainers_written, explainers_of(mine))) for name, mine in missing.items()}
    with context.report.stage("pass 2: census of the score split", n_tokens * len(missing), "tokens") as advance:
        for name, counted in run_census(
            context.store,
            context.prepared.subject,
            context.tokens,
            dictionaries,
            explainers,
            context.config.score.threshold,
            advance,
            context.config.engine.batch_size,
            {name: path for name, path in kept_of(context, missing).items() if path.is_file()},
            context.report.say,
        ):
            _write(context, missing[name], counted, time.monotonic() - begun)
            begun = time.monotonic()
            del counted  # before the next is counted
    remove_unneeded(context)


def _write(context: StageContext, works: Sequence[Work], counted: Counted, seconds: float) -> None:
    """The rows of a dictionary; `seconds`: what counting them took."""
    truth, sums = counted
    with context.store.transaction() as transaction:
        for work in works:
            name = work.dictionary
            assert name is not None
            features = context.prepared.features[name]
            if work.explainer is None:
                n = write_truth(transaction, name, features, truth)
            else:
                made = explainers_written(work.explainer)
                n = sum(write_sums(transaction, name, one, features, sums[one]) for one in made)
            context.mark_done(transaction, work, n, seconds / len(works))


def kept_of(context: StageContext, names: Iterable[str]) -> dict[str, Path]:
    """Where pass 1 leaves what it keeps of these dictionaries."""
    return {name: kept_path(context.tokens, context.prepared.work("extract", name).key) for name in names}


def remove_unneeded(context: StageContext) -> None:
    """Removes what pass 1 kept of dictionaries whose census is complete, and of those of other runs."""
    sweep(context.tokens, set(kept_of(context, by_dictionary(context.missing("census"))).values()))


def run_census(
    store: Queryable,
    subject: Subject,
    tokens: TokenFile,
    dictionaries: Mapping[str, Selected],
    explainers: Mapping[str, Sequence[str]],
    share: float,
    progress: Advance,
    batch_size: int,
    kept: Mapping[str, Path] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, Counted]]:
    """Each dictionary with its truth, and its sums by explainer; `explainers` by dictionary, `share` of a feature's
    largest activation is its threshold. Who lets go of one before the next holds one at a time.

    `kept`: files that hold the events of some of the dictionaries. `progress` is told of scored tokens, of each
    dictionary by itself.
    """
    counts = tokens.block_counts("score", subject.d_vocab)

    def accumulator(name: str) -> CensusAccumulator:
        n = dictionaries[name].dictionary.n_features
        lookups = _StoredLookups(store, name, n, explainers[name])
        return CensusAccumulator(n, counts, lookups, share * read_maxima(store, name, n), share)

    left = dict(dictionaries)
    for name, path in (kept or {}).items():
        n_firing = _n_firing(store, name, dictionaries[name].dictionary.n_features)
        try:
            counted = _counted(accumulator(name), _told(tokens, path, n_firing, progress))
        except UnusableEvents as error:
            say(f"{name}: what pass 1 kept for the census cannot be used ({error}): the model runs again")
            continue
        del left[name]
        yield name, counted
        del counted
    if left:
        accumulators = {name: accumulator(name) for name in left}
        for name, events in score_events(subject, tokens, left, lambda n: progress(n * len(left)), batch_size):
            accumulators[name].add(events)
        for name in left:
            yield name, accumulators.pop(name).finish()


@dataclass(frozen=True)
class _StoredLookups(Mapping[str, LookupTable]):
    """The lookups of a dictionary's explainers, each read whenever it is asked for: there may be gigabytes of them."""

    store: Queryable
    dictionary: str
    n_features: int
    explainers: Sequence[str]

    def __getitem__(self, explainer: str) -> LookupTable:
        return read_explanations(self.store, self.dictionary, explainer, self.n_features)[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.explainers)

    def __len__(self) -> int:
        return len(self.explainers)


def _counted(accumulator: CensusAccumulator, events: Iterator[EventBatch]) -> Counted:
    for batch in events:
        accumulator.add(batch)
    return accumulator.finish()


def _told(tokens: TokenFile, path: Path, n_firing: Int64, progress: Advance) -> Iterator[EventBatch]:
    """The kept events; progress by the bytes that are read."""
    n_tokens, size, done = tokens.facts("score")["n_tokens"], path.stat().st_size, 0
    advance = rising(progress)

    def read(n: int) -> None:
        nonlocal done
        done += n
        advance(n_tokens * done // size)

    yield from read_events(path, tokens, n_firing, read)


_N_FIRING = "SELECT feature, n_firing FROM feature_splits WHERE dictionary = $dictionary AND split = 'score'"


def _n_firing(store: Queryable, dictionary: str, n_features: int) -> Int64:
    """How often each feature fires on the score split, 0 where it was not extracted."""
    rows = store.query(_N_FIRING, dictionary=dictionary)
    n_firing = np.zeros(n_features, dtype=np.int64)
    n_firing[rows["feature"].to_numpy()] = rows["n_firing"].to_numpy()
    return n_firing
