"""Controls: donors have nothing in common with the feature, and everything goes through one code path."""

from __future__ import annotations

import numpy as np
import pytest
from label_reader import entries_in

from autointerp.explain.controls import (
    GENERIC_NAMED,
    NO_DISJOINT,
    choose_donors,
    constant,
    generic,
    heaviest_tokens,
    shuffled,
)
from autointerp.explain.lookup import Entries, entries_of, from_lists, predict
from autointerp.explain.sentence import token_names
from autointerp.hashing import hash64, stream_key
from autointerp.records import ANY_TOKEN, Explanation, GramTable, LookupTable

VOCAB = [f"w{i}" for i in range(64)]


def world(
    sets: list[list[int]], masses: list[list[float]] | None = None
) -> tuple[list[Explanation], LookupTable, GramTable]:
    """Features whose lookups and gram tables hold these tokens; an empty one is dead."""
    masses = masses or [[1.0] * len(tokens) for tokens in sets]
    rows = []
    for tokens in sets:
        n = len(tokens)
        previous = np.where(np.arange(n) % 3 == 2, 7, ANY_TOKEN).astype(np.int32)
        value, share = np.arange(1, n + 1, dtype=np.float32), np.full(n, 0.5, np.float32)
        rows.append(Entries(previous, np.asarray(tokens, np.int32), value, share))
    flat = [token for tokens in sets for token in tokens]
    count = np.ones(len(flat), np.int64)
    table = GramTable(
        np.cumsum([0, *map(len, sets)]),
        np.full(len(flat), -1, np.int32),
        np.asarray(flat, np.int32),
        np.asarray([mass for row in masses for mass in row], dtype=np.float64),
        count,
        count,
        np.zeros(len(sets)),
    )
    explanations = [
        Explanation(f, "lexical", f"text {f}" if tokens else "", "ok" if tokens else "dead")
        for f, tokens in enumerate(sets)
    ]
    return explanations, from_lists(rows), table


def random_sets(n: int, seed: int, size: int = 5) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.choice(64, rng.integers(0, size), replace=False).tolist() for _ in range(n)]


