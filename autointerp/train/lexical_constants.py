"""Choose the three constants of the explainer `lexical` on the select split of the bundled corpus.

    python -m autointerp.train.lexical_constants                        the demo is run first, as far as is needed
    python -m autointerp.train.lexical_constants --store demo.duckdb    in a store where it was run already

Every dictionary of the demo but the planted one takes part with a hash sample of its features. Lookups are made from
the explain split for every point of a grid and scored by the census Pearson over the select split: the score split,
which the figures of the README are measured on, has no say. A point's figure is the mean over features, then over
dictionaries, so that no dictionary counts for more. The best is chosen, of points alike to four decimals the one with
the fewest entries; its numbers then stand in `explain/lexical.py`. Last comes what the choice means on the score split,
for the features of the sample.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from autointerp.config.loading import load_run
from autointerp.explain import lexical
from autointerp.explain.lexical import lexical_lookup, token_lookup
from autointerp.explain.lookup import rows_of
from autointerp.extract.selected import Selected
from autointerp.extract.summary.events import encode_events, to_batch
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline import run
from autointerp.pipeline.fitted_dictionaries import open_dictionaries
from autointerp.pipeline.hook_norms import norms_at
from autointerp.pipeline.plan.prepare import prepare
from autointerp.records import Float64, GramTable, Int64, LookupTable, Split
from autointerp.resources import run_path
from autointerp.score.census_sums import CensusAccumulator, moments
from autointerp.score.metrics import pearson, pearson_status
from autointerp.store.evidence import read_gram_tables
from autointerp.store.query import Queryable
from autointerp.store.reader import open_reader
from autointerp.subject.activations import iterate_activations
from autointerp.subject.model import Subject
from autointerp.subject.tokenise import open_tokens
from autointerp.subject.tokens import TokenFile
from autointerp.words import PLANTED

Point = tuple[int, float, float]
"""PAIR_SEEN, PAIR_PRIOR, PAIR_GAIN."""

GRID: list[Point] = list(product((1, 2, 3, 4), (1.0, 2.0, 4.0), (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)))
NOW: Point = (lexical.PAIR_SEEN, lexical.PAIR_PRIOR, lexical.PAIR_GAIN)
Lookups = dict[str, LookupTable]
BASELINE = "token_lookup"


def sampled(chosen: Selected, name: str, n: int) -> Selected:
    """The same dictionary with a hash sample of n of its features."""
    order = np.argsort(hash64(stream_key(0, "lexical constants", name), chosen.features), kind="stable")
    return Selected(chosen.dictionary, np.sort(chosen.features[order[:n]]))


def lookups_at(store: Queryable, dictionary: str, features: Int64, points: Sequence[Point]) -> Lookups:
    """The lookup of each point, and of the baseline, from the explain split; those of other features are empty."""
    tokens, pairs = (only(table, features) for table in read_gram_tables(store, dictionary))
    made = {str(point): lexical_lookup(tokens, pairs, *point) for point in points}
    return made | {BASELINE: token_lookup(tokens)}


def only(table: GramTable, features: Int64) -> GramTable:
    """The entries of these features; the others have none."""
    row = rows_of(table.start)
    kept = np.isin(row, features)
    n = np.bincount(row[kept], minlength=len(table.start) - 1)
    columns = {name: getattr(table, name)[kept] for name in ("previous", "token", "mass", "n_firing", "n_seen")}
    return replace(table, start=np.concatenate([[0], np.cumsum(n)]).astype(np.int64), **columns)


def census(
    subject: Subject, tokens: TokenFile, split: Split, dictionaries: Mapping[str, Selected], lookups: dict[str, Lookups]
) -> dict[str, dict[str, Float64]]:
    """Pearson over all tokens of a split, by dictionary and lookup, of the features that fire there.

    A constant prediction counts as 0.
    """
    counts = tokens.block_counts(split, subject.d_vocab)
    accumulators = {
        name: CensusAccumulator(chosen.dictionary.n_features, counts, lookups[name])
        for name, chosen in dictionaries.items()
    }
    hooks = sorted({chosen.dictionary.hook for chosen in dictionaries.values()})
    masks = {name: chosen.mask() for name, chosen in dictionaries.items()}
    for batch in iterate_activations(subject, tokens, hooks, tokens.contexts_of(split)):
        for name, chosen in dictionaries.items():
            accumulators[name].add(to_batch(encode_events(chosen.dictionary, batch, tokens, masks[name]), tokens))
    correlations: dict[str, dict[str, Float64]] = {}
    for name, chosen in dictionaries.items():
        truth, sums = accumulators[name].finish()
        fires = chosen.features[truth.t2[chosen.features].sum(axis=1) > 0]
        totals = {key: moments(truth, of).sum(axis=1)[fires] for key, of in sums.items()}
        correlations[name] = {key: np.where(pearson_status(x) == "ok", pearson(x), 0.0) for key, x in totals.items()}
    return correlations


def choose(scores: Mapping[Point, float], n_entries: Mapping[Point, int]) -> Point:
    """The best to four decimals; of equals the one with the fewest entries."""
    return max(scores, key=lambda point: (round(scores[point], 4), -n_entries[point], point))


def report(store: Queryable, subject: Subject, tokens: TokenFile, dictionaries: Mapping[str, Selected]) -> None:
    """Prints the table, the choice, and the score split before and after."""
    points = list(dict.fromkeys([*GRID, NOW]))
    lookups = {name: lookups_at(store, name, chosen.features, points) for name, chosen in dictionaries.items()}
    on_select = census(subject, tokens, "select", dictionaries, lookups)
    scores = {point: float(np.mean([of[str(point)].mean() for of in on_select.values()])) for point in points}
    n_entries = {point: sum(len(of[str(point)].token) for of in lookups.values()) for point in points}
    best = choose({point: scores[point] for point in GRID}, n_entries)
    print("PAIR_SEEN  PAIR_PRIOR  PAIR_GAIN  census Pearson, select split  entries")
    for point in sorted(scores, key=lambda point: -scores[point]):
        note = "  chosen" if point == best else "  as it is" if point == NOW else ""
        print(f"{point[0]:9d}  {point[1]:10g}  {point[2]:9g}  {scores[point]:28.4f}  {n_entries[point]:7d}{note}")
    print(f"chosen: PAIR_SEEN = {best[0]}, PAIR_PRIOR = {best[1]:g}, PAIR_GAIN = {best[2]:g}")
    print(f"in explain/lexical.py: PAIR_SEEN = {NOW[0]}, PAIR_PRIOR = {NOW[1]:g}, PAIR_GAIN = {NOW[2]:g}", flush=True)
    shown = (BASELINE, str(NOW), str(best))
    few = {name: {key: of[key] for key in shown} for name, of in lookups.items()}
    on_score = census(subject, tokens, "score", dictionaries, few)
    for split, by_name in (("select", on_select), ("score", on_score)):
        print(f"{split + ' split':21s}  features  {BASELINE}  as it is  chosen")
        for name, of in by_name.items():
            base, now, after = (float(of[key].mean()) for key in shown)
            print(f"{name:21s}  {len(of[BASELINE]):8d}  {base:12.4f}  {now:8.4f}  {after:6.4f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--features", type=int, default=64, help="features of each dictionary (default: 64)")
    options.add_argument("--store", type=Path, help="the demo's store (default: a temporary one)")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = load_run(run_path("demo"), store=given.store or Path(folder) / "demo.duckdb")
        run(config, until="extract")
        prepared = prepare(config)
        subject = prepared.subject
        tokens = open_tokens(prepared.work_folder, prepared.tokens, subject.encode_texts, lambda _: None)
        names = [entry.name for entry in config.dictionary if entry.kind != PLANTED]  # near 1 whatever the constants
        with open_reader(config.store_path) as store:

            def limits(hooks: Sequence[str]) -> dict[str, float]:
                return {hook: here.norm_limit for hook, here in norms_at(prepared, tokens, store, hooks).items()}

            opened = open_dictionaries(prepared, tokens, names, lambda: None, limits)
            chosen = {name: sampled(one, name, given.features) for name, one in opened.items()}
            report(store, subject, tokens, chosen)


if __name__ == "__main__":
    main()
