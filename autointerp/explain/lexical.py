"""The embedded explainer `lexical`: from token and context statistics to a lookup and a sentence.

No key, network or model. Source: the token lookup, and Neuron2Graph (Foote et al. 2023), whose trie of context
tokens is walked backwards to the longest match. Here one token of context, and values that are conditional means
over all tokens of the explain split, not prunings of top exemplars.

1. A token's entry holds E[activation | token] = mass / n_seen and the share of its occurrences that fire.
   With these alone, the explainer is `token_lookup`.
2. A pair (previous, token) gets an entry of its own where it stands often enough (PAIR_SEEN) and explains
   enough more than its token's entry does (PAIR_GAIN). Its value is drawn towards the token's, as if PAIR_PRIOR
   more occurrences had behaved as the token does: scores are measured on other documents. Where pairs were counted
   on a sample of the tokens (GramTable.share), both constants mean sampled occurrences.
3. The token's entry then holds the mean over its other occurrences.
4. Entries are kept, the most explaining first, until COVER of the squared activation that all of them explain is
   covered; what a dropped pair held goes back to its token. Named tokens matter, the others are silent.
5. The sentence is a label, and numbers that bear it out: what the feature fires on and after what, what it promotes,
   how often the named tokens fire it (`sentence.py`). Its words are those of `prompts/lexical.md`.

PAIR_SEEN, PAIR_PRIOR and PAIR_GAIN are the best point of a grid by mean census Pearson over the select split of the
bundled corpus, all dictionaries of the demo counting alike: `python -m autointerp.train.lexical_constants` prints the
table and the choice. The score split, where scores are measured, had no part in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import find_keys, gram_key, rows_of
from autointerp.explain.sentence import NO_EFFECTS, EffectsToName, Sentences
from autointerp.records import ANY_TOKEN, Bool, Explanation, Float64, GramTable, Int64, LookupTable

COVER = 0.995
"""Share of the explained squared activation that the kept entries cover."""
PAIR_SEEN = 2
"""A pair with fewer occurrences on the explain split gets no entry."""
PAIR_PRIOR = 2.0
"""Occurrences that a pair's value is drawn towards its token's by."""
PAIR_GAIN = 3e-5
"""Least gain of a pair, as a share of what the feature's tokens explain."""


# --- the lookup -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grams:
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

    def take(self, index: Int64 | Bool) -> _Grams:
        return _Grams(
            self.feature[index],
            self.previous[index],
            self.token[index],
            self.mass[index],
            self.n_firing[index],
            self.n_seen[index],
            self.share[index],
        )


def token_lookup(tokens: GramTable) -> LookupTable:
    """The published baseline: each token's mean activation, whatever stands before it."""
    single = _grams(tokens)
    value = single.per_occurrence(single.mass)
    explained = single.n_seen * value**2
    kept = _cover(single.feature, explained, _n_features(tokens))
    return _table(single, value, single.per_occurrence(single.n_firing), explained, kept, _n_features(tokens))


def lexical_lookup(
    tokens: GramTable,
    pairs: GramTable,
    pair_seen: int = PAIR_SEEN,
    pair_prior: float = PAIR_PRIOR,
    pair_gain: float = PAIR_GAIN,
) -> LookupTable:
    """Tokens, and pairs where the token before matters."""
    single, pair = _grams(tokens), _grams(pairs)
    pair = pair.take(pair.previous != ANY_TOKEN)  # -1 in a table of pairs is the start of a context
    home = _home(pair, single)

    value, probability = _shrunk(pair, single, home, pair_prior)
    gain = _gain(pair, value, single, home, _n_features(tokens))
    chosen = (pair.n_seen * pair.share >= pair_seen) & (gain > 0) & (gain >= pair_gain)
    pair, home, value, probability = pair.take(chosen), home[chosen], value[chosen], probability[chosen]

    rest = _others(single, pair, home, tokens.mass_error, pairs.share)
    mean = rest.per_occurrence(rest.mass)
    without = np.append(mean, 0.0)[home]
    explained = np.concatenate(
        [
            rest.n_seen * mean**2,
            pair.n_seen * np.maximum(value**2, (value - without) ** 2),  # the second: it keeps an alarm down
        ]
    )
    kept = _cover(np.concatenate([rest.feature, pair.feature]), explained, _n_features(tokens))

    kept_pair = kept[len(rest.token) :]
    rest = _others(single, pair.take(kept_pair), home[kept_pair], tokens.mass_error, pairs.share)
    return _table(
        _joined(rest, pair),
        np.concatenate([rest.per_occurrence(rest.mass), value]),
        np.concatenate([rest.per_occurrence(rest.n_firing), probability]),
        explained,
        kept,
        _n_features(tokens),
    )


def _n_features(table: GramTable) -> int:
    return len(table.start) - 1


def _grams(table: GramTable) -> _Grams:
    return _Grams(
        rows_of(table.start),
        table.previous.astype(np.int64),
        table.token.astype(np.int64),
        table.mass.astype(np.float64),
        table.n_firing.astype(np.float64),
        table.n_seen.astype(np.float64),
        np.ones(len(table.token)) if table.share is None else table.share[rows_of(table.start)],
    )


