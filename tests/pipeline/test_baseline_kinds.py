"""A whole run with every kind of baseline: twins at natural density, units used again, another site."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from autointerp.config.loading import parse_run
from autointerp.errors import UserError
from autointerp.pipeline import run
from autointerp.pipeline.check import check_run
from autointerp.pipeline.plan.prepare import prepare
from autointerp.progress import Reporter
from autointerp.show.compare import compare_page
from autointerp.show.fairness import load_fairness
from autointerp.store.reader import open_reader
from autointerp.store.verify import verify

pytestmark = pytest.mark.slow

HOOK = "blocks.1.hook_resid_post"
SAES = ("sae", "topk")


@pytest.fixture(scope="module")
def configured(
    tiny_model: Path,
    tokens_npy: Path,
    sae_folder: Path,
    write_sae: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:
    folder = tmp_path_factory.mktemp("kinds")
    topk = write_sae(folder / "topk", "topk", seed=3)
    files = [{"name": "sae", "path": str(sae_folder)}, {"name": "topk", "path": str(topk), "features": "0:12"}]

    def make(*baselines: dict[str, Any], **changed: Any) -> Any:
        data = {
            "name": "kinds",
            "store": str(folder / "kinds.duckdb"),
            "subject": {"model": str(tiny_model), "device": "cpu"},
            "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
            "dictionary": [*files, *baselines],
            "score": {"features": {"sample": 12}},
        }
        return parse_run(data | changed)

    return make


@pytest.fixture(scope="module")
def store(configured: Callable[..., Any]) -> Path:
    config = configured(
        {"name": "basis", "kind": "residual_basis", "match": "sae", "natural": True, "features": {"sample": 40}},
        {"name": "pca", "kind": "pca", "match": "sae", "n_features": 20},
        {"name": "ica", "kind": "ica", "match": "sae", "natural": True},
        {"name": "fresh", "kind": "random_init_sae", "like": "topk", "features": "0:9"},
        {"name": "fresh-matched", "kind": "random_init_sae", "match": "sae", "n_features": 10},
        {"name": "components", "kind": "pca", "hook": HOOK},
        {"name": "embedding", "kind": "neurons", "hook": "hook_embed", "features": "0:6"},
    )
    path: Path = run(config, reporter=Reporter(quiet=True))
    once = path.read_bytes()
    run(config, reporter=Reporter(quiet=True))  # fitted baselines are read back as they were written
    assert path.read_bytes() == once
    return path


def test_components_that_did_not_come_to_rest_are_named(
    configured: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("autointerp.subject.components.TOLERANCE", -1.0)
    said = io.StringIO()
    config = configured(
        {"name": "ica", "kind": "ica", "match": "sae"}, store=str(tmp_path / "s.duckdb"), name="unrested"
    )
    run(config, until="extract", reporter=Reporter(Console(file=said, width=200)))
    assert "ica: still turning after 200 steps" in said.getvalue()


def query(path: Path, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    with open_reader(path) as reader:
        return reader.rows(sql, **parameters)


def test_the_store_is_whole(store: Path) -> None:
    with open_reader(store) as reader:
        assert [check for check in verify(reader) if not check.ok] == []
    kinds = {row["dictionary"]: row for row in query(store, "SELECT * FROM dictionaries")}
    facts = ("kind", "matched_to", "natural_of", "n_units")
    assert {name: tuple(row[fact] for fact in facts) for name, row in kinds.items()} == {
        "sae": ("sae", None, None, None),
        "topk": ("sae", None, None, None),
        "basis": ("residual_basis", "sae", None, 32),
        "basis@natural": ("residual_basis", "sae", "basis", 32),
        "pca": ("pca", "sae", None, 20),
        "ica": ("ica", "sae", None, 32),
        "ica@natural": ("ica", "sae", "ica", 32),
        "fresh": ("random_init_sae", None, None, None),
        "fresh-matched": ("random_init_sae", "sae", None, 10),
        "components": ("pca", None, None, 32),
        "embedding": ("neurons", None, None, 32),
    }
    assert '"converged"' in kinds["ica"]["config"]
    assert kinds["fresh"]["activation"].startswith("topk (k = ")


def test_twins_have_the_same_units_at_their_natural_density(store: Path) -> None:
    for name in ("basis", "ica"):
        found = query(
            store,
            """
            SELECT f.feature, f.unit, f.sign, f.matched_feature, f.match_status, f.theta, f.density,
                   t.unit AS twin_unit, t.sign AS twin_sign, t.matched_feature AS twin_feature,
                   t.match_status AS twin_status,
                   t.theta AS twin_theta, t.density AS twin_density
            FROM features f FULL JOIN features t ON t.dictionary = $name || '@natural' AND t.feature = f.feature
            WHERE f.dictionary = $name
            """,
            name=name,
        )
        assert len(found) == (40 if name == "basis" else 48)
        for row in found:
            assert (row["unit"], row["sign"], row["matched_feature"]) == (
                row["twin_unit"],
                row["twin_sign"],
                row["twin_feature"],
            )
            assert (row["twin_status"], row["twin_theta"]) == ("natural", 0)
        matched = [row for row in found if row["match_status"] == "matched"]
        assert len(matched) > 8
        assert np.median([row["twin_density"] / row["density"] for row in matched]) > 1
        sampled = query(
            store,
            "SELECT dictionary, feature FROM score_table WHERE design = 'sample' AND explainer = 'lexical'",
        )
        scored = {row["feature"] for row in sampled if row["dictionary"] == f"{name}@natural"}
        assert scored == {row["feature"] for row in sampled if row["dictionary"] == name}
        assert scored


def test_twins_are_in_no_comparison_and_another_site_is_said(store: Path) -> None:
    found = query(store, "SELECT DISTINCT a, b, paired, other_site FROM comparisons")
    assert {(row["a"], row["b"], row["paired"], row["other_site"]) for row in found} == {
        ("sae", "topk", False, False),
        ("sae", "basis", True, False),
        ("sae", "pca", True, False),
        ("sae", "ica", True, False),
        ("sae", "fresh-matched", True, False),
        ("sae", "fresh", False, False),
        ("topk", "fresh", False, False),
        ("sae", "components", False, False),
        ("topk", "components", False, False),
        ("sae", "embedding", False, True),
        ("topk", "embedding", False, True),
    }


# --- how fair it is: each view against the slow way ---------------------------------------------------


def rows_by(store: Path, sql: str, *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[key] for key in keys): row for row in query(store, sql)}


def test_densities_reached_on_the_score_split(store: Path) -> None:
    features = rows_by(store, "SELECT * FROM features", "dictionary", "feature")
    splits = rows_by(store, "SELECT * FROM feature_splits WHERE split = 'score'", "dictionary", "feature")
    tokens = {row["split"]: row["n_tokens"] for row in query(store, "SELECT * FROM token_splits")}
    expected = {}
    for (name, number), row in features.items():
        if row["match_status"] != "matched":
            continue
        wanted = splits["sae", row["matched_feature"]]["n_firing"]
        reached = splits[name, number]["n_firing"]
        own = features["sae", row["matched_feature"]]["n_firing"] * tokens["score"] / tokens["explain"]
        twin = features.get((f"{name}@natural", number), {})
        expected[name, number] = (
            row["matched_feature"],
            wanted,
            reached,
            abs(reached - wanted) <= max(0.1 * wanted, 3),
            abs(own - wanted) <= max(0.1 * wanted, 3),
            twin.get("density"),
        )
    columns = ("matched_feature", "n_firing", "n_firing_baseline", "within", "own_within", "natural_density")
    found = rows_by(store, "SELECT * FROM matched_pairs WHERE dictionary = 'sae'", "baseline", "feature")
    assert {key: tuple(row[column] for column in columns) for key, row in found.items()} == expected
    assert len(found) > 25
    assert {row["within"] for row in found.values()} == {True, False}


def test_overlap_of_token_entropy_at_equal_firing_counts(store: Path) -> None:
    features = query(store, "SELECT * FROM features WHERE n_firing > 0")
    found = rows_by(store, "SELECT * FROM entropy_overlap", "a", "b", "octave")
    assert len(found) >= 3
    for (a, b, octave), row in found.items():
        histograms = []
        for name, n in ((a, row["n_a"]), (b, row["n_b"])):
            mine = [
                math.floor(feature["token_entropy"])
                for feature in features
                if feature["dictionary"] == name and 2**octave <= feature["n_firing"] < 2 ** (octave + 1)
            ]
            assert len(mine) == n >= 3
            histograms.append({nats: mine.count(nats) / n for nats in range(10)})
        overlap = sum(min(histograms[0][nats], histograms[1][nats]) for nats in range(10))
        assert row["overlap"] == pytest.approx(overlap)
    assert max(row["overlap"] for row in found.values()) <= 1 + 1e-9
    assert min(row["overlap"] for row in found.values()) >= 0


def test_differences_by_token_entropy(store: Path) -> None:
    features = rows_by(store, "SELECT * FROM features", "dictionary", "feature")
    census = "FROM {} WHERE metric = 'pearson' AND design = 'census' AND explainer = 'lexical'"
    scores = [score for score in query(store, census.format("score_table")) if score["value"] is not None]
    found = query(store, census.format("entropy_strata"))
    assert {(row["a"], row["b"]) for row in found} >= {("sae", "basis"), ("sae", "fresh"), ("topk", "embedding")}
    paired = {row["b"] for row in query(store, "SELECT b FROM baseline_pairs WHERE paired")}
    for row in found:
        partners = {
            f["matched_feature"]
            for (name, _), f in features.items()
            if name == row["b"] and f["match_status"] == "matched"
        }
        values: dict[str, list[float]] = {"a": [], "b": []}
        for score in scores:
            feature = features[score["dictionary"], score["feature"]]
            if feature["token_entropy"] is None or min(math.floor(feature["token_entropy"]), 4) != row["nats"]:
                continue
            if score["dictionary"] == row["a"] and (row["b"] not in paired or score["feature"] in partners):
                values["a"].append(score["value"])
            if score["dictionary"] == row["b"] and (row["b"] not in paired or feature["match_status"] == "matched"):
                values["b"].append(score["value"])
        assert (row["n_a"], row["n_b"]) == (len(values["a"]), len(values["b"]))
        assert row["difference"] == pytest.approx(np.mean(values["a"]) - np.mean(values["b"]))


def test_the_comparison_shows_it(store: Path) -> None:
    with open_reader(store) as reader:
        fairness = {(row.a, row.b): row for row in load_fairness(reader, "kinds")}
        console = Console(width=220, file=io.StringIO(), color_system=None)
        console.print(compare_page([("kinds", reader)]))
        assert isinstance(console.file, io.StringIO)
        page = console.file.getvalue()
    basis = fairness["sae", "basis"]
    assert (basis.n_units, basis.n_features) == (32, 48)
    assert 0 < basis.n_within < basis.n_matched
    assert basis.natural_density is not None
    assert basis.density is not None
    assert basis.natural_density > basis.density
    assert fairness["sae", "components"].n_matched == 0
    assert "embedding (other site)" in page
    assert "32 for 48" in page
    assert f"{basis.n_within}/{basis.n_matched}" in page
    line = next(line for line in page.splitlines() if line.strip().startswith("basis@natural"))
    assert "natural density, 32 units" in line
    worst = basis.worst[0]
    assert f"{worst.feature} ({worst.n_firing_baseline} firings for the {worst.n_firing} of sae/" in page


def test_a_rerandomised_subject_runs_and_is_recorded(
    configured: Callable[..., Any], store: Path, tmp_path: Path
) -> None:
    base = configured()
    subject = base.subject.model_copy(update={"rerandomise": 3})
    config = base.model_copy(update={"subject": subject, "store": str(tmp_path / "drawn.duckdb")})
    path = run(config, reporter=Reporter(quiet=True))
    [drawn], [trained] = (query(file, "SELECT rerandomised, checksum FROM subjects") for file in (path, store))
    assert (drawn["rerandomised"], trained["rerandomised"]) == (3, None)
    assert drawn["checksum"] != trained["checksum"]
    densities = [
        [
            row["density"]
            for row in query(file, "SELECT density FROM features WHERE dictionary = 'sae' ORDER BY feature")
        ]
        for file in (path, store)
    ]
    assert len(densities[0]) == 48
    assert densities[0] != densities[1]
    assert query(path, "SELECT * FROM comparisons")
    with open_reader(path) as reader:
        assert all(check.ok for check in verify(reader))
    reports = check_run(config, Reporter(quiet=True)).reports
    assert [report.cause for report in reports] == [None, None], "poor figures are expected here"


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"name": "b", "kind": "residual_basis", "hook": "blocks.1.mlp.hook_post"}, "is not in the residual stream"),
        ({"name": "b", "kind": "pca", "hook": HOOK, "n_features": 33}, "32 components at most"),
        ({"name": "b", "kind": "random_init_sae", "like": "sae", "hook": "hook_embed"}, 'it is like "sae" at'),
        ({"name": "b", "kind": "ica", "match": "sae", "n_features": 49}, '"sae" has 48 features to match'),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    baseline: dict[str, Any], message: str, configured: Callable[..., Any], tmp_path: Path
) -> None:
    config = configured(baseline, store=str(tmp_path / "none.duckdb"))
    with pytest.raises(UserError, match=message):
        prepare(config)
    assert list(tmp_path.iterdir()) == []
