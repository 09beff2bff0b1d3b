"""The reading commands: what they print, where, and with which exit status."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import click
import duckdb
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from autointerp.cli_read import COMMANDS
from autointerp.demo import next_steps
from autointerp.errors import AutointerpError, StoreError, UserError
from autointerp.resources import folder

GROUP = click.Group("autointerp", commands={str(command.name): command for command in COMMANDS})
QUESTIONS = sorted(path.stem for path in folder("analysis").glob("*.sql"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(GROUP, [str(argument) for argument in arguments])


def ok(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def error(*arguments: object) -> AutointerpError:
    exception = run(*arguments).exception
    assert isinstance(exception, AutointerpError)
    assert "\n" not in str(exception)
    return exception


@pytest.fixture
def path(built: tuple[Path, object]) -> Path:
    return built[0]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_every_command_helps_with_an_example(command: click.Command) -> None:
    help_ = ok(command.name, "--help")
    assert "Example" in help_
    assert f"autointerp {command.name} demo.duckdb" in help_ or f"autointerp {command.name} layer" in help_


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_a_missing_store_is_a_users_error(command: click.Command, tmp_path: Path) -> None:
    more = {
        "show": ["sae/1"],
        "prompt": ["text"],
        "steer": ["sae/1", "text"],
        "sql": ["SELECT 1"],
        "investigate": ["sae/1", "--proxy", "regex:a"],
        "export": ["html", "-o", str(tmp_path / "features.html")],
    }.get(str(command.name), [])
    caught = error(command.name, tmp_path / "nowhere.duckdb", *more)
    assert isinstance(caught, StoreError)
    assert caught.exit_status == 2


def test_show(path: Path) -> None:
    page = ok("show", path, "sae/1", "--top", 2, "--each", 0)
    assert "sae/1" in page
    assert "« w6»" in page
    assert "alone 25 %; without" in page
    assert "without both" in page
    assert "then  likelier: " in page
    assert "output score 0.475: " in page
    assert "of probability 0.5, rank 3 (without it 0.02)" in " ".join(page.split())
    assert "a step of  1.1 along it moves the output by KL 0.5; no size isotropic" in page
    assert page.count("random/") == page.count("elsewhere   random/1 r 0.70 cos 0.50") == 1
    assert page.count("random") == page.count("(random direction ") + 1
    assert "\x1b" not in page


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("sae", "DICT/FEATURE"),
        ("sae/", "DICT/FEATURE"),
        ("/3", "DICT/FEATURE"),
        ("sae/x", "DICT/FEATURE"),
        ("sae/-1", "DICT/FEATURE"),
        ("sae/²", "DICT/FEATURE"),
        ("sae/6", "0 to 5"),
        ("sea/1", '"sae"'),
    ],
)
def test_show_says_what_is_wrong(path: Path, feature: str, message: str) -> None:
    caught = error("show", path, feature)
    assert isinstance(caught, UserError)
    assert message in str(caught)


def test_status(path: Path) -> None:
    page = ok("status", path)
    assert "extract" in page
    assert "sae, random" in page


def test_show_all(path: Path) -> None:
    assert "shuffled" not in ok("show", path, "sae/1")
    assert "shuffled" in ok("show", path, "sae/1", "--all")


def test_pages_are_as_wide_as_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in ((None, 100), ("80", 80), ("140", 140)):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        for arguments in (
            ("compare", path),
            ("compare", path, "--all", "--wide"),
            ("show", path, "sae/1"),
            ("status", path),
        ):
            lines = ok(*arguments).splitlines()
            assert max(map(len, lines)) <= width
        assert max(map(len, ok("show", path, "sae/1").splitlines())) > width - 20  # and the width is used


def test_compare_shows_what_is_chosen(path: Path) -> None:
    default = ok("compare", path)
    assert "pearson, census, lexical" in default
    assert "pearson_framed, sample, lexical" in default
    assert "constant: mean" not in default
    assert "constant: mean" in ok("compare", path, "--all")
    assert "constant: mean" in ok("compare", path, "--explainer", "constant")
    census = ok("compare", path, "--design", "census", "--metric", "pearson", "--explainer", "lexical")
    assert census.count(": mean over features") == 1
    assert "over floor" not in default
    assert "over floor" in ok("compare", path, "--wide")
    assert str(error("compare", path, "--metric", "peerson")).endswith('the nearest is "pearson"')
    assert run("compare", path, "--design", "cencus").exit_code == 2


def test_what_the_demo_says_to_type_works(path: Path) -> None:
    typed = [shlex.split(line) for line in next_steps(path).splitlines() if line.startswith("  autointerp ")]
    assert [words[1] for words in typed] == ["show", "compare", "sql"]
    for words in typed:
        assert ok(*words[1:])


def test_compare(path: Path, store: Path) -> None:
    assert "sae scores higher than random." in ok("compare", path)
    both = ok("compare", path, store.rename(store.with_name("other.duckdb")))
    assert "demo" in both
    assert "other" in both


def test_compare_tells_stores_of_the_same_name_apart(path: Path, store: Path) -> None:
    page = ok("compare", path, store)
    assert str(path)[:20] in page


def test_verify(path: Path, store: Path) -> None:
    assert "all true" in ok("verify", path)
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE features SET status = 'alive'")
    result = run("verify", store)
    assert result.exit_code == 1
    assert "✗ status_says_firings" in result.stdout
    assert "2 failed" in result.stdout, "what is said of labels nobody scored knows who is dead too"


def test_verify_colours_failures_red_on_a_terminal(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("UPDATE features SET status = 'alive'")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31m" in run("verify", store).stdout


# --- sql

LISTS = (
    "SELECT feature, text, [1, NULL] AS l, {'a': text} AS s, NULL AS none, true AS yes FROM features, vocab LIMIT 400"
)


def test_csv_is_plain_and_complete(path: Path) -> None:
    output = ok("sql", path, LISTS, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(output)))
    assert len(rows) == 400
    assert rows[0]["l"] == "[1, null]"
    assert rows[0]["none"] == ""
    assert rows[0]["yes"] == "true"
    assert {row["text"] for row in rows} >= {"<bos>", " w1", "\x1b[31m[red]\u202e\n"}
    assert all(json.loads(row["s"]) == {"a": row["text"]} for row in rows)


def test_csv_is_never_folded(path: Path) -> None:
    output = ok("sql", path, "SELECT repeat('x', 5000) AS x, '[red]' AS y", "--format", "csv")
    assert output == "x,y\n" + "x" * 5000 + ",[red]\n"


def test_json_is_json(path: Path) -> None:
    sql = "SELECT 1 AS a, 'nan'::DOUBLE AS b, [1.5, 'inf'::DOUBLE] AS c, TIMESTAMP '2026-01-01' AS d, '\u202e' AS e"
    output = ok("sql", path, sql, "--format", "json")
    assert json.loads(output) == [{"a": 1, "b": None, "c": [1.5, None], "d": "2026-01-01 00:00:00", "e": "\u202e"}]
    assert "\u202e" not in output
    assert json.loads(ok("sql", path, "SELECT 1 AS a WHERE false", "--format", "json")) == []
    sums = "SELECT sum(feature) AS n, 1.5 AS x FROM features"  # HUGEINT and DECIMAL
    assert json.loads(ok("sql", path, sums, "--format", "json")) == [{"n": 30, "x": 1.5}]
    assert ok("sql", path, sums, "--format", "csv") == "n,x\n30,1.5\n"


def test_parquet_goes_to_a_file(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.parquet"
    assert ok("sql", path, "FROM feature_splits", "--format", "parquet", "-o", output) == ""
    table = pyarrow.parquet.read_table(output)
    assert table.num_rows == 36
    assert "histogram_log" in table.column_names


@pytest.mark.parametrize("format_", ["table", "csv", "json", "parquet"])
def test_output_writes_a_file(path: Path, tmp_path: Path, format_: str) -> None:
    output = tmp_path / "rows"
    assert ok("sql", path, "SELECT 42 AS x", "--format", format_, "--output", output) == ""
    assert b"42" in output.read_bytes() or format_ == "parquet"
    assert "cannot be written" in str(error("sql", path, "SELECT 1", "--format", format_, "-o", tmp_path / "no" / "x"))


def test_a_table_to_look_at_is_safe_and_says_when_it_is_short(path: Path) -> None:
    result = run("sql", path, LISTS)
    assert "\x1b" not in result.stdout
    assert "\\x1b[31m[red]\\u202e⏎" in result.stdout
    assert "200 more rows" in result.stderr
    assert "more rows" not in run("sql", path, "SELECT 1").stderr


def test_a_table_of_rows_is_never_squeezed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole rows in a pipe; where there is a width, columns go under each other and no number is broken."""
    sql = "SELECT * REPLACE (1/3 AS mean) FROM dictionary_summary"
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = ok("sql", path, sql).splitlines()
    n = len(json.loads(ok("sql", path, sql, "--format", "json")))
    assert len(lines) == n + 1
    assert all("0.333333" in line and "0.3333333" not in line for line in lines[1:])
    monkeypatch.setenv("COLUMNS", "80")
    narrow = ok("sql", path, sql)
    assert max(map(len, narrow.splitlines())) <= 80
    assert narrow.count("0.333333") == n
    assert "-0" not in ok("sql", path, "SELECT -0.0::DOUBLE AS x").split()


