"""What card, comparison, report and data say of directions, against the stored rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Group
from stored import rows

from autointerp.show.card import feature_card
from autointerp.show.card_data import load_card
from autointerp.show.compare import render_compare
from autointerp.show.compare_data import ScoreChoice, load_compare
from autointerp.show.dictionary_geometry import load_dictionary_geometry, render_dictionary_geometry
from autointerp.show.export import page_json
from autointerp.show.report.page import report
from autointerp.store.reader import StoreReader, open_reader
from autointerp.words import is_label


def test_a_card_says_what_makes_up_a_feature(opened: StoreReader, printed: Callable[..., str]) -> None:
    text = " ".join(printed(feature_card(opened, "sae", 3)).split())
    assert "nearest 5, cosine 0.80 (isotropic 0.20, covariance 0.40)" in text
    assert "5, 4 make up 100 % (isotropic 5 %, covariance 16 %)" in text
    assert "neuron 7's output, cosine -0.40 (isotropic 0.30, covariance 0.35)" in text


def test_a_direction_without_a_length_says_so(store: Path, printed: Callable[..., str]) -> None:
    import duckdb

    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE feature_geometry SET status = 'zero', nearest = NULL, cosine = NULL, atoms = NULL, "
                           "explained = NULL WHERE feature = 3 AND direction = 'feature'")  # fmt: skip
    with open_reader(store) as reader:
        assert "not placed: zero" in printed(feature_card(reader, "sae", 3))


def test_a_card_names_the_matches(opened: StoreReader, printed: Callable[..., str]) -> None:
    text = " ".join(printed(feature_card(opened, "sae", 1)).split())
    assert "elsewhere random/1 r 0.70 cos 0.50" in text
    assert "no match in other dictionaries: none" in " ".join(printed(feature_card(opened, "sae", 3)).split())
    [match] = load_card(opened, "sae", 1).matches
    assert (match.other, match.match, match.extracted) == ("random", 1, True)
    labels = rows(opened.path, "SELECT explainer, text FROM current_explanations WHERE dictionary = 'random' "
                               "AND feature = 1 AND text IS NOT NULL")  # fmt: skip
    assert {"explainer": match.explainer, "text": match.label} in labels
    assert is_label(str(match.explainer))


def test_the_comparison_has_the_tables(opened: StoreReader, printed: Callable[..., str]) -> None:
    page = load_compare([("s", opened)], ScoreChoice())
    text = printed(render_compare(page))
    for title in ("Directions among each other", "Description length", "How much of A is in B"):
        assert title in text
    assert "0.70 (0.10)" in text
    assert "75 ± 42 %" in text
    alone = printed(Group(*render_dictionary_geometry(load_dictionary_geometry([("<b>", opened)]), several=True)))
    assert "<b>" in alone
    said = json.loads(page_json(page))
    stored = rows(opened.path, "SELECT * FROM dictionary_geometry")
    assert len(said["directions"]) == len(stored) > 3
    assert {(row["a"], row["b"]) for row in said["universality"]} == {("sae", "random"), ("random", "sae")}
    assert {row["bits"] for row in said["description_lengths"]} == {12.5}


def test_the_report_has_them_with_their_sql(opened: StoreReader) -> None:
    html = report([("s", opened)], ScoreChoice())
    assert "Directions, and what dictionaries share" in html
    for view in ("dictionary_geometry", "current_description_lengths", "universality"):
        assert f"FROM {view}" in html
