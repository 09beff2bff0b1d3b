"""A changed run file in a store that is there: what is kept, what is added, what is done again, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from rich.console import Console

from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import StoreError
from autointerp.extract.engines.job import make_job
from autointerp.pipeline import run
from autointerp.pipeline.asking.materials_of_run import Materials
from autointerp.pipeline.dry_run.report import plan_of, render_plan
from autointerp.pipeline.plan.prepare import choose_scored, prepare
from autointerp.pipeline.plan.store_diff import StoreDiff
from autointerp.pipeline.plan.work import What
from autointerp.pipeline.plan.work_graph import works_of
from autointerp.pipeline.rows.stored_scores import read_sample
from autointerp.pipeline.stages import census as census_stage
from autointerp.pipeline.stages import extract as extract_stage
from autointerp.pipeline.stages import score as score_stage
from autointerp.pipeline.stages.score import score_dictionary
from autointerp.progress import Reporter
from autointerp.records import N_BLOCKS
from autointerp.score.alarms import alarm_limits, pooled_charges, residual_alarm_rate
from autointerp.score.class_names import NOT_SAMPLED, REST
from autointerp.score.estimator import block_moments, frame_moments
from autointerp.score.predictions import Simulated
from autointerp.score.sample_moments import sample_moments
from autointerp.score.scorers.registry import scorers_of
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify
from autointerp.subject.tokenise import open_tokens
from autointerp.words import CEILINGS, CONTROLS, LEXICAL, USUAL_SCORERS

Rows = dict[str, list[tuple[Any, ...]]]
QUIET = Reporter(quiet=True)
HISTORY = {"runs", "works", "stages"}
SAMPLED = {"simulations", "judgements", "sample_lists"}
"""Tables of windows that an explainer which comes later is tested on: those that were drawn for the others, and some of
its own."""
RERUN = {"scores", "dictionary_scores", "comparisons", "powered_means", "powered_differences", "label_chances",
         "dictionary_similarities", "feature_matches", "effect_means", "effect_differences"}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changes")


@pytest.fixture(scope="module")
def dictionaries(sae_folder: Path, write_sae: Callable[..., Path], folder: Path) -> dict[str, dict[str, Any]]:
    topk = write_sae(folder / "topk", "topk", seed=3)
    entries: list[dict[str, Any]] = [
        {"name": "sae", "path": str(sae_folder)},
        {"name": "topk", "path": str(topk)},
        {"name": "neurons", "kind": "neurons", "match": "sae", "n_features": 16},
        {"name": "random", "kind": "random_covariance", "match": "topk", "n_features": 20},
        {"name": "mlp", "kind": "neurons", "hook": "blocks.1.mlp.hook_post", "features": "126:130"},
    ]
    return {entry["name"]: entry for entry in entries}


@pytest.fixture(scope="module")
def configured(
    folder: Path, tiny_model: Path, tokens_npy: Path, dictionaries: dict[str, dict[str, Any]]
) -> Callable[..., RunConfig]:
    """A run into the store `into`, of these dictionaries and explainers."""

    def make(
        into: str, of: str = "sae topk neurons random mlp", explainers: str = "lexical token_lookup", **changed: Any
    ) -> RunConfig:
        score = {"features": {"sample": 8}} | changed.pop("score", {})
        data = {
            "name": "tiny",
            "store": str(folder / f"{into}.duckdb"),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
            "dictionary": [dictionaries[one] for one in of.split()],
            "explain": {"explainers": explainers.split()},
            "score": score,
            "effects": {"features": {"sample": 2}, "positions": 2, "after": 4},
        }
        return parse_run(data | changed)

    return make


@pytest.fixture(scope="module")
def together(configured: Callable[..., RunConfig]) -> Path:
    """Everything in one run."""
    return run(configured("together"), reporter=QUIET)


@pytest.fixture
def copied(together: Path, folder: Path, request: pytest.FixtureRequest) -> str:
    """The name of a store with everything in it, to be changed."""
    name: str = request.node.name
    shutil.copy(together, folder / f"{name}.duckdb")
    shutil.copytree(f"{together}.work", folder / f"{name}.duckdb.work")
    return name


def query(store: Path, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    with open_reader(store) as reader:
        return list(reader.rows(sql, **parameters))


def check(store: Path) -> None:
    with open_reader(store) as reader:
        assert not [one.detail for one in verify(reader) if not one.ok]


def views(store: Path) -> dict[str, list[dict[str, Any]]]:
    """What readers see."""
    tables = ("score_table", "dictionary_summary", "comparison_table", "feature_cards")
    return {table: query(store, f"SELECT * FROM {table} ORDER BY ALL") for table in tables}


def say(config: RunConfig) -> list[str]:
    """Runs, and what is said of the changes (not of the progress)."""
    console = Console(record=True, width=500, file=open("/dev/null", "w"))  # noqa: SIM115
    run(config, reporter=Reporter(console))
    lines = console.export_text().splitlines()
    return [line for line in lines if line.split(":")[0].strip() not in PROGRESS and not line.startswith("tokens: ")]


PROGRESS = (
    "subject and dictionaries", "tokens", "pass 1", "logit effects", "explaining", "pass 2", "scoring", "means",
    "comparing", "baselines", "diagnostics", "ablation", "contexts", "sensitivity", "geometry", "similarity",
    "output scores", "clamping", "steered texts", "comparing effects",
)  # fmt: skip


class Computed:
    """What the expensive stages were called for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.extracted: list[str] = []
        self.counted: dict[str, list[str]] = {}
        self.scored: dict[str, list[str]] = {}
        run_census, score = census_stage.run_census, score_stage.score_dictionary

        def job(subject: Any, tokens: Any, dictionaries: Any, *rest: Any, **more: Any) -> Any:
            self.extracted += dictionaries
            return make_job(subject, tokens, dictionaries, *rest, **more)

        def census(store: Any, subject: Any, tokens: Any, dictionaries: Any, explainers: Any, *rest: Any) -> Any:
            self.counted |= {name: list(explainers[name]) for name in dictionaries}
            return run_census(store, subject, tokens, dictionaries, explainers, *rest)

        def scored(store: Any, material: Any, explainers: Any, *rest: Any) -> Any:
            self.scored[material.dictionary] = list(explainers)
            return score(store, material, explainers, *rest)

        monkeypatch.setattr(extract_stage, "make_job", job)
        monkeypatch.setattr(census_stage, "run_census", census)
        monkeypatch.setattr(score_stage, "score_dictionary", scored)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Computed:
    return Computed(monkeypatch)


