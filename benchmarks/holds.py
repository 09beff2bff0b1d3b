"""How well is P(label holds) calibrated? Samples drawn again and again where every label is scored.

    python benchmarks/holds.py holds.duckdb

1. Where the store is not there, it is made: the bundled `mlp-1k`, --tokens of the bundled corpus, `lexical`, simulation
   and detection with the embedded judges, every feature scored (one CPU minute).
2. --draws times a sample of --n features is drawn by strata (`compare/strata.py`), each time by another hash. What is
   said of all others (`compare/holds.py`) is held against their scores, which the fit has not seen.
3. For each scorer's first metric: Brier scores of the prediction and of the base rate; how often the page would use the
   covariates; tenths of the predictions with what was said, what came, and the interval; the share of features whose
   interval holds what came of features with about the same prediction (all draws together; a fortieth of them).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import autointerp
from autointerp.compare.holds import Known, fit_holds
from autointerp.compare.population import Population
from autointerp.compare.strata import draw
from autointerp.config.loading import parse_run
from autointerp.hashing import hash64, stream_key
from autointerp.pipeline.feature_sample import Stratified, strata_of
from autointerp.pipeline.free_covariates import current_free_scores, known_of, limit_of
from autointerp.records import Float64
from autointerp.store.reader import StoreReader, open_reader

DICTIONARY, SEED = "mlp-1k", 0
SCORES = (("simulation", "pearson_framed"), ("detection:lookup", "mcc_weighted"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibration of P(label holds) on features that were not scored.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--tokens", type=int, default=150_000)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--n", type=int, default=200, help="features scored in each draw")
    given = parser.parse_args()
    if not given.store.exists():
        autointerp.run(parse_run(configured(given.store, given.tokens)))
    with open_reader(given.store) as store:
        of = strata_of(store, DICTIONARY, SEED)
        known = known_of(store, DICTIONARY, of, SEED, current_free_scores(store, DICTIONARY))
        for scorer, metric in SCORES:
            held_against(store, of, known, scorer, metric, given.draws, given.n)


def configured(store: Path, n_tokens: int) -> dict[str, object]:
    """The run file."""
    return {
        "name": "holds",
        "seed": SEED,
        "store": str(store),
        "subject": {"model": "bundled:subject"},
        "tokens": {"source": "bundled:corpus", "n_tokens": n_tokens},
        "dictionary": [{"name": DICTIONARY, "path": f"bundled:{DICTIONARY}"}],
        "explain": {"explainers": ["lexical", "context_lookup"]},
        "score": {"scorers": ["simulation", "detection"], "features": "all"},
    }


def held_against(
    store: StoreReader, of: Stratified, known: Known, scorer: str, metric: str, n_draws: int, n: int
) -> None:
    """Prints steps 2 and 3 of one metric."""
    sql = """
        SELECT feature, value FROM score_table WHERE dictionary = $dictionary AND explainer = 'lexical'
        AND scorer = $scorer AND metric = $metric AND design = 'sample' AND status NOT IN ('rare', 'dead')
    """
    value = {
        row["feature"]: row["value"] for row in store.rows(sql, dictionary=DICTIONARY, scorer=scorer, metric=metric)
    }
    limit = limit_of(metric)
    came = np.array([(value.get(feature) or -1.0) >= limit for feature in of.features.tolist()], dtype=np.float64)
    parts, used, base = [], 0, []
    for number in range(n_draws):
        drawn = np.sort(draw(of.strata, hash64(stream_key(SEED, "draw", number), of.features), n))
        fit = fit_holds(known, drawn, came[drawn], Population(of.strata, drawn).weights)
        rest = np.setdiff1d(np.flatnonzero(of.strata >= 0), drawn)
        used += fit.basis == "covariates"
        base.append(np.mean((fit.base - came[rest]) ** 2))
        parts.append(np.stack([fit.chance[rest], came[rest], fit.low[rest], fit.high[rest]]))
    p, y, low, high = np.concatenate(parts, axis=1)
    share = near_share(p, y)
    inside = np.mean((low <= share) & (share <= high))
    print(f"\n{scorer} {metric}, a label holds from {limit:g}: {y.mean():.3f} of {len(y):,} unscored ones do")
    print(f"Brier {np.mean((p - y) ** 2):.4f}, of the base rate {np.mean(base):.4f}")
    print(f"covariates used in {used} of {n_draws} draws")
    print(f"the interval holds what came of {inside:.3f}; its mean width {np.mean(high - low):.3f}")
    for part in np.array_split(np.argsort(p, kind="stable"), 10):
        ends = f"[{low[part].mean():.3f}, {high[part].mean():.3f}]"
        print(f"  said {p[part].mean():.3f} {ends}, came {y[part].mean():.3f}")


def near_share(p: Float64, y: Float64) -> Float64:
    """Of the fortieth of all whose predictions are nearest to each, the share that holds."""
    order = np.argsort(p, kind="stable")
    k = max(len(p) // 40, 1)
    first = np.clip(np.searchsorted(p[order], p) - k // 2, 0, len(p) - k)
    sums = np.concatenate([[0.0], np.cumsum(y[order])])
    return np.asarray((sums[first + k] - sums[first]) / k, dtype=np.float64)


if __name__ == "__main__":
    main()
