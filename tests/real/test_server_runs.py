"""Whole runs that ask a real server: each scorer's replies are valid, stored and become scores, within the server's
context; and a run that wants what the server cannot do ends before its first question.

On one thread of a busy machine the server reads some 25 tokens a second and writes some 5 (`make test-real` prints what
it was), so that what is shown is short: one feature, windows of eight tokens, few exemplars.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import inference_server as server
import pytest
from inference_server import model_at
from real_lane import Lane

import autointerp
from autointerp.config.run_file import RunConfig
from autointerp.pipeline import run
from autointerp.store.writer import StoreWriter

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(server.missing()), reason=f"not installed: {server.missing()}"),
]
FEATURES = "824:825"
"""One that fires on three tokens in a hundred: a rare one has no scores, and its judge is asked nothing."""
EVIDENCE = {
    "top": 3, "quantiles": {"n": 2, "each": 1}, "intervals": {"n": 0, "each": 0}, "random": 1, "near_miss": 2,
    "outlier": 0, "select_windows": 8, "score_windows": 8,
}  # fmt: skip
WITHIN = 4_096
"""Tokens of a call that simulates: half of what the server holds, so that the windows need several calls."""


def configured(folder: Path, explainers: list[Any], judge: dict[str, Any], **score: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "name": "real",
            "store": str(folder / "real.duckdb"),
            "subject": {"model": "bundled:subject"},
            "tokens": {"source": "bundled:corpus", "n_tokens": 20_000, "window": 8},
            "evidence": EVIDENCE,
            "dictionary": [{"name": "d", "path": "bundled:mlp-1k", "features": FEATURES}],
            "explain": {"explainers": explainers},
            "score": {"features": "all", "judge": {**judge, "controls": 0, "replies": 1, "context": 4}, **score},
            "engine": {"threads": 1},
        }
    )


def rows(store: Path, sql: str, **values: Any) -> list[dict[str, Any]]:
    with StoreWriter.open(store) as opened:
        found: list[dict[str, Any]] = opened.rows(sql, **values)
    return found


def asked(store: Path, lane: Lane, what: str) -> dict[str, list[dict[str, Any]]]:
    """The calls by their kind, those that find out what the server can do left out: each is valid and counted. Notes
    how fast the server was."""
    calls = rows(store, "SELECT * FROM llm_calls WHERE kind <> 'probe'")
    assert [(row["kind"], row["status"], row["reason"]) for row in calls if row["status"] != "ok"] == []
    assert all(row["input_tokens"] > 0 and row["output_tokens"] > 0 and row["reply"] for row in calls)
    assert len({row["request"] for row in calls}) == len(calls)
    read, wrote = sum(row["input_tokens"] for row in calls), sum(row["output_tokens"] for row in calls)
    of_all = "sum(attempts) AS n, sum(ok) AS ok, sum(input_tokens) AS read, sum(output_tokens) AS wrote"
    [counted] = rows(store, f"SELECT {of_all} FROM llm_costs WHERE kind <> 'probe'")
    assert counted == {"n": len(calls), "ok": len(calls), "read": read, "wrote": wrote}
    seconds = sum(row["latency_ms"] for row in calls) / 1000
    lane.notes.append(
        f"server, {what}: {len(calls)} calls, {read:,} tokens read, {wrote:,} written in {seconds:,.0f} s"
    )
    kinds = sorted({row["kind"] for row in calls})
    return {kind: [row for row in calls if row["kind"] == kind] for kind in kinds}


@pytest.fixture(scope="module")
def judged(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Explained and judged by the small model."""
    folder = tmp_path_factory.mktemp("judged")
    scorers = ["detection", "fuzzing", "logits"]
    return run(configured(folder, ["lexical", model_at(server_url)], model_at(server_url), scorers=scorers))


def test_a_run_explains_and_judges(judged: Path, lane: Lane) -> None:
    calls = asked(judged, lane, "explained and judged")
    assert {kind: len(of) for kind, of in calls.items()} == {"explain": 1, "detect": 1, "fuzz": 1, "logits": 1}
    [explained] = rows(judged, "SELECT text, status FROM explanations WHERE explainer LIKE 'smollm2%'")
    assert explained["status"] == "ok"
    assert explained["text"]
    for scorer, kind in (("detection", "detect"), ("fuzzing", "fuzz")):
        stored = rows(judged, "SELECT * FROM judgements WHERE scorer = $scorer", scorer=f"{scorer}:{server.MODEL}")
        said = json.loads(calls[kind][0]["reply"])
        assert len(stored) == len(said) > 12
        assert {row["status"] for row in stored} == {"ok"}
    scored = rows(judged, "SELECT DISTINCT scorer FROM scores WHERE explainer LIKE 'smollm2%'")
    judges = {row["scorer"].partition(":")[0] for row in scored if row["scorer"].endswith(f":{server.MODEL}")}
    assert judges == {"detection", "fuzzing", "logits"}


def test_a_run_simulates_within_the_context(server_url: str, tmp_path: Path, lane: Lane) -> None:
    """The label of `lexical` is simulated, as many windows a call as the tokens hold: each request fits, and each
    window is asked about once."""
    judge = model_at(server_url, embedded=True, windows_per_call=60, context_tokens=WITHIN)
    path = run(configured(tmp_path, ["lexical"], judge, scorers=["simulation"]))
    calls = asked(path, lane, "simulated")["simulate"]
    assert len(calls) > 1, "all windows do not fit into one call"
    assert all(row["input_tokens"] + row["output_tokens"] <= WITHIN for row in calls)
    stored = rows(path, "SELECT * FROM simulations WHERE scorer = $scorer", scorer=f"simulation:{server.MODEL}")
    assert len({(row["context"], row["window_start"]) for row in stored}) == len(stored) > 12
    assert {row["status"] for row in stored} == {"ok"}


def test_judgements_of_a_run_are_probabilities(logprobs_url: str, tmp_path: Path, lane: Lane) -> None:
    """With log probabilities a yes is a probability, one that is neither 0 nor 1."""
    judge = model_at(logprobs_url, embedded=True, logprobs=10, context_tokens=server.CONTEXT_WITH_LOGPROBS)
    path = run(configured(tmp_path, ["lexical"], judge, scorers=["detection"]))
    stored = rows(path, "SELECT * FROM judgements WHERE scorer = $scorer", scorer=f"detection:{server.MODEL}")
    asked(path, lane, "judged with log probabilities")
    assert {row["status"] for row in stored} == {"ok"}
    said = [row["probability"] for row in stored]
    assert len(said) > 12
    assert all(0 <= chance <= 1 for chance in said)
    assert sum(0 < chance < 1 for chance in said) > len(said) / 2


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
