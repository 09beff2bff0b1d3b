"""The report: one file that loads nothing, every number of which comes from the statement beside it, and is what plain
SQL and NumPy give."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from judged import JUDGE, LUNA
from report_reader import ReportReader, Table
from stored import rows

from autointerp.cli import main
from autointerp.show.compare_data import ScoreChoice
from autointerp.show.report.charts import Axis, Series, scatter
from autointerp.show.report.html import tag
from autointerp.show.report.page import report
from autointerp.show.report.plots import POINTS, WIDTH_OF_BIN
from autointerp.store.reader import open_reader

CHOICE = ScoreChoice(explainers=("lexical", LUNA))
CENSUS = {"explainer": "lexical", "scorer": "simulation", "metric": "pearson", "design": "census"}


@pytest.fixture(scope="module")
def text(judged_store: Path) -> str:
    with open_reader(judged_store) as reader:
        return report([("judged", reader)], CHOICE)


@pytest.fixture(scope="module")
def read(text: str) -> ReportReader:
    return ReportReader(text)


def test_it_is_one_file_that_loads_and_runs_nothing(text: str, read: ReportReader) -> None:
    assert text.startswith("<!doctype html>")
    assert not {"script", "link", "img", "iframe", "object", "a"} & read.tags.keys()
    assert not [name for _, name, _ in read.attributes if name in ("src", "href") or name.startswith("on")]
    assert "@import" not in text
    assert "url(" not in text
    assert ("meta", "http-equiv", "Content-Security-Policy") in read.attributes
    assert "default-src 'none'" in text.replace("&#x27;", "'")


def test_it_begins_with_whether_the_metrics_agree(read: ReportReader) -> None:
    assert re.match(r"No metric can tell|All metrics say|No two metrics|The metrics disagree", read.paragraphs[1])


def effect_means_checked(table: Sequence[Sequence[str]], found: Sequence[dict[str, Any]]) -> int:
    """Each mean of the table is that of the rows, of logarithms but of `direct_share`; how many there are."""
    measures = ("step_025", "step_050", "step_100", "kl_of_entropy", "direct_share")
    assert len(table[0]) == 2 + len(measures) + 1
    n = 0
    for dictionary, direction, *cells in table[1:]:
        for measure, cell in zip(measures, cells, strict=False):
            values = [
                row["value"]
                for row in found
                if (row["dictionary"], row["direction"], row["measure"]) == (dictionary, direction, measure)
            ]
            assert bool(values) == bool(cell), (dictionary, direction, measure)
            if values:
                mean = sum(values) / len(values)
                shown = mean if measure == "direct_share" else 2**mean * (100 if "%" in cell else 1)
                said = float(cell.split()[0])
                assert said == pytest.approx(shown, rel=0.051, abs=0 if "%" in cell else 0.006), (
                    dictionary,
                    direction,
                    measure,
                    cell,
                )
                n += 1
    return n


def test_every_statement_runs_and_gives_its_table(judged_store: Path, read: ReportReader) -> None:
    """Each number with three decimals in the tables before a statement is a number of its rows."""
    names = {statement.name for statement in read.statements}
    assert names >= {
        "facts", "dictionaries", "verdicts", "means", "differences", "distribution", "points", "tenths, density",
        "tenths, token_entropy", "tenths, description_length", "input_output", "quadrants", "pairs", "powered",
        "matching", "token_likeness", "unscored",
    }  # fmt: skip
    first, checked = 0, 0
    for statement, (n_tables, _) in zip(read.statements, read.after, strict=True):
        found = rows(judged_store, statement.sql, **statement.parameters)
        if statement.name == "effect_values":  # a value a feature: the tables have their means
            checked += effect_means_checked(read.tables[first].rows, found)
            first = n_tables
            continue
        values = {f"{value:.3f}".lstrip("+") for row in found for value in row.values() if isinstance(value, float)}
        for table in read.tables[first:n_tables]:
            for row in table.rows[1:]:
                for cell in row:
                    for number in re.findall(r"(?<![\d.])[+-]?\d\.\d{3}(?!\d)", cell):
                        assert number.lstrip("+") in values, (statement.name, row)
                        checked += 1
        first = n_tables
    assert checked > 300


def the(read: ReportReader, statement: str, number: int, parameters: Mapping[str, str]) -> Table:
    """The last table before the statement of that name with those values."""
    found = [
        place
        for place, one in enumerate(read.statements)
        if one.name == statement and parameters.items() <= one.parameters.items()
    ]
    return read.tables[read.after[found[number]][0] - 1]


def scores_of(path: Path, kind: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of `scores` themselves, of the works that the latest run counts."""
    return rows(
        path,
        """
        SELECT s.dictionary, s.feature, s.explainer, s.value, s.status FROM scores s
        WHERE s.run IN (
                  SELECT work FROM works WHERE stage = 'score' AND run = (SELECT arg_max(run, started_at) FROM runs))
              AND s.scorer = $scorer AND s.metric = $metric AND s.design = $design
        """,
        **{name: kind[name] for name in ("scorer", "metric", "design")},
    )


