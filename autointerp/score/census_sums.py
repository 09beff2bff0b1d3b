"""The census: sums over every token of the score split, for simulators that cost nothing (ESTIMATOR.md).

1. A lookup's prediction depends on (previous, token) alone. So the sums of p and p^2, and the histogram of the
   predicted probability, need only how often each entry's gram stands in each document block: no pass over
   tokens x features. Entries are sorted by (feature, token, previous), so that the entry of a token stands
   before those of its pairs; it counts for the token's occurrences less its listed pairs' (integers: exact).
2. The sums of t, t^2 and tp, and the histogram over firing tokens, need only the events, each joined with its
   longest match by a search in the sorted keys.
3. The histogram over silent tokens is that over all tokens less that over firing ones.
4. The same two histograms by predicted activation, where only activations above a threshold count as firing.

Events come in batches of any size and order; sums are kept in double precision. Nothing of the size
features x vocabulary is ever made. Explainers with the same lookups have the same sums, which are made once; steps
1 and 3 wait until an explainer's sums are asked for, so that those of all explainers are never held at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autointerp.explain.lookup import entry_keys, find_keys, rows_of
from autointerp.memory import give_back
from autointerp.records import BlockCounts, Bool, EventBatch, Float64, Int32, Int64, LookupTable
from autointerp.score.activation_bins import N_BINS, activation_bin

EVENTS_AT_ONCE = 1 << 19
"""Events that wait before they are joined: a join costs a pass over features x blocks, whatever its size."""
ENTRIES_AT_ONCE = 1 << 16
"""Entries whose counts by block are held at once."""


@dataclass(frozen=True)
class CensusTruth:
    """What the feature did, whatever the explainer: table `feature_blocks`."""

    n: Int64  # [B] scored tokens
    t: Float64  # [F, B] sum of activations
    t2: Float64  # [F, B] sum of squared activations
    threshold: Float64  # [F] the activation above which tokens are counted
    n_above: Int64  # [F, B] tokens above it


@dataclass(frozen=True)
class CensusSums:
    """What one explainer's simulator predicted: table `score_moments`."""

    p: Float64  # [F, B] sum of predictions
    p2: Float64  # [F, B] sum of squared predictions
    tp: Float64  # [F, B] sum of activation x prediction
    positives: Int64  # [F, N_BINS] firing tokens by predicted probability
    negatives: Int64  # [F, N_BINS] silent tokens by predicted probability
    above: Int64  # [F, N_BINS] tokens above the threshold by predicted activation
    below: Int64  # [F, N_BINS] the others by predicted activation


def moments(truth: CensusTruth, sums: CensusSums) -> Float64:
    """[F, B, 6] in the order of `metrics.MOMENTS`: n, t, p, t2, p2, tp."""
    n = np.broadcast_to(truth.n.astype(np.float64), truth.t.shape)
    return np.stack([n, truth.t, sums.p, truth.t2, sums.p2, sums.tp], axis=-1)


