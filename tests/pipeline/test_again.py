"""`run --features`, `--where`, `--features failed`: a subset is asked about again, and nothing else."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import scripted
from stored import check, rows

from autointerp.cli import main
from autointerp.config.llm_model import LLMModel
from autointerp.config.loading import parse_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import UserError
from autointerp.explain.evidence import Evidence, Failure
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline import run
from autointerp.pipeline.dry_run.report import plan_of
from autointerp.pipeline.plan.reask import Wish
from autointerp.progress import Reporter
from autointerp.records import Explanation

QUIET = Reporter(quiet=True)
MODEL = {"provider": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:9/v1"}
LUNA, BEST = "gpt-6-luna/default/both", "gpt-6-luna/default/both/best2"
HISTORY = ("explanations", "scores", "simulations", "judgements", "token_judgements", "llm_calls", "drafts", "failures")


class NumberedLLM(scripted.ScriptedLLM):
    """Each draw says its number."""

    def reply(self, ask: Ask) -> Any:
        said = scripted.reply_to(ask)
        return {**said, "fires": f"{said['fires']} Draw {ask.sample}."} if ask.kind == "explain" else said


class Mine:
    """An explainer of the user's own that counts."""

    calls = 0

    def explain(self, evidence: Evidence) -> Explanation | Failure:
        Mine.calls += 1
        return Explanation(evidence.feature, "", f"Call {Mine.calls}.", "ok")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("again")


@pytest.fixture(scope="module")
def configured(folder: Path) -> Callable[..., RunConfig]:
    def make(name: str) -> RunConfig:
        return parse_run(
            {
                "name": "again",
                "store": str(folder / name / "s.duckdb"),
                "subject": {"model": "bundled:subject", "device": "cpu"},
                "tokens": {"source": "bundled:corpus", "n_tokens": 40_000, "allow_fewer": True},
                "effects": {"features": "none"},
                "dictionary": [{"name": "mlp-1k", "path": "bundled:mlp-1k", "features": "0:10"}],
                "evidence": {"score_windows": 64},
                "explain": {
                    "explainers": [
                        "lexical",
                        MODEL,
                        {**MODEL, "best_of": 2},
                        {"python": "my_counter:Mine", "name": "mine"},
                    ]
                },
                "score": {
                    "features": [*range(0, 10, 2)],
                    "scorers": ["detection", "fuzzing"],
                    "judge": {**MODEL, "controls": 2},
                },
            }
        )

    return make


@pytest.fixture(scope="module", autouse=True)
def my_counter() -> Iterator[None]:
    module = ModuleType("my_counter")
    module.Mine = Mine  # type: ignore[attr-defined]
    sys.modules["my_counter"] = module
    yield
    del sys.modules["my_counter"]


def fails_at_first(ask: Ask) -> str | None:
    """Explanations of features 3 and 4 by LUNA are refused, fuzzing of 8 and of a control is cut."""
    feature, explainer = ask.about["feature"], ask.about["explainer"]
    if ask.kind == "explain":
        return "refused" if explainer == LUNA and feature in (3, 4) else None
    return "truncated" if ask.kind == "fuzz" and (explainer == "constant" or feature == 8) else None


@pytest.fixture(scope="module")
def first(configured: Callable[..., RunConfig]) -> tuple[Path, Any]:
    """A whole run, in which some things failed, and what its LLM has answered."""
    config, llm = configured("first"), NumberedLLM(fails_at_first)
    config.store_path.parent.mkdir()
    return run(config, reporter=QUIET, open_client=lambda *_: llm), llm


@pytest.fixture
def copy(
    first: tuple[Path, Any], configured: Callable[..., RunConfig], request: pytest.FixtureRequest
) -> tuple[RunConfig, Any]:
    """The same in a store of the test's own, with an LLM that has all replies of the first run and fails no more."""
    config, llm = configured(request.node.name), NumberedLLM()
    shutil.copytree(first[0].parent, config.store_path.parent)
    llm.kept = dict(first[1].kept)
    return config, llm


def again(config: RunConfig, llm: Any, *features: str, where: str | None = None) -> Path:
    return run(config, reporter=QUIET, open_client=lambda *_: llm, wish=Wish(features, where))


