"""The embedded explainer `lexical`: a label that names tokens with strengths. It predicts what it says, and no more.

No key, network or model. It is made of the evidence of the table `context_lookup` (`context_lookup.py`), which is a
ceiling for what knowledge of tokens can predict. A label is short.

1. Candidates are the tokens, and the pairs (previous, token) that stand PAIR_SEEN times. A token explains
   n_seen mean^2 of the feature's squared activation, a pair what it adds to its token: n_seen (value - mean)^2, its
   value drawn towards the token's as in the table.
2. The most explaining ones are named, NAMED at most, until COVER of what all explain is covered, as in the table. A
   pair counts by half of what it explains: it takes two tokens to name it.
3. A named token holds the mean over those of its occurrences that no named pair holds.
4. The label says strengths: the value as a share of the feature's largest, in tenths, rounded. What rounds to 0 is not
   named, nor is a pair as strong as its token.
5. It predicts at each place the longest match: strength / 10, and that it fires with probability
   1 - exp(-strength / FIRES_AT). So the text alone gives the prediction: nothing about the feature is kept beside it.
   Where no token is named, the prediction is constant, and the score has that status.

Measured on the select split (60 features each of mlp-1k, neurons and random_covariance; mean census Pearson, and tokens
of text as `description.py` counts them):
- NAMED = 5, 10, 20, 30 gives .612, .639, .662, .672 for 18, 33, 58, 83 tokens (mlp-1k) and .354, .402, .439, .464 for
  16, 28, 54, 80 (neurons). From 5 to 10 names, ten more tokens of text bring .02 to .04; after that less than .02.
- To stop at .95 of what all explain would cost .001 and save a tenth of the text, but it leaves out the rarer of two
  tokens that fire alike (census AUPRC .164 instead of .173).
- Ten strengths cost .001 to .008 against exact values. Five cost .01 and three words .02, and save a tenth of the text;
  one strength for all costs .07 to .15.
- Entries for a kind of token (numbers, capitals ...), or for all that stands after a token, bring .000 to .007: there
  are none.
`python -m autointerp.train.lexical_constants` measures NAMED and FIRES_AT on all dictionaries of the demo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.explain.context_lookup import COVER, PAIR_PRIOR, PAIR_SEEN
from autointerp.explain.grams import (
    grams_of,
    home_of,
    joined,
    most_explaining,
    n_features_of,
    others,
    shrunk,
    to_table,
)
from autointerp.explain.lookup import entries_of, entry_keys, find_keys, rows_of
from autointerp.explain.sentence import label_text
from autointerp.records import (
    ANY_TOKEN,
    RARE_BELOW,
    Bool,
    Explanation,
    Float32,
    Float64,
    GramTable,
    Int64,
    LookupTable,
)
from autointerp.words import LEXICAL

NAMED = 10
"""The most places that a label names."""
STRENGTHS = 10
"""The largest strength."""
FIRES_AT = 4.0
"""A place of strength s fires with probability 1 - exp(-s / FIRES_AT)."""


def label_lookup(tokens: GramTable, pairs: GramTable, named: int = NAMED) -> LookupTable:
    """What the labels of a dictionary name: values are strength / STRENGTHS, a row for each of the tables'."""
    single, pair = grams_of(tokens), grams_of(pairs)
    pair = pair.take((pair.previous != ANY_TOKEN) & (pair.n_seen * pair.share >= PAIR_SEEN))
    home = home_of(pair, single)
    value, probability = shrunk(pair, single, home, PAIR_PRIOR)
    mean = single.per_occurrence(single.mass)
    of_tokens = single.n_seen * mean**2
    of_pairs = pair.n_seen * (value - np.append(mean, 0.0)[home]) ** 2
    explained, rank = np.concatenate([of_tokens, of_pairs]), np.concatenate([of_tokens, of_pairs / 2])
    feature, n = np.concatenate([single.feature, pair.feature]), n_features_of(tokens)
    kept = most_explaining(feature, explained, n, COVER, named, rank)

    kept_pair = kept[len(single.token) :]
    rest = others(single, pair.take(kept_pair), home[kept_pair], tokens.mass_error, pairs.share)
    exact = to_table(
        joined(rest, pair),
        np.concatenate([rest.per_occurrence(rest.mass), value]),
        np.concatenate([rest.per_occurrence(rest.n_firing), probability]),
        rank,
        kept,
        n,
    )
    return in_strengths(exact)