# --- one after the other is as all at once -----------------------------------------------------------


def test_added_one_after_the_other_or_all_at_once(
    configured: Callable[..., RunConfig], together: Path, rows_of: Callable[[Path], Rows], computed: Computed
) -> None:
    run(configured("grown", "topk", "token_lookup"), reporter=QUIET)
    fewer = {"margin": 0.03, "features": {"sample": 3}}
    run(configured("grown", "topk sae mlp", "token_lookup", score=fewer), reporter=QUIET)
    assert computed.extracted == ["topk", "sae", "mlp"]
    lines = say(configured("grown"))
    controls = ["shuffled", "constant", "generic"]
    assert computed.extracted == ["topk", "sae", "mlp", "neurons", "random"]
    assert computed.counted == {
        **{name: ["lexical", "context_lookup"] for name in ("sae", "topk", "mlp")},
        **{name: [*controls, LEXICAL, *CEILINGS] for name in ("neurons", "random")},
    }
    again = [*controls, LEXICAL, *CEILINGS]
    assert computed.scored == computed.counted | {"sae": again, "mlp": again}
    assert lines == [
        "kept: 47 of 137 pieces of work, on sae, topk, mlp",
        "new dictionaries: extract, effects, ablate, context_effects, sensitivity, token_changes, output_scores, "
        "diagnostics, geometry, explain, census, score, means of neurons, random",
        "new explainer lexical: explain, census, score, means of sae, topk, mlp; compare",
        "new explainer context_lookup: explain, census, score, means of sae, topk, mlp; compare",
        "score.features.sample 3 -> 8: score of sae, mlp",
        "score.margin 0.03 -> 0.02: compare",
        "after that again: means of sae, mlp; similarity, compare_effects",
    ]
    store = Path(str(configured("grown").store_path))
    check(store)
    grown, whole = rows_of(store), rows_of(together)
    for table in whole.keys() - HISTORY - RERUN:
        if table not in SAMPLED:
            assert grown[table] == whole[table], table
        assert len(grown[table]) == len(whole[table]) == len(set(map(repr, grown[table]))), table
    for table in RERUN:
        counted = {repr(row) for row in whole[table] if "census" in row}
        assert counted <= set(map(repr, grown[table])), table
    of_census = "SELECT * FROM score_table WHERE design = 'census' ORDER BY ALL"
    assert query(store, of_census) == query(together, of_census)
    assert len(query(store, "SELECT * FROM runs")) == 3


@pytest.mark.slow
def test_dictionaries_and_features_added_one_after_the_other_or_all_at_once(
    configured: Callable[..., RunConfig], together: Path, rows_of: Callable[[Path], Rows]
) -> None:
    run(configured("wider", "topk"), reporter=QUIET)
    run(configured("wider", "topk sae mlp", score={"margin": 0.03, "features": {"sample": 3}}), reporter=QUIET)
    store = run(configured("wider"), reporter=QUIET)
    check(store)
    grown, whole = rows_of(store), rows_of(together)
    for table in whole.keys() - HISTORY - RERUN:
        assert grown[table] == whole[table], table
        assert len(grown[table]) == len(set(map(repr, grown[table]))), table
    for table in RERUN:
        assert set(map(repr, whole[table])) <= set(map(repr, grown[table])), table
    assert views(store) == views(together)


