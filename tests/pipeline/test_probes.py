"""An explainer that tries its answer on texts of its own: what is written, read, shown, kept, and what goes wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scripted
import torch
from stored import check, rows

from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import ConfigError
from autointerp.llm.asks import Ask
from autointerp.pipeline import run
from autointerp.progress import Reporter
from autointerp.score.scorers.generation import N_EACH, NAMES
from autointerp.subject.formats import load_dictionary
from autointerp.subject.loading import load_subject

QUIET = Reporter(quiet=True)
MODEL = {"provider": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:9/v1", "evidence": "input"}
PROBED = "gpt-6-luna/default/input/probe1"
FIRST, SECOND = "The first answer.", "The second answer."


class ProbingLLM(scripted.ScriptedLLM):
    """Writes code to make features fire and little to keep them silent; says which answer an answer is."""

    def reply(self, ask: Ask) -> Any:
        if ask.kind == "generate":
            feature = ask.about["feature"]
            texts = ["import os\nself.assertEqual(1, 2)\n" * 3] * N_EACH + ["", "a", "é", f"def f{feature}():\n"]
            return dict(zip(NAMES, (text or " " * 2 + "\x00" for text in texts), strict=True))
        if ask.kind == "explain":
            return {"fires": SECOND if "Your answer was" in ask.prompt else FIRST, "promotes": "", "lexicon": []}
        return scripted.reply_to(ask)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunConfig]:
    folder = tmp_path_factory.mktemp("probes")

    def make(name: str, **explainer: Any) -> RunConfig:
        return parse_run(
            {
                "name": name,
                "store": str(folder / f"{name}.duckdb"),
                "subject": {"model": "bundled:subject", "device": "cpu"},
                "tokens": {"source": "bundled:corpus", "n_tokens": 30_000, "allow_fewer": True},
                "effects": {"features": "none"},
                "dictionary": [{"name": "mlp-1k", "path": "bundled:mlp-1k", "features": "0:12"}],
                "explain": {"explainers": ["lexical", {**MODEL, "probe": 1, **explainer}]},
                "score": {"features": {"sample": 4}, "scorers": ["simulation"]},
            }
        )

    return make


@pytest.fixture(scope="module")
def llm() -> ProbingLLM:
    return ProbingLLM()


@pytest.fixture(scope="module")
def store(configured: Callable[..., RunConfig], llm: ProbingLLM) -> Path:
    """Without a judge."""
    return run(configured("probed"), until="explain", reporter=QUIET, open_client=lambda *_: llm)


def test_the_answer_after_the_texts_is_the_explanation(store: Path) -> None:
    check(store)
    status = {row["feature"]: row["status"] for row in rows(store, "SELECT feature, status FROM features")}
    said = rows(store, "SELECT feature, text, status FROM explanations WHERE explainer = $e", e=PROBED)
    drafts = defaultdict(list)
    for row in rows(store, "SELECT * FROM drafts WHERE explainer = $e ORDER BY feature, draft", e=PROBED):
        drafts[row["feature"]].append(row)
    assert {*status.values()} >= {"alive"}
    for row in said:
        mine = drafts[row["feature"]]
        if status[row["feature"]] == "alive":
            assert row["text"] == SECOND
            assert [(d["text"], d["round"], d["revised"], d["chosen"]) for d in mine] == [
                (FIRST, 0, None, False), (SECOND, 1, 0, True),
            ]  # fmt: skip
        elif status[row["feature"]] == "rare":
            assert row["text"] == FIRST, "too rare to try anything on"
        assert {d["select_status"] for d in mine} <= {"not_judged"}


def test_the_subject_has_read_what_was_written(store: Path) -> None:
    subject, dictionary = (
        load_subject("bundled:subject", None, "raw", "float32", "cpu"),
        load_dictionary("bundled:mlp-1k"),
    )
    found = rows(store, "SELECT * FROM probes ORDER BY feature, number")
    n_alive = len(rows(store, "SELECT 1 FROM features WHERE status = 'alive'"))
    assert len(found) == 2 * N_EACH * n_alive > 0
    for row in found:
        assert row["intended"] == (row["number"] <= N_EACH)
        [ids] = subject.encode_texts([row["text"]])
        assert row["n_tokens"] == len(ids)
        x = subject.activations(torch.tensor([[0, *ids]]), [dictionary.hook])[dictionary.hook][0, 1:]
        expected = float(dictionary.encode(x)[:, row["feature"]].max())
        assert row["max_activation"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert any(row["max_activation"] > 0 for row in found)


def test_what_came_of_the_texts_is_shown(store: Path, llm: ProbingLLM) -> None:
    probes = defaultdict(list)
    for row in rows(store, "SELECT * FROM probes ORDER BY feature, number"):
        probes[row["feature"]].append(row)
    asked = {ask.about["feature"]: ask for ask in llm.sent if "Your answer was" in ask.prompt}
    assert set(asked) == set(probes)
    seen = 0
    for feature, ask in asked.items():
        assert FIRST in ask.prompt
        begin, _ = scripted.marks(ask)
        hits, rest = ask.prompt.split("and it fired, as marked:")[1].split("and it stayed silent")
        misses, rest = rest.split("Written to keep it silent, and it fired")
        of = [row for row in probes[feature] if row["intended"]]
        fired = [row["max_activation"] > 0 for row in of]
        assert (begin in hits) == any(fired)
        assert misses.count("\n- ") == len(fired) - sum(fired)
        seen += any(fired)
    assert seen


@pytest.mark.usefixtures("store")
def test_the_texts_are_written_from_the_explanation_alone(llm: ProbingLLM) -> None:
    written = [ask for ask in llm.sent if ask.kind == "generate"]
    assert written
    for ask in written:
        assert FIRST in ask.prompt
        assert len(ask.prompt) < 200


def test_again_nothing_is_asked(configured: Callable[..., RunConfig], store: Path, llm: ProbingLLM) -> None:
    n, before = len(llm.sent), rows(store, "SELECT * FROM probes ORDER BY ALL")
    run(configured("probed"), until="explain", reporter=QUIET, open_client=lambda *_: llm)
    assert len(llm.sent) == n
    assert rows(store, "SELECT * FROM probes ORDER BY ALL") == before


@pytest.mark.slow
def test_texts_that_are_refused_leave_the_first_answer(configured: Callable[..., RunConfig]) -> None:
    def fail(ask: Ask) -> str | None:
        return "refused" if ask.kind == "generate" and ask.about["feature"] % 2 else None

    broken = ProbingLLM(fail=fail)
    path = run(configured("broken"), until="explain", reporter=QUIET, open_client=lambda *_: broken)
    check(path)
    alive = {row["feature"] for row in rows(path, "SELECT feature FROM features WHERE status = 'alive'")}
    said = {
        row["feature"]: row["text"] for row in rows(path, "SELECT * FROM explanations WHERE explainer = $e", e=PROBED)
    }
    failed = rows(
        path, "SELECT * FROM failures WHERE explainer = $e AND stage = 'explain' AND scorer = 'probe'", e=PROBED
    )
    assert {row["feature"] for row in failed} == {feature for feature in alive if feature % 2}
    assert all("texts to try it on" in row["reason"] and row["status"] == "refused" for row in failed)
    for feature in alive:
        assert said[feature] == (FIRST if feature % 2 else SECOND)


@pytest.mark.parametrize(
    ("explainer", "message"),
    [
        ({"evidence": "output"}, 'probe = 1 shows text, and evidence = "output" is to see none'),
        ({"probe": 9}, "less than or equal to 4"),
        ({"probe": 1, "best_of": 3}, "a judge chooses between drafts, and there is none"),
    ],
)
def test_what_cannot_be(configured: Callable[..., RunConfig], explainer: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configured("wrong", **explainer)
