"""The census without a pass over tokens x features, against a pass over tokens x features; planted features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import pytest

from autointerp.explain.context_lookup import context_lookup, token_lookup
from autointerp.explain.controls import constant, generic, shuffled
from autointerp.explain.lexical import label_lookup, lexical_explanations
from autointerp.explain.lookup import EMPTY, Entries, entries_of, from_lists, match
from autointerp.records import ANY_TOKEN, BlockCounts, EventBatch, GramTable, LookupTable
from autointerp.score import census_sums
from autointerp.score.activation_bins import FIRST_ABOVE, N_BINS, activation_bin
from autointerp.score.census_sums import CensusAccumulator, CensusSums, CensusTruth, moments, probability_bin
from autointerp.score.metrics import MOMENTS, pearson

BLOCKS = 5


class Stream:
    """Scored tokens with their blocks, and activations of F features on all of them."""

    def __init__(self, token: np.ndarray, previous: np.ndarray, block: np.ndarray, activations: np.ndarray, v: int):
        self.token, self.previous, self.block, self.V = token, previous, block, v
        self.activations = activations.astype(np.float32)  # [F, n]

    def counts(self) -> BlockCounts:
        tokens = np.zeros((BLOCKS, self.V), np.int64)
        np.add.at(tokens, (self.block, self.token), 1)
        grams = np.stack([self.block, self.previous, self.token], axis=1)
        pairs, n = np.unique(grams, axis=0, return_counts=True)
        block, previous, token = pairs.T.astype(np.int32)
        return BlockCounts(tokens, block, previous, token, n)

    def batches(self, n: int, seed: int = 0) -> Iterator[EventBatch]:
        """All events, in n batches, in a random order."""
        feature, place = np.nonzero(self.activations)
        order = np.random.default_rng(seed).permutation(len(feature))
        for part in np.array_split(order, n):
            f, i = feature[part].astype(np.int32), place[part]
            yield EventBatch(
                f,
                i.astype(np.int64),
                i.astype(np.int32),
                self.activations[f, i],
                self.token[i].astype(np.int32),
                self.previous[i].astype(np.int32),
                self.block[i].astype(np.int32),
            )

    def tables(self) -> tuple[GramTable, GramTable]:
        """The gram tables of this stream, read off its events."""
        made = []
        for previous in (np.full(len(self.token), -1), self.previous):
            keys, which = np.unique((previous + 1) * self.V + self.token, return_inverse=True)
            parts, start = [], [0]
            for a in self.activations.astype(np.float64):
                mass, fires = np.bincount(which, a), np.bincount(which, a != 0).astype(np.int64)
                heavy = np.argsort(-mass, kind="stable")
                heavy = heavy[fires[heavy] > 0][:256]
                parts.append((keys[heavy], mass[heavy], fires[heavy], np.bincount(which)[heavy]))
                start.append(start[-1] + len(heavy))
            key, mass, fires, seen = (np.concatenate(column) for column in zip(*parts, strict=True))
            made.append(
                GramTable(
                    np.asarray(start),
                    (key // self.V - 1).astype(np.int32),
                    (key % self.V).astype(np.int32),
                    np.asarray(mass, np.float64),
                    fires,
                    seen,
                    np.zeros(len(self.activations)),
                )
            )
        return made[0], made[1]


def random_stream(seed: int, n: int = 3000, n_features: int = 6, v: int = 20) -> Stream:
    rng = np.random.default_rng(seed)
    token = np.minimum(rng.geometric(0.15, n) - 1, v - 1)
    previous = np.where(rng.random(n) < 0.05, -1, np.roll(token, 1))
    activations = rng.exponential(1, (n_features, n)) * (rng.random((n_features, n)) < 0.1)
    activations[-1] = 0
    return Stream(token, previous, np.sort(rng.integers(0, BLOCKS, n)), activations, v)


def random_lookup(stream: Stream, seed: int, with_pairs: bool) -> LookupTable:
    """Tokens, pairs that occur, pairs that never do, pairs of tokens without an entry of their own."""
    rng = np.random.default_rng(seed)
    rows = []
    for feature in range(len(stream.activations)):
        grams = {(ANY_TOKEN, int(t)) for t in rng.choice(stream.V, rng.integers(0, 9), replace=False)}
        if with_pairs and feature != 1:
            at = rng.integers(0, len(stream.token), 15)
            grams |= {(int(stream.previous[i]), int(stream.token[i])) for i in at if stream.previous[i] >= 0}
            grams |= {(int(a), int(b)) for a, b in rng.integers(0, stream.V, (4, 2))}
        chosen = np.asarray(sorted(grams), dtype=np.int32).reshape(-1, 2)
        rng.shuffle(chosen)
        value, share = rng.exponential(1, len(chosen)) + 0.01, rng.random(len(chosen)) * 0.99 + 0.01
        rows.append(Entries(chosen[:, 0], chosen[:, 1], value.astype(np.float32), share.astype(np.float32)))
    return from_lists(rows)


SHARE = 0.1
COUNTS = ("positives", "negatives", "above", "below")


def slow_activation_bin(value: float, threshold: float) -> int:
    """The definition: limits at threshold x (1 / share)^(k / 24), below it ^(3 k / 24); 0: predicted to be silent."""
    if value <= 0:
        return 0
    steps = [3 * k for k in range(-7, 1)] + list(range(1, 24))  # of the upper ends of bins 1 to 31
    limits = [threshold * (1 / SHARE) ** (k / 24) for k in steps]
    return 1 + sum(bool(value > limit) for limit in limits)


def dense(stream: Stream, lookup: LookupTable) -> tuple[CensusTruth, CensusSums]:
    """The definition: a prediction for every token and feature."""
    threshold = SHARE * stream.activations.max(axis=1).astype(np.float64)
    n_above = np.zeros((len(stream.activations), BLOCKS), np.int64)
    above, below = (np.zeros((len(stream.activations), N_BINS), np.int64) for _ in range(2))
    shape = (len(stream.activations), BLOCKS)
    t, t2, p, p2, tp = (np.zeros(shape) for _ in range(5))
    positives, negatives = (np.zeros((shape[0], N_BINS), np.int64) for _ in range(2))
    for feature, truth in enumerate(stream.activations.astype(np.float64)):
        own = entries_of(lookup, feature)
        found = match(own, stream.token, stream.previous)
        value = np.append(own.value, 0).astype(np.float64)[found]
        share = np.append(own.probability, 0).astype(np.float64)[found]
        for i in range(len(truth)):
            b, k = stream.block[i], 0 if share[i] == 0 else int(np.ceil(share[i] * 32))
            t[feature, b] += truth[i]
            t2[feature, b] += truth[i] ** 2
            p[feature, b] += value[i]
            p2[feature, b] += value[i] ** 2
            tp[feature, b] += truth[i] * value[i]
            (positives if truth[i] != 0 else negatives)[feature, k] += 1
            counts = truth[i] > threshold[feature]
            n_above[feature, b] += counts
            bin_ = slow_activation_bin(value[i], threshold[feature]) if threshold[feature] > 0 else 32 * (value[i] > 0)
            (above if counts else below)[feature, bin_] += 1
    n = np.bincount(stream.block, minlength=BLOCKS)
    return CensusTruth(n, t, t2, threshold, n_above), CensusSums(p, p2, tp, positives, negatives, above, below)


def run(
    stream: Stream, lookups: dict[str, LookupTable], n_batches: int = 4, seed: int = 0
) -> tuple[CensusTruth, Mapping[str, CensusSums]]:
    threshold = SHARE * stream.activations.max(axis=1).astype(np.float64)
    census = CensusAccumulator(len(stream.activations), stream.counts(), lookups, threshold, SHARE)
    for batch in stream.batches(n_batches, seed):
        census.add(batch)
    return census.finish()


def same(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_sums_equal_those_of_a_dense_pass(seed: int) -> None:
    stream = random_stream(seed)
    lookups = {name: random_lookup(stream, seed + i, name != "tokens") for i, name in enumerate(("a", "tokens", "b"))}
    lookups["constant"] = from_lists([EMPTY] * len(stream.activations))
    truth, sums = run(stream, lookups)
    assert sums.keys() == lookups.keys()
    for name, lookup in lookups.items():
        true, expected = dense(stream, lookup)
        for field in ("n", "t", "t2"):
            same(getattr(truth, field), getattr(true, field))
        for field in ("p", "p2", "tp"):
            same(getattr(sums[name], field), getattr(expected, field))
        for counts in COUNTS:
            assert np.array_equal(getattr(sums[name], counts), getattr(expected, counts)), counts
        assert np.array_equal(truth.threshold, true.threshold)
        assert np.array_equal(truth.n_above, true.n_above)
        assert np.array_equal(sums[name].above.sum(axis=1), truth.n_above.sum(axis=1))


@pytest.mark.parametrize(("n_batches", "events", "entries"), [(1, 1 << 20, 1 << 16), (7, 100, 40), (400, 1, 1)])
def test_the_partition_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, n_batches: int, events: int, entries: int
) -> None:
    stream = random_stream(9)
    lookups = {"a": random_lookup(stream, 1, True), "tokens": random_lookup(stream, 2, False)}
    truth, sums = run(stream, lookups)
    monkeypatch.setattr(census_sums, "EVENTS_AT_ONCE", events)
    monkeypatch.setattr(census_sums, "ENTRIES_AT_ONCE", entries)
    other_truth, other = run(stream, lookups, n_batches, seed=n_batches)
    same(moments(truth, sums["a"]), moments(other_truth, other["a"]))
    for name in lookups:
        for counts in COUNTS:
            assert np.array_equal(getattr(sums[name], counts), getattr(other[name], counts)), counts
    assert np.array_equal(truth.n_above, other_truth.n_above)


def test_moments_have_the_order_of_the_metrics() -> None:
    stream = random_stream(4)
    lookup = random_lookup(stream, 4, True)
    truth, sums = run(stream, {"a": lookup})
    values = moments(truth, sums["a"])
    assert MOMENTS == ("n", "t", "p", "t2", "p2", "tp")
    assert values.shape == (6, BLOCKS, 6)
    own = entries_of(lookup, 0)
    p = np.append(own.value, 0).astype(np.float64)[match(own, stream.token, stream.previous)]
    assert pearson(values[0].sum(axis=0)) == pytest.approx(np.corrcoef(stream.activations[0], p)[0, 1], rel=1e-9)


def test_without_events_everything_is_silent() -> None:
    stream = random_stream(5)
    stream.activations[:] = 0
    truth, sums = run(stream, {"a": random_lookup(stream, 5, True)})
    assert truth.t.sum() == 0
    assert sums["a"].positives.sum() == 0
    assert (sums["a"].negatives.sum(axis=1) == len(stream.token)).all()


def test_bins_have_their_upper_end() -> None:
    shares = np.asarray([0, 1e-9, 1 / 32, 1 / 32 + 1e-6, 0.5, 0.5 + 1e-6, 1], np.float32)
    assert probability_bin(shares).tolist() == [0, 1, 1, 2, 16, 17, 32]


def test_activation_bins_have_a_limit_at_the_threshold() -> None:
    at = np.asarray([-1, 0, 1e-30, 0.5, 0.5 + 1e-9, 1.0, 9.99, 10.0, 99.0])
    found = activation_bin(at, 0.5, 0.05)
    assert found[:3].tolist() == [0, 0, 1]
    assert found[3] == FIRST_ABOVE - 1
    assert found[4] == FIRST_ABOVE
    assert found[-3:].tolist() == [N_BINS - 1] * 3, "from the largest activation up there is one bin"
    assert np.all(np.diff(found) >= 0)
    assert activation_bin([0.0, 3.0], 0.0, 0.05).tolist() == [0, N_BINS - 1]


def test_events_and_counts_of_different_tokens_are_refused() -> None:
    stream = random_stream(6)
    census = CensusAccumulator(6, stream.counts(), {"a": random_lookup(stream, 6, False)})
    for batch in [*stream.batches(1)] * 30:
        census.add(batch)
    _, sums = census.finish()
    with pytest.raises(ValueError, match="events and counts differ"):
        sums["a"]
    with pytest.raises(ValueError, match='"a" has 6 features, not 7'):
        CensusAccumulator(7, stream.counts(), {"a": random_lookup(stream, 6, False)})


def test_explainers_with_the_same_lookups_have_the_same_sums_in_any_order_of_asking() -> None:
    stream = random_stream(8)
    one, other = random_lookup(stream, 6, True), random_lookup(stream, 6, False)
    names = [field.name for field in fields(Entries)]
    backwards = [Entries(*(getattr(entries_of(one, f), name)[::-1] for name in names)) for f in range(one.n_features)]
    again = from_lists(backwards)
    threshold = SHARE * stream.activations.max(axis=1).astype(np.float64)
    truth, sums = run(stream, {"one": one, "other": other, "again": again})
    assert list(sums) == ["one", "other", "again"]
    for name, lookup in (("again", again), ("other", other), ("one", one), ("again", again)):
        alone = run(stream, {name: lookup})
        for field in fields(CensusSums):
            np.testing.assert_array_equal(getattr(sums[name], field.name), getattr(alone[1][name], field.name))
        np.testing.assert_array_equal(truth.t, alone[0].t)
    assert not np.array_equal(sums["one"].tp, sums["other"].tp)
    np.testing.assert_array_equal(threshold, truth.threshold)


def test_an_empty_dictionary() -> None:
    stream = random_stream(7)
    truth, sums = CensusAccumulator(0, stream.counts(), {"a": from_lists([])}).finish()
    assert moments(truth, sums["a"]).shape == (0, BLOCKS, 6)


# --- planted features -------------------------------------------------------------------------------


def planted(seed: int, n: int, v: int = 40) -> Stream:
    """Twelve features on disjoint token sets, then "b only after a" for ten disjoint (a, b)."""
    rng = np.random.default_rng(seed)
    token = rng.integers(0, v, n)
    previous = np.roll(token, 1)
    previous[::50] = -1
    sets = [np.isin(token, [3 * k, 3 * k + 1, 3 * k + 2]) for k in range(12)]
    after = [(token == k) & (previous % 4 == k % 4) & (previous >= 0) for k in range(10)]
    return Stream(token, previous, np.sort(rng.integers(0, BLOCKS, n)), np.asarray([*sets, *after]) * 2.0, v)


def test_planted_features_are_explained_and_controls_are_not() -> None:
    explain, score = planted(1, 60_000), planted(2, 40_000)
    n_features = len(score.activations)
    tokens, pairs = explain.tables()
    names = [f"w{i}" for i in range(score.V)]
    lookups = {
        "lexical": label_lookup(tokens, pairs),
        "context_lookup": context_lookup(tokens, pairs),
        "token_lookup": token_lookup(tokens),
    }
    explanations = lexical_explanations(tokens, lookups["lexical"], names, range(n_features))
    table = lookups["context_lookup"]
    lookups["shuffled"] = shuffled(explanations, lookups["lexical"], table, tokens, seed=0).lookup
    lookups["constant"] = constant(explanations, n_features).lookup
    lookups["generic"] = generic(explanations, lookups["token_lookup"], names).lookup
    truth, sums = run(score, lookups)
    r = {name: pearson(moments(truth, one).sum(axis=1)) for name, one in sums.items()}

    on_tokens, in_context = slice(0, 12), slice(12, None)
    assert r["context_lookup"].min() > 0.99
    assert r["token_lookup"][on_tokens].min() > 0.99
    assert r["lexical"][on_tokens].min() > 0.99
    assert r["lexical"].min() > 0.9, "nine of ten places that matter are named: 95 % of what they explain"
    assert r["token_lookup"][in_context].max() < 0.7, "the context is what a token lookup cannot see"
    assert (r["lexical"][in_context] - r["token_lookup"][in_context]).min() > 0.25
    assert r["shuffled"].max() < 0.05
    assert (r["constant"] == 0).all()
    assert r["generic"].mean() < 0.3