@pytest.mark.parametrize(
    "kind",
    [
        CENSUS,
        {"explainer": LUNA, "scorer": f"detection:{JUDGE}", "metric": "mcc_weighted", "design": "sample"},
    ],
)
def test_means_floors_and_differences_again_from_scores(
    judged_store: Path, read: ReportReader, kind: dict[str, str]
) -> None:
    found = scores_of(judged_store, kind)
    controls = {"shuffled", f"shuffled:{LUNA}", "constant", "generic"}
    if kind["explainer"] == LUNA:
        controls.remove("shuffled")

    def values(dictionary: str, explainer: str) -> dict[int, float]:
        return {
            row["feature"]: row["value"]
            for row in found
            if (row["dictionary"], row["explainer"]) == (dictionary, explainer)
            and row["value"] is not None
            and row["status"] != "underpowered"
        }

    filled: dict[str, dict[int, float]] = {}
    for record in the(read, "means", 0, kind).records:
        name = record["dictionary"]
        floor = max(float(np.mean(list(values(name, one).values()))) for one in controls if values(name, one))
        mine = values(name, kind["explainer"])
        every = [row["feature"] for row in found if (row["dictionary"], row["explainer"]) == (name, kind["explainer"])]
        filled[name] = {feature: mine.get(feature, floor) for feature in every}
        mean_all = float(np.mean(list(filled[name].values())))
        assert record["floor"] == f"{floor:.3f}"
        assert record["mean_all"] == f"{mean_all:.3f}"
        assert record["over floor"] == f"{mean_all - floor:+.3f}"
        assert record["mean"] == f"{np.mean(list(mine.values())):.3f}"
        assert record["scored"] == f"{len(mine)}/{len(every)}"
    partner = {
        row["feature"]: row["matched_feature"]
        for row in rows(
            judged_store, "SELECT * FROM features WHERE dictionary = 'neurons' AND match_status = 'matched'"
        )
    }
    for record in the(read, "differences", 0, kind).records:
        a, b = filled[record["A"]], filled[record["B"]]
        if record["B"] == "neurons":
            both = [(a[partner[feature]], value) for feature, value in b.items() if partner.get(feature) in a]
            difference = np.mean([x - y for x, y in both])
        else:
            difference = np.mean(list(a.values())) - np.mean(list(b.values()))
        assert record["A - B"] == f"{difference:+.3f}"


def test_plots_are_of_what_the_store_holds(judged_store: Path, read: ReportReader) -> None:
    found = [
        row for row in scores_of(judged_store, CENSUS) if row["explainer"] == "lexical" and row["value"] is not None
    ]
    for name in ("mlp-1k", "resid-1k"):
        mine = np.array([row["value"] for row in found if row["dictionary"] == name])
        bins, counts = np.unique(np.floor(mine / WIDTH_OF_BIN), return_counts=True)
        for low, n in zip(bins * WIDTH_OF_BIN, counts, strict=True):
            assert f"{name}, {low:.2f} to {low + WIDTH_OF_BIN:.2f}: {n} features" in read.titles
        for row in found:
            if row["dictionary"] == name and len(mine) <= POINTS:
                beginning = f"{name}/{row['feature']}: {row['value']:.3f} at "
                assert sum(title.startswith(beginning) for title in read.titles) == 3, "density, entropy and length"


