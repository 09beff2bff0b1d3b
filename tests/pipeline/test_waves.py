"""Explanations that are compared are tested on the same windows; who comes later gets some of its own beside them."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from judged import JUDGE, JUDGED, LUNA, MINE, MODEL, QUIET, REFINED, REFUSED, judged_config
from scripted import ScriptedLLM
from stored import check, rows

from autointerp.pipeline import run
from autointerp.pipeline.plan.reask import Wish
from autointerp.score.class_names import CLASSES, FIRING
from autointerp.score.quotas import LEAST_OF_LIST
from autointerp.words import shuffled_of

WINDOWS = """
SELECT s.feature, s.explainer, s.context, s.window_start, s.class, s.n_class, s.size_class FROM simulations s
WHERE s.dictionary = 'mlp-1k' AND s.scorer IN ('simulation', $judged)
      AND (s.run IS NULL OR s.run IN (SELECT work FROM current_works))
ORDER BY s.rowid
"""
FIRES = {CLASSES[k] for k in FIRING}
Place = tuple[int, int]


def windows_of(path: Path) -> dict[int, dict[str, dict[Place, str]]]:
    """Class by window, explainer and feature."""
    found: dict[int, dict[str, dict[Place, str]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows(path, WINDOWS, judged=f"simulation:{JUDGE}"):
        found[row["feature"]][row["explainer"]][row["context"], row["window_start"]] = row["class"]
    return found


def waves_of(path: Path) -> dict[tuple[int, str], int]:
    sql = "SELECT feature, explainer, max(wave) AS wave FROM sample_lists WHERE dictionary = 'mlp-1k' GROUP BY ALL"
    return {(row["feature"], row["explainer"]): row["wave"] for row in rows(path, sql)}


def test_explainers_of_one_wave_share_all_windows(judged_store: Path) -> None:
    waves, shared = waves_of(judged_store), 0
    for feature, by_explainer in windows_of(judged_store).items():
        if "lexical" not in by_explainer:  # a person labelled it: it is in nobody else's sample
            continue
        first = by_explainer["lexical"]
        assert len(first) >= 60
        for explainer, windows in by_explainer.items():
            if explainer in ("token_lookup", "constant", "generic", "shuffled"):
                assert windows == first, (feature, explainer)
            elif waves.get((feature, explainer), 0) == 1:
                assert windows == first, (feature, explainer)
                shared += 1
    assert shared > 12, "of LLMs, and of a class of the user's own"


def test_each_label_has_windows_of_its_own_triggers(judged_store: Path) -> None:
    """Where an LLM's list has silent windows that the lookup's shorter list does not take, some are drawn."""
    sql = """
        SELECT feature, count(DISTINCT class) FILTER (starts_with(class, 'E')) AS parts FROM simulations
        WHERE dictionary = 'mlp-1k' AND explainer = 'lexical' AND scorer = 'simulation' GROUP BY feature
    """
    assert max(row["parts"] for row in rows(judged_store, sql)) >= 3
    sql = """
        SELECT DISTINCT explainer, feature, class, n_class, available_class FROM simulations
        WHERE dictionary = 'mlp-1k' AND scorer = 'simulation'
    """
    for row in rows(judged_store, sql):
        assert row["n_class"] >= min(2, row["available_class"]) or row["class"] not in ("E", "E2", "E3")


@pytest.mark.slow
def test_what_is_explained_again_is_the_next_wave(judged_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "judged.duckdb"
    shutil.copy(judged_store, store)
    shutil.copytree(f"{judged_store}.work", f"{store}.work")
    llm = ScriptedLLM()
    run(judged_config(store), reporter=QUIET, open_client=lambda *_: llm, wish=Wish(("failed",)))
    waves, later = waves_of(store), 0
    by_feature = windows_of(store)
    for (feature, explainer), wave in waves.items():
        if wave == 1 or explainer not in by_feature.get(feature, {}):
            continue
        assert explainer in (LUNA, REFINED, MINE)
        first, mine = by_feature[feature]["lexical"], by_feature[feature][explainer]
        for place, of in first.items():
            if of in FIRES or of.startswith("E"):
                assert mine[place] == of
        added = {place: of for place, of in mine.items() if place not in first}
        assert len(added) <= LEAST_OF_LIST + 10  # the list's own, and M and R without what it has taken
        later += 1
    again = {feature for (feature, explainer), wave in waves.items() if wave > 1 and explainer == LUNA}
    assert again, "what was refused and is explained since"
    assert again <= set(REFUSED)
    assert later


@pytest.mark.slow
def test_an_explainer_that_comes_later_asks_nothing_of_the_others(tmp_path: Path) -> None:
    path, llm = tmp_path / "one.duckdb", ScriptedLLM()
    settings = {"scorers": ["simulation"], "features": {"sample": 4}, "judge": {**JUDGED, "controls": 2}}
    second = {**MODEL, "preset": "sentence"}

    def go(store: Path, *explainers: object) -> None:
        run(judged_config(store, "lexical", *explainers, **settings), reporter=QUIET, open_client=lambda *_: llm)

    go(path, MODEL)
    sent, before = len(llm.sent), windows_of(path)
    go(path, MODEL, second)
    name = f"{JUDGE}/sentence/both"
    about = {ask.about["explainer"] for ask in llm.sent[sent:]}
    assert about == {name, shuffled_of(name)}, "what was judged is not judged again"
    after = windows_of(path)
    for feature, by_explainer in before.items():
        for explainer, windows in by_explainer.items():
            assert after[feature][explainer] == windows
        assert set(after[feature][shuffled_of(name)]) in ({*after[feature][name]}, set())
    check(path)
    together = tmp_path / "both.duckdb"
    shutil.rmtree(f"{path}.work")
    go(together, MODEL, second)
    assert {wave for (_, explainer), wave in waves_of(path).items() if explainer == name} == {2}
    assert set(waves_of(together).values()) == {1}
    for by_explainer in windows_of(together).values():
        assert len({frozenset(windows.items()) for windows in by_explainer.values()}) == 1
