"""Explanations from what was measured: who is explained, what is shown of which split, and what a label predicts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged import JUDGED, MODEL, NumberedLLM, judged_config
from label_reader import entries_in
from stored import rows

from autointerp.config.run_file import RunConfig
from autointerp.errors import UserError
from autointerp.explain.marking import unescape
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify
from autointerp.words import LEXICAL_FORMS

QUIET = Reporter(quiet=True)
CLAMPED = [1, 5, 7]
MEASURED, ALL = (f"{MODEL['model']}/default/{kind}" for kind in ("measured", "all"))


def config_of(store: Path, **effects: Any) -> RunConfig:
    llms = [{**MODEL, "evidence": "measured"}, {**MODEL, "evidence": "all"}]
    config = judged_config(
        store, "lexical", *LEXICAL_FORMS, *llms, judge={**JUDGED, "controls": 2}, scorers=["logits_hard"]
    )
    tokens = config.tokens.model_copy(update={"n_tokens": 20_000})
    chosen = {
        "features": CLAMPED,
        "change_contexts": 4,
        "change_tokens": 2,
        "positions": 1,
        "output_factor": 0,
    } | effects
    changed = config.effects.model_copy(update=chosen)
    return RunConfig.model_validate(
        config.model_copy(
            update={"tokens": tokens, "effects": changed, "dictionary": config.dictionary[:1]}
        ).model_dump(by_alias=True)
    )


@pytest.fixture(scope="module")
def llm() -> NumberedLLM:
    return NumberedLLM()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, llm: NumberedLLM) -> Path:
    path = tmp_path_factory.mktemp("measured") / "x.duckdb"
    return run(config_of(path), reporter=QUIET, open_client=lambda *_: llm)


def test_the_store_is_whole(store: Path) -> None:
    with open_reader(store) as reader:
        assert [check for check in verify(reader) if not check.ok] == []


def test_only_what_was_measured_is_explained_from_measurements(store: Path) -> None:
    fired = {row["feature"] for row in rows(store, "SELECT feature FROM features WHERE n_firing > 0")}
    said = rows(store, "SELECT explainer, list(feature ORDER BY feature) AS f FROM explanations GROUP BY explainer")
    features = {row["explainer"]: row["f"] for row in said}
    for explainer in ("lexical_measured", "lexical_all", MEASURED, ALL):
        assert features[explainer] == [feature for feature in CLAMPED if feature in fired]
    for explainer in ("lexical", "lexical_input", "lexical_direct"):
        assert features[explainer] == list(range(16))


def test_a_prompt_shows_what_rose_in_the_explain_split(store: Path, llm: NumberedLLM) -> None:
    asks = {(ask.about["explainer"], ask.about["feature"]): ask for ask in llm.sent if ask.kind == "explain"}
    assert {explainer for explainer, _ in asks} == {MEASURED, ALL}
    risen = {
        row["feature"]: row["texts"]
        for row in rows(
            store,
            "SELECT feature, list(text ORDER BY rank) AS texts FROM current_token_changes WHERE split = 'explain' "
            "AND direction = 'feature' AND side = 'risen' AND rank <= 10 AND change > 3 * error GROUP BY feature",
        )
    }
    for (explainer, feature), ask in asks.items():
        [line] = re.findall(r"^Tokens that rose most, the strongest first: (.*)$", ask.prompt, re.MULTILINE)
        shown = [unescape(text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', line)]
        assert [text.replace(" ", "") for text in shown] == [text.replace(" ", "") for text in risen[feature]]
        assert ("Excerpts in which it fires" in ask.prompt) == (explainer == ALL)
        assert ("Tokens that it makes likelier to come next" in ask.prompt) == (explainer == ALL)
        assert "Tokens that rose most" in ask.system, "demonstrations show the same kind of evidence"


def test_a_label_of_effects_predicts_what_its_text_says(store: Path) -> None:
    """The lookup that it is scored by is in its text, whole: no table stands behind it."""
    vocabulary = [row["text"] for row in rows(store, "SELECT text FROM vocab ORDER BY token")]
    said = rows(
        store,
        "SELECT e.explainer, e.text, e.n_entries, any_value(l.tokens) AS tokens, any_value(l.value) AS value "
        "FROM explanations e JOIN lookups l USING (lookup) WHERE e.status = 'ok' "
        "AND e.explainer IN ('lexical_direct', 'lexical_measured', 'lexical_all', 'lexical_input') "
        "GROUP BY e.explainer, e.feature, e.text, e.n_entries",
    )
    assert len({row["explainer"] for row in said}) == 4
    for row in said:
        read = entries_in(row["text"], vocabulary)
        assert sorted(read.token.tolist()) == sorted(row["tokens"]), row["text"]
        np.testing.assert_allclose(np.sort(read.value), np.sort(row["value"]), rtol=1e-6)
    [direct] = rows(
        store,
        "SELECT count(*) AS n, min(description_length) AS shortest FROM explanations "
        "WHERE explainer = 'lexical_measured' AND status = 'ok'",
    )
    assert direct["n"] > 0
    assert direct["shortest"] > 0


def test_a_matched_baseline_is_measured_where_its_target_is(tmp_path: Path) -> None:
    config = config_of(tmp_path / "x.duckdb")
    target, neurons = config.dictionary[0], judged_config(tmp_path / "y").dictionary[1]
    both = config.model_copy(update={"dictionary": [target, neurons.model_copy(update={"natural": False})]})
    path = run(both, reporter=QUIET, until="token_changes")
    found = rows(
        path,
        "SELECT matched_feature FROM features WHERE dictionary = 'neurons' AND feature IN "
        "(SELECT feature FROM token_change_strengths WHERE dictionary = 'neurons')",
    )
    assert {row["matched_feature"] for row in found} <= set(CLAMPED)
    assert found


def test_an_explainer_of_measurements_needs_some(tmp_path: Path) -> None:
    for effects in ({"features": "none"}, {"change_contexts": 0}):
        with pytest.raises((UserError, ValueError), match="is shown what rises where a feature is clamped"):
            config_of(tmp_path / "x.duckdb", **effects)