# --- scores again -------------------------------------------------------------------------------------


def test_another_margin_keeps_the_scores_and_can_be_taken_back(
    copied: str, configured: Callable[..., RunConfig], computed: Computed, rows_of: Callable[[Path], Rows]
) -> None:
    before_config, changed = configured(copied), configured(copied, score={"margin": 0.03})
    store = before_config.store_path
    before, rows = views(store), rows_of(store)
    assert say(changed) == [
        "kept: 133 of 137 pieces of work, on sae, topk, neurons, random, mlp",
        "score.margin 0.02 -> 0.03: compare",
    ]
    assert computed.extracted == []
    assert computed.counted == computed.scored == {}
    check(store)
    after = views(store)
    assert after["score_table"] == before["score_table"]
    assert {row["margin"] for row in after["comparison_table"]} == {0.03}
    assert after["dictionary_summary"] == before["dictionary_summary"]
    assert say(changed) == []
    once = rows_of(store)
    assert say(before_config)[-1] == "nothing is left to do"
    assert views(store) == before
    assert {t: r for t, r in rows_of(store).items() if t != "runs"} == {t: r for t, r in once.items() if t != "runs"}
    for table in rows.keys() - HISTORY - RERUN:
        assert once[table] == rows[table], table


def test_a_smaller_sample_is_what_is_shown(copied: str, configured: Callable[..., RunConfig]) -> None:
    store = configured(copied).store_path
    sql = "SELECT DISTINCT dictionary, feature FROM score_table WHERE design = 'sample' AND metric = 'pearson_framed'"
    many, simulated = query(store, sql), query(store, "SELECT count(*) AS n FROM simulations")
    assert say(configured(copied, score={"features": {"sample": 5}})) == [
        "kept: 93 of 137 pieces of work, on sae, topk, neurons, random, mlp",
        "score.features.sample 8 -> 5: score of 5 dictionaries",
        "after that again: means of 5 dictionaries; compare",
    ]
    check(store)
    few = query(store, sql)
    assert 0 < len(few) < len(many)
    assert all(row in many for row in few)
    assert query(store, "SELECT count(*) AS n FROM simulations") == simulated


def test_a_dictionary_that_is_no_longer_in_the_run_file(copied: str, configured: Callable[..., RunConfig]) -> None:
    config = configured(copied, "topk random mlp", "lexical")
    before = views(config.store_path)
    lines = say(config)
    assert lines[-1] == "not in this run: neurons, sae; what the store holds of them stays"
    check(config.store_path)
    after = views(config.store_path)
    assert after["score_table"] == before["score_table"]
    assert {(row["a"], row["b"], row["explainer"]) for row in after["comparison_table"]} == {
        ("topk", baseline, explainer)
        for baseline in ("random", "mlp")
        for explainer in ("lexical", "context_lookup", "completion", "unembedding_norm")
    }


# --- what is refused ----------------------------------------------------------------------------------


def test_another_definition_of_what_is_there_is_refused_and_nothing_is_written(
    copied: str, configured: Callable[..., RunConfig], rows_of: Callable[[Path], Rows]
) -> None:
    store = configured(copied).store_path
    before = rows_of(store)
    for changed, message in (
        ({"seed": 3}, "is about something else: seed 0 -> 3; give another --store"),
        ({"evidence": {"random": 3}}, 'holds another dictionary "sae": evidence.random 20 -> 3; rows of the two'),
    ):
        for attempt in (lambda c: run(c, reporter=QUIET), plan_of):
            with pytest.raises(StoreError, match=message):
                attempt(configured(copied, **changed))
    assert rows_of(store) == before


def test_a_baseline_that_is_fitted_otherwise_the_second_time_is_refused(
    copied: str, configured: Callable[..., RunConfig]
) -> None:
    config = configured(copied, explainers="lexical token_lookup")
    with duckdb.connect(str(config.store_path)) as connection:
        connection.execute("UPDATE dictionaries SET checksum = 'another' WHERE dictionary = 'neurons'")
        connection.execute("DELETE FROM stages WHERE stage = 'census' AND dictionary = 'neurons'")
    with pytest.raises(StoreError, match='dictionary "neurons": its fit was lost'):
        run(config, reporter=QUIET)


# --- what is said before ------------------------------------------------------------------------------


def test_a_dry_run_says_what_a_change_does(copied: str, configured: Callable[..., RunConfig]) -> None:
    text = render_plan(plan_of(configured(copied, score={"margin": 0.04})))
    assert "score.margin 0.02 -> 0.04: compare" in text
    assert "judge 0/0, score 20/20, means 20/20, compare 0/4" in text
    assert "kept" not in render_plan(plan_of(configured(copied)))


