"""`lineup`: made once, blind, answered by a person and by LLMs, scored and stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scripted
from bad_input import Refused
from click.testing import CliRunner
from scipy import stats
from stored import rows

from autointerp.cli import cli, main
from autointerp.config.judging import Judge
from autointerp.config.llm_model import LLMModel
from autointerp.config.loading import parse_run
from autointerp.llm.asks import Answer, Ask
from autointerp.pipeline import run
from autointerp.pipeline.asking.delivery import Delivery
from autointerp.pipeline.lineup import Lineup, ask_lineups, open_lineups, shown_text
from autointerp.progress import Reporter

QUIET = Reporter(quiet=True)
JUDGE = Judge.model_validate({"provider": "openai", "model": "gpt-6-luna", "base_url": "http://127.0.0.1:9/v1"})
TOML = '{ provider = "openai", model = "gpt-6-luna", base_url = "http://127.0.0.1:9/v1" }'


@pytest.fixture(scope="module")
def extracted(sae_folder: Path, tiny_model: Path, tokens_npy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = {
        "name": "lined",
        "store": str(tmp_path_factory.mktemp("lined") / "lined.duckdb"),
        "subject": {"model": str(tiny_model), "device": "cpu"},
        "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
        "dictionary": [{"name": "sae", "path": str(sae_folder)}],
    }
    return run(parse_run(facts), until="extract", reporter=QUIET)


@pytest.fixture
def store(extracted: Path, tmp_path: Path) -> Path:
    shutil.copytree(f"{extracted}.work", tmp_path / "lined.duckdb.work")
    return Path(shutil.copy(extracted, tmp_path / "lined.duckdb"))


def lineup(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["lineup", *map(str, arguments)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_a_person_sees_ten_units_and_not_what_they_are(store: Path, refused: Refused) -> None:
    page = lineup(store, "sae")
    assert page.count("Unit ") == 10
    stored = rows(store, "SELECT * FROM lineups ORDER BY letter")
    assert "".join(row["letter"] for row in stored) == "ABCDEFGHIJ"
    assert sorted(row["kind"] for row in stored) == ["combination"] * 3 + ["random"] * 2 + ["real"] * 5
    for word in ("real", "combination", "random", "sae/"):
        assert word not in page.replace("the real", "")
    assert lineup(store, "sae") == page, "it is kept as it was shown"
    real = {row["letter"] for row in stored if row["kind"] == "real"}
    said = sorted(real)[:4] + sorted({*"ABCDEFGHIJ"} - real)[:1]
    for wrong in ("ABCD", "AABCD", "ABCDK", "ABCDEF"):
        assert "name 5 different units" in refused("lineup", store, "sae", "--answer", wrong)
    answered = lineup(store, "sae", "--answer", "".join(said))
    assert "4 of 5 right" in answered
    assert "made up of" in answered
    [row] = rows(store, "SELECT * FROM lineup_answers")
    assert (row["judge"], row["named"], row["n_right"], row["status"]) == ("person", sorted(said), 4, "ok")
    assert row["value"] == 0.8
    assert row["p"] == pytest.approx(stats.hypergeom.sf(3, 10, 5, 5))
    assert row["ci_low"] < 0.8 < row["ci_high"]
    assert "answered already" in refused("lineup", store, "sae", "--number", 0, "--answer", "ABCDE")
    assert "Line-up 1 of sae" in lineup(store, "sae"), "the next one is another"
    assert len(rows(store, "SELECT DISTINCT lineup FROM lineups")) == 2


class TellsThem(scripted.ScriptedLLM):
    """Names the units that it is told of; `wrong` of them are made up. It fails where it is told so."""

    def __init__(self, lineups: Iterable[Lineup], wrong: dict[int, int], fails: dict[int, str]) -> None:
        super().__init__(lambda ask: fails.pop(self.number_of(ask), None))
        self.by_text = {shown_text(lineup): lineup for lineup in lineups}
        self.wrong = wrong

    def number_of(self, ask: Ask) -> int:
        return self.by_text[ask.prompt].number

    def reply(self, ask: Ask) -> Any:
        lineup = self.by_text[ask.prompt]
        wrong = self.wrong[lineup.number]
        made_up = [letter for letter in "ABCDEFGHIJ" if letter not in lineup.real]
        named = set(lineup.real[wrong:]) | set(made_up[:wrong])
        return {letter: int(letter in named) for letter in "ABCDEFGHIJ"}

    def answers(self, asks: Iterable[Ask], model: LLMModel) -> Iterator[Answer]:
        return iter([self.answer(ask, model) for ask in asks])


def test_an_llm_is_asked_scored_and_asked_again_where_it_failed(store: Path) -> None:
    lineups = open_lineups(store, "sae", range(3), QUIET)
    llm = TellsThem(lineups, {0: 0, 1: 2, 2: 1}, {2: "refused"})
    ask: Callable[[], Any] = lambda: ask_lineups(  # noqa: E731
        store, lineups, JUDGE, None, Delivery(), QUIET, open_client=lambda *_: llm
    )
    first = ask()
    assert [(one.lineup.number, one.status) for one in first] == [(0, "ok"), (1, "ok"), (2, "refused")]
    assert [one.score.n_right for one in first if one.score] == [5, 3]
    second = ask()
    assert [(one.lineup.number, one.status, one.score and one.score.n_right) for one in second] == [(2, "ok", 4)]
    assert second[0].so_far is not None
    assert (second[0].so_far.n_lineups, second[0].so_far.n_right) == (3, 12)
    assert ask() == []
    stored = rows(store, "SELECT n_right, value, status, reason, request FROM lineup_answers ORDER BY answered_at")
    assert [row["n_right"] for row in stored] == [5, 3, None, 4]
    assert [row["status"] for row in stored] == ["ok", "ok", "refused", "ok"]
    assert stored[2]["value"] is None
    assert all(row["request"] for row in stored)


def test_questions_travel_as_files(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written, answered elsewhere, read back; the same command again has nothing to ask."""
    folder = tmp_path / "questions"
    command = (store, "sae", "--judge", TOML, "--count", 2)
    main(["lineup", *map(str, command), "--batch-out", str(folder)])  # exit status 0: it waits for replies
    assert "2 requests written" in capsys.readouterr().out
    asked = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(asked) == 2
    reply = json.dumps(dict.fromkeys("ABCDE", 1) | dict.fromkeys("FGHIJ", 0))
    lines = [json.dumps({"custom_id": one["custom_id"], "text": reply}) for one in asked]
    (folder / "replies.jsonl").write_text("\n".join(lines) + "\n")
    page = lineup(*command, "--batch-in", folder)
    assert page.count("ABCDE") == 2
    stored = rows(store, "SELECT judge, named, status FROM lineup_answers")
    assert [(row["judge"], "".join(row["named"]), row["status"]) for row in stored] == [
        ("gpt-6-luna", "ABCDE", "ok")
    ] * 2
    assert "answered these line-ups already" in lineup(*command, "--batch-in", folder)
    assert {row["kind"] for row in rows(store, "SELECT DISTINCT kind FROM llm_calls")} == {"lineup"}


def test_wrong_use_is_one_line(store: Path, refused: Refused) -> None:
    assert 'no dictionary "seas"' in refused("lineup", store, "seas")
    assert "has no judge" in refused("lineup", store, "sae", "--llm")
    assert "as in a run file" in refused("lineup", store, "sae", "--judge", "{ model = 3 }")
    for arguments in (["--batch"], ["--llm", "--answer", "ABCDE"]):
        assert CliRunner().invoke(cli, ["lineup", str(store), "sae", *arguments]).exit_code == 2
