"""A sample that is drawn by strata, and what `autointerp whole` says of the dictionary: each number from the rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from stored import rows

from autointerp.cli import cli
from autointerp.config.loading import parse_run
from autointerp.pipeline import run
from autointerp.pipeline.dry_run.expected_calls import n_scored_of
from autointerp.progress import Reporter

N_FEATURES, N_SAMPLE = 160, 60
QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {
        "name": "whole",
        "store": str(tmp_path_factory.mktemp("whole") / "whole.duckdb"),
        "subject": {"model": "bundled:subject", "device": "cpu"},
        "tokens": {"source": "bundled:corpus", "n_tokens": 40_000, "allow_fewer": True},
        "dictionary": [{"name": "mlp-1k", "path": "bundled:mlp-1k", "features": f"0:{N_FEATURES}"}],
        "evidence": {"score_windows": 32},
        "score": {"scorers": ["simulation"], "features": {"sample": N_SAMPLE, "strata": True}},
    }


@pytest.fixture(scope="module")
def store(configured: dict[str, Any]) -> Path:
    return run(parse_run(configured), reporter=QUIET)


def said(store: Path, *options: str) -> dict[str, Any]:
    ran = CliRunner().invoke(cli, ["whole", str(store), "--explainer", "lexical", "--json", *options])
    assert ran.exit_code == 0, ran.output
    [found] = json.loads(ran.stdout)["sets"]
    return dict(found)


def test_the_sample_is_drawn_from_every_stratum(store: Path) -> None:
    drawn = rows(store, "SELECT DISTINCT feature FROM score_table WHERE design = 'sample' AND explainer = 'lexical'")
    alive = rows(store, "SELECT feature, density FROM features WHERE status = 'alive' ORDER BY density")
    assert len(drawn) == N_SAMPLE
    names = {row["feature"] for row in drawn}
    assert names <= {row["feature"] for row in alive}
    for part in np.array_split(np.array([row["feature"] for row in alive]), 3):
        assert N_SAMPLE / 3 - 6 < len(names & set(part.tolist())) < N_SAMPLE / 3 + 6


def test_a_plain_sample_keeps_its_identity(configured: dict[str, Any]) -> None:
    plain = parse_run(configured | {"score": {"features": {"sample": 60}}})
    assert plain.model_dump(mode="json")["score"]["features"] == {"sample": 60}
    by_strata = parse_run(configured)
    assert by_strata.model_dump(mode="json")["score"]["features"] == {"sample": 60, "strata": True}
    assert n_scored_of(by_strata, {"mlp-1k": N_FEATURES}) == {"mlp-1k": N_SAMPLE}


def test_the_numbers_follow_from_the_rows(store: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.csv"
    found = said(store, "--holds", "0.6", "--features", str(output))
    with output.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == N_FEATURES
    values = {
        row["feature"]: row["value"]
        for row in rows(
            store,
            "SELECT feature, value FROM score_table WHERE explainer = 'lexical' AND metric = 'pearson_framed'",
        )
    }
    weight = np.array([float(row["weight"]) if row["weight"] else 0.0 for row in table])
    score = np.array([values.get(int(row["feature"])) if row["weight"] else None for row in table], dtype=np.float64)
    alive = sum(row["stratum"] != "" for row in table)
    assert weight.sum() == pytest.approx(alive)
    assert (np.isnan(score) == (weight == 0)).all()
    at_floor = (N_FEATURES - alive) * found["floor"]
    mean = (np.nansum(weight * score) + at_floor) / N_FEATURES
    assert found["mean"]["value"] == pytest.approx(mean)
    assert found["mean"]["low"] < mean < found["mean"]["high"]
    share = np.sum(weight[score >= 0.6]) / N_FEATURES
    assert found["holds"]["value"] == pytest.approx(share)
    assert (found["n_drawn"], found["n_failed"], found["n_unscorable"]) == (N_SAMPLE, 0, N_FEATURES - alive)
    assert found["drawn_by_strata"] is True
    p = np.array([float(row["p_holds"]) for row in table])
    assert ((p >= 0) & (p <= 1)).all()
    assert {float(row["p_holds"]) for row in table if row["stratum"] == ""} <= {0.0}
    assert sum(row["n"] for row in found["reliability"]) == N_SAMPLE
    held = (score[weight > 0] >= 0.6).astype(float)
    brier = np.average((p[weight > 0] - held) ** 2, weights=weight[weight > 0])
    assert found["brier"] == pytest.approx(brier)


def test_the_view_has_what_the_file_of_all_features_has(store: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.json"
    said(store, "--features", str(output))
    expected = {row["feature"]: row for row in json.loads(output.read_text()) if row["score"] is None}
    status = {row["feature"]: row["status"] for row in rows(store, "SELECT feature, status FROM features")}
    view = rows(store, "SELECT * FROM unscored_labels ORDER BY feature")
    assert [row["feature"] for row in view] == sorted(expected)
    assert {row["explainer"] for row in view} == {"lexical"}, "no table and no control"
    for row in view:
        of = expected[row["feature"]]
        assert (row["metric"], row["holds_from"], row["n_scored"]) == ("pearson_framed", 0.5, N_SAMPLE)
        if status[row["feature"]] == "alive":
            assert row["status"] == "covariates"
            assert (row["probability"], row["ci_low"], row["ci_high"]) == (of["p_holds"], of["p_low"], of["p_high"])
            assert row["label"]
        else:
            assert (row["status"], row["probability"]) == (status[row["feature"]], None)


def test_the_page_and_its_refusals(store: Path, built: tuple[Path, object], tmp_path: Path) -> None:
    page = CliRunner().invoke(cli, ["whole", str(store)], env={"COLUMNS": "120"})
    assert page.exit_code == 0
    assert f"{N_SAMPLE} of {N_FEATURES} features drawn by strata" in page.stdout
    for options, message in (
        (["--metric", "pearson_frame"], 'no sampled scores of metric "pearson_frame"; the nearest is "pearson_framed"'),
        (["--features", str(tmp_path / "x.xlsx")], "the name must end in .csv, .json, .parquet"),
    ):
        refused = CliRunner().invoke(cli, ["whole", str(store), *options])
        assert refused.exit_code == 2 or refused.exception is not None
        assert message in str(refused.exception) + refused.output
    few = CliRunner().invoke(cli, ["whole", str(built[0])], env={"COLUMNS": "200"})
    assert "weighed by strata after the draw" in few.stdout
    assert "too few scored ones of either kind for a fit" in few.stdout
