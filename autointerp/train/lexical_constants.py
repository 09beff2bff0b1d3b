"""Choose the constants of the table `context_lookup` and of the labels of `lexical` on the select split.

    python -m autointerp.train.lexical_constants                        the demo is run first, as far as is needed
    python -m autointerp.train.lexical_constants --store demo.duckdb    in a store where it was run already

Every dictionary of the demo but the planted one takes part with a hash sample of its features. Lookups are made from
the explain split and scored by the census Pearson over the select split of the bundled corpus: the score split, which
the figures of the README are measured on, has no say. A figure is the mean over features, then over dictionaries, so
that no dictionary counts for more.

The table: the best point of a grid is chosen, of points alike to four decimals the one with the fewest entries; its
numbers then stand in `explain/context_lookup.py`. Last comes what the choice means on the score split, for the features
of the sample.

Labels: NAMED is the largest number of names to which the step from the next smaller one still brings WORTH for ten more
tokens of text. FIRES_AT has the smallest log loss of firing at named places, features counting alike. They stand in
`explain/lexical.py`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import numpy as np

from autointerp.config.loading import load_run
from autointerp.explain import context_lookup as tables
from autointerp.explain import lexical
from autointerp.explain.context_lookup import context_lookup, token_lookup
from autointerp.explain.description import description_length
from autointerp.explain.lexical import STRENGTHS, label_lookup, lexical_explanations, predicted
from autointerp.explain.lookup import rows_of
from autointerp.explain.sentence import token_names
from autointerp.extract.selected import Selected
from autointerp.extract.summary.events import encode_events, to_batch
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline import run
from autointerp.pipeline.fitted_dictionaries import open_dictionaries
from autointerp.pipeline.hook_norms import norms_at
from autointerp.pipeline.plan.prepare import prepare
from autointerp.records import Float64, GramTable, Int64, LookupTable, Split
from autointerp.resources import run_path
from autointerp.score.census_sums import CensusAccumulator, CensusSums, CensusTruth, moments, probability_bin
from autointerp.score.metrics import pearson, pearson_status
from autointerp.store.evidence import read_gram_tables, read_vocab
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
NOW: Point = (tables.PAIR_SEEN, tables.PAIR_PRIOR, tables.PAIR_GAIN)
Lookups = dict[str, LookupTable]
BASELINE = "token_lookup"
NAMES: list[int] = [5, 10, 15, 20, 30]
WORTH = 0.025
"""Of ten more tokens of text: what they must add to the mean for more names to be named."""
FIRING: list[float] = [2.0, 3.0, 4.0, 5.0, 6.0]


def sampled(chosen: Selected, name: str, n: int) -> Selected:
    """The same dictionary with a hash sample of n of its features."""
    order = np.argsort(hash64(stream_key(0, "lexical constants", name), chosen.features), kind="stable")
    return Selected(chosen.dictionary, np.sort(chosen.features[order[:n]]))


def lookups_at(store: Queryable, dictionary: str, features: Int64, points: Sequence[Point]) -> Lookups:
    """The lookup of each point, and of the baseline, from the explain split; those of other features are empty."""
    tokens, pairs = (only(table, features) for table in read_gram_tables(store, dictionary))
    made = {str(point): context_lookup(tokens, pairs, *point) for point in points}
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
) -> dict[str, tuple[CensusTruth, Mapping[str, CensusSums]]]:
    """The sums over all tokens of a split, by dictionary."""
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
    return {name: accumulator.finish() for name, accumulator in accumulators.items()}


def correlations(
    counted: Mapping[str, tuple[CensusTruth, Mapping[str, CensusSums]]], dictionaries: Mapping[str, Selected]
) -> dict[str, dict[str, Float64]]:
    """Pearson by dictionary and lookup, of the features that fire. A constant prediction counts as 0."""
    correlation: dict[str, dict[str, Float64]] = {}
    for name, chosen in dictionaries.items():
        truth, sums = counted[name]
        fires = chosen.features[truth.t2[chosen.features].sum(axis=1) > 0]
        totals = {key: moments(truth, of).sum(axis=1)[fires] for key, of in sums.items()}
        correlation[name] = {key: np.where(pearson_status(x) == "ok", pearson(x), 0.0) for key, x in totals.items()}
    return correlation


def choose(scores: Mapping[Point, float], n_entries: Mapping[Point, int]) -> Point:
    """The best to four decimals; of equals the one with the fewest entries."""
    return max(scores, key=lambda point: (round(scores[point], 4), -n_entries[point], point))


def report(store: Queryable, subject: Subject, tokens: TokenFile, dictionaries: Mapping[str, Selected]) -> None:
    """Prints the table, the choice, and the score split before and after."""
    points = list(dict.fromkeys([*GRID, NOW]))
    lookups = {name: lookups_at(store, name, chosen.features, points) for name, chosen in dictionaries.items()}
    on_select = correlations(census(subject, tokens, "select", dictionaries, lookups), dictionaries)
    scores = {point: float(np.mean([of[str(point)].mean() for of in on_select.values()])) for point in points}
    n_entries = {point: sum(len(of[str(point)].token) for of in lookups.values()) for point in points}
    best = choose({point: scores[point] for point in GRID}, n_entries)
    print("PAIR_SEEN  PAIR_PRIOR  PAIR_GAIN  census Pearson, select split  entries")
    for point in sorted(scores, key=lambda point: -scores[point]):
        note = "  chosen" if point == best else "  as it is" if point == NOW else ""
        print(f"{point[0]:9d}  {point[1]:10g}  {point[2]:9g}  {scores[point]:28.4f}  {n_entries[point]:7d}{note}")
    print(f"chosen: PAIR_SEEN = {best[0]}, PAIR_PRIOR = {best[1]:g}, PAIR_GAIN = {best[2]:g}")
    print(
        f"in explain/context_lookup.py: PAIR_SEEN = {NOW[0]}, PAIR_PRIOR = {NOW[1]:g}, PAIR_GAIN = {NOW[2]:g}",
        flush=True,
    )
    shown = (BASELINE, str(NOW), str(best))
    few = {name: {key: of[key] for key in shown} for name, of in lookups.items()}
    on_score = correlations(census(subject, tokens, "score", dictionaries, few), dictionaries)
    for split, by_name in (("select", on_select), ("score", on_score)):
        print(f"{split + ' split':21s}  features  {BASELINE}  as it is  chosen")
        for name, of in by_name.items():
            base, now, after = (float(of[key].mean()) for key in shown)
            print(f"{name:21s}  {len(of[BASELINE]):8d}  {base:12.4f}  {now:8.4f}  {after:6.4f}")


# --- labels


def most_names(scores: Mapping[int, float], lengths: Mapping[int, float]) -> int:
    """How many names are worth their text: the steps from few to many are taken while they bring WORTH."""
    steps = sorted(scores)
    chosen = steps[0]
    for fewer, more in pairwise(steps):
        if 10 * (scores[more] - scores[fewer]) < WORTH * (lengths[more] - lengths[fewer]):
            break
        chosen = more
    return chosen


def log_loss(sums: CensusSums, features: Int64, fires_at: float) -> float:
    """Of firing at named places, where `sums` were counted with strength / STRENGTHS as the probability; the mean over
    features that have any."""
    strength = np.arange(1, STRENGTHS + 1)
    bins = probability_bin(strength / STRENGTHS)
    fires, silent = sums.positives[features][:, bins], sums.negatives[features][:, bins]
    _, p = predicted(strength, fires_at)
    n = (fires + silent).sum(axis=1)
    loss = -(fires @ np.log(p) + silent @ np.log1p(-p))
    return float((loss[n > 0] / n[n > 0]).mean())


def report_labels(store: Queryable, subject: Subject, tokens: TokenFile, dictionaries: Mapping[str, Selected]) -> None:
    """Prints what names cost and bring, and the choices."""
    names = token_names(read_vocab(store))
    lookups: dict[str, Lookups] = {}
    length: dict[tuple[str, int], float] = {}
    for name, chosen in dictionaries.items():
        tokens_of, pairs_of = (only(table, chosen.features) for table in read_gram_tables(store, name))
        made = {n: label_lookup(tokens_of, pairs_of, n) for n in dict.fromkeys([*NAMES, lexical.NAMED])}
        for n, lookup in made.items():
            said = lexical_explanations(tokens_of, lookup, names, chosen.features)
            lengths = [description_length(one) for one in said if one.status == "ok"]
            length[name, n] = float(np.mean([tokens for tokens in lengths if tokens is not None]))
        now = made[lexical.NAMED]
        strengths = replace(now, probability=np.abs(now.value))
        lookups[name] = {str(n): lookup for n, lookup in made.items()} | {"strengths": strengths}
    counted = census(subject, tokens, "select", dictionaries, lookups)
    correlation = correlations(counted, dictionaries)
    score = {n: float(np.mean([of[str(n)].mean() for of in correlation.values()])) for n in NAMES}
    text = {n: float(np.mean([length[name, n] for name in dictionaries])) for n in NAMES}
    print("NAMED  census Pearson, select split  tokens of text  " + ", ".join(dictionaries))
    for n in NAMES:
        each = ", ".join(f"{of[str(n)].mean():.3f} of {length[name, n]:.0f}" for name, of in correlation.items())
        print(f"{n:5d}  {score[n]:28.4f}  {text[n]:14.1f}  {each}")
    print(f"chosen: NAMED = {most_names(score, text)}; in explain/lexical.py: {lexical.NAMED}")
    loss = {
        at: np.mean(
            [log_loss(counted[name][1]["strengths"], chosen.features, at) for name, chosen in dictionaries.items()]
        )
        for at in FIRING
    }
    print("log loss of firing by FIRES_AT: " + ", ".join(f"{at:g}: {value:.4f}" for at, value in loss.items()))
    chosen_at = min(loss, key=lambda at: loss[at])
    print(f"chosen: FIRES_AT = {chosen_at:g}; in explain/lexical.py: {lexical.FIRES_AT:g}", flush=True)


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
            report_labels(store, subject, tokens, chosen)
            report(store, subject, tokens, chosen)


if __name__ == "__main__":
    main()