def test_lines_of_tenths(judged_store: Path, read: ReportReader) -> None:
    [statement] = [
        one for one in read.statements if one.name == "tenths, density" and one.parameters["explainer"] == "lexical"
    ]
    tenths = rows(judged_store, statement.sql, **statement.parameters)
    density = {
        (row["dictionary"], row["feature"]): row["density"]
        for row in rows(judged_store, "SELECT dictionary, feature, density FROM features")
    }
    values = sorted(
        (density[row["dictionary"], row["feature"]], row["value"])
        for row in scores_of(judged_store, CENSUS)
        if row["explainer"] == "lexical" and row["dictionary"] == "mlp-1k" and row["value"] is not None
    )
    mine = [row for row in tenths if row["dictionary"] == "mlp-1k"]
    assert sum(row["n"] for row in mine) == len(values)
    place = 0
    for row in mine:
        part = values[place : place + row["n"]]
        assert row["x"] == pytest.approx(np.mean([x for x, _ in part]))
        assert row["score"] == pytest.approx(np.mean([y for _, y in part]))
        place += row["n"]


def test_the_four_quadrants_are_named_and_counted(judged_store: Path, read: ReportReader) -> None:
    table = the(read, "quadrants", 0, {"explainer": "lexical"})
    assert table.rows[0] == ["dictionary", "features", "input and output", "input only", "output only", "neither"]
    output = {"scorer": "logits:text", "metric": "logit_accuracy_direct", "design": "sample"}
    both = {}
    for part, kind in (("input", CENSUS), ("output", output)):
        both[part] = {
            (row["dictionary"], row["feature"]): row["value"]
            for row in scores_of(judged_store, kind)
            if row["explainer"] == "lexical" and row["value"] is not None
        }
    for record in table.records:
        keys = [key for key in both["input"].keys() & both["output"].keys() if key[0] == record["dictionary"]]
        reads = np.array([both["input"][key] >= 0.5 for key in keys])
        writes = np.array([both["output"][key] >= 0.75 for key in keys])
        assert record["features"] == str(len(keys))
        for column, counted in (
            ("input and output", reads & writes), ("input only", reads & ~writes), ("output only", ~reads & writes),
            ("neither", ~reads & ~writes),
        ):  # fmt: skip
            assert record[column].split()[0] == str(counted.sum())


def test_the_pairs_that_differ_most_come_first(judged_store: Path, read: ReportReader) -> None:
    value = {
        (row["dictionary"], row["feature"]): row["value"]
        for row in scores_of(judged_store, CENSUS)
        if row["explainer"] == "lexical" and row["value"] is not None
    }
    pairs = rows(judged_store, "SELECT * FROM features WHERE dictionary = 'neurons' AND match_status = 'matched'")
    known = [
        (abs(value["mlp-1k", pair["matched_feature"]] - value["neurons", pair["feature"]]), pair)
        for pair in pairs
        if ("mlp-1k", pair["matched_feature"]) in value and ("neurons", pair["feature"]) in value
    ]
    known.sort(key=lambda one: (-one[0], one[1]["feature"]))
    records = the(read, "pairs", 0, {"explainer": "lexical"}).records
    assert [record["B"] for record in records] == [f"neurons/{pair['feature']}" for _, pair in known][:10]
    assert all("Fires" in record["label of A"] or record["label of A"] for record in records)


# --- hostile input ------------------------------------------------------------------------------------


