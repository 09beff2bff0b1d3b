"""Scores are functions of stored rows: they are made again without a call, and what is asked is keyed by its scorer."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy as np
import pytest
from judged import JUDGE, JUDGED, JUDGED_SCORERS, LUNA, MODEL, QUIET, NumberedLLM, judged_config
from sklearn.metrics import average_precision_score, roc_auc_score
from stored import check, rows

from autointerp.config.run_file import RunConfig
from autointerp.errors import UserError
from autointerp.pipeline import run, run_stages
from autointerp.pipeline.plan import prepare as preparing
from autointerp.pipeline.plan import versions
from autointerp.pipeline.plan.prepare import prepare
from autointerp.pipeline.plan.work import What
from autointerp.resources import BUNDLED, prompt_text
from autointerp.score.predictions import Judged
from autointerp.score.scorers import simulation
from autointerp.words import is_control

SCORES = """
SELECT dictionary, feature, explainer, scorer, metric, design, value, ci_low, ci_high, n, n_failed, status
FROM score_table ORDER BY ALL
"""
PAGES = ("dictionary_summary", "comparison_table", "powered_mean_table", "powered_difference_table")
PREDICTIONS = ("simulations", "judgements", "token_judgements", "score_moments", "feature_blocks", "explanations")


@pytest.fixture
def store(judged_store: Path, tmp_path: Path) -> Path:
    """A copy, with its token file beside it."""
    path = tmp_path / judged_store.name
    shutil.copy(judged_store, path)
    shutil.copytree(f"{judged_store}.work", f"{path}.work")
    return path


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model and no LLM."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model ran")

    for name in (
        "autointerp.extract.engines.pass_one.iterate_activations",
        "autointerp.extract.pass_two.iterate_activations",
        "autointerp.subject.model.Subject.unembedding",
        "autointerp.pipeline.stages.context.open_fitted",
        "autointerp.pipeline.plan.prepare.open_subject",
        "autointerp.pipeline.plan.subject_of_store.open_subject",
    ):
        monkeypatch.setattr(name, forbidden)


def refuse(*_: Any) -> Any:
    raise AssertionError("a client was opened")


def again(config: RunConfig, until: str | None = "compare") -> Path:
    return run(config, until=until, reporter=QUIET, open_client=refuse)


def forget(path: Path, *stages: str) -> None:
    """As if these stages had never been done."""
    with duckdb.connect(str(path)) as connection:
        tables = {
            "score": ["scores"],
            "means": ["dictionary_scores", "powered_means", "label_chances"],
            "compare": ["comparisons", "powered_differences"],
        }
        for stage in stages:
            for table in tables[stage]:
                connection.execute(f"DELETE FROM {table}")
            connection.execute("DELETE FROM stages WHERE stage = $stage", {"stage": stage})


OF_RUNS = "SELECT run, scorer, count(*) AS n FROM token_judgements GROUP BY ALL"


def counts(path: Path) -> dict[str, int]:
    return {table: rows(path, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in (*PREDICTIONS, "llm_calls")}


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.slow
def test_every_score_of_every_scorer_is_made_again_from_stored_rows(store: Path) -> None:
    scores = rows(store, SCORES)
    pages = {view: rows(store, f"SELECT * FROM {view} ORDER BY ALL") for view in PAGES}
    assert {row["scorer"].split(":")[0] for row in scores if row["scorer"].endswith(f":{JUDGE}")} == set(JUDGED_SCORERS)
    before = counts(store)
    forget(store, "score", "means", "compare")
    assert rows(store, SCORES) == []
    again(judged_config(store), until="score")
    assert rows(store, SCORES) == scores
    assert rows(store, "SELECT 1 FROM dictionary_scores") == []
    again(judged_config(store))
    assert {view: rows(store, f"SELECT * FROM {view} ORDER BY ALL") for view in PAGES} == pages
    assert counts(store) == before
    check(store)


@pytest.mark.slow
def test_scores_and_verdicts_are_made_again_where_the_weights_are_gone(tmp_path: Path) -> None:
    """The model's folder keeps its configuration and tokenizer; what needs the weights says that they are missing."""
    folder, path = tmp_path / "model", tmp_path / "mine.duckdb"
    shutil.copytree(BUNDLED / "subject", folder)
    facts = judged_config(path, "lexical", judge=False, features={"sample": 4}).model_dump(mode="json")
    facts["subject"]["model"] = str(folder)
    config = RunConfig.model_validate(facts)
    again(config)
    scores = rows(path, SCORES)
    pages = {view: rows(path, f"SELECT * FROM {view} ORDER BY ALL") for view in PAGES}
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    forget(path, "score", "means", "compare")
    again(config, until="score")
    assert rows(path, SCORES) == scores
    again(config, until="compare")
    assert {view: rows(path, f"SELECT * FROM {view} ORDER BY ALL") for view in PAGES} == pages
    with pytest.raises(UserError, match="cannot be loaded"):  # all is done, but is this the subject of the store?
        again(config, until=None)
    with pytest.raises(UserError, match="cannot be loaded"):
        again(RunConfig.model_validate({**facts, "seed": 1}), until="score")


