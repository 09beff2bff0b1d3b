"""The tables `context_lookup` and `token_lookup`: what tokens and the one before them say of a feature's activation.

A table is a ceiling for what knowledge of tokens can predict, and no label: it has as many entries as help, and nobody
could read them. `lexical` (`lexical.py`) is the label that is made of it.

Source: the token lookup, and Neuron2Graph (Foote et al. 2023), whose trie of context tokens is walked backwards to the
longest match. Here one token of context, and values that are conditional means over all tokens of the explain split,
not prunings of top exemplars.

1. A token's entry holds E[activation | token] = mass / n_seen and the share of its occurrences that fire.
   With these alone, the table is `token_lookup`.
2. A pair (previous, token) gets an entry of its own where it stands often enough (PAIR_SEEN) and explains
   enough more than its token's entry does (PAIR_GAIN). Its value is drawn towards the token's, as if PAIR_PRIOR
   more occurrences had behaved as the token does: scores are measured on other documents. Where pairs were counted
   on a sample of the tokens (GramTable.share), both constants mean sampled occurrences.
3. The token's entry then holds the mean over its other occurrences.
4. Entries are kept, the most explaining first, until COVER of the squared activation that all of them explain is
   covered; what a dropped pair held goes back to its token.

PAIR_SEEN, PAIR_PRIOR and PAIR_GAIN are the best point of a grid by mean census Pearson over the select split of the
bundled corpus, all dictionaries of the demo counting alike: `python -m autointerp.train.lexical_constants` prints the
table and the choice. The score split, where scores are measured, had no part in it.
"""

from __future__ import annotations

import numpy as np

from autointerp.explain.grams import (
    Grams,
    grams_of,
    home_of,
    joined,
    most_explaining,
    n_features_of,
    others,
    shrunk,
    to_table,
)
from autointerp.records import ANY_TOKEN, Float64, GramTable, Int64, LookupTable

COVER = 0.995
"""Share of the explained squared activation that the kept entries cover."""
PAIR_SEEN = 2
"""A pair with fewer occurrences on the explain split gets no entry."""
PAIR_PRIOR = 2.0
"""Occurrences that a pair's value is drawn towards its token's by."""
PAIR_GAIN = 3e-5
"""Least gain of a pair, as a share of what the feature's tokens explain."""


def token_lookup(tokens: GramTable) -> LookupTable:
    """The published baseline: each token's mean activation, whatever stands before it."""
    single = grams_of(tokens)
    value = single.per_occurrence(single.mass)
    explained = single.n_seen * value**2
    kept = most_explaining(single.feature, explained, n_features_of(tokens), COVER)
    return to_table(single, value, single.per_occurrence(single.n_firing), explained, kept, n_features_of(tokens))


def context_lookup(
    tokens: GramTable,
    pairs: GramTable,
    pair_seen: int = PAIR_SEEN,
    pair_prior: float = PAIR_PRIOR,
    pair_gain: float = PAIR_GAIN,
) -> LookupTable:
    """Tokens, and pairs where the token before matters."""
    single, pair = grams_of(tokens), grams_of(pairs)
    pair = pair.take(pair.previous != ANY_TOKEN)  # -1 in a table of pairs is the start of a context
    home = home_of(pair, single)

    value, probability = shrunk(pair, single, home, pair_prior)
    gain = _gain(pair, value, single, home, n_features_of(tokens))
    chosen = (pair.n_seen * pair.share >= pair_seen) & (gain > 0) & (gain >= pair_gain)
    pair, home, value, probability = pair.take(chosen), home[chosen], value[chosen], probability[chosen]

    rest = others(single, pair, home, tokens.mass_error, pairs.share)
    mean = rest.per_occurrence(rest.mass)
    without = np.append(mean, 0.0)[home]
    explained = np.concatenate(
        [
            rest.n_seen * mean**2,
            pair.n_seen * np.maximum(value**2, (value - without) ** 2),  # the second: it keeps an alarm down
        ]
    )
    kept = most_explaining(np.concatenate([rest.feature, pair.feature]), explained, n_features_of(tokens), COVER)

    kept_pair = kept[len(rest.token) :]
    rest = others(single, pair.take(kept_pair), home[kept_pair], tokens.mass_error, pairs.share)
    return to_table(
        joined(rest, pair),
        np.concatenate([rest.per_occurrence(rest.mass), value]),
        np.concatenate([rest.per_occurrence(rest.n_firing), probability]),
        explained,
        kept,
        n_features_of(tokens),
    )


def _gain(pair: Grams, value: Float64, single: Grams, home: Int64, n_features: int) -> Float64:
    """Step 2: what each pair explains beyond its token's entry, as a share of what the feature's tokens explain."""
    mean = single.per_occurrence(single.mass)
    tokens_explain = np.bincount(single.feature, single.n_seen * mean**2, minlength=n_features)
    gain = pair.n_seen * (value - np.append(mean, 0.0)[home]) ** 2
    whole = tokens_explain[pair.feature]
    share: Float64 = np.divide(gain, whole, out=np.where(gain > 0, np.inf, 0.0), where=whole > 0)
    return share
