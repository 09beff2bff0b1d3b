"""The forms of `lexical` by evidence: what is named, and that each predicts what its text says and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from label_reader import entries_in

from autointerp.explain.controls import Explained
from autointerp.explain.description import description_length
from autointerp.explain.lookup import EMPTY, Entries, entries_of, from_lists
from autointerp.explain.output_labels import (
    NAMED,
    NO_DIRECT_PATH,
    NO_EFFECT,
    StrongTokens,
    TwoSides,
    direct_labels,
    input_label,
    labels_of_all,
    measured_labels,
    named_entries,
)
from autointerp.explain.sentence import token_names
from autointerp.records import ANY_TOKEN, Explanation
from autointerp.score.predictions import TokenItems
from autointerp.score.scorers.text_likeness import read_text

VOCABULARY = [" the", "the", '"', ";", " (strength 10)", "\n", " The", "the", " promotes", "x" * 90, "é", "."]
NAMES = token_names(VOCABULARY)
UP = StrongTokens([2, 4, 7, 9, 0], [4.0, 3.9, 2.0, 0.5, 0.1])
DOWN = StrongTokens([5, 11], [-3.0, -1.0])


def test_what_is_predicted_is_what_the_text_says() -> None:
    """Read back by one who knows nothing but the text: quotes, semicolons and look-alikes are no way out."""
    for made in (
        direct_labels(np.array([1]), 3, {1: TwoSides(UP, DOWN)}, NAMES),
        measured_labels(3, {1: TwoSides(UP, DOWN)}, NAMES),
    ):
        [said] = made.explanations
        read, kept = entries_in(said.text, VOCABULARY), entries_of(made.lookup, 1)
        np.testing.assert_array_equal(read.token, kept.token)
        np.testing.assert_array_equal(read.previous, np.full(4, ANY_TOKEN))
        np.testing.assert_allclose(read.value, kept.value, rtol=1e-6)
        np.testing.assert_allclose(read.probability, kept.probability, rtol=1e-6)
        assert kept.value.tolist() == pytest.approx([1.0, 1.0, 0.5, 0.1])
        assert len(entries_of(made.lookup, 0)) == 0
        assert description_length(said, kept) == description_length(said), "nothing is hidden behind the text"
        assert "Suppresses" in said.text


def test_what_is_asked_of_effects_is_read_from_the_same_text() -> None:
    [said] = measured_labels(1, {0: TwoSides(StrongTokens([0], [2.0]), StrongTokens([5], [-2.0]))}, NAMES).explanations
    items = TokenItems(0, np.array([1, 5, 10]), np.array([True, False, False]), np.array([0]))
    rating = read_text(said.text, items, VOCABULARY).rating
    assert rating[0] > max(rating[1], rating[2]), "a token that it suppresses is not one that it promotes"


def test_no_more_than_so_many_are_named_and_none_that_rounds_to_nothing() -> None:
    entries = named_entries(StrongTokens(list(range(12)), np.linspace(1, 0.5, 12).tolist()))
    assert len(entries) == NAMED
    assert len(named_entries(StrongTokens([1, 2], [1.0, 0.04]))) == 1
    assert len(named_entries(StrongTokens([], []))) == 0


def test_without_an_effect_there_is_no_label_and_a_reason() -> None:
    [said] = measured_labels(1, {0: TwoSides(StrongTokens([], []), DOWN)}, NAMES).explanations
    assert (said.text, said.status) == ("", NO_EFFECT)
    [said] = direct_labels(np.array([0]), 1, {}, NAMES).explanations
    assert said.status == NO_DIRECT_PATH
    assert measured_labels(2, {}, NAMES).explanations == []


def test_all_says_where_it_fires_and_predicts_that() -> None:
    ones = np.ones(1, np.float32)
    own = Entries(np.array([ANY_TOKEN], np.int32), np.array([3], np.int32), ones, ones)
    lookup = from_lists([own, EMPTY, EMPTY])
    inputs = Explained(
        [
            Explanation(0, "lexical", 'Fires on ";" (strength 10).', "ok"),
            Explanation(1, "lexical", "Fires on many tokens and none stands out.", "ok"),
            Explanation(2, "lexical", "", "dead"),
        ],
        lookup,
    )
    sides = TwoSides(UP, DOWN)
    direct = TwoSides(StrongTokens([2, 10], [1.0, 0.9]), DOWN)
    made = labels_of_all(inputs, {0: sides, 2: sides}, {0: direct}, NAMES)
    assert [(said.feature, said.status) for said in made.explanations] == [(0, "ok"), (2, "dead")]
    text = made.explanations[0].text
    assert text.startswith('Fires on ";" (strength 10). Promotes ')
    assert '; by its direction alone "é". Suppresses' in text
    assert made.lookup is lookup
    alone = input_label(inputs)
    assert [said.text for said in alone.explanations] == [said.text for said in inputs.explanations]
    assert {said.explainer for said in alone.explanations} == {"lexical_input"}
