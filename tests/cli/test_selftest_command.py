"""`autointerp selftest`: its page, its JSON, its exit status; wrong use is one line before anything is done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autointerp.cli import main
from autointerp.pipeline import selftest
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.selftest.figures import MetricFigures, from_json
from autointerp.score.selftest.marks import kept_run, read_run
from autointerp.score.selftest.trials import SelftestPlan
from autointerp.score.selftest.verdicts import verdict_of

HOSTILE = "evil\x1b[2J\u202ename"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the trials find, without their minutes: the figures of the kept run, or what a test puts there."""
    held: dict[str, Any] = {"rows": list(kept_run().rows)}

    def run(plan: SelftestPlan, _reporter: Any) -> list[MetricFigures]:
        held["plan"] = plan
        return list(held["rows"])

    monkeypatch.setattr(selftest, "run_selftest", run)
    return held


def passing() -> MetricFigures:
    return next(row for row in kept_run().rows if verdict_of(row).passed("extra"))


def failing() -> MetricFigures:
    """The figures of a metric that has lost what it had."""
    row = passing()
    assert row.extra is not None
    return replace(row, extra=replace(row.extra, lost=(0,) * len(row.extra.of)))


def test_the_page_says_what_passes(
    ran: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    main(["selftest"])
    page = capsys.readouterr().out
    assert ran["plan"] == SelftestPlan(scorers=SCORERS)
    for row in kept_run().rows:
        verdict = verdict_of(row)
        words = f"no: {', '.join(verdict.failed)}" if verdict.failed else "yes" if verdict.passes else "not tried"
        shown = [line for line in page.splitlines() if line.split()[:2] == [row.scorer, row.metric]]
        assert any(words in line for line in shown), (row.name, words)
    assert "All marks hold" in page
    assert "less chance" in page


@pytest.mark.parametrize("columns", ["60", "100"])
def test_the_page_fits(
    columns: str, ran: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main(["selftest"])
    page = capsys.readouterr().out
    assert ran["rows"]
    assert max(map(len, page.splitlines())) <= int(columns)


def test_a_mark_that_does_not_hold_is_exit_status_1(ran: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    ran["rows"] = [failing() if row.name == passing().name else row for row in ran["rows"]]
    with pytest.raises(SystemExit) as caught:
        main(["selftest"])
    assert caught.value.code == 1
    row = failing()
    assert f"{row.scorer} {row.metric} ({row.design}) is marked as passing extra" in " ".join(
        capsys.readouterr().out.split()
    )


def test_what_has_no_mark_cannot_lose_it(ran: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """A metric of the user's own that fails, where ours are gone."""
    ran["rows"] = [replace(failing(), metric=HOSTILE, scorer=HOSTILE)]
    main(["selftest"])
    page = capsys.readouterr().out
    assert "All marks hold" in page
    assert "was not tried" in page
    assert "evil\\x1b[2J\\u202ename" in page
    assert HOSTILE not in page


def test_json_holds_all_figures(ran: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    ran["rows"].append(replace(passing(), scorer=HOSTILE, reason="why\u202e"))
    main(["selftest", "--json", "--seed", "7", "--features", "12"])
    written = capsys.readouterr().out
    said = json.loads(written)
    assert "\u202e" not in written
    assert (said["seed"], said["n_features"]) == (7, 12)
    assert said["bounds"]["earned"]["share"] > said["bounds"]["kept"]["share"]
    assert [from_json(row) for row in said["rows"]] == ran["rows"]
    for row, of in zip(said["rows"], ran["rows"], strict=True):
        assert row["passes"] is verdict_of(of).passes
        assert row["sees_extra"] == verdict_of(of).extra
        assert row["lost_marks"] == []
    assert ran["plan"].seed == 7


def test_the_file_of_a_run_is_read_back() -> None:
    plan, rows = SelftestPlan(), list(kept_run().rows)
    text = selftest.run_as_text(plan, rows)
    assert read_run(text) == kept_run()
    assert len(text.splitlines()) == len(rows) + 2, "a line a metric, so that a change can be seen"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "pearson"], '--metric "pearson" is not module:Class'),
        (["--scorer", "detection"], '--scorer "detection" is not module:Class'),
        (["--scorer", "nowhere:X"], 'scorer "nowhere:X" cannot be made'),
        (["--metric", "json:JSONDecoder"], "has no method measure"),
        (["--scorer", "json:JSONDecoder"], "has no method material"),
        (["--metric", "a:B", "--metric", "a:B"], '--metric "a:B" is given twice'),
        (["--metric", "a b:\x1b[2J"], "is not module:Class"),
        (["--metric", ""], "is not module:Class"),
        (["--features", "2"], "2 is not in the range"),
        (["--features", "many"], "not a valid integer"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--frobnicate"], "No such option"),
        (["extra-word"], "unexpected extra argument"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> None:
        raise AssertionError("nothing is read before it")

    monkeypatch.setattr(selftest, "bundled_text", never)
    with pytest.raises(SystemExit) as caught:
        main(["selftest", *arguments])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "\x1b" not in err
    assert "Traceback" not in err
    if err.startswith("error"):
        assert len(err.splitlines()) == 1