def test_values_are_bound(path: Path) -> None:
    sql = "SELECT count(*) AS n FROM features WHERE dictionary = $d AND feature < $f"
    assert ok("sql", path, sql, "-p", "d", "sae", "-p", "f", 3, "--format", "csv") == "n\n3\n"


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_of_ours_has_an_answer(path: Path, question: str) -> None:
    text = (folder("analysis") / f"{question}.sql").read_text(encoding="utf-8")
    assert text.startswith("-- ")
    assert "?" in text.splitlines()[0]
    for name in (question, f"{question}.sql", f"analysis/{question}.sql"):
        rows = json.loads(ok("sql", path, "--file", name, "--format", "json"))
    assert rows


_ABOUT = ("explainer", "dictionary", "scorer", "metric", "design")


def test_the_questions_are_right_on_the_known_store(path: Path) -> None:
    def answer(question: str) -> list[dict[str, object]]:
        return json.loads(ok("sql", path, "--file", question, "--format", "json"))  # type: ignore[no-any-return]

    best, worst = answer("best_explained"), answer("worst_explained")
    assert [row["ci_low"] for row in best] == sorted((row["ci_low"] for row in best), reverse=True)  # type: ignore[type-var]
    assert {(row["dictionary"], row["feature"]) for row in best} == {
        (d, f) for d in ("sae", "random") for f in range(4)
    }
    assert worst[0]["feature"] == best[-1]["feature"]
    shares = answer("dead_and_rare")
    assert {(row["n_features"], row["dead_share"], row["rare_share"]) for row in shares} == {(6, 0.167, 0.167)}
    pairs = answer("sae_against_baselines")
    assert {(row["dictionary"], row["baseline"]) for row in pairs} == {("sae", "random")}
    assert {row["n_pairs"] for row in pairs if row["design"] == "census"} == {6}
    assert {row["explainer"] for row in answer("single_token_labels")} == {"lexical"}, "a ceiling is no label"
    assert {row["explainer"] for row in best} == {"lexical"}
    lengths = answer("score_and_length")
    assert {row["explainer"]: row["is_ceiling"] for row in lengths} == {"lexical": False, "token_lookup": True}
    summary = json.loads(
        ok(
            "sql",
            path,
            "select explainer, dictionary, scorer, metric, design, mean from dictionary_summary",
            "--format",
            "json",
        )
    )
    mean_of = {tuple(row[key] for key in _ABOUT): row["mean"] for row in summary}
    for row in lengths:
        assert row["mean_score"] == pytest.approx(mean_of[tuple(row[key] for key in _ABOUT)], abs=6e-4)
    census = {row["explainer"]: row for row in lengths if row["dictionary"] == "sae" and row["metric"] == "pearson"}
    for name in ("token_lookup", "lexical"):
        query = (
            "select avg(description_length) as n from current_explanations join score_table "
            "using (dictionary, feature, explainer) where dictionary = 'sae' and metric = 'pearson' "
            f"and design = 'census' and value is not null and explainer = '{name}'"
        )
        known = json.loads(ok("sql", path, query, "--format", "json"))
        assert census[name]["mean_length"] == pytest.approx(known[0]["n"], abs=0.06)
    assert census["lexical"]["per_doubling"] is None
    assert census["token_lookup"]["per_doubling"] is not None
    assert sum(row["n_features"] for row in answer("density_and_score")) == 10  # type: ignore[misc]
    labels = answer("labels_with_examples")  # of dictionaries first, then of their baselines
    assert list(dict.fromkeys(row["dictionary"] for row in labels)) == ["sae", "random"]
    assert all(row["density"] and row["score"] is not None for row in labels)