def test_hostile_names_and_labels_are_text(judged_store: Path, tmp_path: Path) -> None:
    hostile = '</pre><script>alert(1)</script><img src=x onerror="alert(2)">\x1b[2J\u202e'
    path = Path(shutil.copy(judged_store, tmp_path / "hostile.duckdb"))
    with duckdb.connect(str(path)) as connection:
        tables = connection.execute(
            "SELECT table_name FROM duckdb_columns() WHERE column_name = 'dictionary' AND NOT internal "
            "AND table_name IN (SELECT table_name FROM duckdb_tables())"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"UPDATE {table} SET dictionary = $1 WHERE dictionary = 'mlp-1k'", [hostile])
        for table in ("comparisons", "powered_differences"):
            connection.execute(f"UPDATE {table} SET a = $1 WHERE a = 'mlp-1k'", [hostile])
        connection.execute("UPDATE dictionaries SET matched_to = $1 WHERE matched_to = 'mlp-1k'", [hostile])
        connection.execute("UPDATE explanations SET text = $1", [hostile])
    with open_reader(path) as reader:
        text = report([(hostile, reader)], CHOICE)
    read = ReportReader(text)
    assert not {"script", "img"} & read.tags.keys()
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script" not in text
    assert any(
        "</pre><script>alert(1)</script>" in record["label of A"] for record in the(read, "pairs", 0, {}).records
    )
    for statement in read.statements:
        rows(path, statement.sql, **statement.parameters)


# --- the command --------------------------------------------------------------------------------------


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(*arguments: object) -> tuple[str, str]:
        capsys.readouterr()
        main(list(map(str, arguments)))
        said = capsys.readouterr()
        return said.out, said.err

    return run


def test_the_command_writes_the_report_and_says_where(
    judged_store: Path, tmp_path: Path, command: Callable[..., tuple[str, str]]
) -> None:
    path = tmp_path / "out.html"
    asked = ("compare", judged_store, "--explainer", "lexical", "--design", "census", "--report", path)
    out, err = command(*asked)
    assert (out, err.splitlines()[-1]) == ("", f"written: {path}")
    assert ReportReader(path.read_text(encoding="utf-8")).tables
    assert {file.name for file in tmp_path.iterdir()} == {"out.html"}
    path.chmod(0o444)
    command(*asked)


def test_json_is_what_the_page_shows(judged_store: Path, command: Callable[..., tuple[str, str]]) -> None:
    out, _ = command("compare", judged_store, "--explainer", "lexical", "--json", "--power", "0.1")
    whole = json.loads(out)
    assert (whole["format"], whole["version"]) == ("autointerp-compare", 1)
    assert whole["first_sentence"]
    census = [row for row in whole["means"] if row["design"] == "census"]
    stored = rows(
        judged_store,
        "SELECT dictionary, mean_all FROM dictionary_summary WHERE explainer = 'lexical' AND metric = 'pearson' "
        "AND design = 'census'",
    )
    assert {row["dictionary"]: row["mean_all"] for row in census} == {
        row["dictionary"]: row["mean_all"] for row in stored
    }
    for row in whole["agreement"]:
        said = [name for verdict in ("A", "B", "equivalent", "undecided") for name in row[verdict]]
        assert len(said) == len(set(said)) > 1
    assert {row["a"] for row in whole["power"]} == {"mlp-1k"}
    for row in whole["power"]:
        assert row["needed_a"] is not None or row["text"] is not None


def test_parquet_holds_every_score_of_the_kinds_shown(
    judged_store: Path, tmp_path: Path, command: Callable[..., tuple[str, str]]
) -> None:
    out, err = command("compare", judged_store, "--explainer", "lexical", "--parquet", tmp_path / "data")
    assert out == ""
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names >= {"means.parquet", "differences.parquet", "scores.parquet", "agreement.parquet", "strata.parquet"}
    assert sorted(line.rpartition("/")[2] for line in err.splitlines() if line.startswith("written: ")) == sorted(names)
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT dictionary, feature, value FROM read_parquet($1) WHERE metric = 'pearson' AND design = 'census'",
            [str(tmp_path / "data" / "scores.parquet")],
        ).fetchall()
    stored = {
        (row["dictionary"], row["feature"], row["value"])
        for row in scores_of(judged_store, CENSUS)
        if row["explainer"] == "lexical"
    }
    assert set(found) == stored