def slow_donors(sets: list[list[int]], seed: int) -> dict[int, int]:
    """Walk the circle."""
    explained = np.asarray([f for f, tokens in enumerate(sets) if tokens])
    circle = explained[np.argsort(hash64(stream_key(seed, "shuffled"), explained), kind="stable")].tolist()
    donors = {}
    for place, feature in enumerate(circle):
        for donor in circle[place + 1 :] + circle[:place]:
            if not set(sets[donor]) & set(sets[feature]):
                donors[feature] = donor
                break
    return donors


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_once", [1, 7, 64, 4096])
def test_donors_are_the_first_disjoint_ones_of_the_circle(
    seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autointerp.explain.controls.CIRCLE_AT_ONCE", at_once)
    sets = random_sets(70, seed)
    explanations, lookup, tokens = world(sets)
    assert choose_donors(explanations, lookup, tokens, seed) == slow_donors(sets, seed)


def test_donors_depend_on_the_seed_and_not_on_the_order() -> None:
    explanations, lookup, tokens = world(random_sets(70, 0))
    donors = choose_donors(explanations, lookup, tokens, 0)
    assert donors == choose_donors(explanations[::-1], lookup, tokens, 0)
    assert donors != choose_donors(explanations, lookup, tokens, 1)
    assert len(set(donors.values())) > len(donors) / 3, "one donor should not serve everybody"


def test_a_shuffled_explanation_is_its_donors() -> None:
    sets = random_sets(70, 2)
    explanations, lookup, tokens = world(sets)
    control = shuffled(explanations, lookup, lookup, tokens, 0)
    assert control.lookup.n_features == lookup.n_features
    for feature, explanation in enumerate(control.explanations):
        assert (explanation.feature, explanation.explainer) == (feature, "shuffled")
        if not sets[feature]:
            assert (explanation.status, explanation.text, explanation.donor) == ("dead", "", None)
            assert len(entries_of(control.lookup, feature)) == 0
            continue
        assert explanation.donor is not None
        assert explanation.text == f"text {explanation.donor}"
        mine, given = entries_of(control.lookup, feature), entries_of(lookup, explanation.donor)
        assert np.array_equal(mine.token, given.token)
        assert np.array_equal(mine.value, given.value)
        assert not set(sets[feature]) & set(mine.token.tolist())


def test_without_a_disjoint_feature_the_named_tokens_decide() -> None:
    """All share token 0; 0 and 1 have it as their light one, 2 as its only one."""
    explanations, lookup, tokens = world([[1, 0], [2, 0], [0]], [[9, 1], [9, 1], [9]])
    donors = choose_donors(explanations, lookup, tokens, 0)
    assert set(donors) == {0, 1, 2}
    assert all(feature != donor for feature, donor in donors.items())


def test_where_all_features_share_a_token_the_status_says_so() -> None:
    explanations, lookup, tokens = world([[0], [0], []])
    control = shuffled(explanations, lookup, lookup, tokens, 0)
    assert [one.status for one in control.explanations] == [NO_DISJOINT, NO_DISJOINT, "dead"]
    assert control.lookup.start.tolist() == [0, 0, 0, 0]


def test_features_left_out_of_a_run_are_left_alone() -> None:
    explanations, lookup, tokens = world([[0], [1], [2], [3]])
    control = shuffled(explanations[1:3], lookup, lookup, tokens, 0)
    assert [(one.feature, one.donor) for one in control.explanations] == [(1, 2), (2, 1)]
    assert control.lookup.start.tolist() == [0, 0, 1, 2, 2]


def test_constant_predicts_the_same_everywhere() -> None:
    explanations, lookup, _ = world([[0], [], [2]])
    control = constant(explanations, lookup.n_features)
    assert [one.status for one in control.explanations] == ["ok", "dead", "ok"]
    assert control.explanations[0].text == "Activates by the same amount on every token."
    value, probability = predict(control.lookup, 0, [[0, 1, 2]], [[-1, 0, 1]])
    assert np.ptp(value) == 0
    assert np.ptp(probability) == 0


def test_generic_is_the_mean_of_the_normalised_lookups() -> None:
    explanations, lookup, _ = world([[5, 6], [6], []])
    control = generic(explanations, lookup, token_names(VOCAB))
    [text] = {one.text for one in control.explanations if one.status == "ok"}
    assert text == 'Whichever the feature, fires on "w6" (strength 10); "w5" (2).'
    for feature in (0, 1):
        own = entries_of(control.lookup, feature)
        assert own.token.tolist() == [6, 5]
        assert own.value.tolist() == pytest.approx([1.0, 0.2])  # 1 and .25: (2/2 + 1/1) / 2 and (1/2 + 0) / 2
    assert len(entries_of(control.lookup, 2)) == 0


def test_generic_predicts_what_its_text_says() -> None:
    rng = np.random.default_rng(0)
    explanations, lookup, _ = world([rng.choice(64, 20, replace=False).tolist() for _ in range(9)])
    control = generic(explanations, lookup, token_names(VOCAB))
    read, own = entries_in(control.explanations[0].text, VOCAB), entries_of(control.lookup, 0)
    assert len(own) == GENERIC_NAMED
    for name in ("previous", "token", "value", "probability"):
        np.testing.assert_array_equal(getattr(read, name), getattr(own, name))


def test_a_shuffled_donor_shares_no_token_of_the_table() -> None:
    """The label is shorter than the table: tokens that only the table holds count all the same."""
    explanations, table, tokens = world([[0, 1], [1, 2], [3, 4]])
    labels = from_lists([_first(entries_of(table, feature)) for feature in range(3)])
    control = shuffled(explanations, labels, table, tokens, 0)
    assert [one.donor for one in control.explanations[:2]] == [2, 2]
    assert entries_of(control.lookup, 0).token.tolist() == [3]


def _first(entries: Entries) -> Entries:
    return Entries(entries.previous[:1], entries.token[:1], entries.value[:1], entries.probability[:1])


def test_the_heaviest_tokens_carry_four_fifths() -> None:
    _, _, tokens = world([[0, 1, 2]], [[50, 30, 20]])
    assert heaviest_tokens(tokens, 0).tolist() == [0, 1]
