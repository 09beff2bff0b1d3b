"""Whole runs that ask a real server: each scorer's replies are stored and become scores, within the server's context;
and a run that wants what the server cannot do ends before its first question."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import inference_server as server
import pytest
from inference_server import model_at

import autointerp
from autointerp.config.run_file import RunConfig
from autointerp.pipeline import run
from autointerp.store.writer import StoreWriter

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(server.missing()), reason=f"not installed: {server.missing()}"),
]
FEATURES = "400:402"


def configured(folder: Path, explainer: dict[str, Any], judge: dict[str, Any], **score: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "real",
            "store": str(folder / "real.duckdb"),
            "subject": {"model": "bundled:subject"},
            "tokens": {"source": "bundled:corpus", "n_tokens": 20_000, "window": 16},
            "dictionary": [{"name": "d", "path": "bundled:mlp-1k", "features": FEATURES}],
            "explain": {"explainers": ["lexical", explainer]},
            "score": {"features": "all", "judge": {**judge, "controls": 0, "replies": 1}, **score},
            "engine": {"threads": 1},
        }
    )


def rows(store: Path, sql: str, **values: Any) -> list[dict[str, Any]]:
    with StoreWriter.open(store) as opened:
        found: list[dict[str, Any]] = opened.rows(sql, **values)
    return found


@pytest.fixture(scope="module")
def judged(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Explained and judged by the small model."""
    folder = tmp_path_factory.mktemp("judged")
    scorers = ["detection", "fuzzing", "logits"]
    return run(configured(folder, model_at(server_url), model_at(server_url), scorers=scorers))


def test_a_run_explains_and_judges(judged: Path) -> None:
    calls = rows(judged, "SELECT kind, status, input_tokens, output_tokens, reply, reason FROM llm_calls")
    explained = rows(judged, "SELECT text, status FROM explanations WHERE explainer LIKE 'smollm2%'")
    scored = rows(judged, "SELECT DISTINCT scorer FROM scores")
    for kind in ("explain", "detect", "fuzz", "logits"):
        mine = [row for row in calls if row["kind"] == kind]
        ok = [row for row in mine if row["status"] == "ok"]
        print(kind, len(mine), len(ok), {row["status"]: row["reason"][:80] for row in mine if row["status"] != "ok"})
        assert ok, (kind, mine)
        assert all(row["input_tokens"] > 0 and row["output_tokens"] > 0 and row["reply"] for row in ok)
    assert {row["status"] for row in calls} <= {"ok", "truncated", "invalid", "server_error"}
    assert any(row["status"] == "ok" and row["text"] for row in explained)
    judges = {row["scorer"].partition(":")[0] for row in scored if row["scorer"].endswith(f":{server.MODEL}")}
    assert judges == {"detection", "fuzzing", "logits"}


def test_a_run_simulates_within_the_context(judged: Path, server_url: str) -> None:
    """As many windows a call as 8,192 tokens hold with the longest reply: each request fits, and each window is asked
    about once."""
    judge = model_at(server_url, windows_per_call=60)
    scorers = ["simulation", "detection", "fuzzing", "logits"]
    before = len(rows(judged, "SELECT 1 FROM llm_calls"))
    run(configured(judged.parent, model_at(server_url), judge, scorers=scorers))
    calls = rows(judged, "SELECT * FROM llm_calls ORDER BY called_at")[before:]
    assert {row["kind"] for row in calls} == {"simulate"}, "the other scorers were answered before"
    assert [row["reason"] for row in calls if row["status"] in ("prompt_cut", "server_error", "api_error")] == []
    assert all(row["input_tokens"] + row["output_tokens"] <= server.CONTEXT for row in calls)
    assert any(row["status"] == "ok" for row in calls), [row["reason"] for row in calls]
    scorer = f"simulation:{server.MODEL}"
    stored = rows(judged, "SELECT * FROM simulations WHERE scorer = $scorer", scorer=scorer)
    asked_about = {(row["feature"], row["context"], row["window_start"]) for row in stored}
    assert len(asked_about) == len(stored) > 12 * len(calls) / len({row["feature"] for row in stored}) / 2
    failed = {row["status"] for row in calls} - {"ok"}
    assert {row["status"] for row in stored} == {row["status"] for row in calls if row["status"] == "ok"} | failed
    print("simulate", len(calls), "calls", len(stored), "windows", failed or "all answered")


def test_judgements_of_a_run_are_probabilities(judged: Path, logprobs_url: str, tmp_path: Path) -> None:
    """With log probabilities a yes is a probability, and a rating an expected value."""
    context = server.CONTEXT_WITH_LOGPROBS
    judge = model_at(logprobs_url, logprobs=10, context_tokens=context, items_per_call=4)
    path = run(configured(tmp_path, model_at(logprobs_url, context_tokens=context), judge, scorers=["detection"]))
    stored = rows(path, "SELECT * FROM judgements WHERE scorer = $scorer", scorer=f"detection:{server.MODEL}")
    said = [row for row in stored if row["status"] == "ok"]
    assert said
    assert all(0 <= row["probability"] <= 1 for row in said)
    assert sum(0 < row["probability"] < 1 for row in said) > len(said) / 2
    plain = rows(judged, "SELECT * FROM judgements WHERE scorer = $scorer", scorer=f"detection:{server.MODEL}")
    assert {row["probability"] for row in plain if row["status"] == "ok"} <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("simulate = 'echo'", "gives no log probabilities of a prompt"),
        ("logprobs = 5", "gives no log probabilities"),
        ("judgements = 'decisions'", "has no Decisions API"),
        ("context_tokens = 512", "has a context of 512 tokens, and a question of kind"),
    ],
)
def test_a_run_that_wants_what_the_server_cannot_do_is_refused_in_one_line(
    server_url: str, tmp_path: Path, settings: str, line: str
) -> None:
    run_file = tmp_path / "wants.toml"
    run_file.write_text(
        f"""
name = "wants"
subject = {{ model = "bundled:subject" }}
tokens = {{ source = "bundled:corpus", n_tokens = 20_000 }}
explain = {{ explainers = ["lexical"] }}
[[dictionary]]
name = "d"
path = "bundled:mlp-1k"
features = "{FEATURES}"
[score]
scorers = ["simulation", "detection"]
judge = {{ provider = "openai", model = "{server.MODEL}", base_url = "{server_url}", embedded = true, {settings} }}
""",
        encoding="utf-8",
    )
    words = [sys.executable, "-m", "autointerp", "run", "wants.toml"]
    paths = os.environ | {"PYTHONPATH": str(Path(autointerp.__file__).parents[1])}
    ended = subprocess.run(words, cwd=tmp_path, env=paths, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    errors = [text for text in ended.stderr.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0] == ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    store = tmp_path / "wants.duckdb"
    if store.exists():
        assert rows(store, "SELECT * FROM stages") == []
        assert {row["kind"] for row in rows(store, "SELECT kind FROM llm_calls")} == {"probe"}
