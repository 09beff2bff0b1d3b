"""The tables of the embedded explainers against twins that read raw activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gram_corpus import Corpus, Gram, V, as_dict, random_corpus, table

from autointerp.explain.context_lookup import (
    COVER,
    PAIR_GAIN,
    PAIR_PRIOR,
    PAIR_SEEN,
    context_lookup,
    token_lookup,
)
from autointerp.explain.lookup import entries_of, entry_keys, rows_of
from autointerp.records import ANY_TOKEN, Float64


def cover(explained: dict[Gram, float]) -> set[Gram]:
    """The fewest entries that cover COVER of the whole, read off one by one."""
    kept, held, total = set(), 0.0, sum(explained.values())
    for gram, part in sorted(explained.items(), key=lambda item: (-item[1], item[0])):
        if part > 0 and held < COVER * total:
            kept.add(gram)
            held += part
    return kept


def slow_token_lookup(corpus: Corpus, feature: int) -> dict[Gram, tuple[float, float]]:
    a = corpus.activations[feature].astype(np.float64)
    value, share, explained = {}, {}, {}
    for token in range(corpus.V):
        here = corpus.occurrences(None, token)
        if a[here].any():
            gram = (ANY_TOKEN, token)
            value[gram], share[gram] = a[here].mean(), (a[here] != 0).mean()
            explained[gram] = here.sum() * value[gram] ** 2
    return {gram: (value[gram], share[gram]) for gram in cover(explained)}


def slow_context_lookup(
    corpus: Corpus, feature: int, seen: int = PAIR_SEEN, prior: float = PAIR_PRIOR, least: float = PAIR_GAIN
) -> dict[Gram, tuple[float, float]]:
    """The docstring of `context_lookup.py`, step by step, from raw activations."""
    a = corpus.activations[feature].astype(np.float64)
    tokens = [t for t in range(corpus.V) if a[corpus.occurrences(None, t)].any()]
    n_explained = sum(corpus.occurrences(None, t).sum() * a[corpus.occurrences(None, t)].mean() ** 2 for t in tokens)
    pairs = {}
    for previous, token in corpus.grams():
        here, all_of = corpus.occurrences(previous, token), corpus.occurrences(None, token)
        if previous < 0 or not a[here].any() or here.sum() < seen:
            continue
        n = here.sum()
        value = (a[here].sum() + prior * a[all_of].mean()) / (n + prior)
        share = ((a[here] != 0).sum() + prior * (a[all_of] != 0).mean()) / (n + prior)
        gain = n * (value - a[all_of].mean()) ** 2
        if gain > 0 and gain >= least * n_explained:
            pairs[previous, token] = (value, share)

    def others(token: int, listed: set[Gram]) -> Float64:
        here = corpus.occurrences(None, token)
        for previous, of in listed:
            if of == token:
                here = here & (corpus.previous != previous)
        values: Float64 = a[here]
        return values

    explained = {}
    for token in tokens:
        rest = others(token, set(pairs))
        explained[ANY_TOKEN, token] = len(rest) * rest.mean() ** 2 if len(rest) else 0.0
    for (previous, token), (value, _) in pairs.items():
        rest = others(token, set(pairs))
        without = rest.mean() if len(rest) else 0.0
        n = corpus.occurrences(previous, token).sum()
        explained[previous, token] = n * max(value**2, (value - without) ** 2)
    kept = cover(explained)
    result = {gram: pairs[gram] for gram in kept if gram[0] != ANY_TOKEN}
    listed = set(result)
    for _, token in (gram for gram in kept if gram[0] == ANY_TOKEN):
        rest = others(token, listed)
        result[ANY_TOKEN, token] = (rest.mean(), (rest != 0).mean())
    return result


@pytest.mark.parametrize("seed", range(8))
def test_lookups_equal_their_twins(seed: int) -> None:
    corpus = random_corpus(seed)
    tokens, pairs = corpus.tables()
    other = (5, 1.5, 0.02)
    for fast, slow in (
        (token_lookup(tokens), slow_token_lookup),
        (context_lookup(tokens, pairs), slow_context_lookup),
        (context_lookup(tokens, pairs, *other), lambda corpus, feature: slow_context_lookup(corpus, feature, *other)),
    ):
        assert fast.n_features == len(corpus.activations)
        for feature in range(fast.n_features):
            expected = slow(corpus, feature)
            found = as_dict(fast, feature)
            assert found.keys() == expected.keys()
            for gram, numbers in expected.items():
                assert found[gram] == pytest.approx(numbers, rel=1e-6)
    n_pairs = (context_lookup(tokens, pairs).previous != ANY_TOKEN).sum()
    assert n_pairs > 5, "the corpus should exercise pairs"


def test_pairs_counted_on_a_sample_mean_the_same() -> None:
    """Twice the corpus, of which the pairs were counted on one half: the same lookup."""
    tokens, pairs = random_corpus(1).tables()
    twice = {name: 2 * getattr(tokens, name) for name in ("mass", "n_firing", "n_seen")}
    of_half = {name: 2 * getattr(pairs, name) for name in ("mass", "n_firing", "n_seen")}
    sampled = replace(pairs, **of_half, share=np.full(len(pairs.start) - 1, 0.5))
    expected, found = context_lookup(tokens, pairs), context_lookup(replace(tokens, **twice), sampled)
    assert (expected.previous != ANY_TOKEN).any()
    for name in ("start", "previous", "token"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-6)
    np.testing.assert_allclose(found.probability, expected.probability, rtol=1e-6)


def test_entries_stand_by_what_they_explain_and_only_once() -> None:
    tokens, pairs = random_corpus(3).tables()
    lookup = context_lookup(tokens, pairs)
    keys = entry_keys(rows_of(lookup.start), lookup.previous, lookup.token, V)
    assert len(np.unique(keys)) == len(keys)
    single = token_lookup(tokens)
    own = entries_of(single, 0)
    seen = {int(t): int(n) for t, n in zip(tokens.token, tokens.n_seen, strict=True)}
    explained = [seen[int(t)] * float(v) ** 2 for t, v in zip(own.token, own.value, strict=True)]
    assert explained == sorted(explained, reverse=True)


def test_a_context_dependent_token_has_an_entry_with_its_context() -> None:
    """b (1) fires only after a (0); the lookup has the pair and no entry for b."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, V, (200, 10)).astype(np.int32)
    corpus = Corpus(tokens, np.zeros((1, tokens.size), np.float32))
    corpus.activations[0] = 3.0 * corpus.occurrences(0, 1)
    grams = corpus.tables()
    found = as_dict(context_lookup(*grams), 0)
    assert found.keys() == {(0, 1)}
    n, n_all = corpus.occurrences(0, 1).sum(), corpus.occurrences(None, 1).sum()
    drawn_in = (3 * n + PAIR_PRIOR * 3 * n / n_all) / (n + PAIR_PRIOR)
    assert found[0, 1][0] == pytest.approx(drawn_in, rel=1e-6)


def test_the_start_of_a_context_is_never_an_entry() -> None:
    """A pair whose previous is -1 would read as any token."""
    tokens = np.tile(np.arange(V, dtype=np.int32), (40, 1))
    corpus = Corpus(tokens, np.zeros((1, tokens.size), np.float32))
    corpus.activations[0] = corpus.occurrences(-1, 0) | corpus.occurrences(3, 4)
    found = as_dict(context_lookup(*corpus.tables()), 0)
    assert found == {(-1, 0): (1.0, 1.0), (-1, 4): (1.0, 1.0)}


def test_approximate_tables_never_give_a_negative_rest() -> None:
    single = table([[(-1, 1, 10.0, 10, 40)]], error=1.0)
    pairs = table([[(0, 1, 10.5, 10, 20)]], error=1.0)  # its token lacks some mass
    lookup = context_lookup(single, pairs)
    assert (lookup.value > 0).all()
    assert as_dict(lookup, 0).keys() == {(0, 1)}


def test_empty_tables() -> None:
    none = table([[], []])
    assert context_lookup(none, none).start.tolist() == [0, 0, 0]
    assert token_lookup(none).n_features == 2
