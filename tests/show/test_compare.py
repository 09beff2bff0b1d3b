"""Comparison and status pages: the right rows, in an order that can be read, on a page that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from rich.cells import cell_len
from rich.console import Group

from autointerp.demo import next_steps, show_comparison
from autointerp.errors import StoreError
from autointerp.show.compare import MARK, compare_page, render_compare, render_differences, render_means
from autointerp.show.compare_data import (
    ComparePage,
    ComparisonRow,
    ScoreChoice,
    SummaryRow,
    load_compare,
    load_comparisons,
    load_summary,
)
from autointerp.show.conclusions import conclusions, excess_over_random, without_baselines
from autointerp.show.console import page_console
from autointerp.show.score_kind import ScoreKind
from autointerp.show.status import render_status, status_page
from autointerp.show.status_data import load_status
from autointerp.store.reader import StoreReader, open_reader
from autointerp.store.writer import StoreWriter

Printed = Callable[..., str]

# --- a comparison as large as the demo's

KINDS = {
    "mlp-1k": "sae", "mlp-2k": "sae", "resid-1k": "transcoder", "neurons": "neurons",
    "random-isotropic": "random_isotropic", "random-covariance": "random_covariance",
    "activation-difference": "activation_difference", "planted": "planted",
}  # fmt: skip
VERDICTS = {
    ("mlp-1k", "neurons"): "A", ("mlp-1k", "random-isotropic"): "A", ("mlp-1k", "random-covariance"): "undecided",
    ("mlp-1k", "activation-difference"): "B", ("mlp-1k", "mlp-2k"): "equivalent", ("mlp-1k", "resid-1k"): "A",
    ("mlp-2k", "resid-1k"): "undecided",
}  # fmt: skip


def summary_row(dictionary: str, number: int, design: str = "census") -> SummaryRow:
    mean = 1.0 if dictionary == "planted" else 0.4 + 0.05 * number
    framed = design == "sample"
    return SummaryRow(
        store="demo",
        dictionary=dictionary,
        kind=KINDS[dictionary],
        hook="blocks.0.mlp.hook_post",
        explainer="lexical",
        scorer="simulation",
        metric="pearson_framed" if framed else "pearson",
        design=design,
        n_features=12_048,
        n_scored=12_043,
        n_failed=0,
        n_dead=3,
        n_rare=2,
        mean=mean,
        ci_low=mean - 0.02,
        ci_high=mean + 0.02,
        mean_all=mean - 0.01,
        mean_all_low=mean - 0.03,
        mean_all_high=mean + 0.01,
        floor=0.05,
        excess=mean - 0.06,
        median=mean,
        residual_alarm_rate=0.001 if framed else None,
        residual_alarm_high=0.005 if framed else None,
        random="random-covariance",
        random_mean=0.586,
        over_random=mean - 0.6,
    )


def comparison_row(a: str, b: str, verdict: str, design: str = "census") -> ComparisonRow:
    return ComparisonRow(
        store="demo",
        a=a,
        b=b,
        baseline=b not in ("mlp-2k", "resid-1k"),
        explainer="lexical",
        scorer="simulation",
        metric="pearson_framed" if design == "sample" else "pearson",
        design=design,
        paired=True,
        n_a=509,
        n_b=509,
        difference=-0.123,
        low=-0.234,
        high=-0.012,
        p_holm=0.0003,
        detectable=0.035,
        margin=0.02,
        verdict=verdict,
        scored_difference=-0.101,
        scored_verdict=verdict,
        n_unscored_a=0,
        n_unscored_b=2,
    )


PAGE = ComparePage(
    summary=[summary_row(name, i, design) for design in ("sample", "census") for i, name in enumerate(KINDS)],
    comparisons=[
        comparison_row(a, b, verdict, design) for design in ("sample", "census") for (a, b), verdict in VERDICTS.items()
    ],
    hidden=[
        ScoreKind("census", "f1", "simulation", "lexical"),
        ScoreKind("census", "pearson", "simulation", "shuffled"),
    ],
)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_word_of_a_comparison_is_broken(width: int, wide: bool, printed: Printed) -> None:
    """Names, numbers and intervals stand on one line each, in any width from 80."""
    lines = printed(render_compare(PAGE, wide=wide), width=width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    whole = {word for line in printed(render_compare(PAGE, wide=wide), width=400).splitlines() for word in line.split()}
    plots = re.compile(r"[┊├┤─●┼]+|-?\d\.\d")
    words = {word for line in lines for word in line.split() if not plots.fullmatch(word)}
    # Where the winners' names make the table too wide, A and B stand for them.
    assert words - {"A", "B"} <= whole
    for interval in ("[-0.234, -0.012]", "12,043/12,048", "activation-difference"):
        assert any(interval in line for line in lines)


def test_a_comparison_is_a_page(printed: Printed) -> None:
    """Two metrics of eight dictionaries and seven pairs: what was 1,600 lines."""
    for width in (80, 100):
        assert len(printed(render_compare(PAGE), width=width).splitlines()) <= 70


def test_dictionaries_come_best_first_and_planted_last(printed: Printed) -> None:
    rows = [summary_row(name, i) for i, name in enumerate(KINDS)]
    lines = printed(render_means(rows), width=100).splitlines()
    assert lines[0] == "pearson, census, lexical: mean over features"
    names = [line.removeprefix(MARK).split()[0] for line in lines[2:]]
    assert names == [*sorted((n for n in KINDS if n != "planted"), key=list(KINDS).index, reverse=True), "planted"]
    marked = {line.removeprefix(MARK).split()[0] for line in lines if line.startswith(MARK)}
    assert marked == {"mlp-1k", "mlp-2k", "resid-1k"}


def test_each_kind_of_score_has_a_table_and_the_census_is_first(printed: Printed) -> None:
    titles = [line for line in printed(render_compare(PAGE), width=100).splitlines() if "lexical: " in line]
    assert titles == [
        "pearson, census, lexical: mean over features",
        "pearson, census, lexical: differences",
        "pearson_framed, sample, lexical: mean over features",
        "pearson_framed, sample, lexical: differences",
    ]


def test_verdicts_name_the_winner_where_there_is_room(printed: Printed) -> None:
    rows = [comparison_row(a, b, verdict) for (a, b), verdict in VERDICTS.items()]
    wide = printed(render_differences(rows), width=120).splitlines()
    assert [line.split("<0.001")[1].split()[0] for line in wide[2:]] == [
        "mlp-1k",
        "mlp-1k",
        "undecided",
        "activation-difference",
        "equivalent",
        "mlp-1k",
        "undecided",
    ]
    narrow = printed(render_differences(rows), width=80).splitlines()
    assert [line.split("<0.001")[1].split()[0] for line in narrow[2:]] == [
        "A",
        "A",
        "undecided",
        "B",
        "equivalent",
        "A",
        "undecided",
    ]


def test_the_page_says_what_could_have_been_found_and_what_is_not_shown(printed: Printed) -> None:
    page = printed(render_compare(PAGE), width=400)
    assert "margin ±0.02; a difference of 0.035 is found 4 times in 5" in page
    assert "0.1≤0.5" in page  # pearson_framed never stands without its alarm rate
    assert "Not shown: f1 (census), shuffled." in page
    assert "No baseline is matched to mlp-2k and resid-1k." in page


def test_failures_are_said(printed: Printed) -> None:
    rows = [replace(summary_row("mlp-1k", 0), n_failed=7)]
    assert "mlp-1k: 7 features failed" in printed(render_compare(ComparePage(rows, [])))
    both = [rows[0], replace(rows[0], store="other", n_failed=1)]
    page = printed(render_compare(ComparePage(both, []), several=True))
    assert f"{rows[0].store}, mlp-1k: 7 features failed" in page
    assert "other, mlp-1k: 1 feature failed" in page


# --- conclusions


def rows_of(**verdicts: str) -> list[ComparisonRow]:
    return [comparison_row("sae", name, verdict) for name, verdict in verdicts.items()]


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ({"x": "A", "y": "A"}, "sae scores higher than all its baselines: x and y."),
        ({"x": "A"}, "sae scores higher than x."),
        ({"x": "A", "y": "undecided"}, "sae scores higher than x; undecided against y."),
        (
            {"x": "A", "y": "B", "z": "equivalent", "w": "undecided", "v": "A"},
            "sae scores higher than x and v; lower than y; equivalent to z; undecided against w.",
        ),
        (
            {"x": "B", "y": "undecided"},
            "sae does not score higher than any of its baselines: lower than x; undecided against y.",
        ),
    ],
)
def test_conclusions_say_plainly_who_beats_whom(verdicts: dict[str, str], sentence: str) -> None:
    assert conclusions(rows_of(**verdicts)) == [sentence]


def test_a_difference_smaller_than_the_margin_is_said() -> None:
    row = replace(comparison_row("sae", "x", "A"), difference=0.012, low=0.006, high=0.018)
    same = replace(row, verdict="equivalent", scored_verdict="equivalent")
    assert conclusions([row]) == ["sae scores higher than x.", "Real, but smaller than the margin of 0.02: sae and x."]
    assert conclusions([replace(row, high=0.021)]) == ["sae scores higher than x."]
    assert conclusions([same])[1:] == []


def test_a_verdict_that_hangs_on_features_without_a_score_says_so() -> None:
    row = replace(comparison_row("sae", "x", "undecided"), n_unscored_a=3, n_unscored_b=0, scored_verdict="A")
    assert conclusions([row])[1:] == [
        "sae and x: undecided, but sae if features without a score are left out (3 of sae) and do not stand at the "
        "floor."
    ]
    assert conclusions([replace(row, scored_verdict="undecided")])[1:] == []


# --- what an unlearned unit gets


def test_excess_over_random_directions_is_a_column_and_a_sentence(printed: Printed) -> None:
    sae = replace(summary_row("mlp-1k", 4), over_random_low=-0.03, over_random_high=0.05)
    rows = [sae, replace(summary_row("mlp-2k", 0), random=None, random_mean=None, over_random=None)]
    rows.append(summary_row("neurons", 3))
    assert excess_over_random(rows) == (
        "Excess over density-matched random directions: mlp-1k +0.000 [-0.030, +0.050] over random-covariance; none "
        "are matched to mlp-2k."
    )
    assert excess_over_random([row for row in rows if row.random is None]) is None
    page = printed(render_compare(ComparePage(rows, []), wide=True), width=200)
    assert str(excess_over_random(rows)) in " ".join(page.split())
    [head] = [line for line in page.splitlines() if "mean_all" in line and "floor" in line][:1]
    assert head.index("floor") < head.index("random") < head.index("over floor") < head.index("over random")


# --- tables


def test_conclusions_between_dictionaries_stand_apart() -> None:
    rows = [comparison_row(a, b, verdict) for (a, b), verdict in VERDICTS.items()]
    assert conclusions(rows) == [
        "mlp-1k scores higher than neurons and random-isotropic; lower than activation-difference; "
        "undecided against random-covariance.",
        "mlp-1k scores higher than resid-1k; equivalent: mlp-1k and mlp-2k; undecided between mlp-2k and resid-1k.",
    ]
    assert conclusions([]) == []
    assert without_baselines(rows, ["mlp-1k"]) is None
    assert without_baselines([], ["mlp-1k"]) is None


# --- from a store


def test_summary_rows_come_best_first_with_their_denominators(opened: StoreReader, printed: Printed) -> None:
    rows = load_summary(opened, "demo")
    census = [row for row in rows if row.design == "census"]
    assert [row.mean for row in census] == sorted((row.mean or 0 for row in census), reverse=True)
    assert {(row.n_scored, row.n_features, row.n_dead, row.n_rare) for row in census} == {(4, 6, 1, 1)}
    lexical = [row for row in census if row.explainer == "lexical"]
    shown = printed(Group(render_means(lexical, wide=True)))
    for part in ("pearson, census, lexical", "4/6", "0.050", "●", "mean_all", "random_isotropic"):
        assert part in shown


def test_the_default_is_the_primary_metrics_of_the_real_explainers(opened: StoreReader) -> None:
    stores = [("demo", opened)]
    kinds = {(kind.metric, kind.explainer) for kind in load_compare(stores, ScoreChoice()).kinds}
    assert kinds == {("pearson", "lexical"), ("pearson", "token_lookup"), ("pearson_framed", "lexical")}
    everything = {kind.explainer for kind in load_compare(stores, ScoreChoice(everything=True)).kinds}
    assert everything == {"lexical", "token_lookup", "shuffled", "constant"}


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [
        (ScoreChoice(explainers=["constant"]), {("pearson", "constant", "census")}),
        (ScoreChoice(metrics=["pearson_framed"]), {("pearson_framed", "lexical", "sample")}),
        (ScoreChoice(designs=["sample"]), {("pearson_framed", "lexical", "sample")}),
        (ScoreChoice(metrics=["pearson"], explainers=["lexical"], everything=True), {("pearson", "lexical", "census")}),
        (ScoreChoice(metrics=["pearson"], designs=["sample"]), set()),
    ],
)
def test_a_choice_takes_what_it_names(opened: StoreReader, choice: ScoreChoice, kinds: set[tuple[str, ...]]) -> None:
    page = load_compare([("demo", opened)], choice)
    assert {(kind.metric, kind.explainer, kind.design) for kind in page.kinds} == kinds
    assert page.hidden


def test_a_choice_of_nothing_says_what_there_is(opened: StoreReader, printed: Printed) -> None:
    page = printed(compare_page([("demo", opened)], ScoreChoice(metrics=["pearson"], designs=["sample"])))
    assert "no scores of that kind" in page
    assert "pearson (census)" in page


def test_unknown_names_are_errors_with_the_nearest_one(opened: StoreReader) -> None:
    with pytest.raises(StoreError, match='no scores of metric "persn"; the nearest is "pearson"'):
        load_compare([("demo", opened)], ScoreChoice(metrics=["persn"]))
    with pytest.raises(StoreError, match='no scores of explainer "lexicl"; the nearest is "lexical"'):
        load_compare([("demo", opened)], ScoreChoice(explainers=["lexicl"]))


def test_several_stores_get_a_column(opened: StoreReader, printed: Printed) -> None:
    page = printed(compare_page([("one", opened), ("two", opened)]))
    assert "store" in page
    assert page.count("one  ") >= 8
    assert page.count("two  ") >= 8
    assert "two: sae scores higher than random." in page
    assert "store" not in printed(compare_page([("one", opened)]))


def test_a_baseline_is_told_from_a_dictionary_under_study(opened: StoreReader) -> None:
    assert {row.baseline for row in load_comparisons(opened, "demo")} == {True}


def test_only_the_latest_comparison_of_a_pair_is_shown(store: Path) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute(
            "INSERT INTO stages SELECT * REPLACE ('compare-2' AS work, finished_at + INTERVAL 1 DAY AS finished_at) "
            "FROM stages WHERE work = 'compare-1'"
        )
        connection.execute(
            "INSERT INTO works SELECT * REPLACE ('run-2' AS run, 'compare-2' AS work) FROM works "
            "WHERE stage = 'compare'"
        )
        connection.execute(
            "INSERT INTO runs SELECT * REPLACE ('run-2' AS run, started_at + INTERVAL 1 DAY AS started_at) FROM runs"
        )
        connection.execute(
            "INSERT INTO comparisons SELECT * REPLACE ('compare-2' AS run, 'B' AS verdict) FROM comparisons"
        )
    with open_reader(store) as reader:
        rows = load_comparisons(reader, "demo")
    assert [row.verdict for row in rows] == ["B"] * 3


def test_hostile_names_do_not_reach_the_terminal(store: Path, printed: Printed) -> None:
    hostile = "\x1b[2J[red]\u202e"
    with duckdb.connect(str(store)) as connection:
        for table in ("dictionary_scores", "scores", "works", "stages", "dictionaries", "features"):
            connection.execute(f"UPDATE {table} SET dictionary = $1 WHERE dictionary = 'sae'", [hostile])
        connection.execute("UPDATE comparisons SET a = $1", [hostile])
    with open_reader(store) as reader:
        for page in (compare_page([(hostile, reader), ("b", reader)], wide=True), status_page(reader, store)):
            shown = printed(page, width=100)
            assert "\\x1b[2J[red]\\u202e" in shown
            assert "\x1b" not in shown
            assert "\u202e" not in shown


# --- the demo's last page


def test_the_demo_ends_on_a_page(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(store, page_console())
    print(next_steps(store))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 45
    titles = [line for line in lines if "lexical: " in line]
    about = "pearson, census, lexical"
    strata = f"{about}: A - B by token entropy (fewer of their features)"
    assert titles == [f"{about}: mean over features", f"{about}: differences", strata]
    assert sum(line.startswith("  autointerp ") for line in lines) == 3
    assert any(str(store) in line for line in lines)


def test_the_demo_ends_on_a_page_with_all_its_dictionaries(printed: Printed) -> None:
    page = ComparePage(
        [row for row in PAGE.summary if row.design == "census"],
        [row for row in PAGE.comparisons if row.design == "census"],
    )
    assert len(printed(render_compare(page), width=100).splitlines()) + 6 <= 45


# --- status


def test_status_tells_what_is_left(opened: StoreReader, built: tuple[Path, object], printed: Printed) -> None:
    page = load_status(opened, built[0])
    stages = {stage.stage: stage for stage in page.stages}
    assert stages["effects"].waiting == ("sae", "random")
    assert (stages["effects"].n_done, stages["effects"].n_all) == (0, 2)
    assert stages["extract"].waiting == ()
    assert (stages["extract"].n_done, stages["extract"].n_all) == (2, 2)
    assert stages["explain"].n_failed == 8
    assert stages["score"].seconds == 150.0
    assert stages["tokens"].waiting == ()
    assert (stages["compare"].n_done, stages["census"].n_done, stages["census"].n_all) == (1, 0, 2)
    assert page.size_bytes == built[0].stat().st_size
    assert {split.split for split in page.splits} == {"explain", "select", "score"}
    assert [(row.dictionary, row.n_features, row.n_rare, row.n_dead) for row in page.dictionaries] == [
        ("sae", 6, 1, 1),
        ("random", 6, 1, 1),
    ]
    assert sum(call.cost_usd for call in page.calls) == 0.25
    shown = printed(render_status(page), width=240)
    for part in (
        "effects waits for sae, random",
        "to do",
        "all 2 done",
        "2 min 30 s",
        "MB",
        "documents",
        "cost so far $0.25",
        "2.0% of the tokens are outliers (norm above 5 x the median 2)",
        "50% of the variance",
        "participation ratio 3.0 without them, 1.5 with them",
    ):
        assert part in shown


def test_a_stage_half_done_says_so(store: Path, printed: Printed) -> None:
    with duckdb.connect(str(store)) as connection:
        connection.execute("DELETE FROM stages WHERE stage = 'score' AND dictionary = 'random'")
    with open_reader(store) as reader:
        shown = printed(status_page(reader, store))
    assert "1 of 2 done" in shown
    assert "score waits for random" in shown


def test_status_of_an_empty_store(tmp_path: Path, printed: Printed) -> None:
    path = tmp_path / "x.duckdb"
    StoreWriter.open(path).close()
    with open_reader(path) as reader:
        assert "no run yet" in printed(status_page(reader, path))
        assert "no scores yet" in printed(compare_page([("x", reader)]))
        assert "DICT/FEATURE" in next_steps(path)