@dataclass(frozen=True)
class Counted:
    """The census of one feature and explanation: what its metrics read."""

    feature: int
    moments: Float64  # [B, 6] by document block, in the order of `metrics.MOMENTS`
    positives: Int64  # [N_BINS]
    negatives: Int64  # [N_BINS]
    above: Int64  # [N_BINS] by predicted activation, as `activation_bins`
    below: Int64  # [N_BINS]

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of the score split."""
        return int(self.moments[:, 0].sum())


def counted(truth: CensusTruth, sums: CensusSums, features: Int64) -> dict[int, Counted]:
    """By feature; `features` are rows of the sums."""
    every = moments(truth, sums)
    counts = (sums.positives, sums.negatives, sums.above, sums.below)
    return {f: Counted(f, every[f], *(of[f] for of in counts)) for f in features.tolist()}


class CensusAccumulator:
    """Takes the events of one dictionary, in any batches, and gives the sums of each explainer.

    Each of `lookups` is asked for once, not held. `threshold` [F]: the activation above which a token counts as firing
    in `above`, `share` of the feature's largest.
    """

    def __init__(
        self,
        n_features: int,
        counts: BlockCounts,
        lookups: Mapping[str, LookupTable],
        threshold: npt.ArrayLike = 0.0,
        share: float = 0.05,
    ) -> None:
        n_blocks, n_vocabulary = counts.tokens.shape
        self._threshold = np.broadcast_to(np.asarray(threshold, dtype=np.float64), n_features)
        self._counts = counts
        self._shape = (n_features, n_blocks)
        self._index: dict[bytes, _Index] = {}
        self._same: dict[str, bytes] = {}
        for name in lookups:
            index = _Index(name, lookups[name], n_vocabulary, self._threshold, share)
            self._same[name] = index.digest()
            self._index.setdefault(self._same[name], index)
            del index
            give_back()
        small = int(counts.n_tokens.sum()) < 1 << 31
        self._t, self._t2 = np.zeros(self._shape), np.zeros(self._shape)
        self._n_above = np.zeros(self._shape, dtype=np.int64)
        self._tp = {key: np.zeros(self._shape) for key in self._index}
        self._positives, self._above = (
            {key: np.zeros((n_features, N_BINS), dtype=np.int32 if small else np.int64) for key in self._index}
            for _ in range(2)
        )
        self._waiting: list[EventBatch] = []
        self._n_waiting = 0

    def add(self, batch: EventBatch) -> None:
        """Some events of the score split, at scored tokens; each event once."""
        self._waiting.append(batch)
        self._n_waiting += len(batch.feature)
        if self._n_waiting >= EVENTS_AT_ONCE:
            self._join()

    def finish(self) -> tuple[CensusTruth, Mapping[str, CensusSums]]:
        """The truth, and the sums by explainer: each is made when it is asked for, and not held."""
        self._join()
        by_pair = _pair_counts(self._counts, (index.pair_keys() for index in self._index.values()))
        by_token = np.ascontiguousarray(self._counts.tokens.T, dtype=np.float64)  # integers up to 2^53: exact
        truth = CensusTruth(self._counts.n_tokens, self._t, self._t2, self._threshold.copy(), self._n_above)
        return truth, _SumsByExplainer(self, by_token, by_pair)

    @property
    def explainers(self) -> list[str]:
        """Their names."""
        return list(self._same)

    def sums(self, name: str, by_token: Float64, by_pair: _PairCounts) -> CensusSums:
        """Of one explainer, when all events are in."""
        key = self._same[name]
        p, p2, by_probability, by_activation = _predicted(self._index[key], by_token, by_pair, self._shape)
        for everything in (by_probability, by_activation):
            everything[:, 0] += int(self._counts.n_tokens.sum()) - everything.sum(axis=1)
        positives, above = self._positives[key].astype(np.int64), self._above[key].astype(np.int64)
        negatives = by_probability - positives
        if negatives.min(initial=0) < 0:
            raise ValueError(f"more tokens fire than the block counts hold ({name}): events and counts differ")
        return CensusSums(p, p2, self._tp[key], positives, negatives, above, by_activation - above)

    def _join(self) -> None:
        """Step 2 for the waiting events."""
        waiting, self._waiting, self._n_waiting = self._waiting, [], 0
        if not waiting:
            return
        feature, previous, token, block = (
            np.concatenate([getattr(batch, name) for batch in waiting]).astype(np.int64)
            for name in ("feature", "previous", "token", "block")
        )
        truth = np.concatenate([batch.value for batch in waiting]).astype(np.float64)
        cell = feature * self._shape[1] + block
        self._t += self._by_cell(cell, truth)
        self._t2 += self._by_cell(cell, truth**2)
        above = truth > self._threshold[feature]
        self._n_above += np.bincount(cell[above], minlength=self._n_above.size).reshape(self._shape)
        # each gram of a feature is sought once, in rising order: neighbours lie side by side in the lookups
        n_vocabulary = self._counts.tokens.shape[1]
        keys, which = np.unique(entry_keys(feature, previous, token, n_vocabulary), return_inverse=True)
        grams = _Grams(keys, n_vocabulary)
        of_feature = keys // (n_vocabulary * (n_vocabulary + 1))
        n_firing, n_above = (np.bincount(of, minlength=len(keys)) for of in (which, which[above]))
        nothing = np.zeros(len(keys), dtype=np.int64)
        of_none = [self._by_bin(of_feature, nothing, of) for of in (n_firing, n_above)]
        for name, index in self._index.items():
            if not len(index.keys):  # predicts 0 everywhere
                self._positives[name] += of_none[0]
                self._above[name] += of_none[1]
                continue
            entry = index.match(grams)
            self._tp[name] += self._by_cell(cell, truth * np.append(index.value, np.float32(0))[entry][which])
            self._positives[name] += self._by_bin(of_feature, np.append(index.bin, 0)[entry], n_firing)
            self._above[name] += self._by_bin(of_feature, np.append(index.activation_bin, 0)[entry], n_above)

    def _by_bin(self, feature: Int64, number: Int64, times: Int64) -> Int64:
        """How often each number comes with each feature, [F, N_BINS]; each pair so many times: integers, exact."""
        counts = np.bincount(feature * N_BINS + number, times, minlength=self._shape[0] * N_BINS)
        return counts.reshape(-1, N_BINS).astype(np.int64)

    def _by_cell(self, cell: Int64, weight: Float64) -> Float64:
        sums: Float64 = np.bincount(cell, weight, minlength=self._shape[0] * self._shape[1]).astype(np.float64)
        return sums.reshape(self._shape)


class _Grams:
    """Different grams of features, by their keys (`entry_keys`), rising: those of a token of a feature are a run."""

    def __init__(self, keys: Int64, n_vocabulary: int) -> None:
        self.keys = keys  # [grams]
        after_any = keys - keys % (n_vocabulary + 1)
        first = np.flatnonzero(np.diff(after_any, prepend=-1))
        self.tokens = after_any[first]  # [tokens] the keys of the tokens after any other
        self.n_of_token = np.diff(first, append=len(keys))  # [tokens] grams of each


@dataclass(frozen=True)
class _SumsByExplainer(Mapping[str, CensusSums]):
    """The sums of each explainer, made whenever they are asked for."""

    accumulator: CensusAccumulator
    by_token: Float64
    by_pair: _PairCounts

    def __getitem__(self, explainer: str) -> CensusSums:
        return self.accumulator.sums(explainer, self.by_token, self.by_pair)

    def __iter__(self) -> Iterator[str]:
        return iter(self.accumulator.explainers)

    def __len__(self) -> int:
        return len(self.accumulator.explainers)


class _Index:
    """A lookup sorted by (feature, token, previous), in small types: there may be tens of millions of entries."""

    def __init__(self, name: str, lookup: LookupTable, n_vocabulary: int, threshold: Float64, share: float) -> None:
        if lookup.n_features != len(threshold):
            raise ValueError(f'the lookup of "{name}" has {lookup.n_features} features, not {len(threshold)}')
        self.n_vocabulary = n_vocabulary
        row = rows_of(lookup.start)
        keys = entry_keys(row, lookup.previous, lookup.token, n_vocabulary)
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]  # the row, the token and the previous one of each entry, as one number
        self.value = lookup.value[order]
        self.bin = probability_bin(lookup.probability[order]).astype(np.uint8)
        self.activation_bin = activation_bin(self.value, threshold[row[order]], share).astype(np.uint8)
        self.has_pairs = bool(self.is_pair().any())

    def digest(self) -> bytes:
        """The same where all that the sums depend on is the same."""
        digest = hashlib.blake2b(digest_size=16)
        for column in (self.keys, self.value, self.bin, self.activation_bin):
            digest.update(np.ascontiguousarray(column).data)
        return digest.digest()

    def rows(self, own: slice) -> Int64:
        """The feature of some entries."""
        return self.keys[own] // (self.n_vocabulary * (self.n_vocabulary + 1))

    def tokens(self, own: slice) -> Int64:
        """The token of some entries."""
        return self.keys[own] // (self.n_vocabulary + 1) % self.n_vocabulary

    def is_pair(self, own: slice = slice(None)) -> Bool:
        """Which of some entries are of a token behind a certain other."""
        return np.asarray(self.keys[own] % (self.n_vocabulary + 1) != 0)

    def portions(self) -> Iterator[slice]:
        """Runs of about ENTRIES_AT_ONCE entries that never split a feature."""
        first, each = 0, self.n_vocabulary * (self.n_vocabulary + 1)
        while first < len(self.keys):
            last = min(first + ENTRIES_AT_ONCE, len(self.keys)) - 1
            end = int(np.searchsorted(self.keys, (self.keys[last] // each + 1) * each))
            yield slice(first, end)
            first = end

    def pair_keys(self, own: slice = slice(None)) -> Int64:
        """Of those of some entries that are pairs."""
        token, previous = np.divmod(self.keys[own][self.is_pair(own)], self.n_vocabulary + 1)
        return _pair_key(previous - 1, token % self.n_vocabulary, self.n_vocabulary)

    def match(self, grams: _Grams) -> Int64:
        """The longest match of each gram of a feature; -1 where there is none."""
        entry = np.repeat(find_keys(self.keys, grams.tokens), grams.n_of_token)
        if self.has_pairs:
            exact = find_keys(self.keys, grams.keys)
            entry = np.where(exact >= 0, exact, entry)
        return entry


def probability_bin(probability: npt.ArrayLike) -> Int64:
    """Bin of a predicted probability, of any shape: 0 holds exactly 0, i holds ((i - 1) / 32, i / 32]."""
    return np.clip(np.ceil(np.asarray(probability, dtype=np.float64) * (N_BINS - 1)), 0, N_BINS - 1).astype(np.int64)


def _pair_key(previous: npt.ArrayLike, token: npt.ArrayLike, n_vocabulary: int) -> Int64:
    return np.asarray(previous, dtype=np.int64) * n_vocabulary + np.asarray(token, dtype=np.int64)


@dataclass(frozen=True)
class _PairCounts:
    """How often the pairs that any lookup lists stand in each block: those that do stand in the split."""

    keys: Int64  # [pairs] sorted
    counts: Int32  # [pairs + 1, B]; the last row, place -1, is that of all others: 0


def _pair_counts(counts: BlockCounts, listed: Iterable[Int64]) -> _PairCounts:
    n_blocks, n_vocabulary = counts.tokens.shape
    inside = counts.pair_previous >= 0
    there = _pair_key(counts.pair_previous[inside], counts.pair_token[inside], n_vocabulary)
    distinct = np.unique(there)
    is_listed = np.zeros(len(distinct) + 1, dtype=np.bool_)
    for keys in listed:
        is_listed[find_keys(distinct, keys)] = True  # what is not there falls on the last one
    keys = distinct[is_listed[:-1]]
    table = np.zeros((len(keys) + 1, n_blocks), dtype=np.int32)
    place = find_keys(keys, there)
    mine = place >= 0
    np.add.at(table, (place[mine], counts.pair_block[inside][mine]), counts.pair_count[inside][mine])
    return _PairCounts(keys, table)


def _predicted(
    index: _Index, by_token: Float64, by_pair: _PairCounts, shape: tuple[int, int]
) -> tuple[Float64, Float64, Int64, Int64]:
    """Steps 1 and 4: sums of p and p^2 [F, B]; matched tokens by predicted probability and activation [F, N_BINS]."""
    p, p2 = np.zeros(shape), np.zeros(shape)
    matched, by_activation = (np.zeros((shape[0], N_BINS), dtype=np.int64) for _ in range(2))
    for own in index.portions():
        row, value = index.rows(own), index.value[own].astype(np.float64)
        counts = _own_counts(index, own, by_token, by_pair)
        first = np.flatnonzero(np.diff(row, prepend=-1))
        weights = np.stack([value, value**2])
        for a, b in pairwise([*first.tolist(), len(row)]):  # a product a feature: five times as fast as reduceat
            p[row[a]], p2[row[a]] = weights[:, a:b] @ counts[a:b]
        totals = np.rint(counts.sum(axis=1)).astype(np.int64)
        np.add.at(matched.reshape(-1), row * N_BINS + index.bin[own], totals)
        np.add.at(by_activation.reshape(-1), row * N_BINS + index.activation_bin[own], totals)
    return p, p2, matched, by_activation


def _own_counts(index: _Index, own: slice, by_token: Float64, by_pair: _PairCounts) -> Float64:
    """Occurrences that each entry is the longest match of, by block: [entries, B]."""
    is_pair, gram = index.is_pair(own), index.keys[own] // (index.n_vocabulary + 1)
    counts = by_token[index.tokens(own)]
    pairs = np.flatnonzero(is_pair)
    if len(pairs) == 0:
        return counts
    counts[pairs] = by_pair.counts[find_keys(by_pair.keys, index.pair_keys(own))]
    first = np.flatnonzero(np.diff(gram[pairs], prepend=-1))  # of the pairs of a token
    in_pairs = np.add.reduceat(counts[pairs], first, axis=0)
    home = np.searchsorted(gram, gram[pairs[first]])  # where the token's own entry is, if it has one
    single = ~is_pair[home]
    counts[home[single]] -= in_pairs[single]
    return counts
