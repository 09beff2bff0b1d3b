"""`investigate`: features with a truth that is known token by token, from the store and from every token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_input import Refused
from click.testing import CliRunner

from autointerp.cli import cli


@pytest.fixture(scope="module")
def store(extracted: Callable[..., Path]) -> Path:
    """Both dictionaries, with diagnostics."""
    return extracted("investigated", "ab", until="diagnostics")


def found(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["investigate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert (document["format"], document["version"]) == ("autointerp-investigation", 1)
    return document


def numbers(unit: dict[str, Any]) -> dict[str, float | None]:
    names = ("specificity", "expected", "sensitivity", "recall")
    return {name: unit[name]["value"] for name in names} | {"base_rate": unit["base_rate"], "n": unit["n_firing"]}


def test_a_feature_and_the_proxy_that_is_its_truth(store: Path) -> None:
    exact = found(store, "a/2", "--proxy", 'tokens:["<4>", "<5>"]', "--exact", "--match", "b", "--beside", "a/0")
    feature, neuron, match, beside = exact["units"]
    assert [unit["role"] for unit in exact["units"]] == ["feature", "neuron", "match", "beside"]
    assert (feature["specificity"]["value"], feature["expected"]["value"], feature["recall"]["value"]) == (1, 1, 1)
    assert feature["sensitivity"]["value"] > 0.95
    assert match["name"] in ("b/2", "b/4"), "one of the two that it is split into"
    assert 0.3 < match["correlation"] < 1
    assert match["specificity"]["value"] == 1.0
    assert 0 < match["recall"]["value"] < 1
    assert (beside["name"], beside["specificity"]["value"], beside["recall"]["value"]) == ("a/0", 0.0, 0.0)
    assert neuron["name"].startswith("blocks.0.mlp.hook_post/")


@pytest.mark.parametrize("proxy", ['tokens:["<4>", "<2>"]', "regex:<4><", "regex:[26]>"])
def test_where_all_windows_are_kept_the_store_knows_as_much_as_a_pass(store: Path, proxy: str) -> None:
    stored, exact = (found(store, "a/2", "--proxy", proxy, *more) for more in ([], ["--exact"]))
    mine, theirs = stored["units"][0], exact["units"][0]
    assert mine["n_tokens"] == theirs["n_tokens"]
    assert numbers(mine) == pytest.approx(numbers(theirs), rel=1e-5)
    for one, other in zip(mine["levels"], theirs["levels"], strict=True):
        assert (one["n"], one["mass"]) == pytest.approx((other["n"], other["mass"]), rel=1e-5)
        assert one["specificity"] == pytest.approx(other["specificity"])
    assert len(stored["remarks"]) == 1
    assert "--exact" in stored["remarks"][0]


def test_windows_stand_for_what_they_were_drawn_from(judged_store: Path) -> None:
    """64 of the firing windows are kept there: what they say is near what every token says, within its interval."""
    arguments = (judged_store, "mlp-1k/7", "--proxy", 'tokens:[" the"]')
    stored, exact = found(*arguments)["units"][0], found(*arguments, "--exact")["units"][0]
    assert stored["n_read"] < 0.7 * exact["n_read"]
    assert stored["n_tokens"] == pytest.approx(exact["n_tokens"], rel=0.02)
    assert stored["n_firing"] == pytest.approx(exact["n_firing"], rel=0.2)
    for name in ("specificity", "expected", "sensitivity", "recall"):
        assert stored[name]["low"] - 0.02 <= exact[name]["value"] <= stored[name]["high"] + 0.02, name
    assert np.isfinite(stored["sensitivity"]["value"])


def test_the_page_and_what_is_refused(store: Path, refused: Refused) -> None:
    page = CliRunner().invoke(cli, ["investigate", str(store), "a/2", "--proxy", "tokens:<4>"])
    assert page.exit_code == 0, page.output
    for words in ("a/2 against tokens:<4>", "activation / maximum", "specificity", "nearest neuron"):
        assert words in page.stdout
    assert "marks no token" not in page.stdout
    nothing = CliRunner().invoke(cli, ["investigate", str(store), "a/2", "--proxy", "regex:no such text"])
    assert nothing.exit_code == 0
    assert "The proxy marks no token of this text" in nothing.stdout
    proxy = ("--proxy", "tokens:<4>")
    assert "no feature 99" in refused("investigate", store, "a/99", *proxy)
    assert 'no dictionary "c"' in refused("investigate", store, "c/1", *proxy, "--exact")
    assert "not a regular expression" in refused("investigate", store, "a/2", "--proxy", "regex:(")
    assert "another dictionary" in refused("investigate", store, "a/2", *proxy, "--exact", "--match", "a")
