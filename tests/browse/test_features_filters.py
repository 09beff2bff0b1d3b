"""Filters of the list beside those of test_pages_of_a_store: by token and by a condition of SQL, against slow twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from stored import rows

from autointerp.browse.features_data import FeatureChoice, listed_features, load_features
from autointerp.store.reader import open_reader


def listed(client: TestClient, **asked: str) -> Any:
    answer = client.get("/dictionary/mlp-1k.json", params={"explainer": "lexical", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_features_that_fire_on_a_token(client: TestClient, judged_store: Path) -> None:
    [common] = rows(
        judged_store,
        "SELECT token_text FROM token_features WHERE dictionary = 'mlp-1k' AND starts_with(token_text, ' ') "
        "AND trim(token_text) <> '' GROUP BY ALL ORDER BY count(*) DESC, token_text LIMIT 1",
    )
    for token in (common["token_text"], common["token_text"].strip()):
        expected = rows(
            judged_store,
            "SELECT DISTINCT feature FROM token_features WHERE dictionary = 'mlp-1k' AND (token_text = $token OR "
            "token_text = ' ' || $token) ORDER BY feature",
            token=token,
        )
        page = listed(client, token=token)
        assert [row["feature"] for row in page["features"]] == [row["feature"] for row in expected]
        assert 0 < page["n_found"] == len(expected) < 16
    assert listed(client, token="no such token")["n_found"] == 0


@pytest.mark.parametrize(
    "condition", ["density > 0.005 AND token_entropy < 3", "explanation LIKE '%a%'", "logits > 0.5"]
)
def test_a_condition_of_sql(client: TestClient, judged_store: Path, condition: str) -> None:
    expected = rows(
        judged_store,
        "SELECT feature FROM explained_features WHERE dictionary = 'mlp-1k' AND explainer = 'lexical' "
        f"AND ({condition}) ORDER BY feature",
    )
    page = listed(client, where=condition)
    assert [row["feature"] for row in page["features"]] == [row["feature"] for row in expected]
    assert page["n_found"] == len(expected)
    both = listed(client, where=condition, status="alive", sort="density", order="down")
    assert {row["feature"] for row in both["features"]} <= {row["feature"] for row in expected}


@pytest.mark.parametrize(
    "condition",
    ["density", "1 = 1) OR (1 = 1", "density > 0; DROP TABLE features", "nothing > 1", "'",
     "EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))"],
)  # fmt: skip
def test_what_is_no_condition(client: TestClient, condition: str) -> None:
    answer = client.get("/dictionary/mlp-1k", params={"explainer": "lexical", "where": condition})
    assert answer.status_code == 400
    assert "where" in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("sort", ["output", "input_less_output"])
def test_input_against_output(client: TestClient, judged_store: Path, sort: str) -> None:
    page = listed(client, sort=sort, order="down", measure="pearson, census, simulation")
    known = {
        row["feature"]: row["value"]
        for row in rows(judged_store, "SELECT feature, value FROM score_table WHERE dictionary = 'mlp-1k' AND "
                                      "explainer = 'lexical' AND metric = 'logit_accuracy_direct'")
    }  # fmt: skip
    assert any(value is not None for value in known.values())
    for row in page["features"]:
        assert row["output"] == known.get(row["feature"])

    def value(row: Any) -> Any:
        if row["output"] is None or sort == "output":
            return row["output"]
        return None if row["score"] is None else row["score"] - row["output"]

    values = [value(row) for row in page["features"]]
    shown = [number for number in values if number is not None]
    assert shown == sorted(shown, reverse=True)
    assert values == [*shown, *[None] * (len(values) - len(shown))]


def test_a_page_is_a_piece_of_the_whole_list(judged_store: Path) -> None:
    """The whole list reads every table at once; a page reads them for its rows alone."""
    with open_reader(judged_store) as store:
        for name in ("mlp-1k", "neurons", "neurons@natural"):
            for explainer in load_features(store, name, FeatureChoice()).explainers:
                choice = FeatureChoice(explainer=explainer, sort="score", order="down", status="alive")
                _, whole = listed_features(store, name, choice)
                page = load_features(store, name, choice)
                assert [vars(row) for row in page.features] == whole.to_pylist()
                assert page.n_found == len(whole)