def test_what_cannot_be_written_is_a_line_and_nothing_is_left(
    judged_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, path in (("--report", tmp_path / "none" / "out.html"), ("--parquet", tmp_path / "file" / "in")):
        (tmp_path / "file").write_text("")
        with pytest.raises(SystemExit) as caught:
            main(["compare", str(judged_store), "--explainer", "lexical", "--design", "census", option, str(path)])
        assert caught.value.code == 2
        assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_power_says_how_many_features_a_difference_needs(
    judged_store: Path, command: Callable[..., tuple[str, str]]
) -> None:
    out, _ = command("compare", judged_store, "--explainer", "lexical", "--metric", "pearson", "--power", "0.05")
    assert "pearson, census, lexical: features for a difference of 0.05" in out
    fewer, _ = command("compare", judged_store, "--explainer", "lexical", "--metric", "pearson", "--power", "0.5")
    needed = [int(re.findall(r"([\d,]+) pairs$", line.strip())[-1].replace(",", "")) for page in (out, fewer)
              for line in page.splitlines() if line.startswith("mlp-1k  neurons")]  # fmt: skip
    assert needed[0] > needed[1]


def test_stores_that_are_not_comparable_are_refused_with_the_difference_named(
    judged_store: Path, tmp_path: Path, command: Callable[..., tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    other = Path(shutil.copy(judged_store, tmp_path / "other.duckdb"))
    with duckdb.connect(str(other)) as connection:
        connection.execute(
            "UPDATE works SET decided_by = json_merge_patch(decided_by, '{\"seed\": 7}') WHERE stage = 'tokens'"
        )
    with pytest.raises(SystemExit) as caught:
        main(["compare", str(judged_store), str(other)])
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "error: these stores are not comparable: seed (judged: 0; other: 7); --anyway shows them together"
    out, err = command("compare", judged_store, other, "--anyway", "--explainer", "lexical", "--design", "census")
    assert "Not comparable, shown together all the same: seed (judged: 0; other: 7)." in err
    assert "other: " in out
    census = ("--explainer", "lexical", "--design", "census")
    command("compare", judged_store, other, "--anyway", *census, "--report", tmp_path / "two.html")
    two = ReportReader((tmp_path / "two.html").read_text(encoding="utf-8"))
    assert any("Not comparable" in said for said in two.paragraphs)


# --- plots


def test_axes_have_round_ticks_inside_and_places_in_order() -> None:
    for axis in (
        Axis(0.0, 1.0, "x"), Axis(-0.37, 0.91, "x"), Axis(3e-5, 0.02, "x", True), Axis(12, 70, "x", True),
        Axis(0.5, 0.5, "x"), Axis(1e-9, 1.0, "x", True),
    ):  # fmt: skip
        ticks = axis.ticks()
        assert 1 <= len(ticks) <= 13
        assert ticks == sorted(ticks)
        assert all(axis.low - 1e-9 <= tick <= axis.high + 1e-9 for tick in ticks)
        places = [axis.place(tick, 100.0) for tick in ticks]
        assert places == sorted(places)
        assert all(0 <= place <= 100 for place in places)
    assert Axis(1e-4, 1e-2, "x", True).place(1e-3, 100) == pytest.approx(50)
    assert Axis(0, 1, "x").place(7, 100) == 100


def test_a_plot_draws_each_point_once_and_escapes_what_it_is_called() -> None:
    series = [Series("<b>", "#000", [(0.1, 0.2, "<i>"), (0.3, 0.4, "two")], [(0.1, 0.2), (0.3, 0.4)])]
    read = ReportReader(scatter(series, Axis(0, 1, "x"), Axis(0, 1, "y"), (0.5, 0.5)))
    assert read.tags["circle"] == 2
    assert read.titles == ["<i>", "two", "<b>: means of tenths"]
    assert not {"i", "b"} & read.tags.keys()


def test_attributes_and_texts_are_escaped() -> None:
    made = tag("p", 'a<b>"\x1b', title='"><script>', data_x=None, class_="y")
    assert made == '<p title="&quot;&gt;&lt;script&gt;" class="y">a&lt;b&gt;"\\x1b</p>'
    assert tag("div", made, ["x", None, [made]]) == f"<div>{made}x{made}</div>"
