"""Every page and every question of ours, on a store that a run made: a judge, drafts, what was asked again, failures.

What an LLM, a class of the user's own or a person said stands on each page with its scores, for every scorer; a control
never stands there as a label.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import judged
import pytest
from judged import JUDGE, JUDGED_SCORERS, LUNA, MINE, REFINED
from rich.console import Console
from stored import check, rows

from autointerp.cli import main
from autointerp.resources import folder
from autointerp.score.metric_registry import METRICS, bounds_of, is_primary, metrics_for
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.selftest.marks import kept_run
from autointerp.score.selftest.verdicts import verdict_of
from autointerp.show.card import feature_card
from autointerp.show.card_data import load_card
from autointerp.show.compare import compare_page, render_compare
from autointerp.show.compare_data import ComparePage, ScoreChoice, load_compare
from autointerp.show.marks import MARK, mark_sentences
from autointerp.store.reader import StoreReader, open_reader
from autointerp.words import (
    COMPLETION,
    EMBEDDED,
    HUMAN,
    NO_LABEL,
    OF_MEASURED,
    RANKINGS,
    STAGES,
    UNEMBEDDING_NORM,
    is_ceiling,
    is_control,
    is_label,
    says_its_lookup,
)

PRIMARY = {
    name: next(metric.name for metric in metrics_for(scorer.shape, name) if metric.is_first(name))
    for name, scorer in SCORERS.items()
    if name in JUDGED_SCORERS
}
LABELLED = [name for name in JUDGED_SCORERS if SCORERS[name].reads_label]
UNLABELLED = [name for name in JUDGED_SCORERS if name not in LABELLED]
QUESTIONS = sorted(path.stem for path in folder("analysis").glob("*.sql"))


@pytest.fixture(scope="module")
def path(judged_store: Path) -> Path:
    return judged_store


@pytest.fixture(scope="module")
def default_page(path: Path) -> ComparePage:
    """What is shown where nothing is chosen."""
    with open_reader(path) as reader:
        return load_compare([("judged", reader)], ScoreChoice())


@pytest.fixture
def opened(path: Path) -> Iterator[StoreReader]:
    with open_reader(path) as reader:
        yield reader


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    main(list(map(str, arguments)))
    return capsys.readouterr().out


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "400")
    return lambda *arguments: said(capsys, *arguments)


def test_the_store_is_what_the_pages_need(path: Path) -> None:
    check(path)
    found = rows(path, "SELECT stage, explainer, status, count(*) AS n FROM failures GROUP BY ALL")
    assert {(row["stage"], row["explainer"]) for row in found} >= {
        ("explain", LUNA), ("explain", MINE), ("judge", LUNA),
    }  # fmt: skip
    assert rows(path, "SELECT 1 FROM drafts WHERE round = 1")
    assert rows(path, "SELECT 1 FROM explanations WHERE again > 0")
    assert rows(path, "SELECT 1 FROM current_failures")


# --- compare


def test_no_interval_reaches_past_what_a_metric_or_a_difference_can_be(path: Path) -> None:
    means = rows(
        path, "SELECT scorer, metric, design, ci_low, ci_high FROM dictionary_summary WHERE ci_low IS NOT NULL"
    )
    assert means
    for row in means:
        least, most = bounds_of(row["metric"], row["design"])
        assert least <= row["ci_low"] <= row["ci_high"] <= most, row
    pairs = rows(
        path,
        """
        SELECT metric, design, least(ci_low, simultaneous_low) AS low, greatest(ci_high, simultaneous_high) AS high
        FROM comparison_table WHERE ci_low IS NOT NULL
        """,
    )
    at_the_end = 0
    for row in pairs:
        least, most = bounds_of(row["metric"], row["design"])
        assert least - most <= row["low"] <= row["high"] <= most - least, row
        at_the_end += row["high"] == most - least or row["low"] == least - most
    assert at_the_end  # some would reach further


@pytest.mark.parametrize("explainer", [LUNA, REFINED, MINE])
@pytest.mark.parametrize("scorer", LABELLED)
def test_means_intervals_floors_and_verdicts_of_judged_explainers(
    default_page: ComparePage, explainer: str, scorer: str
) -> None:
    page = default_page
    name = f"{scorer}:{JUDGE}"
    means = [row for row in page.summary if (row.explainer, row.scorer) == (explainer, name)]
    assert {row.dictionary for row in means} == {"mlp-1k", "neurons", "neurons@natural", "resid-1k"}
    assert {row.metric for row in means} == {PRIMARY[scorer]}
    for row in means:
        assert row.mean is not None
        assert row.floor is not None
        if row.n_scored > 1 or scorer != "discrimination":  # neurons that fire everywhere are silent nowhere
            assert row.ci_low is not None
            assert row.ci_high is not None
            assert row.ci_low <= row.mean <= row.ci_high
    pairs = [row for row in page.comparisons if (row.explainer, row.scorer) == (explainer, name)]
    assert {(row.a, row.b) for row in pairs} >= {("mlp-1k", "neurons"), ("mlp-1k", "resid-1k")}
    assert {row.metric for row in pairs} == {PRIMARY[scorer]}
    for pair in pairs:
        assert pair.verdict in ("A", "B", "equivalent", "undecided")
        assert (pair.difference is None) == (pair.low is None)
    assert any(pair.difference is not None for pair in pairs)


def test_a_persons_label_has_its_mean_for_every_scorer(opened: StoreReader) -> None:
    page = load_compare([("judged", opened)], ScoreChoice(explainers=[HUMAN]))
    assert {(row.dictionary, row.scorer) for row in page.summary} == {
        ("mlp-1k", f"{scorer}:{JUDGE}") for scorer in LABELLED if scorer not in OF_MEASURED
    }  # what a person labelled was not measured
    for row in page.summary:  # one label has no spread
        assert (row.n_features, row.ci_low) == (1, None)
    assert page.comparisons == []


def test_the_page_says_what_intervals_leave_out_and_which_metrics_see_less(opened: StoreReader) -> None:
    def said(choice: ScoreChoice) -> str:
        stream = io.StringIO()
        Console(file=stream, width=160).print(compare_page([("judged", opened)], choice))
        return " ".join(stream.getvalue().split())

    [few] = re.findall(r"95 % intervals of (.*?) say what other features would give", said(ScoreChoice()))
    assert set(few.split(", ")) == {
        "mcc_weighted", "logit_accuracy_direct", "logit_accuracy_direct_hard", "logit_accuracy_measured_hard",
        "choice_accuracy", "generation_accuracy", "intervention_accuracy",
    }  # fmt: skip
    matched = ScoreChoice(metrics=("balanced_accuracy_matched",))
    sentences = mark_sentences(kind.name for kind in load_compare([("judged", opened)], matched).kinds)
    assert any("balanced_accuracy_matched of detection" in sentence for sentence in sentences)
    text = said(matched)
    assert all(sentence in text for sentence in sentences)
    for choice in (ScoreChoice(designs=("census",)), ScoreChoice(metrics=("pearson_framed",))):
        text = said(choice)
        assert "other features would give" not in text
        assert "loses little" not in text


def test_the_lookup_on_the_same_windows_and_the_completion_floor_are_shown(default_page: ComparePage) -> None:
    page = default_page
    shown = {(row.explainer, row.scorer) for row in page.summary}
    assert ("lexical", f"simulation:lookup@{LUNA}") in shown
    assert ("context_lookup", f"simulation:lookup@{LUNA}") in shown
    assert f"context_lookup (ceiling, no label), simulation:lookup@{LUNA}: mean" in printed(render_compare(page))
    for ranking in RANKINGS:
        for scorer in ("logits", "logits_hard"):
            assert (ranking, f"{scorer}:unembedding") in shown


@pytest.mark.parametrize("scorer", UNLABELLED)
def test_what_needs_no_label_is_asked_once_and_has_its_floor_its_verdicts_and_its_place_on_the_card(
    opened: StoreReader, default_page: ComparePage, path: Path, scorer: str
) -> None:
    name, control = f"{scorer}:{JUDGE}", f"shuffled:{NO_LABEL}"
    page = default_page
    means = [row for row in page.summary if row.scorer == name]
    assert {row.explainer for row in means} == {NO_LABEL}
    assert {row.dictionary for row in means} >= {"mlp-1k", "neurons", "resid-1k"}
    assert all(row.mean is not None and row.floor is not None for row in means if row.dictionary == "mlp-1k")
    assert any(row.scorer == name and row.explainer == NO_LABEL for row in page.comparisons)
    asked = rows(
        path, "SELECT explainer, count(DISTINCT feature) AS n FROM choices WHERE scorer = $s GROUP BY ALL", s=name
    )
    assert {row["explainer"] for row in asked} == {NO_LABEL, control}
    sql = "SELECT feature FROM score_table WHERE dictionary = 'mlp-1k' AND scorer = $s AND explainer = $e AND value > 0"
    feature = rows(path, sql, s=name, e=NO_LABEL)[0]["feature"]
    card = printed(feature_card(opened, "mlp-1k", feature), width=1000)
    assert f"choice_accuracy, {scorer}" in card
    assert re.search(rf"^{NO_LABEL}.*0\.\d{{3}}", card, re.MULTILINE) or re.search(
        rf"^{NO_LABEL}.*1\.000", card, re.MULTILINE
    )


@pytest.mark.parametrize("scorer", ["logits", "logits_hard"])
@pytest.mark.parametrize("explainer", [LUNA, "lexical"])
def test_rankings_and_another_features_label_stand_beside_every_logit_score(
    opened: StoreReader, path: Path, explainer: str, scorer: str
) -> None:
    by = f"{scorer}:{JUDGE if explainer == LUNA else 'text'}"
    other = f"shuffled:{LUNA}" if explainer == LUNA else "shuffled"
    metric = PRIMARY[scorer]
    mean = {
        (row["dictionary"], row["explainer"], row["scorer"]): row["mean"]
        for row in rows(path, "SELECT * FROM dictionary_summary WHERE metric = $m", m=metric)
    }
    page = printed(compare_page([("judged", opened)], ScoreChoice(metrics=[metric], explainers=[explainer])))
    head = next(line for line in page.splitlines() if "completion" in line and "W_U norm" in line)
    assert "another feature's label" in head
    line = next(line for line in page.splitlines() if re.search(r"\bmlp-1k +0?\.\d", line))
    for who, judge in ((COMPLETION, f"{scorer}:unembedding"), (UNEMBEDDING_NORM, f"{scorer}:unembedding"), (other, by)):
        assert f"{mean['mlp-1k', who, judge]:.3f}" in line
    sql = "SELECT feature FROM score_table WHERE dictionary = 'mlp-1k' AND explainer = $e AND metric = $m AND value > 0"
    feature = rows(path, sql, e=other, m=metric)[0]["feature"]
    card = printed(feature_card(opened, "mlp-1k", feature))
    for name in (COMPLETION, UNEMBEDDING_NORM, "another feature's label"):
        assert re.search(rf"^{name}.*0\.\d{{3}}", card, re.MULTILINE), name


def test_no_control_stands_on_the_page_unless_asked_for(opened: StoreReader, default_page: ComparePage) -> None:
    default = default_page
    assert not [row for row in default.summary if is_control(row.explainer)]
    assert not [row for row in default.comparisons if is_control(row.explainer)]
    everything = load_compare([("judged", opened)], ScoreChoice(everything=True))
    controls = {row.explainer for row in everything.summary if is_control(row.explainer)}
    assert controls >= {
        "shuffled", "constant", "generic", f"shuffled:{LUNA}", f"permuted:{LUNA}", f"shuffled:{MINE}",
    }  # fmt: skip
    assert not [row for row in everything.comparisons if is_control(row.explainer)]


def test_what_is_hidden_is_every_metric_that_is_not_primary(default_page: ComparePage) -> None:
    page = default_page
    assert all(is_primary(kind.metric, kind.design, kind.scorer) for kind in page.kinds)
    hidden = {kind.metric for kind in page.hidden if not is_control(kind.explainer)}
    judged = [metric for metric in METRICS if any(metric.is_of(scorer) for scorer in JUDGED_SCORERS)]
    assert hidden == {metric.name for metric in judged if not metric.primary or metric.second_for}


CHOICES = [
    (),
    ("--wide",),
    pytest.param(("--all",), marks=pytest.mark.slow),
    ("--metric", "auroc_matched"),
    ("--design", "sample"),
]


@pytest.mark.parametrize("options", CHOICES)
def test_the_compare_command_prints_every_choice(path: Path, command: Callable[..., str], options: Any) -> None:
    page = command("compare", path, *options)
    for explainer in (LUNA, REFINED, MINE):
        assert explainer in page
    assert f"shuffled:{LUNA}" in page if "--all" in options else f"shuffled:{LUNA}" not in page.split("Not shown:")[0]


def test_the_compare_command_prints_every_scorer_of_an_explainer(path: Path, command: Callable[..., str]) -> None:
    one = command("compare", path, "--explainer", LUNA)
    for scorer in LABELLED:
        assert f"{PRIMARY[scorer]}, sample, {LUNA}, {scorer}:{JUDGE}" in one
    assert "undecided" in one


def test_underpowered_values_are_in_no_mean(path: Path) -> None:
    sql = """
        SELECT s.mean, avg(t.value) FILTER (t.status <> 'underpowered') AS trusted, avg(t.value) AS every
        FROM dictionary_summary s JOIN score_table t USING (dictionary, explainer, scorer, metric, design)
        WHERE s.metric = 'pearson' AND s.design = 'sample' GROUP BY s.dictionary, s.explainer, s.scorer, s.mean
    """
    found = rows(path, sql)
    assert any(row["trusted"] != pytest.approx(row["every"]) for row in found if row["trusted"] is not None)
    for row in found:
        assert row["mean"] == (None if row["trusted"] is None else pytest.approx(row["trusted"]))


# --- cards


@pytest.mark.parametrize("one_in", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_card_opens_and_shows_no_control_as_a_label(opened: StoreReader, one_in: int) -> None:
    features = opened.rows("SELECT dictionary, feature FROM features ORDER BY ALL")
    assert len(features) > 40
    assert len({row["dictionary"] for row in features[::one_in]}) == 4
    for row in features[::one_in]:
        card = load_card(opened, row["dictionary"], row["feature"])
        shown = printed(feature_card(opened, row["dictionary"], row["feature"]))
        for line in card.explanations:
            if is_control(line.explainer):
                assert not re.search(rf"^{re.escape(line.explainer)}( |$)", shown, re.MULTILINE)
        labels = [line.explainer for line in card.explanations if not is_control(line.explainer)]
        assert {LUNA, REFINED, MINE, "lexical", "token_lookup"} <= set(labels)
        assert all(label in shown for label in labels)
        everything = printed(feature_card(opened, row["dictionary"], row["feature"], everything=True))
        assert f"shuffled:{LUNA}" in everything


def test_a_card_has_the_scores_of_every_scorer(path: Path, opened: StoreReader) -> None:
    sql = """
        SELECT feature FROM score_table WHERE dictionary = 'mlp-1k' AND explainer = $e AND design = 'sample'
              AND status NOT LIKE 'no_%'  -- what the store lacks is not of the feature
        GROUP BY feature HAVING bool_and(value IS NOT NULL) ORDER BY feature LIMIT 1
    """
    [found] = rows(path, sql, e=LUNA)
    card = printed(feature_card(opened, "mlp-1k", found["feature"]), width=1000)
    head = "\n".join(line for line in card.splitlines() if line.startswith("score "))
    for column in ("pearson, census", *(f"{PRIMARY[scorer]}, {scorer}" for scorer in LABELLED)):
        assert column in head
    mine = [line for line in card.splitlines() if line.startswith(f"{LUNA} ") and re.search(r"\d\.\d{3}", line)]
    assert len(re.findall(r"-?\d\.\d{3}", "\n".join(mine))) >= len(LABELLED)
    assert f"judged by {JUDGE}" in card
    everything = printed(feature_card(opened, "mlp-1k", found["feature"], everything=True), width=1000)
    assert f"lexical on the windows of {LUNA}" in everything
    assert f"context_lookup (ceiling, no label) on the windows of {LUNA}" in everything
    narrow = printed(feature_card(opened, "mlp-1k", found["feature"]), width=80).splitlines()
    assert max(map(len, narrow)) <= 80
    assert len(narrow) < 180


def test_a_refused_explanation_says_so_on_the_card(path: Path, command: Callable[..., str]) -> None:
    assert "none: truncated" in command("show", path, f"mlp-1k/{judged.REFUSED[0]}")
    assert "Fires on" in command("show", path, f"mlp-1k/{judged.LABELLED}", "--all")


# --- status, sql, verify


def test_status_counts_what_failed_and_what_it_cost(path: Path, command: Callable[..., str]) -> None:
    page = command("status", path)
    stages = [line.split()[0] for line in page.splitlines() if re.match(r"\w+\s+(done|all \d+ done)", line)]
    assert stages == list(STAGES)
    assert "waits" not in page


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_of_ours_is_answered_and_no_control_is_a_label(
    path: Path, command: Callable[..., str], question: str
) -> None:
    text = (folder("analysis") / f"{question}.sql").read_text(encoding="utf-8").replace("LIMIT 25", "")
    found = rows(path, text)
    named = {row["explainer"] for row in found if "explainer" in row}
    if question not in ("sample_against_census", "token_entropy"):  # about controls too, and says so
        assert not [name for name in named if is_control(name)]
    if question in ("sae_against_baselines", "best_explained", "worst_explained"):
        assert {LUNA, "lexical"} <= named
    assert command("sql", path, "--file", question)


def test_the_store_says_which_explainer_is_a_control(path: Path) -> None:
    for view in ("explanations", "current_explanations", "score_table", "dictionary_summary", "explained_features"):
        found = rows(path, f"SELECT DISTINCT explainer, is_control FROM {view}")
        assert found
        for row in found:
            assert row["is_control"] == is_control(row["explainer"]), (view, row)
    names = ["shuffled", "constant", "generic", "shuffled:x", "permuted:x", "lexical", LUNA, "completion", "constantly"]
    for name in [*names, *EMBEDDED]:
        for said in (is_control, is_ceiling, is_label, says_its_lookup):
            assert rows(path, f"SELECT {said.__name__}($name) AS yes", name=name) == [{"yes": said(name)}]


def test_verify_finds_nothing(path: Path, command: Callable[..., str]) -> None:
    assert "given to score low is marked as a control" in command("verify", path)


def printed(page: Any, width: int = 300) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False).print(page)
    return stream.getvalue()


@pytest.mark.slow
def test_pages_carry_the_marks_of_the_self_test(path: Path, opened: StoreReader, command: Callable[..., str]) -> None:
    """Behind each metric that does not see a label that claims too much, on the comparison and on a card."""
    run = kept_run()
    current = [row for row in run.rows if run.of(*row.name) is row]  # of metrics that have not changed since
    blind = {row.name for row in current if verdict_of(row).extra in ("frequent", "mostly", "no")}
    assert ("fuzzing", "auroc_matched", "sample") in blind
    lines = {line.rstrip() for line in command("compare", path, "--all").splitlines()}
    kinds = load_compare([("judged", opened)], ScoreChoice(everything=True)).kinds
    marked = [(kind.scorer.partition(":")[0], kind.metric, kind.design) in blind for kind in kinds]
    assert set(marked) == {True, False}
    for kind, has_mark in zip(kinds, marked, strict=True):
        for table in ("mean over features", "differences"):
            right, wrong = (f"{kind.title()}: {table}" + f" {MARK}" * mark for mark in (has_mark, not has_mark))
            assert wrong not in lines, wrong
            assert right in lines or table == "differences", right
    assert sum("loses little" in line for line in lines) >= 1
    feature = next(f for f in rows(path, JUDGED_FEATURES) if f["feature"] not in judged.REFUSED)
    card = command("show", path, f"mlp-1k/{feature['feature']}", "--all")
    fuzzing = [line for line in card.splitlines() if line.startswith("score, fuzzing")]
    assert fuzzing
    assert all(MARK in line for line in fuzzing), "the last line of each heading has its mark"
    [census] = (line for line in card.splitlines() if "pearson, census" in line)
    assert MARK not in census
    said = " ".join(card.split())
    assert "balanced_accuracy_matched of fuzzing" in said
    assert "loses little" in said


JUDGED_FEATURES = """
SELECT DISTINCT feature FROM score_table WHERE dictionary = 'mlp-1k' AND scorer LIKE 'fuzzing%' AND value IS NOT NULL
ORDER BY feature
"""