def test_a_file_of_the_users(path: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.sql").write_text("-- mine\nSELECT 7 AS x;\n", encoding="utf-8")
    assert ok("sql", path, "--file", tmp_path / "mine.sql", "--format", "csv") == "x\n7\n"


@pytest.mark.parametrize("comment", ["-- best first", "--best=first, then the others", "--format of numbers"])
def test_a_query_that_begins_with_a_comment_is_no_option(path: Path, tmp_path: Path, comment: str) -> None:
    query = f"{comment}\nSELECT 7 AS x"
    assert ok("sql", path, query, "--format", "csv") == "x\n7\n"
    assert ok("sql", "--format", "csv", path, "--", query) == "x\n7\n"
    assert ok("sql", path, "SELECT $x AS x", "-p", "x", "-- a value", "--format", "csv") == "x\n-- a value\n"
    output = tmp_path / "of two words.csv"
    ok("sql", path, query, f"--output={output}", "--format=csv")
    assert output.read_text(encoding="utf-8") == "x\n7\n"
    assert "No such option" in run("sql", path, "SELECT 1", "--formt", "csv").output


def test_sql_says_what_is_wrong(path: Path, tmp_path: Path) -> None:
    assert "only read" in str(error("sql", path, "DELETE FROM meta"))
    assert "feautres" in str(error("sql", path, "SELECT * FROM feautres"))
    assert "best_explained" in str(error("sql", path, "--file", "best_explaned"))
    for arguments in ((), ("SELECT 1", "--file", "best_explained")):
        assert run("sql", path, *arguments).exit_code == 2
    (tmp_path / "bad.sql").write_bytes(b"\xff\xfe\x00")
    assert 'bad.sql" is not a whole UTF-16 file' in str(error("sql", path, "--file", tmp_path / "bad.sql"))


# --- while a run holds the store

MAIN = """
import sys
import click
from autointerp.cli_read import COMMANDS
from autointerp.errors import AutointerpError
try:
    click.Group("autointerp", commands={c.name: c for c in COMMANDS})(standalone_mode=False)
except AutointerpError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_status)
"""

HOLD = """
import sys
from autointerp.store.writer import StoreWriter
with StoreWriter.open(sys.argv[1]) as writer:
    print("open", flush=True)
    for line in sys.stdin:
        writer.publish_snapshot()
        print("published", flush=True)
"""


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_snapshot_is_read_while_a_run_holds_the_store(store: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    refused = command("status", store)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert f"PID {holder.pid}" in refused.stderr
    holder.stdin.write("publish\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "published\n"
    shown = command("sql", store, "SELECT count(*) AS n FROM features", "--format", "csv")
    assert shown.returncode == 0
    assert shown.stdout == "n\n12\n"
    assert len(shown.stderr.splitlines()) == 1
    assert "snapshot" in shown.stderr
    assert f"PID {holder.pid}" in shown.stderr
    holder.communicate("")


def test_help_loads_no_database() -> None:
    code = f"{MAIN.partition('try:')[0]}\nassert not {{'duckdb', 'pyarrow', 'torch'}} & set(sys.modules), sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_is_a_command() -> None:
    said = subprocess.run([sys.executable, "-m", "autointerp", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("autointerp, version ")