def _joined(first: _Grams, second: _Grams) -> _Grams:
    return _Grams(
        np.concatenate([first.feature, second.feature]),
        np.concatenate([first.previous, second.previous]),
        np.concatenate([first.token, second.token]),
        np.concatenate([first.mass, second.mass]),
        np.concatenate([first.n_firing, second.n_firing]),
        np.concatenate([first.n_seen, second.n_seen]),
        np.concatenate([first.share, second.share]),
    )


def _home(pair: _Grams, single: _Grams) -> Int64:
    """Index of each pair's token among the same feature's single tokens; -1 where it is not listed."""
    keys = (single.feature << 32) | single.token
    order = np.argsort(keys, kind="stable")
    return np.append(order, -1)[find_keys(keys[order], (pair.feature << 32) | pair.token)]


def _shrunk(pair: _Grams, single: _Grams, home: Int64, pair_prior: float) -> tuple[Float64, Float64]:
    """Step 2: value and probability of each pair with `pair_prior` sampled occurrences of its token's added."""
    mean = np.append(single.per_occurrence(single.mass), 0.0)[home]
    share = np.append(single.per_occurrence(single.n_firing), 0.0)[home]
    prior = pair_prior / pair.share
    seen = pair.n_seen + prior
    return (pair.mass + prior * mean) / seen, (pair.n_firing + prior * share) / seen


def _gain(pair: _Grams, value: Float64, single: _Grams, home: Int64, n_features: int) -> Float64:
    """Step 2: what each pair explains beyond its token's entry, as a share of what the feature's tokens explain."""
    mean = single.per_occurrence(single.mass)
    tokens_explain = np.bincount(single.feature, single.n_seen * mean**2, minlength=n_features)
    gain = pair.n_seen * (value - np.append(mean, 0.0)[home]) ** 2
    whole = tokens_explain[pair.feature]
    share: Float64 = np.divide(gain, whole, out=np.where(gain > 0, np.inf, 0.0), where=whole > 0)
    return share


def _others(single: _Grams, pair: _Grams, home: Int64, mass_error: Float64, pair_share: Float64 | None) -> _Grams:
    """Step 3: what is left of each token once its listed pairs are taken out."""
    listed = home >= 0

    def left(whole: Float64, part: Float64) -> Float64:
        return whole - np.bincount(home[listed], part[listed], minlength=len(whole))

    n_seen = np.maximum(left(single.n_seen, pair.n_seen), 0.0)
    n_firing = np.clip(left(single.n_firing, pair.n_firing), 0.0, n_seen)
    mass = np.where(n_firing > 0, left(single.mass, pair.mass), 0.0)  # silent is 0, not a rounding error
    estimated = mass_error > 0 if pair_share is None else (mass_error > 0) | (pair_share < 1)
    mass = np.where(estimated[single.feature], np.maximum(mass, 0.0), mass)
    return _Grams(single.feature, single.previous, single.token, mass, n_firing, n_seen, single.share)


def _cover(feature: Int64, explained: Float64, n_features: int) -> Bool:
    """Step 4: the entries that cover COVER of what each feature's entries explain, the fewest that do."""
    total = np.bincount(feature, explained, minlength=n_features)[feature]
    share = np.divide(explained, total, out=np.zeros_like(explained), where=total > 0)
    order = np.lexsort((-share, feature))
    before = np.cumsum(share[order]) - share[order]
    first = np.searchsorted(feature[order], feature[order])  # where the feature's entries begin
    kept = np.zeros(len(feature), dtype=np.bool_)
    kept[order] = (before - before[first] < COVER) & (share[order] > 0) if len(order) else False
    return kept


def _table(
    grams: _Grams, value: Float64, probability: Float64, explained: Float64, kept: Bool, n_features: int
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


# --- the explanations --------------------------------------------------------------------------------


def lexical_explanations(
    tokens: GramTable,
    pairs: GramTable,
    lookup: LookupTable,
    vocab: Sequence[str],
    features: npt.ArrayLike,
    *,
    total_mass: Float64 | None = None,
    effects: EffectsToName = NO_EFFECTS,
    special: Collection[int] | None = None,
) -> list[Explanation]:
    """A sentence for each of `features`, which are rows of the tables.

    `total_mass` [F] is the whole activation mass of each feature on the explain split (without it, shares are of the
    listed tokens' mass). `special` are the ids of special tokens: what follows one stands at the start of a context
    (default: tokens whose text is of the form <|...|>).
    """
    sentences = Sentences(vocab, tokens, pairs, lookup, total_mass, effects, special)
    return _explanations("lexical", sentences, features)


def token_lookup_explanations(
    tokens: GramTable, vocab: Sequence[str], features: npt.ArrayLike, *, total_mass: Float64 | None = None
) -> list[Explanation]:
    """The same without contexts and effects."""
    return _explanations("token_lookup", Sentences(vocab, tokens, None, None, total_mass), features)


def _explanations(explainer: str, sentences: Sentences, features: npt.ArrayLike) -> list[Explanation]:
    texts = [(feature, sentences.text(feature)) for feature in np.asarray(features, dtype=np.int64).tolist()]
    return [Explanation(feature, explainer, text, "ok" if text else "dead") for feature, text in texts]
