"""Stores that are not comparable are known by what decides their rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from autointerp.show.comparable import differences
from autointerp.store.reader import open_reader

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def changed(judged_store: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """The differences between the store and a copy of which one stage's `decided_by` is changed."""

    def compare(stage: str, change: Change, scorer: str | None = None, explainer: str | None = None) -> list[str]:
        other = Path(shutil.copy(judged_store, tmp_path / "other.duckdb"))
        with duckdb.connect(str(other)) as connection:
            sql = "SELECT DISTINCT decided_by, scorer, explainer FROM works WHERE stage = $1"
            for text, of_scorer, of_explainer in connection.execute(sql, [stage]).fetchall():
                facts = json.loads(text)
                if scorer in (None, of_scorer) and explainer in (None, of_explainer):
                    change(facts)
                    connection.execute(
                        "UPDATE works SET decided_by = $1 WHERE stage = $2 AND decided_by = $3",
                        [json.dumps(facts), stage, text],
                    )
        with open_reader(judged_store) as one, open_reader(other) as two:
            return differences([("one", one), ("two", two)])

    return compare


def setting(*keys: str, value: Any) -> Change:
    def change(facts: dict[str, Any]) -> None:
        for key in keys[:-1]:
            facts = facts[key]
        facts[keys[-1]] = value

    return change


def test_a_store_is_comparable_with_itself_and_with_one_that_has_other_dictionaries(
    changed: Callable[..., list[str]],
) -> None:
    assert changed("tokens", lambda _: None) == []
    assert changed("extract", setting("dictionary", value={"weights": "other"})) == []


@pytest.mark.parametrize(
    ("stage", "change", "said"),
    [
        ("tokens", setting("seed", value=7), "seed (one: 0; two: 7)"),
        ("tokens", setting("tokens", "context_length", value=64), "context length (one: 128; two: 64)"),
        ("tokens", setting("tokens", "n_tokens", value=5), "corpus (one: n_tokens 40000; two: n_tokens 5)"),
        ("tokens", setting("subject", "processing", value="folded"), "subject (one: raw; two: folded)"),
        ("tokens", setting("subject", "processing", value=""), 'subject (one: raw; two: "")'),
        ("score", setting("metrics", value={"pearson": 99}), "version of metric pearson (one: "),
        ("judge", setting("judge", "model", value="gpt-9"), "judge of simulation (one: gpt-6-luna; two: gpt-9)"),
        ("judge", setting("prompts", value="f" * 32), "judge of detection (one: "),
    ],
)
def test_the_difference_is_named(changed: Callable[..., list[str]], stage: str, change: Change, said: str) -> None:
    lines = changed(stage, change)
    assert any(line.startswith(said) for line in lines), lines
    word = said.partition(" (")[0].partition(" of ")[0]
    assert all(line.startswith(word) for line in lines)


def test_what_only_one_store_has_makes_no_difference(changed: Callable[..., list[str]]) -> None:
    assert changed("score", lambda facts: facts["metrics"].update(new_metric=1)) == []


def test_a_store_without_a_run_differs_in_nothing(judged_store: Path, tmp_path: Path) -> None:
    from autointerp.store.writer import StoreWriter

    StoreWriter.open(tmp_path / "empty.duckdb").close()
    with open_reader(judged_store) as one, open_reader(tmp_path / "empty.duckdb") as two:
        assert differences([("one", one), ("two", two)]) == []
        assert differences([("two", two), ("one", one)]) == []