# --- keys ---------------------------------------------------------------------------------------------


def test_each_key_of_the_run_file_decides_its_own_work(
    configured: Callable[..., RunConfig], dictionaries: dict[str, dict[str, Any]]
) -> None:
    prepared = prepare(configured("keys"))

    def works(config: RunConfig) -> dict[Any, str]:
        found = works_of(config, prepared.subject, prepared.tokens, prepared.saes, prepared.hooks, {})
        return {work.what: work.key for work in found}

    def changed(**change: Any) -> set[What]:
        before, after = works(configured("keys")), works(configured("keys", **change))
        return {what for what in before if before[what] != after.get(what)}

    everything = set(works(configured("keys")))
    assert len(set(works(configured("keys")).values())) == len(everything)
    assert changed(name="another", engine={"batch_size": 2, "threads": 1}, budget={"max_usd": 2.0}) == set()
    assert changed(seed=1) == everything
    assert changed(evidence={"top": 3}) == everything - {("tokens", None, None, None)}
    assert {stage for stage, _, _, _ in changed(score={"scorers": ["simulation"]})} == {"score", "means", "compare"}
    assert {stage for stage, _, _, _ in changed(score={"margin": 0.3})} == {"compare"}
    assert changed(score={"scorers": list(reversed(USUAL_SCORERS))}) == set()
    entries = [entry | ({"features": "0:40"} if name == "random" else {}) for name, entry in dictionaries.items()]
    assert {name for _, name, _, _ in changed(dictionary=entries)} == {"random", None}
    assert changed(explainers="token_lookup lexical") == set()
    dropped = changed(explainers="lexical")
    assert {explainer for _, _, explainer, _ in dropped} == {"token_lookup"}


# --- the scored sample, and what is read back ---------------------------------------------------------


def test_the_scored_sample_has_partners_in_every_matched_baseline(
    together: Path, configured: Callable[..., RunConfig]
) -> None:
    prepared = prepare(configured("keys"))
    features = np.arange(48)
    sample = choose_scored(prepared.config.score.features, features, 48, 0, "topk")
    assert len(sample) == 8
    assert sample.tolist() == sorted(sample.tolist())
    partners = query(together, "SELECT matched_feature AS f FROM features WHERE dictionary = 'random'")
    assert set(sample.tolist()) <= {row["f"] for row in partners}
    sql = "SELECT count(DISTINCT feature) AS n FROM score_table WHERE dictionary = $name AND metric = 'pearson_framed'"
    assert [query(together, sql, name=name)[0]["n"] for name in ("topk", "random")] == [8, 8]


def test_a_sample_read_back_is_the_one_that_was_scored(together: Path, configured: Callable[..., RunConfig]) -> None:
    prepared = prepare(configured("together"))
    tokens = open_tokens(prepared.work_folder, prepared.tokens, None, lambda _: None)
    sample = choose_scored(prepared.config.score.features, np.arange(48), 48, 0, "sae")
    with open_reader(together) as reader:
        assert StoreDiff(prepared, reader).goes_on
        material, scorers = Materials(prepared, tokens, reader).of("sae"), scorers_of(["simulation"])
        assert material.sample.tolist() == sample.tolist()
        assert material.lists.by_feature
        assert material.lists.new == []
        scored = score_dictionary(reader, material, ["lexical", "generic"], scorers, [], set(sample.tolist()))
        for explainer, one in scored.items():
            simulated = {f: made for f, made in one.predictions["simulation"].items() if isinstance(made, Simulated)}
            read = read_sample(reader, "sae", explainer, sample.tolist())
            made = sample_moments(list(simulated.values()))
            charges = pooled_charges(made.moments, made.classes, made.sizes)
            framed = frame_moments(made.moments, made.classes, charges.value)
            expected = block_moments(framed, made.classes, made.sizes, made.blocks, N_BLOCKS)
            assert read.features.tolist() == list(simulated)
            np.testing.assert_allclose(read.blocks, expected, rtol=1e-12, atol=1e-12)
            assert read.blocks.any()
            limits = alarm_limits(expected.sum(axis=1), made.sizes[:, REST], charges)
            np.testing.assert_allclose(read.limits.of_share, limits.of_share, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(read.limits.cost, limits.cost, rtol=1e-9, atol=1e-12)
            fires = [((of.prediction != 0) & of.drawn.windows.scored).any(axis=1) for of in simulated.values()]
            kinds = [np.where(of.predicted, of.drawn.classes, NOT_SAMPLED) for of in simulated.values()]
            assert read.alarms == residual_alarm_rate(np.concatenate(fires), np.concatenate(kinds))
    assert CONTROLS not in prepared.config.explain.explainers
