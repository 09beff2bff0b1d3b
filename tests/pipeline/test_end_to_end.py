"""Whole runs over the tiny model: what they end with, and that nothing but the run file decides it."""

from __future__ import annotations

import io
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kept_store import copy_of
from label_reader import entries_in
from rich.console import Console

from autointerp.cli import main
from autointerp.config.loading import load_run
from autointerp.explain.lookup import entries_of
from autointerp.extract.summary.summary import SCORE_POOL, SELECT_POOL, pool_windows
from autointerp.pipeline import STAGES, run
from autointerp.pipeline.asking.test_material import Corpus, each_candidates
from autointerp.pipeline.rows.explanation_rows import read_all_explanations, read_explanations
from autointerp.pipeline.rows.stored_scores import read_scores
from autointerp.progress import Reporter
from autointerp.records import SPLITS, Split
from autointerp.score.metric_registry import metrics_for
from autointerp.score.sampled import draw_windows
from autointerp.score.sampling import FIRST_BIN
from autointerp.store.evidence import read_vocab
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify
from autointerp.subject.tokens import TokenFile
from autointerp.words import CEILINGS, LEXICAL, RANKINGS, is_label

Rows = dict[str, list[tuple[Any, ...]]]
MLP = "blocks.1.mlp.hook_post"
QUIET = Reporter(quiet=True)
SOME = [3, 4, 11, 40]
JUDGED = ("judgements", "token_judgements")
COMPARED = {
    *(("simulation", metric.name, "census") for metric in metrics_for("counted", "simulation")),
    *(("simulation", metric.name, "sample") for metric in metrics_for("simulated", "simulation")),
    *(("simulation", metric.name, "sample") for metric in metrics_for("published", "simulation")),
    *(("detection", metric.name, "sample") for metric in metrics_for("published", "detection")),
    *(("detection:lookup", metric.name, "sample") for metric in metrics_for("judged", "detection")),
    *(("fuzzing:lookup", metric.name, "sample") for metric in metrics_for("judged", "fuzzing")),
    *(("logits_hard:text", metric.name, "sample") for metric in metrics_for("rated", "logits_hard")),
}
"""Scorer, metric and design: each is a family of comparisons of its own."""


