"""A real server of inference: everything that asks an LLM is asked of llama-cpp-python's server with a small model.

A model of 135 million parameters knows nothing of features: what is tested is that its replies are valid, counted and
stored, not that they are right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import inference_server as server
import pytest

from autointerp.config.llm_model import LLMModel
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError
from autointerp.llm.asks import Answer, Ask
from autointerp.llm.session.client import Session
from autointerp.pipeline import run
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.simulators.choose import simulator_named
from autointerp.store.replies import StoreReplyLog
from autointerp.store.writer import StoreWriter

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(server.missing()), reason=f"not installed: {server.missing()}"),
]

EXPLANATION = 'Fires on " river" and on words for water.'
WINDOWS = [
    ShownWindow((" The", " river", " ran", " high"), (True,) * 4, before=(" day", ".")),
    ShownWindow((" a", " bridge", " of", " stone"), (True,) * 4),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server.running(tmp_path_factory.mktemp("plain") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def with_logprobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server.running(tmp_path_factory.mktemp("logprobs") / "log", n_ctx=2048, logprobs=True) as url:
        yield url


def model_at(url: str, **more: Any) -> dict[str, Any]:
    settings = {"provider": "openai", "model": server.MODEL, "base_url": url, "concurrency": 1, "temperature": 0.0}
    return {**settings, "timeout_s": 600.0, "attempts": 2, "context_tokens": 8192, **more}


def asked(path: Path, asks: Sequence[Ask], model: dict[str, Any]) -> tuple[list[Answer], list[dict[str, Any]]]:
    """The answers in the order of the asks, and the rows of the log."""
    with StoreWriter.open(path) as store, StoreReplyLog(store) as log, Session(log) as session:
        settings = LLMModel.model_validate(model)
        session.settle(settings, asks)
        answers = {id(answer.ask): answer for answer in session.answers(asks, settings)}
        log.flush()
        return [answers[id(ask)] for ask in asks], store.rows("SELECT * FROM llm_calls ORDER BY called_at")


@pytest.mark.parametrize("name", ["sparse", "dense", "digits", "token"])
def test_simulation_in_each_form_of_reply(plain: str, tmp_path: Path, name: str) -> None:
    windows = WINDOWS[:1] if name == "token" else WINDOWS
    simulator = simulator_named(name)
    asks = simulator.asks(EXPLANATION, windows)
    answers, rows = asked(tmp_path / "store.duckdb", asks, model_at(plain))
    replies = simulator.read(answers, windows)
    print(name, [reply.values or reply.reason for reply in replies])
    if name != "digits":  # a string of n digits is not in the schema: a small model miscounts
        assert [(reply.status, reply.reason) for reply in replies] == [("ok", "")] * len(windows)
    assert [len(reply.values) for reply in replies if reply.values is not None] == [4] * sum(
        reply.status == "ok" for reply in replies
    )
    mine = [row for row in rows if row["kind"] == "simulate"]
    assert len({row["request"] for row in mine}) == len(asks)
    assert all(row["input_tokens"] > 100 and row["output_tokens"] > 0 and row["reply"] for row in mine)
    assert {row["cost_usd"] for row in rows} == {0.0}


def test_the_form_is_found(plain: str, tmp_path: Path) -> None:
    """json_schema is refused with a 500, json_object with a schema beside it is a grammar."""
    asks = simulator_named("sparse").asks(EXPLANATION, WINDOWS)
    _, rows = asked(tmp_path / "store.duckdb", asks, model_at(plain))
    assert [row["status"] for row in rows if row["kind"] == "probe"] == ["server_error"] * 3 + ["ok"]
    with StoreWriter.open(tmp_path / "store.duckdb") as store:
        assert "form json_object" in {row["wish"] for row in store.rows("SELECT wish FROM llm_probes")}


def test_log_probabilities_of_digits_and_of_an_echoed_prompt(with_logprobs: str, tmp_path: Path) -> None:
    model = model_at(with_logprobs, context_tokens=2048)
    short = WINDOWS[:1]  # for each token the server sorts its whole vocabulary
    dense = simulator_named("dense", logprobs=10)
    answers, rows = asked(tmp_path / "dense.duckdb", dense.asks(EXPLANATION, short), model)
    [first] = dense.read(answers, short)
    assert first.values is not None
    assert any(value != round(value) for value in first.values), "expected values, not the digits as they are written"
    assert any(row["tokens"] for row in rows)
    digits = simulator_named("digits", logprobs=10)
    [answer], _ = asked(tmp_path / "digits.duckdb", digits.asks(EXPLANATION, short), model)
    assert answer.tokens or answer.status != "ok"
    assert answer.status in ("ok", "invalid"), answer.reason
    echo = simulator_named("echo")
    answers, rows = asked(tmp_path / "echo.duckdb", echo.asks(EXPLANATION, short), model)
    assert [answer.status for answer in answers] == ["ok"], answers[0].reason
    assert {len(reply.values) for reply in echo.read(answers, short) if reply.values is not None} <= {4}
    assert {row["stop_reason"] for row in rows} <= {"length", "stop"}


def test_what_the_server_cannot_do_is_said_before_the_first_question(plain: str, tmp_path: Path) -> None:
    for simulator in (simulator_named("digits", logprobs=5), simulator_named("echo")):
        store = tmp_path / f"{simulator.name}.duckdb"
        with pytest.raises(ConfigError, match="log probabilities") as caught:
            asked(store, simulator.asks(EXPLANATION, WINDOWS), model_at(plain))
        assert "\n" not in str(caught.value)


def test_a_run_explains_and_judges(plain: str, tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {
            "name": "real",
            "store": str(tmp_path / "real.duckdb"),
            "subject": {"model": "bundled:subject"},
            "tokens": {"source": "bundled:corpus", "n_tokens": 20_000},
            "dictionary": [{"name": "d", "path": "bundled:mlp-1k", "features": "400:402"}],
            "explain": {"explainers": ["lexical", model_at(plain)]},
            "score": {
                "scorers": ["detection", "fuzzing", "logits"],  # simulation: above, in each of its forms
                "features": "all",
                "judge": model_at(plain, controls=0, replies=1),
            },
            "engine": {"threads": 1},
        }
    )
    path = run(config)
    with StoreWriter.open(path) as store:
        calls = store.rows("SELECT kind, status, input_tokens, output_tokens, reply, reason FROM llm_calls")
        explained = store.rows("SELECT text, status FROM explanations WHERE explainer LIKE 'smollm2%'")
        judged = store.rows("SELECT scorer, status, count(*) AS n FROM scores GROUP BY ALL")
    for kind in ("explain", "detect", "fuzz", "logits"):
        mine = [row for row in calls if row["kind"] == kind]
        ok = [row for row in mine if row["status"] == "ok"]
        print(kind, len(mine), len(ok), {row["status"]: row["reason"][:80] for row in mine if row["status"] != "ok"})
        assert ok, (kind, mine)
        assert all(row["input_tokens"] > 0 and row["output_tokens"] > 0 and row["reply"] for row in ok)
    assert {row["status"] for row in calls} <= {"ok", "truncated", "invalid", "server_error"}
    assert any(row["status"] == "ok" and row["text"] for row in explained)
    assert {row["scorer"].partition(":")[2] for row in judged} >= {server.MODEL}
