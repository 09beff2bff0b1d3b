"""The page of two dictionaries says what the comparison of the store says, whichever of them is named first."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from stored import rows


def page_of(client: TestClient, a: str, b: str, **more: str) -> Any:
    answer = client.get("/compare.json", params={"a": a, "b": b, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_differences_are_those_of_the_store(client: TestClient, judged_store: Path) -> None:
    page = page_of(client, "mlp-1k", "neurons")
    stored = rows(judged_store, "SELECT * FROM comparison_table WHERE a = 'mlp-1k' AND b = 'neurons'")
    by_kind = {(row["explainer"], row["scorer"], row["metric"], row["design"]): row for row in stored}
    assert len(page["differences"]) >= 3
    for row in page["differences"]:
        known = by_kind[row["explainer"], row["scorer"], row["metric"], row["design"]]
        assert (row["difference"], row["low"], row["high"], row["verdict"]) == (
            known["difference"], known["simultaneous_low"], known["simultaneous_high"], known["verdict"],
        )  # fmt: skip


def test_turned_round_it_says_the_same(client: TestClient) -> None:
    one_way, other_way = page_of(client, "mlp-1k", "neurons"), page_of(client, "neurons", "mlp-1k")
    for row, turned in zip(one_way["differences"], other_way["differences"], strict=True):
        assert (turned["a"], turned["b"]) == ("neurons", "mlp-1k")
        assert turned["verdict"] == {"A": "B", "B": "A"}.get(row["verdict"], row["verdict"])
        if row["difference"] is not None:
            assert turned["difference"] == -row["difference"]
            assert (turned["low"], turned["high"]) == (row["high"] and -row["high"], row["low"] and -row["low"])
        assert (turned["n_a"], turned["n_unscored_b"]) == (row["n_b"], row["n_unscored_a"])
    assert [-row["difference"] for row in one_way["strata"]] == [row["difference"] for row in other_way["strata"]]


def test_matched_pairs_stand_side_by_side(client: TestClient, judged_store: Path) -> None:
    page = page_of(client, "mlp-1k", "neurons", kind="pearson, census, lexical")
    [matched] = rows(
        judged_store,
        "SELECT count(*) AS n, count(*) FILTER (within) AS within FROM matched_pairs "
        "WHERE dictionary = 'mlp-1k' AND baseline = 'neurons'",
    )
    assert page["matched"] == {"n_pairs": matched["n"], "n_within": matched["within"]}
    scores = {
        (row["dictionary"], row["feature"]): row["value"]
        for row in rows(judged_store, "SELECT * FROM score_table WHERE explainer = 'lexical' AND metric = 'pearson' "
                                      "AND design = 'census' AND scorer = 'simulation'")
    }  # fmt: skip
    of = {row["feature"]: row["matched_feature"]
          for row in rows(judged_store, "SELECT * FROM features WHERE dictionary = 'neurons'")}  # fmt: skip
    assert page["pairs"]
    for row in page["pairs"]:
        assert of[row["feature_b"]] == row["feature_a"]
        assert row["score_a"] == scores["mlp-1k", row["feature_a"]]
        assert row["score_b"] == scores["neurons", row["feature_b"]]
    html = client.get("/compare", params={"a": "mlp-1k", "b": "neurons", "kind": "pearson, census, lexical"}).text
    for row in page["pairs"]:
        assert f'<a href="/feature/neurons/{row["feature_b"]}">' in html
    for sentence in page["sentences"]:
        assert sentence in unescape(html)
    assert page_of(client, "mlp-1k", "resid-1k")["matched"] is None


def test_without_names_it_offers_all_pairs(client: TestClient, judged_store: Path) -> None:
    html = client.get("/compare").text
    for row in rows(judged_store, "SELECT DISTINCT a, b FROM comparison_table"):
        assert f'<a href="/compare?a={row["a"]}&amp;b={row["b"]}">' in html


@pytest.mark.parametrize(
    ("asked", "status"),
    [("a=mlp-1k&b=nobody", 404), ("a=mlp-1k&b=mlp-1k", 400), ("a=mlp-1k&b=neurons&kind=x", 400), ("c=1", 400),
     ("a=neurons&b=neurons@natural", 200)],
)  # fmt: skip
def test_what_cannot_be_compared(client: TestClient, asked: str, status: int) -> None:
    assert client.get(f"/compare?{asked}").status_code == status