def test_published_scores_of_an_llm_judge_are_those_of_its_stored_answers(judged_store: Path) -> None:
    """Bills' and FADE's, computed plainly."""
    found = {
        (row["metric"], row["feature"]): row
        for row in rows(
            judged_store, SCORES.replace("ORDER", "WHERE dictionary = 'mlp-1k' AND explainer = $e ORDER"), e=LUNA
        )
        if row["scorer"] in (f"detection:{JUDGE}", f"simulation:{JUDGE}")
    }
    asked = rows(
        judged_store,
        "SELECT j.feature, j.judged, coalesce(max(e.max_activation), 0) AS height FROM judgements j "
        "JOIN current_works c ON c.work = j.run LEFT JOIN exemplars e ON e.dictionary = j.dictionary "
        "AND e.feature = j.feature AND e.split = 'score' AND e.context = j.context "
        "AND e.window_start = j.window_start WHERE j.dictionary = 'mlp-1k' AND j.explainer = $e AND j.scorer = $s "
        "AND j.status = 'ok' GROUP BY j.rowid, j.feature, j.judged",
        e=LUNA, s=f"detection:{JUDGE}",
    )  # fmt: skip
    told = 0
    for feature in {row["feature"] for row in asked}:
        mine = [row for row in asked if row["feature"] == feature]
        said, height = np.array([row["judged"] for row in mine]), np.array([row["height"] for row in mine])
        score = found["responsiveness", feature]
        assert score["n"] == len(mine)
        if said.all() or not said.any():
            assert score["status"] == "one_sided"
            continue
        told += 1
        assert score["value"] == pytest.approx(2 * roc_auc_score(said, height) - 1)
        assert found["purity", feature]["value"] == pytest.approx(average_precision_score(said, height))
    assert told >= 3
    assert {row["status"] for key, row in found.items() if key[0] == "clarity"} >= {"no_generated_text"}
    r2 = [row for key, row in found.items() if key[0] == "rsquared_linear" and row["value"] is not None]
    assert len(r2) >= 3
    assert {row["scorer"] for row in r2} == {f"simulation:{JUDGE}"}
    assert {row["status"] for row in r2} <= {"ok", "fewer"}


class Misses:
    """A metric of the user's own: right items that the judge did not find."""

    name = "misses"
    reads = "judged"

    def measure(self, prediction: Judged) -> float:
        right = prediction.items.right & prediction.answered
        return float((prediction.probability[right] < 0.5).sum())