def counted(path: Path) -> dict[str, int]:
    return {table: rows(path, f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in (*HISTORY, "again", "runs")}


def current(path: Path, where: str) -> dict[str, list[dict[str, Any]]]:
    return {
        view: rows(path, f"SELECT * FROM {view} WHERE {where} ORDER BY ALL")
        for view in ("current_explanations", "score_table")
    }


def test_a_subset_is_explained_and_judged_again_and_nothing_else(copy: tuple[RunConfig, Any]) -> None:
    config, llm = copy
    path = config.store_path
    others = f"feature NOT IN (0, 1, 2) OR explainer NOT IN ('mine', '{LUNA}', '{BEST}')"
    before, means = current(path, others), rows(path, "SELECT run FROM dictionary_scores")
    n_calls = Mine.calls
    again(config, llm, "mlp-1k/0:3")
    check(path)
    assert current(path, others) == before, "nothing else is touched"
    alive = {
        row["feature"] for row in rows(path, "SELECT feature FROM features WHERE status <> 'dead' AND feature < 3")
    }
    assert len(alive) > 1
    asked = Counter((ask.about["feature"], ask.sample) for ask in llm.sent if ask.kind == "explain")
    assert asked == Counter({(f, number): 1 for f in alive for number in (100, 101)}), "samples of its own, shared"
    assert Mine.calls == n_calls + len(alive)
    judged = {(ask.about["feature"], ask.about["explainer"]) for ask in llm.sent if ask.kind == "fuzz"}
    assert {feature for feature, _ in judged} <= alive
    judges = {explainer for _, explainer in judged}
    assert {LUNA, "mine"} <= judges <= {LUNA, BEST, "mine"}, "the controls are not judged again"
    new = rows(path, "SELECT * FROM current_explanations WHERE again = 1 ORDER BY ALL")
    assert {(row["feature"], row["explainer"]) for row in new} == {(f, e) for f in alive for e in (LUNA, BEST, "mine")}
    assert all("Draw 10" in row["text"] for row in new if row["explainer"] != "mine")
    old = rows(path, "SELECT * FROM explanations WHERE again = 0 AND feature < 3 AND explainer = $e", e=LUNA)
    assert {row["feature"] for row in old} == {0, 1, 2}, "the history stays"
    drafts = rows(path, "SELECT feature, draft, sample FROM drafts WHERE again = 1 ORDER BY ALL")
    assert {(row["draft"], row["sample"]) for row in drafts} == {(0, 100), (1, 101)}
    assert [run for run in rows(path, "SELECT run FROM dictionary_scores") if run not in means], "means are made again"
    cards = rows(path, "SELECT explanation FROM explained_features WHERE feature = 0 AND explainer = $e", e=LUNA)
    assert "Draw 100" in cards[0]["explanation"]

    sent = len(llm.sent)
    again(config, llm, "mlp-1k/0:3")  # it was finished: a new request
    assert {ask.sample for ask in llm.sent[sent:] if ask.kind == "explain"} == {200, 201}
    check(path)
    events = rows(path, "SELECT DISTINCT number, event, said FROM again ORDER BY ALL")
    said = "--features mlp-1k/0:3"
    assert [tuple(row.values()) for row in events] == [(n, e, said) for n in (1, 2) for e in ("asked", "finished")]
    sent = len(llm.sent)
    run(config, reporter=QUIET, open_client=lambda *_: llm)  # nothing is left to do
    assert len(llm.sent) == sent


class Killed(Exception):
    pass


class Cutting:
    def __init__(self, llm: Any, most: int) -> None:
        self.llm, self.most = llm, most

    def answers(self, asks: Any, model: LLMModel) -> Iterator[Answer]:
        for answer in self.llm.answers(asks, model):
            if len(self.llm.sent) >= self.most:
                raise Killed
            yield answer

    def close(self) -> None:
        """Nothing to let go of."""


def test_a_request_that_was_cut_off_goes_on_and_pays_nothing_twice(
    copy: tuple[RunConfig, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config, llm = copy
    for most in (2, 12):  # among the explanations, among the judgements
        with pytest.raises(Killed):
            again(config, Cutting(llm, most), "0:5")
    run(config, reporter=QUIET, open_client=lambda *_: llm, until="explain")  # without --features it goes on, too
    [row] = rows(config.store_path, "SELECT count(*) AS n FROM again WHERE event = 'finished'")
    assert row["n"] == 0
    main(["status", str(config.store_path)])
    assert "request 1 (--features mlp-1k/0:5) is not finished" in " ".join(capsys.readouterr().out.split())
    again(config, llm, "mlp-1k/0:5")
    check(config.store_path)
    assert set(Counter((ask.prompt, ask.sample, ask.kind) for ask in llm.sent).values()) == {1}
    assert {ask.sample for ask in llm.sent if ask.kind == "explain"} == {100, 101}
    assert {row["number"] for row in rows(config.store_path, "SELECT number FROM again")} == {1}


def test_a_condition_chooses(copy: tuple[RunConfig, Any]) -> None:
    config, llm = copy
    path = config.store_path
    condition = "density > 0.01 AND detection < 0.7 AND explainer = 'mine'"
    wanted = rows(path, f"SELECT feature FROM explained_features WHERE {condition}")
    assert 0 < len(wanted) < 8
    plan = "\n".join(plan_of(config, Wish(where="explainer = 'gpt-6-luna/default/both' AND feature < 5")).llm)
    assert "explain, explain by gpt-6-luna: 5 calls" in plan
    again(config, llm, where=condition)
    check(path)
    new = rows(path, "SELECT feature, explainer FROM explanations WHERE again = 1")
    assert {(row["feature"], row["explainer"]) for row in new} == {(row["feature"], "mine") for row in wanted}
    assert {ask.kind for ask in llm.sent} <= {"detect", "fuzz"}


def test_failed_asks_again_only_what_failed(copy: tuple[RunConfig, Any]) -> None:
    config, llm = copy
    path = config.store_path
    before = rows(path, "SELECT stage, feature, explainer FROM current_failures WHERE stage IN ('explain', 'judge')")
    assert {(row["stage"], row["explainer"]) for row in before} >= {
        ("explain", LUNA),
        ("judge", "mine"),
        ("judge", "constant"),
    }
    again(config, llm, "failed")
    check(path)
    assert not rows(
        path, "SELECT * FROM current_failures WHERE stage IN ('explain', 'judge') AND explainer NOT LIKE 's%'"
    )
    asked = {(ask.kind, ask.about["feature"], ask.about["explainer"]) for ask in llm.sent}
    assert {(feature, explainer) for kind, feature, explainer in asked if kind == "explain"} == {(3, LUNA), (4, LUNA)}
    assert {feature for kind, feature, _ in asked if kind == "detect"} == {4}, "and sampled"
    assert {feature for kind, feature, e in asked if kind == "fuzz" and e in (LUNA, BEST, "mine")} == {4, 8}
    samples = {(ask.about["feature"], ask.about["explainer"]): ask.sample for ask in llm.sent if ask.kind == "fuzz"}
    assert (samples[8, LUNA], samples[4, LUNA]) == (100, 0), "a failure in a batch would stand"
    assert {e for kind, _, e in asked if kind == "fuzz"} >= {"constant", LUNA, "mine"}
    statuses = rows(path, "SELECT DISTINCT status FROM current_explanations WHERE explainer = $e", e=LUNA)
    assert {row["status"] for row in statuses} <= {"ok", "dead"}
    n = counted(path)
    again(config, llm, "failed")
    assert counted(path) == n, "nothing has failed: nothing is asked"


@pytest.mark.parametrize(
    ("features", "where", "message"),
    [
        (("mlp-1k/0:2000",), None, '"mlp-1k" has features 0 to 1023'),
        (("mlp-1k/5:5",), None, "has features 0 to"),
        (("mpl/1",), None, 'no dictionary "mpl"; the nearest is "mlp-1k"'),
        (("mlp-1k/x",), None, "give DICT/0:100, DICT/7,9 or failed"),
        (("mlp-1k/500",), None, "there is no such feature"),
        ((), "densty > 0.1", "Referenced column"),
        ((), "true; DROP TABLE features", "--where true; DROP"),
        ((), "density", "this is a DOUBLE"),
        ((), "feature < 0", "there is no such feature"),
        ((), "(SELECT 1", "--where (SELECT 1"),
    ],
)
def test_what_names_nothing_is_one_line_and_writes_nothing(
    first: tuple[Path, Any],
    configured: Callable[..., RunConfig],
    features: tuple[str, ...],
    where: str | None,
    message: str,
) -> None:
    from autointerp.pipeline.plan.reask import redos_of

    before = counted(first[0])
    with pytest.raises(UserError) as refused:
        redos_of(configured("first"), Wish(features, where), first[0])
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert counted(first[0]) == before


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        f'name = "x"\nstore = "{tmp_path}/none.duckdb"\n[subject]\nmodel = "bundled:subject"\n'
        '[tokens]\nsource = "bundled:corpus"\n[[dictionary]]\nname = "mlp-1k"\npath = "bundled:mlp-1k"\n'
    )
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(file), "--features", "0:5", "--where", "density > 0"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.splitlines() == [said.strip()]
    assert "there is no store" in said
    assert not (tmp_path / "none.duckdb").exists()


@pytest.mark.slow
def test_what_is_carried_over_is_what_judging_everything_anew_gives(configured: Callable[..., RunConfig]) -> None:
    """The twin judges all explanations once, after the request; the other one has judged them before it."""
    carried, anew = configured("carried"), configured("anew")
    carried.store_path.parent.mkdir()
    llm = NumberedLLM(fails_at_first)
    run(carried, reporter=QUIET, open_client=lambda *_: llm, until="explain")
    shutil.copytree(carried.store_path.parent, anew.store_path.parent)
    run(carried, reporter=QUIET, open_client=lambda *_: llm)
    n_calls = Mine.calls
    for config in (carried, anew):
        Mine.calls = n_calls
        again(config, llm, "0:5")
        check(config.store_path)
    for view in ("score_table", "dictionary_summary", "current_explanations"):
        one, two = (rows(config.store_path, f"SELECT * FROM {view} ORDER BY ALL") for config in (carried, anew))
        assert one == two, view
    for table in ("simulations", "judgements", "token_judgements"):
        sql = f"SELECT t.* EXCLUDE (run) FROM {table} t SEMI JOIN current_works c ON c.work = t.run ORDER BY ALL"
        assert rows(carried.store_path, sql) == rows(anew.store_path, sql)
