"""The cards of features say both sides: a row a feature, each value as its own table has it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from stored import rows

METRICS = {"input": "pearson_framed", "output": "logit_accuracy_direct_hard"}


def add_scores(path: Path, explainer: str, scorer: str, metric: str, offset: float) -> None:
    """A score of the sample design for every feature of `sae`, in the work of scores that are there."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO scores SELECT s.* REPLACE ($e AS explainer, $s AS scorer, $m AS metric, 'sample' AS design, "
            "$o + s.feature / 10 AS value, NULL AS ci_low, NULL AS ci_high, 'ok' AS status) "
            "FROM (SELECT DISTINCT ON (feature) * FROM scores WHERE dictionary = 'sae') s",
            {"e": explainer, "s": scorer, "m": metric, "o": offset},
        )


@pytest.fixture
def sided(store: Path) -> Path:
    """The built store with a label of either side, and scores of both by two judges."""
    with duckdb.connect(str(store)) as connection:
        connection.execute("DELETE FROM scores WHERE metric IN ('pearson_framed', 'logit_accuracy_direct_hard')")
        for explainer in ("lexical_input", "lexical_direct"):
            connection.execute(
                "INSERT INTO explanations SELECT * REPLACE ($e AS explainer, $e || ' of ' || feature AS text) "
                "FROM explanations WHERE dictionary = 'sae' AND explainer = 'lexical'",
                {"e": explainer},
            )
    for judge, offset in (("a", 0.1), ("b", 0.3)):
        for explainer in ("lexical", "lexical_input", "lexical_direct"):
            for metric in METRICS.values():
                add_scores(store, explainer, f"judge:{judge}", metric, offset)
    return store


def test_a_card_has_the_label_of_each_side_with_its_score(sided: Path) -> None:
    cards = rows(sided, "SELECT * FROM feature_cards ORDER BY dictionary, feature")
    features = rows(sided, "SELECT dictionary, feature FROM features ORDER BY dictionary, feature")
    assert [(card["dictionary"], card["feature"]) for card in cards] == [tuple(row.values()) for row in features]
    chosen = {
        (row["dictionary"], row["side"]): row["explainer"] for row in rows(sided, "SELECT * FROM side_explainers")
    }
    assert (chosen["sae", "input"], chosen["sae", "output"]) == ("lexical_input", "lexical_direct")
    assert (chosen["random", "input"], chosen["random", "output"]) == ("lexical", "lexical")
    labelled = [card for card in cards if card["dictionary"] == "sae" and card["input_label"] is not None]
    assert len(labelled) > 2
    for card in labelled:
        assert card["input_label"] == f"lexical_input of {card['feature']}"
        assert card["output_label"] == f"lexical_direct of {card['feature']}"
        assert card["input_score"] == card["output_score"] == pytest.approx(0.1 + card["feature"] / 10)


def test_a_card_has_what_was_measured(sided: Path) -> None:
    about = "WHERE split = 'score' AND direction = 'feature'"
    effects = {(row["dictionary"], row["feature"]): row for row in rows(sided, f"SELECT * FROM causal_effects {about}")}
    steps = {
        (row["dictionary"], row["feature"]): row["size_050"]
        for row in rows(sided, "SELECT * FROM sensitivity WHERE direction = 'feature'")
    }
    amplified = {
        (row["dictionary"], row["feature"]): row["score"] for row in rows(sided, "SELECT * FROM output_scores")
    }
    for card in rows(sided, "SELECT * FROM feature_cards"):
        key = card["dictionary"], card["feature"]
        measured = effects.get(key)
        for name in ("kl", "loss_change", "loss_estimate", "direct_share"):
            assert card[name] == (None if measured is None else measured[name])
        assert card["step_050"] == steps.get(key)
        assert card["amplified_score"] == amplified.get(key)
    assert effects
    assert steps