def in_strengths(exact: LookupTable) -> LookupTable:
    """The same in strengths (step 4): values to tenths of each row's largest, probabilities by strength."""
    row = rows_of(exact.start)
    largest = np.zeros(exact.n_features)
    np.maximum.at(largest, row, np.abs(exact.value.astype(np.float64)))
    strength = np.rint(STRENGTHS * exact.value.astype(np.float64) / largest[row]).astype(np.int64)
    kept = strength != 0
    kept[kept] &= ~_as_strong_as_their_token(exact, row, strength, kept)
    value, probability = predicted(strength[kept])
    start = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=exact.n_features))])
    return LookupTable(start.astype(np.int64), exact.previous[kept], exact.token[kept], value, probability)


def predicted(strength: npt.ArrayLike, fires_at: float = FIRES_AT) -> tuple[Float32, Float32]:
    """What a strength predicts: value and probability of firing. [n] -> [n], [n]"""
    s = np.asarray(strength, dtype=np.float64)
    probability: Float64 = -np.expm1(-np.abs(s) / fires_at)
    return (s / STRENGTHS).astype(np.float32), probability.astype(np.float32)


def strengths_of(value: npt.ArrayLike) -> Int64:
    """The strengths behind predicted values. [n] -> [n]"""
    return np.rint(np.asarray(value, dtype=np.float64) * STRENGTHS).astype(np.int64)


def _as_strong_as_their_token(table: LookupTable, row: Int64, strength: Int64, among: Bool) -> Bool:
    """Which of the entries `among` are pairs that say no more than the entry of their token."""
    row, previous, token, own = row[among], table.previous[among], table.token[among], strength[among]
    n_vocabulary = int(max(token.max(initial=0), previous.max(initial=0))) + 1
    keys = entry_keys(row, np.full(len(row), ANY_TOKEN), token, n_vocabulary)
    single = np.flatnonzero(previous == ANY_TOKEN)
    single = single[np.argsort(keys[single], kind="stable")]
    home = find_keys(keys[single], keys)
    of_token = np.append(own[single], 0)[home]
    return np.asarray((previous != ANY_TOKEN) & (of_token == own), dtype=np.bool_)


@dataclass(frozen=True)
class Promoted:
    """The tokens that features promote, by feature, the strongest first, and the z of each."""

    tokens: Mapping[int, Sequence[int]]
    z: Mapping[int, Sequence[float]]


def lexical_explanations(
    tokens: GramTable,
    lookup: LookupTable,
    names: Sequence[str],
    features: npt.ArrayLike,
    promoted: Promoted | None = None,
) -> list[Explanation]:
    """The label of each of `features`, which are rows of the tables; `names` as `token_names` makes them of the
    vocabulary. A feature that never fired has none, with status `dead`."""
    said = []
    for feature in np.asarray(features, dtype=np.int64).tolist():
        n_firing = int(tokens.n_firing[tokens.start[feature] : tokens.start[feature + 1]].sum())
        if n_firing == 0:
            said.append(Explanation(feature, LEXICAL, "", "dead"))
            continue
        own = entries_of(lookup, feature)
        text = label_text(
            own,
            strengths_of(own.value).tolist(),
            names,
            promoted=strong_effects(promoted, feature),
            seen=n_firing if n_firing < RARE_BELOW else None,
        )
        said.append(Explanation(feature, LEXICAL, text, "ok"))
    return said


EFFECTS, STRONG_Z = 4, 4.0
"""Promoted tokens that are named: so many, with at least this z."""


def strong_effects(promoted: Promoted | None, feature: int) -> list[int]:
    """The promoted tokens that a label names."""
    if promoted is None:
        return []
    pairs = zip(promoted.tokens.get(feature, ()), promoted.z.get(feature, ()), strict=True)
    return [token for token, z in pairs if abs(z) >= STRONG_Z][:EFFECTS]
