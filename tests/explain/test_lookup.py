"""Operations on lookups, against the definition read off token by token."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.explain.lookup import (
    EMPTY,
    Entries,
    entries_hash,
    entries_of,
    entry_keys,
    from_lists,
    gram_key,
    predict,
    to_lists,
    triggers,
)
from autointerp.hashing import content_hash
from autointerp.records import ANY_TOKEN, LookupTable

TOKENS = 6


@st.composite
def entries(draw: st.DrawFn) -> Entries:
    grams = draw(st.lists(st.tuples(st.integers(-1, TOKENS - 1), st.integers(0, TOKENS - 1)), unique=True, max_size=20))
    n = len(grams)
    value = draw(st.lists(st.floats(0.125, 8, width=32), min_size=n, max_size=n))
    share = draw(st.lists(st.floats(0.125, 1, width=32), min_size=n, max_size=n))
    previous, token = (np.asarray([gram[i] for gram in grams], dtype=np.int32) for i in (0, 1))
    return Entries(previous, token, np.asarray(value, dtype=np.float32), np.asarray(share, dtype=np.float32))


def slow_predict(own: Entries, token: int, previous: int) -> tuple[float, float]:
    """The definition."""
    table = {(int(p), int(t)): i for i, (p, t) in enumerate(zip(own.previous, own.token, strict=True))}
    i = table.get((previous, token), table.get((ANY_TOKEN, token)))
    return (0.0, 0.0) if i is None else (float(own.value[i]), float(own.probability[i]))


@given(st.lists(entries(), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_predict_and_triggers_follow_the_definition(rows: list[Entries], seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, TOKENS, (4, 5))
    previous = rng.integers(-1, TOKENS, (4, 5))
    table = from_lists(rows)
    for feature, own in enumerate(rows):
        value, share = predict(table, feature, tokens, previous)
        fires = triggers(table, feature, tokens, previous)
        for w, i in np.ndindex(tokens.shape):
            expected = slow_predict(own, int(tokens[w, i]), int(previous[w, i]))
            assert (float(value[w, i]), float(share[w, i])) == expected
            assert fires[w, i] == (expected[0] != 0)


@given(st.lists(entries(), max_size=4))
def test_lists_round_trip(rows: list[Entries]) -> None:
    table = from_lists(rows)
    assert table.n_features == len(rows)
    for before, after in zip(rows, to_lists(table), strict=True):
        for name in ("previous", "token", "value", "probability"):
            assert np.array_equal(getattr(before, name), getattr(after, name))


@given(entries(), st.randoms())
def test_the_hash_is_that_of_the_content(own: Entries, random: Random) -> None:
    order = list(range(len(own)))
    random.shuffle(order)
    shuffled = Entries(own.previous[order], own.token[order], own.value[order], own.probability[order])
    assert entries_hash(own) == entries_hash(shuffled)
    if len(own):
        assert entries_hash(own) != entries_hash(replace(own, value=own.value * np.float32(2)))
        assert entries_hash(own) != entries_hash(replace(own, token=own.token + 1))
    assert len(entries_hash(EMPTY)) == 32


def test_the_start_of_a_context_matches_any_token_only() -> None:
    previous, token = np.asarray([-1, 2], np.int32), np.asarray([5, 5], np.int32)
    table = from_lists([Entries(previous, token, np.asarray([1, 9], np.float32), np.asarray([0.5, 1], np.float32))])
    value, _ = predict(table, 0, [[5, 5, 5]], [[-1, 2, 3]])
    assert value.tolist() == [[1, 9, 1]]


@pytest.mark.parametrize(("value", "probability"), [(0.0, 0.5), (1.0, 0.0)])
def test_an_entry_that_predicts_nothing_is_refused(value: float, probability: float) -> None:
    zero = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="predicts nothing"):
        from_lists([Entries(zero, zero, np.asarray([value], np.float32), np.asarray([probability], np.float32))])


def test_keys_sort_by_row_token_and_previous_also_for_the_largest_vocabulary() -> None:
    vocabulary = 262_144
    grams = [
        (row, token, previous)
        for row in (0, 1, 2**26)
        for token in (0, 1, vocabulary - 1)
        for previous in (-1, 0, vocabulary - 1)
    ]
    keys = [int(entry_keys(row, previous, token, vocabulary)) for row, token, previous in grams]
    assert keys == sorted(set(keys))
    keys = [int(gram_key(previous, token)) for _, token, previous in grams[:9]]
    assert keys == sorted(set(keys))


def test_a_feature_without_entries_is_silent() -> None:
    table = from_lists([EMPTY, EMPTY])
    assert isinstance(table, LookupTable)
    assert len(entries_of(table, 1)) == 0
    assert not triggers(table, 1, [[0, 1]], [[-1, 0]]).any()


def test_the_hash_of_no_entries_is_that_of_four_empty_columns() -> None:
    assert entries_hash(EMPTY) == content_hash(["", "", "", ""], tag="lookup")