@pytest.fixture
def own_metric(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    module = ModuleType("rescoring_metric")
    module.Misses = Misses  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rescoring_metric", module)
    return {"python": "rescoring_metric:Misses"}


@pytest.mark.usefixtures("nothing_runs")
def test_a_new_metric_appears_in_a_store_that_is_there(store: Path, own_metric: dict[str, str]) -> None:
    scores, before = rows(store, SCORES), counts(store)
    known = {row["run"] for row in rows(store, OF_RUNS)}
    again(judged_config(store, metrics=[own_metric]), until="score")
    with_it = rows(store, SCORES)
    assert [row for row in with_it if row["metric"] != "misses"] == scores
    new = [row for row in with_it if row["metric"] == "misses"]
    assert {row["scorer"] for row in new} == {
        f"{scorer}:{judge}" for scorer in ("detection", "fuzzing") for judge in (JUDGE, "lookup")
    }
    missed = rows(
        store,
        "SELECT feature, count(*) FILTER (fires AND NOT judged) AS n FROM judgements j JOIN current_works c "
        "ON c.work = j.run WHERE j.dictionary = 'mlp-1k' AND j.explainer = $e AND j.scorer = $s GROUP BY feature",
        e=LUNA, s=f"detection:{JUDGE}",
    )  # fmt: skip
    mine = {
        row["feature"]: row["value"]
        for row in new
        if (row["dictionary"], row["explainer"], row["scorer"]) == ("mlp-1k", LUNA, f"detection:{JUDGE}")
        and row["value"] is not None
    }
    assert mine == {row["feature"]: row["n"] for row in missed}
    # Each piece of scoring keeps its own answers about what was measured; of all others none is there twice.
    added = [row for row in rows(store, OF_RUNS) if row["run"] not in known]
    assert {row["scorer"].partition(":")[0] for row in added} == {"logits_hard_measured"}
    before["token_judgements"] += sum(row["n"] for row in added)
    assert counts(store) == before
    check(store)


@pytest.fixture
def keys(store: Path) -> Callable[..., dict[What, str]]:
    def read(*explainers: Any, **score: Any) -> dict[What, str]:
        return {work.what: work.key for work in prepare(judged_config(store, *explainers, **score)).works}

    return read


def changed(before: dict[What, str], after: dict[What, str]) -> set[What]:
    return {what for what, key in before.items() if after.get(what) != key}


def test_a_prompt_redoes_the_scorer_that_uses_it_and_nothing_else(
    keys: Callable[..., dict[What, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = keys(), prompt_text

    def edited(name: str) -> Callable[[str], str]:
        return lambda asked: read(asked) + (" edited" if asked == f"score/{name}.md" else "")

    monkeypatch.setattr(simulation, "prompt_text", edited("simulate_echo"))
    assert changed(before, keys()) == set()
    monkeypatch.setattr(simulation, "prompt_text", edited("simulate"))
    touched = changed(before, keys())
    assert {stage for stage, _, _, _ in touched} == {"judge", "score", "means", "compare"}
    assert {scorer for _, _, _, scorer in touched} == {"simulation"}


def test_a_setting_of_the_judge_redoes_the_scorers_that_use_it(keys: Callable[..., dict[What, str]]) -> None:
    before = keys()
    after = keys(judge={**JUDGED, "items_per_call": 5})
    shown_together = {"detection", "fuzzing", "discrimination", "intruder", "intruder_internal"}
    assert {scorer for _, _, _, scorer in changed(before, after)} == shown_together
    assert {what[2] for what in changed(before, keys(judge={**JUDGED, "controls": 2})) if what[0] == "judge"} == {
        explainer for stage, _, explainer, _ in before if stage == "judge" and is_control(str(explainer))
    }


def test_versions_are_of_a_stage(keys: Callable[..., dict[What, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys()
    for stage, redone in (
        ("score", {"score", "means", "compare"}),
        ("compare", {"compare"}),
        ("judge", {"judge", "score", "means", "compare"}),
    ):
        monkeypatch.setitem(versions.VERSIONS, stage, versions.VERSIONS[stage] + 1)
        assert {what[0] for what in changed(before, keys())} == redone
        monkeypatch.undo()


def few(path: Path, *more: str) -> RunConfig:
    """A run of six features, with some scorers and `more`."""
    scorers = ["simulation", "detection", *more, "logits"]
    config = judged_config(path, "lexical", MODEL, scorers=scorers, features={"sample": 4})
    return config.model_copy(update={"dictionary": [config.dictionary[0].model_copy(update={"features": "0:6"})]})


@pytest.fixture
def without_fuzzing(tmp_path: Path) -> tuple[Path, NumberedLLM]:
    path, llm = tmp_path / "few.duckdb", NumberedLLM()
    run(few(path), reporter=QUIET, open_client=lambda *_: llm)
    return path, llm


def test_adding_a_scorer_asks_only_for_it(without_fuzzing: tuple[Path, NumberedLLM]) -> None:
    path, llm = without_fuzzing
    sent, before = len(llm.sent), counts(path)
    judgements = Counter(row["scorer"] for row in rows(path, "SELECT scorer FROM judgements"))
    run(few(path, "fuzzing"), reporter=QUIET, open_client=lambda *_: llm)
    new = llm.sent[sent:]
    assert new
    assert {ask.kind for ask in new} == {"fuzz"}
    assert {ask.about["scorer"] for ask in new} == {"fuzzing"}
    after = Counter(row["scorer"] for row in rows(path, "SELECT scorer FROM judgements"))
    assert {scorer for scorer in after if after[scorer] != judgements[scorer]} == {
        f"fuzzing:{JUDGE}", "fuzzing:lookup",
    }  # fmt: skip
    assert {table for table, n in counts(path).items() if n != before[table]} == {"judgements"}
    check(path)


def test_what_an_earlier_stage_still_needs_is_read_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(preparing, name)

        def function(*arguments: Any, **settings: Any) -> Any:
            read[name] += 1
            return real(*arguments, **settings)

        return function

    def far_enough(*_: Any) -> Any:
        raise UserError("far enough")

    for name in ("load_dictionary", "open_subject"):
        monkeypatch.setattr(preparing, name, counted(name))
    monkeypatch.setattr(run_stages, "open_tokens", far_enough)
    n = len([entry for entry in judged_config(store).dictionary if entry.path is not None])
    with pytest.raises(UserError, match="far enough"):
        again(judged_config(store), until="score")
    assert read == {"load_dictionary": n}, "all is done: no model is needed"
    read.clear()
    with pytest.raises(UserError, match="far enough"):
        again(judged_config(store, judge={**JUDGED, "controls": 2}), until="score")
    assert read == {"load_dictionary": n, "open_subject": 1}
