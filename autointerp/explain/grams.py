"""Tokens and pairs of tokens with the activation that they carry: what tables and labels are fitted on.

All arrays are flat: an element an entry, over all features of a dictionary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autointerp.explain.lookup import find_keys, gram_key, rows_of
from autointerp.records import Bool, Float64, GramTable, Int64, LookupTable


@dataclass(frozen=True)
class Grams:
    """Entries of all features, flat."""

    feature: Int64
    previous: Int64
    token: Int64
    mass: Float64
    n_firing: Float64
    n_seen: Float64
    share: Float64  # of the tokens that the numbers are scaled up from

    def per_occurrence(self, total: Float64) -> Float64:
        return np.divide(total, self.n_seen, out=np.zeros_like(total), where=self.n_seen > 0)

    def take(self, index: Int64 | Bool) -> Grams:
        return Grams(
            self.feature[index],
            self.previous[index],
            self.token[index],
            self.mass[index],
            self.n_firing[index],
            self.n_seen[index],
            self.share[index],
        )


def n_features_of(table: GramTable) -> int:
    """Features of the dictionary, rows of the table."""
    return len(table.start) - 1


def grams_of(table: GramTable) -> Grams:
    """The entries of a table, feature after feature."""
    return Grams(
        rows_of(table.start),
        table.previous.astype(np.int64),
        table.token.astype(np.int64),
        table.mass.astype(np.float64),
        table.n_firing.astype(np.float64),
        table.n_seen.astype(np.float64),
        np.ones(len(table.token)) if table.share is None else table.share[rows_of(table.start)],
    )


def home_of(pair: Grams, single: Grams) -> Int64:
    """Index of each pair's token among the same feature's single tokens; -1 where it is not listed."""
    keys = (single.feature << 32) | single.token
    order = np.argsort(keys, kind="stable")
    return np.append(order, -1)[find_keys(keys[order], (pair.feature << 32) | pair.token)]


def shrunk(pair: Grams, single: Grams, home: Int64, pair_prior: float) -> tuple[Float64, Float64]:
    """Value and probability of each pair, as if `pair_prior` more sampled occurrences had behaved as its token does.

    [pairs], [pairs] from [pairs] (`home`: index of each pair's token among `single`, -1 for none).
    """
    mean = np.append(single.per_occurrence(single.mass), 0.0)[home]
    share = np.append(single.per_occurrence(single.n_firing), 0.0)[home]
    prior = pair_prior / pair.share
    seen = pair.n_seen + prior
    return (pair.mass + prior * mean) / seen, (pair.n_firing + prior * share) / seen


def others(single: Grams, pair: Grams, home: Int64, mass_error: Float64, pair_share: Float64 | None) -> Grams:
    """What is left of each token once these pairs are taken out of it: as many entries as `single`.

    `mass_error` [F] and `pair_share` [F] or None are those of the tables that they come from.
    """
    listed = home >= 0

    def left(whole: Float64, part: Float64) -> Float64:
        return whole - np.bincount(home[listed], part[listed], minlength=len(whole))

    n_seen = np.maximum(left(single.n_seen, pair.n_seen), 0.0)
    n_firing = np.clip(left(single.n_firing, pair.n_firing), 0.0, n_seen)
    mass = np.where(n_firing > 0, left(single.mass, pair.mass), 0.0)  # silent is 0, not a rounding error
    estimated = mass_error > 0 if pair_share is None else (mass_error > 0) | (pair_share < 1)
    mass = np.where(estimated[single.feature], np.maximum(mass, 0.0), mass)
    return Grams(single.feature, single.previous, single.token, mass, n_firing, n_seen, single.share)


def joined(first: Grams, second: Grams) -> Grams:
    """The entries of both."""
    return Grams(
        np.concatenate([first.feature, second.feature]),
        np.concatenate([first.previous, second.previous]),
        np.concatenate([first.token, second.token]),
        np.concatenate([first.mass, second.mass]),
        np.concatenate([first.n_firing, second.n_firing]),
        np.concatenate([first.n_seen, second.n_seen]),
        np.concatenate([first.share, second.share]),
    )


def most_explaining(
    feature: Int64,
    explained: Float64,
    n_features: int,
    cover: float,
    most: int | None = None,
    rank: Float64 | None = None,
) -> Bool:
    """Which entries to keep: each feature's first ones, until they hold `cover` of what all of its entries explain, and
    `most` at most: [entries], [entries] -> [entries].

    The first is the one of largest `rank` [entries] (default: what it explains). What explains nothing is not kept.
    """
    total = np.bincount(feature, explained, minlength=n_features)[feature]
    share = np.divide(explained, total, out=np.zeros_like(explained), where=total > 0)
    order = np.lexsort((-(share if rank is None else rank), feature))
    first = np.searchsorted(feature[order], feature[order])  # where the feature's entries begin
    before = np.cumsum(share[order]) - share[order]
    among = (before - before[first] < cover) & (share[order] > 0) if len(order) else np.zeros(0, dtype=np.bool_)
    if most is not None:
        among &= np.arange(len(order)) - first < most
    kept = np.zeros(len(feature), dtype=np.bool_)
    kept[order] = among
    return kept


def to_table(
    grams: Grams, value: Float64, probability: Float64, explained: Float64, kept: Bool, n_features: int
) -> LookupTable:
    """The kept entries as a table, each feature's most explaining first."""
    values, shares = value.astype(np.float32), probability.astype(np.float32)
    index = np.flatnonzero(kept & (values != 0) & (shares > 0))
    key = gram_key(grams.previous[index], grams.token[index])
    index = index[np.lexsort((key, -explained[index], grams.feature[index]))]
    start = np.concatenate([[0], np.cumsum(np.bincount(grams.feature[index], minlength=n_features))])
    return LookupTable(
        start.astype(np.int64),
        grams.previous[index].astype(np.int32),
        grams.token[index].astype(np.int32),
        values[index],
        shares[index],
    )
