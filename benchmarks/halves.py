"""Does `compare` say "cannot tell" of equals, and the right thing of known differences? Halves of one dictionary.

    python benchmarks/halves.py holds.duckdb mlp-1k        # or any store in which every feature is scored

1. The features of the dictionary are split in two at random, --splits times: two dictionaries that are equal by
   construction. They are compared as `compare` does it (verdict over all features, margin .02).
2. Likewise with every score of the first half raised by .02, .05 and .1.
3. Likewise with the lowest twentieth of the first half failed (a dictionary must not gain by failing), and the highest.
Printed: how often each verdict came, and how often the 95 % interval of the first two holds the truth.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from autointerp.pipeline.free_covariates import current_free_scores
from autointerp.pipeline.rows.feature_pairs import FeaturePair
from autointerp.pipeline.rows.feature_values import FeatureValues, feature_values
from autointerp.pipeline.rows.score_reader import ScoreReader
from autointerp.pipeline.rows.stored_scores import About, read_floors
from autointerp.pipeline.stages.compare import decided
from autointerp.store.reader import open_reader

MARGIN = 0.02
ABOUTS: tuple[About, ...] = (
    ("simulation", "pearson", "census"),
    ("simulation", "auprc", "census"),
    ("simulation", "pearson_framed", "sample"),
    ("detection:lookup", "mcc_weighted", "sample"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Verdicts about random halves of a dictionary.")
    parser.add_argument("store", type=Path)
    parser.add_argument("dictionary")
    parser.add_argument("--splits", type=int, default=100)
    given = parser.parse_args()
    with open_reader(given.store) as store:
        work = current_free_scores(store, given.dictionary)["lexical"]
        reader = ScoreReader(store)
        scores = reader.dictionary_scores(given.dictionary, "lexical", reader.scores(work)["lexical"])
        means = "SELECT work FROM current_works WHERE stage = 'means' AND dictionary = $d AND explainer = 'lexical'"
        floors = read_floors(store, store.rows(means, d=given.dictionary)[0]["work"], "lexical")
    for about in ABOUTS:
        print(", ".join(about))
        every, floor = feature_values(scores, about, floors[about]), floors[about] or 0.0
        for raised in (0.0, 0.02, 0.05, 0.1):
            print(f"  first half + {raised:.2f}: {tell(every, about, given.splits, raised, floor)}")
        for name, share in (("lowest", 0.05), ("highest", -0.05)):
            print(f"  {name} 5 % of the first half failed: {tell(every, about, given.splits, 0.0, floor, share)}")


def tell(every: FeatureValues, about: About, n: int, raised: float, floor: float, failing: float = 0.0) -> str:
    """Verdicts about `n` splits; `failing`: the share of the first half that fails, the highest if it is negative."""
    said: Counter[str] = Counter()
    covered = 0
    for number in range(n):
        order = np.random.default_rng(number).permutation(len(every))
        a, b = (every.take(np.sort(half)) for half in np.array_split(order, 2))
        values, scored, failed = a.values + raised, a.scored.copy(), a.failed.copy()
        worst = np.argsort(np.sign(failing) * values)[: int(abs(failing) * len(a))]
        values[worst], scored[worst], failed[worst] = floor, False, True
        pair = FeaturePair(replace(a, values=values, scored=scored, failed=failed), b, False)
        row = decided([pair.difference()], about, MARGIN)[0]
        stands = pair.holds_in_spite_of_failures(row["verdict"], 1, MARGIN)
        said[row["verdict"] if stands else "undecided"] += 1
        covered += row["ci_low"] <= raised <= row["ci_high"]
    verdicts = ", ".join(f"{word} {said[word]}" for word in ("A", "B", "equivalent", "undecided"))
    return verdicts if failing else f"{verdicts}; interval holds it in {covered}"


if __name__ == "__main__":
    main()