@pytest.fixture(scope="module")
def dictionaries(
    sae_folder: Path, write_sae: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    topk = write_sae(tmp_path_factory.mktemp("topk") / "topk", "topk", seed=3)
    return [
        {"name": "sae", "path": str(sae_folder)},
        {"name": "twin", "path": str(sae_folder)},  # the same features by another name: the same lookups
        {"name": "topk", "path": str(topk)},
        {"name": "neurons", "kind": "neurons", "match": "sae"},
        {"name": "random", "kind": "random_covariance", "match": "sae", "n_features": 30},
        {"name": "mlp", "kind": "neurons", "hook": MLP, "features": "120:136"},  # unmatched, both signs
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def configured(
    folder: Path, tiny_model: Path, tokens_npy: Path, dictionaries: list[dict[str, Any]]
) -> Callable[..., Any]:
    """The run of this module under a store of its own; sections can be changed."""
    from autointerp.config.loading import parse_run

    def make(name: str, **changed: Any) -> Any:
        data = {
            "name": "tiny",
            "store": str(folder / f"{name}.duckdb"),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
            "dictionary": dictionaries,
            "score": {"features": {"sample": 12}},
            "effects": {"features": {"sample": 4}, "positions": 3, "after": 4},
        }
        return parse_run(data | changed)

    return make


@pytest.fixture(scope="module")
def whole(configured: Callable[..., Any]) -> Path:
    """An undisturbed run."""
    return run(configured("whole"), reporter=QUIET)


@pytest.fixture(scope="module")
def rows(whole: Path, rows_of: Callable[[Path], Rows]) -> Rows:
    return rows_of(whole)


def query(store: Path, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    with open_reader(store) as reader:
        return list(reader.rows(sql, **parameters))


def check(store: Path) -> None:
    with open_reader(store) as reader:
        checks = verify(reader)
    assert not [one.detail for one in checks if not one.ok]
    assert len(checks) > 20


# --- what a run ends with ---------------------------------------------------------------------------


PER_DICTIONARY = (
    "extract", "effects", "ablate", "context_effects", "sensitivity", "token_changes", "output_scores", "diagnostics",
    "geometry", "census",
)  # fmt: skip


def test_the_run_is_whole_and_verifies(whole: Path, rows: Rows) -> None:
    check(whole)
    done = [tuple(row.values()) for row in query(whole, "SELECT stage, dictionary, explainer FROM stages")]
    names = ["sae", "twin", "topk", "neurons", "random", "mlp"]
    explainers = ("controls", "lexical", "context_lookup", "token_lookup")
    expected = [
        ("tokens", None, None),
        ("similarity", None, None),
        ("compare_effects", None, None),
        *(("compare", None, explainer) for explainer in explainers),  # of the controls: completion
        *((stage, name, None) for stage in PER_DICTIONARY for name in names),
        *((s, n, e) for s in ("explain", "census", "score", "means") for n in names for e in explainers),
    ]
    assert sorted(done, key=repr) == sorted(expected, key=repr)
    features = query(whole, "SELECT dictionary, count(*) AS n FROM features GROUP BY dictionary")
    assert {row["dictionary"]: row["n"] for row in features} == {
        "sae": 48,
        "twin": 48,
        "topk": 48,
        "neurons": 48,
        "random": 30,
        "mlp": 16,
    }
    for table in (
        "exemplars",
        "explanations",
        "scores",
        "simulations",
        "judgements",
        "comparisons",
        "logit_effects",
        "logit_strengths",
        "feature_diagnostics",
        "feature_neighbours",
    ):
        assert rows[table], table
    assert {path.name for path in whole.parent.glob("*whole*")} == {"whole.duckdb", "whole.duckdb.work"}


def test_statuses(whole: Path) -> None:
    status = {
        row["feature"]: (row["status"], row["n_firing"])
        for row in query(whole, "SELECT feature, status, n_firing FROM features WHERE dictionary = 'sae'")
    }
    assert status[6] == ("dead", 0)
    assert status[5][0] == "rare"
    assert 0 < status[5][1] < 20
    assert [s for s, _ in status.values()].count("alive") > 15
    scores = query(whole, "SELECT * FROM scores WHERE dictionary = 'sae' AND feature IN (5, 6)")
    assert {(row["feature"], row["status"]) for row in scores} == {(5, "rare"), (6, "dead")}
    assert {row["value"] for row in scores} == {None}


def test_matched_baselines_have_the_densities_of_their_features(whole: Path) -> None:
    sql = """
        SELECT b.dictionary, b.feature, b.match_status, b.status, b.n_firing, t.n_firing AS wanted, b.theta
        FROM features b JOIN features t ON t.dictionary = 'sae' AND t.feature = b.matched_feature
        WHERE b.dictionary IN ('neurons', 'random')
    """
    found = query(whole, sql)
    assert len(found) == 48 + 30
    for row in found:
        if row["wanted"] < 100:
            assert (row["match_status"], row["status"], row["n_firing"]) == ("unmatched", "dead", 0)
            assert row["theta"] is None
        else:
            assert row["match_status"] == "matched"
            assert abs(row["n_firing"] - row["wanted"]) <= 8  # the sample is the whole split; equal activations apart
    exact = [row["n_firing"] == row["wanted"] for row in found if row["wanted"] >= 100]
    assert len(exact) > 12
    assert np.mean(exact) > 0.6
    [pairs] = query(whole, "SELECT count(DISTINCT matched_feature) AS n FROM features WHERE dictionary = 'random'")
    assert pairs["n"] == 30


@pytest.mark.parametrize("split", ["select", "score"])
def test_a_sample_can_be_drawn_from_either_split(whole: Path, split: Split) -> None:
    tokens = TokenFile(next((whole.parent / f"{whole.name}.work").glob("tokens-*")))
    index = SPLITS.index(split)
    with open_reader(whole) as store:
        alive = store.rows(
            "SELECT feature FROM features WHERE dictionary = 'sae' AND status = 'alive' ORDER BY feature LIMIT 8"
        )
        features = [row["feature"] for row in alive]
        corpus = Corpus(store, tokens, 0)
        ready = {one.feature: one for one in each_candidates(store, "sae", features, corpus, split)}
        _, lookup = read_explanations(store, "sae", "lexical", 48)
    shared = set()
    for feature in features:
        drawn = draw_windows(ready[feature], entries_of(lookup, feature))
        assert (tokens.split[drawn.windows.context] == index).all()
        assert len(drawn.windows) == min(60, drawn.available.sum())
        assert drawn.sizes.sum() == pytest.approx(len(tokens.scored_windows(split)))
        fires = (drawn.truth > 0).any(axis=1)
        np.testing.assert_array_equal(fires, drawn.classes <= FIRST_BIN + 4)  # T, F1 to F5
        shared |= set(drawn.windows.window[~fires].tolist())
    assert shared <= set(pool_windows(tokens, split, 0, SELECT_POOL if split == "select" else SCORE_POOL).tolist())


def test_neurons_of_both_signs(whole: Path) -> None:
    found = query(whole, "SELECT feature, unit, sign, match_status FROM features WHERE dictionary = 'mlp' ORDER BY 1")
    assert [(row["feature"], row["unit"], row["sign"]) for row in found] == [
        (feature, feature % 128, 1 if feature < 128 else -1) for feature in range(120, 136)
    ]
    assert {row["match_status"] for row in found} == {"natural"}
    [other] = query(whole, "SELECT n_features, n_selected FROM dictionaries WHERE dictionary = 'mlp'")
    assert (other["n_features"], other["n_selected"]) == (256, 16)


def test_the_same_features_have_the_same_rows(whole: Path) -> None:
    for table in ("features", "feature_splits", "feature_tokens", "exemplars", "feature_blocks", "explanations"):
        one, two = (
            [
                {key: value for key, value in row.items() if key != "dictionary"}
                for row in query(whole, f"SELECT * FROM {table} WHERE dictionary = $name ORDER BY ALL", name=name)
            ]
            for name in ("sae", "twin")
        )
        assert one == two, table
        assert one
    [lookups] = query(whole, "SELECT count(*) AS n, count(DISTINCT lookup) AS d FROM lookups")
    assert lookups["n"] == lookups["d"]


def test_every_pair_that_belongs_together_is_compared(whole: Path) -> None:
    found = query(whole, "SELECT * FROM comparisons")
    pairs = {(row["a"], row["b"], row["paired"], row["other_site"]) for row in found}
    assert pairs == {
        ("sae", "twin", False, False),
        ("sae", "topk", False, False),
        ("twin", "topk", False, False),
        ("sae", "neurons", True, False),
        ("sae", "random", True, False),
        ("sae", "mlp", False, True),
        ("twin", "mlp", False, True),
        ("topk", "mlp", False, True),
    }
    families = Counter((row["explainer"], row["scorer"], row["metric"], row["design"]) for row in found)
    about_effects = {about for about in COMPARED if about[0] == "logits_hard:text"}  # of which a table says nothing
    unread = {
        (ranking, "logits_hard:unembedding", metric.name, "sample"): len(pairs)
        for ranking in RANKINGS
        for metric in metrics_for("rated", "logits_hard")
    }
    read = {
        (explainer, *about): len(pairs)
        for explainer in (LEXICAL, *CEILINGS)
        for about in (COMPARED if is_label(explainer) else COMPARED - about_effects)
    }
    assert families == read | unread
    shared = query(whole, "SELECT DISTINCT scorer, metric, design FROM score_table WHERE explainer = 'lexical'")
    assert {tuple(row.values()) for row in shared} == COMPARED
    for row in found:
        if row["difference"] is not None:
            assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    twin = [row for row in found if (row["a"], row["b"], row["design"]) == ("sae", "twin", "census")]
    assert [row["difference"] for row in twin] == [0.0] * 3 * 5  # three explainers, five metrics of all tokens


def test_the_text_of_a_label_is_all_that_it_predicts_by(whole: Path) -> None:
    """Every label in the store, read back from its text, is the lookup that was scored."""
    with open_reader(whole) as store:
        vocabulary = read_vocab(store)
        n_read = 0
        for explainer in ("lexical", "shuffled", "generic"):
            said, table = read_explanations(store, "sae", explainer, 48)
            with_others = read_all_explanations(store, "sae", ["token_lookup", explainer], 48)[explainer]
            assert with_others[0] == said
            assert all(np.array_equal(a, b) for a, b in zip(astuple(with_others[1]), astuple(table), strict=True))
            for one in said:
                own = entries_of(table, one.feature)
                if one.status != "ok":
                    assert len(own) == 0
                    continue
                read = entries_in(one.text, vocabulary)
                by_gram, of_text = (np.lexsort((x.previous, x.token)) for x in (own, read))
                for column in ("previous", "token", "value", "probability"):
                    np.testing.assert_array_equal(getattr(own, column)[by_gram], getattr(read, column)[of_text])
                n_read += len(read)
    assert n_read > 100


def test_a_ceiling_is_beside_every_label_and_scores_above_it(whole: Path) -> None:
    sql = """
    SELECT avg(l.value) AS label, avg(c.value) AS ceiling, count(*) AS n FROM score_table l
    JOIN score_table c USING (dictionary, feature, scorer, metric, design)
    WHERE l.explainer = 'lexical' AND c.explainer = 'context_lookup' AND metric = 'pearson' AND design = 'census'
          AND l.value IS NOT NULL
    """
    [found] = query(whole, sql)
    assert found["n"] > 50
    assert found["ceiling"] > found["label"]
    lengths = "SELECT explainer, mean_length FROM score_by_length WHERE dictionary = 'sae' AND metric = 'f1'"
    length = {row["explainer"]: row["mean_length"] for row in query(whole, lengths)}
    assert length["lexical"] < 60 < length["token_lookup"] < length["context_lookup"]


def test_what_could_not_be_done_has_its_reason(
    configured: Callable[..., Any], dictionaries: list[dict[str, Any]], whole: Path
) -> None:
    alive = query(whole, "SELECT min(feature) AS f FROM features WHERE dictionary = 'sae' AND status = 'alive'")[0]["f"]
    inside = {"name": "inside", "kind": "neurons", "hook": "blocks.1.ln1.hook_normalized", "features": "0:4"}
    config = configured("failures", dictionary=[dictionaries[0] | {"features": [alive]}, inside])
    store = run(config, until="explain", reporter=QUIET)
    found = query(store, "SELECT stage, dictionary, feature, explainer, status FROM failures ORDER BY stage")
    assert [tuple(row.values()) for row in found[:1]] == [("effects", "inside", None, None, "no_direct_path")]
    assert ("explain", "sae", alive, "shuffled", "no_disjoint_feature") in [tuple(row.values()) for row in found[1:]]


# --- nothing but the run file decides ---------------------------------------------------------------


def test_scores_read_as_columns_are_the_rows_one_by_one(whole: Path) -> None:
    sql = "SELECT * FROM scores WHERE run = $run AND explainer = $explainer ORDER BY feature"
    works = query(whole, "SELECT DISTINCT run, explainer, scorer, metric, design FROM scores")
    assert len({(row["run"], row["explainer"]) for row in works}) > 10
    n_missing = 0
    with open_reader(whole) as reader:
        for run_, explainer in {(row["run"], row["explainer"]) for row in works}:
            scores = read_scores(reader, run_)[explainer]
            mine = [row for row in works if (row["run"], row["explainer"]) == (run_, explainer)]
            assert set(scores) == {(row["scorer"], row["metric"], row["design"]) for row in mine}
            slow_rows = defaultdict(list)
            for one in reader.rows(sql, run=run_, explainer=explainer):
                slow_rows[one["scorer"], one["metric"], one["design"]].append(one)
            for kind, of in scores.items():
                slow = slow_rows[kind]
                values = [None if s["status"] == "underpowered" else s["value"] for s in slow]
                assert of.features.tolist() == [s["feature"] for s in slow]
                assert [None if np.isnan(v) else v for v in of.values.tolist()] == values
                assert of.absent.tolist() == [s["status"] in ("dead", "rare") for s in slow]
                n_missing += values.count(None)
        assert read_scores(reader, "no such work") == {}
    assert n_missing > 10


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("computed again")


def test_running_again_changes_nothing_and_computes_nothing(
    configured: Callable[..., Any], whole: Path, rows_of: Callable[[Path], Rows], rows: Rows, monkeypatch: Any
) -> None:
    for name in (
        "autointerp.extract.pass_two.iterate_activations",
        "autointerp.subject.tokenise._write",
        "autointerp.extract.engines.pass_one.iterate_activations",
        "autointerp.pipeline.stages.extract.make_job",
        "autointerp.pipeline.stages.score.score_dictionary",
        "autointerp.pipeline.stages.means.mean_rows",
        "autointerp.pipeline.stages.compare.comparisons",
        "autointerp.pipeline.stages.context.open_fitted",
    ):
        monkeypatch.setattr(name, forbidden)
    times = query(whole, "SELECT * FROM stages ORDER BY ALL")
    run(configured("whole"), reporter=QUIET)
    assert query(whole, "SELECT * FROM stages ORDER BY ALL") == times
    assert rows_of(whole) == rows


@pytest.fixture
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("engine", "until"),
    [
        pytest.param({"batch_size": 1}, "compare", marks=pytest.mark.slow),
        ({"batch_size": 7}, "census"),
        pytest.param({"batch_size": 64}, "census", marks=pytest.mark.slow),
        pytest.param({"batch_size": 1000}, "census", marks=pytest.mark.slow),
        ({"threads": 2}, "extract"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("threads_as_before")
def test_the_engine_changes_no_row(
    engine: dict[str, int],
    until: str,
    configured: Callable[..., Any],
    rows_of: Callable[[Path], Rows],
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes after the census reads the store alone, so it is enough to see it once. The census itself reads what
    pass 1 kept: the model does not run again."""
    monkeypatch.setattr("autointerp.extract.pass_two.iterate_activations", forbidden)
    store = run(configured(f"engine-{engine}", engine=engine), until=until, reporter=QUIET)
    found = rows_of(store)
    later = {"compare": set(), "census": {"scores", "simulations", *JUDGED, "dictionary_scores", "comparisons"}}
    later["census"] |= {"sample_lists", "label_chances"}
    later["extract"] = later["census"] | {
        "causal_effects",
        "context_effects",
        "following_effects",
        "sensitivity",
        "token_changes",
        "token_change_strengths",
        "token_change_distractors",
        "output_scores",
        "logit_effects",
        "logit_strengths",
        "logit_distractors",
        "failures",
        "explanations",
        "lookups",
        "feature_blocks",
        "score_moments",
        "feature_diagnostics",
        "feature_neighbours",
        "feature_geometry",
        "description_lengths",
        "dictionary_similarities",
        "feature_matches",
        "effect_means",
        "effect_differences",
    }
    for table in rows.keys() - later[until] - {"stages"}:
        assert found[table] == rows[table], table
    assert set(found["stages"]) <= set(rows["stages"])
    assert found["exemplars"]


@pytest.mark.slow
def test_stage_by_stage_with_the_work_folder_lost(
    configured: Callable[..., Any], rows_of: Callable[[Path], Rows], rows: Rows
) -> None:
    config = configured("stages")
    for stage in STAGES:
        store = run(config, until=stage, reporter=QUIET)
        last = {"judge": "census", "steered_texts": "token_changes"}.get(stage, stage)  # this run has no such work
        assert query(store, "SELECT arg_max(stage, finished_at) AS last FROM stages")[0]["last"] == last
        shutil.rmtree(store.with_name(store.name + ".work"))
    assert rows_of(store) == rows
    check(store)


def test_the_census_runs_the_model_where_what_pass_1_kept_is_damaged(
    configured: Callable[..., Any], rows_of: Callable[[Path], Rows], rows: Rows, dictionaries: list[dict[str, Any]]
) -> None:
    config = configured("damaged-events", dictionary=dictionaries[:2])
    store = run(config, until="explain", reporter=QUIET)
    kept = list(store.with_name(store.name + ".work").rglob("*.events"))
    assert len(kept) == 2
    data = bytearray(kept[0].read_bytes())
    data[len(data) // 2] ^= 1
    kept[0].write_bytes(data)
    lines = io.StringIO()
    run(config, until="census", reporter=Reporter(Console(file=lines, width=200)))
    assert lines.getvalue().count("cannot be used (it is damaged): the model runs again") == 1
    assert not [path for path in kept if path.exists()]
    found, names = rows_of(store), [entry["name"] for entry in dictionaries[:2]]
    for table in ("feature_blocks", "score_moments"):
        assert found[table] == [row for row in rows[table] if row[0] in names], table


def test_another_seed_makes_other_choices(
    configured: Callable[..., Any], rows_of: Callable[[Path], Rows], rows: Rows, dictionaries: list[dict[str, Any]]
) -> None:
    store = run(configured("seed", seed=1, dictionary=dictionaries[:1]), until="extract", reporter=QUIET)
    found = rows_of(store)
    mine = [row for row in rows["exemplars"] if row[0] == "sae"]
    assert found["exemplars"] != mine
    assert found["feature_splits"] == [row for row in rows["feature_splits"] if row[0] == "sae"]


def test_a_subset_of_features_has_the_rows_of_the_whole(
    configured: Callable[..., Any], whole: Path, dictionaries: list[dict[str, Any]]
) -> None:
    chosen = [entry | {"features": SOME} for entry in dictionaries if entry["name"] in ("sae", "topk")]
    chosen.append(dictionaries[-1] | {"features": [121, 130]})
    part = run(configured("part", dictionary=chosen), reporter=QUIET)
    check(part)
    tables = {
        "features": "",
        "feature_splits": "",
        "feature_tokens": "",
        "exemplars": "",
        "feature_blocks": "",
        "score_moments": "explainer IN ('lexical', 'token_lookup') AND",
        "explanations": "explainer IN ('lexical', 'token_lookup') AND",
        "scores": "design = 'census' AND explainer IN ('lexical', 'token_lookup') AND",
    }
    for table, where in tables.items():
        for name, features in (("sae", SOME), ("topk", SOME), ("mlp", [121, 130])):
            mine = f"{where} dictionary = $name AND list_contains($features, feature)"
            sql = f"SELECT * FROM {table} WHERE {mine} ORDER BY ALL"
            expected, found = (query(store, sql, name=name, features=features) for store in (whole, part))
            for row in (*expected, *found):
                row.pop("run", None)
            assert sorted(found, key=repr) == sorted(expected, key=repr), (table, name)
            assert expected, (table, name)
    [pool] = query(part, "SELECT count(*) AS n FROM features")
    assert pool["n"] == 4 + 4 + 2


# --- what is scored ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking_for(configured: Callable[..., Any], dictionaries: list[dict[str, Any]]) -> Callable[..., Any]:
    """A run of one dictionary with these scorers."""

    def make(name: str, scorers: list[str]) -> Any:
        return configured(
            name,
            dictionary=dictionaries[:1],
            score={"features": {"sample": 12}, "scorers": scorers},
            explain={"explainers": ["lexical", "token_lookup"]},  # what both list decides the windows of both
        )

    return make


@pytest.fixture(scope="module")
def counted(asking_for: Callable[..., Any]) -> Path:
    """What comes before the scorers, which is the same for all."""
    return run(asking_for("counted", []), until="census", reporter=QUIET)


@pytest.mark.parametrize("scorers", [["simulation"], ["detection"], ["fuzzing", "logits", "logits_hard"], []], ids=str)
def test_only_what_is_asked_for_is_scored(
    scorers: list[str], asking_for: Callable[..., Any], counted: Path, whole: Path
) -> None:
    config = asking_for(f"scorers-{'-'.join(scorers)}", scorers)
    copy_of(counted, config.store_path)
    store = run(config, reporter=QUIET)
    check(store)
    sql = "SELECT feature, metric, design, scorer, value FROM scores WHERE dictionary = 'sae' AND explainer = 'lexical'"
    found = query(store, sql + " ORDER BY ALL")
    expected = [
        row
        for row in query(whole, sql + " ORDER BY ALL")
        if row["design"] == "census" or row["scorer"].split(":")[0] in scorers
    ]
    assert [row for row in found if row["scorer"] != "logits:text"] == expected, "all but what the whole run lacks"
    assert {row["scorer"].split(":")[0] for row in found if row["design"] == "sample"} == set(scorers)
    counts = {
        table: query(store, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("simulations", "judgements")
    }
    assert (counts["simulations"] > 0) == ("simulation" in scorers)
    assert (counts["judgements"] > 0) == bool({"detection", "fuzzing"} & set(scorers))


def test_the_features_to_be_scored_are_named_by_number(
    configured: Callable[..., Any], dictionaries: list[dict[str, Any]]
) -> None:
    chosen = [dictionaries[0] | {"features": SOME}, dictionaries[3]]
    config = configured("numbers", dictionary=chosen, score={"features": [4, 7, 40]})
    store = run(config, reporter=QUIET)
    sampled = query(store, "SELECT DISTINCT dictionary, feature FROM scores WHERE design = 'sample' ORDER BY ALL")
    assert [row["feature"] for row in sampled if row["dictionary"] == "sae"] == [4, 40]
    partners = query(
        store, "SELECT feature FROM features WHERE dictionary = 'neurons' AND matched_feature IN (4, 40) ORDER BY 1"
    )
    assert [row["feature"] for row in sampled if row["dictionary"] == "neurons"] == [row["feature"] for row in partners]
    assert len(partners) == 2


@pytest.fixture(scope="module")
def planted(tiny_subject: Any, write_sae: Callable[..., Path], tmp_path_factory: Any) -> tuple[Path, list[set[int]]]:
    """Features on the embeddings: each fires exactly on its one or two tokens; those that a linear readout can tell."""
    embedding = tiny_subject.activations(torch.arange(61)[:, None].expand(61, 2), ["hook_embed"])["hook_embed"][:, 0]
    rng = np.random.default_rng(0)
    sets, encoder, bias = [], [], []
    pairs = [rng.choice(np.arange(2, 30), size=2, replace=False).tolist() for _ in range(40)]
    for tokens in [[token] for token in range(2, 26)] + pairs:
        direction = sum(embedding[t] / embedding[t].norm() ** 2 for t in tokens)
        pre = embedding @ direction
        inside = torch.zeros(61, dtype=torch.bool)
        inside[tokens] = True
        gap = float(pre[inside].min() - pre[~inside].max())
        if gap > 0.1:
            sets.append(set(tokens))
            encoder.append(direction)
            bias.append(-float(pre[~inside].max()) - gap / 2)

    def plant(_cfg: dict[str, Any], weights: dict[str, Any]) -> None:
        weights["W_enc"] = torch.stack(encoder, dim=1)
        weights["b_enc"] = torch.tensor(bias)
        weights["b_dec"] = torch.zeros(32)

    path = tmp_path_factory.mktemp("planted") / "planted"
    return write_sae(path, d_sae=len(sets), hook="hook_embed", change=plant), sets


def test_planted_features_score_high_and_controls_do_not(
    planted: tuple[Path, list[set[int]]], configured: Callable[..., Any], folder: Path
) -> None:
    path, sets = planted
    assert sum(len(one) == 1 for one in sets) > 15
    assert sum(len(one) == 2 for one in sets) > 5
    frequency = 1 / np.arange(1, 60)
    array = np.random.default_rng(1).choice(np.arange(2, 61), size=(400, 24), p=frequency / frequency.sum())
    np.save(folder / "planted.npy", array)
    config = configured(
        "planted",
        dictionary=[{"name": "planted", "path": str(path)}],
        tokens={"source": f"npy:{folder / 'planted.npy'}", "window": 8, "prepend_bos": False},
        score={"features": "all"},
    )
    store = run(config, reporter=QUIET)
    check(store)
    firing = defaultdict(set)
    for row in query(store, "SELECT feature, unnest(tokens) AS token FROM feature_tokens"):
        firing[row["feature"]].add(row["token"])
    assert [firing[feature] for feature in range(len(sets))] == sets, "each fires on its tokens and no other"
    sql = "SELECT feature, value FROM scores WHERE explainer = $explainer AND metric = $metric AND design = 'census'"
    status = {row["feature"]: row["status"] for row in query(store, "SELECT feature, status FROM features")}
    assert sum(value == "alive" for value in status.values()) > 20
    for explainer in ("lexical", "token_lookup"):
        for metric in ("pearson", "auprc", "f1"):
            found = query(store, sql, explainer=explainer, metric=metric)
            assert len(found) == len(sets)
            values = [row["value"] for row in found if status[row["feature"]] == "alive"]
            assert min(values) > 0.95, (explainer, metric)
    for control in ("shuffled", "constant", "generic"):
        found = query(store, sql, explainer=control, metric="pearson")
        values = [row["value"] for row in found if row["value"] is not None]
        assert len(values) > 20
        if control != "generic":
            assert max(values) < 0.05, control
        assert np.mean(values) < 0.3, control


# --- the command ------------------------------------------------------------------------------------


def test_the_command_says_what_to_do_next(
    write_run: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write_run()
    store = tmp_path / "tiny.duckdb"
    main(["run", str(file), "--dry-run"])
    said = capsys.readouterr().out
    assert "cost: $0.00" in said
    assert "contexts: 6 without a feature, 84 changed before it, at most" in said
    assert "sensitivity: 3 tokens at most, 75 passes of one token each" in said
    assert "token changes: 24 clampings in a context at most, two passes of a few tokens each" in said
    assert "output scores: 48 features, a pass of one token each" in said
    assert "geometry: 6 features at most, each beside two random directions; 512 tokens read" in said
    assert not store.exists()
    main(["run", str(write_run("off", effects={"output_factor": 0, "geometry_features": "none"})), "--dry-run"])
    said = capsys.readouterr().out
    assert "output_scores 0/0" in said
    assert "output scores:" not in said
    assert "geometry 0/0, similarity 0/0" in said
    assert "geometry:" not in said
    main(["run", str(file)])
    out, err = capsys.readouterr()
    assert f"autointerp show {store}" in out
    assert "pass 1: activations" in err
    main(["run", str(file), "--dry-run"])
    assert "extract 1/1" in capsys.readouterr().out
    main(["run", str(file), "--store", str(tmp_path / "other.duckdb"), "--stage", "tokens", "--max-usd", "0"])
    assert (tmp_path / "other.duckdb").exists()
    assert load_run(file).store_path == store
