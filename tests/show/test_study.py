"""The page of the study: its numbers are the store's, and its two run files hold what it promises."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from stored import rows

from autointerp import study as command
from autointerp.resources import run_path
from autointerp.show import study
from autointerp.show.study_data import read_study
from autointerp.store.reader import open_reader
from autointerp.words import STUDIED

COMMAND = "python -m autointerp.study docs/STUDY.md"


@pytest.fixture
def page(built: tuple[Path, object]) -> str:
    with open_reader(built[0]) as reader:
        return study.study_page(reader, reader, COMMAND, ["a.toml", "b.toml"])


def section(page: str, title: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    body = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")
    ][2:]


def test_its_first_table_is_the_store_s(page: str, built: tuple[Path, object]) -> None:
    table = section(page, "Inputs")
    summary = rows(
        built[0],
        "SELECT dictionary, mean_all, mean_all_low, mean_all_high, floor FROM dictionary_summary "
        "WHERE explainer = 'lexical' AND metric = 'pearson' AND design = 'census'",
    )
    assert {line[0] for line in table} == {f"`{row['dictionary']}`" for row in summary}
    for row in summary:
        [line] = [line for line in table if line[0] == f"`{row['dictionary']}`"]
        low, high = row["mean_all_low"], row["mean_all_high"]
        assert line[4].startswith(f"{row['mean_all']:.3f}")
        assert low is None or line[4] == f"{row['mean_all']:.3f} [{low:.3f}, {high:.3f}]"
        assert line[6] == f"{row['floor']:.3f}"


def test_both_questions_about_outputs_stand_beside_what_needs_no_label(page: str, built: tuple[Path, object]) -> None:
    head, *lines = (line for line in page.partition("## Outputs\n")[2].splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "dictionary", "logits", "completion", "norm alone", "another's label",
        "hard logits", "completion", "norm alone", "another's label",
    ]  # fmt: skip
    assert len(lines) > 2
    found = {
        (row["dictionary"], row["explainer"], row["metric"]): row["mean_all"]
        for row in rows(
            built[0],
            "SELECT dictionary, explainer, metric, mean_all FROM dictionary_summary WHERE design = 'sample'",
        )
    }
    table = section(page, "Outputs")
    assert {line[0] for line in table} == {line[0] for line in section(page, "Inputs")}
    for line in table:
        expected = [
            found.get((line[0].strip("`"), explainer, metric))
            for metric in ("logit_accuracy_direct", "logit_accuracy_direct_hard")
            for explainer in ("lexical", "completion", "unembedding_norm", "shuffled")
        ]
        assert [cell.split(" ")[0] for cell in line[1:]] == ["-" if v is None else f"{v:.3f}" for v in expected]


def test_its_verdicts_are_the_store_s(page: str, built: tuple[Path, object]) -> None:
    table = section(page, "Verdicts")
    pairs = rows(built[0], "SELECT * FROM comparison_table WHERE explainer = 'lexical' AND a = 'sae'")
    shown = [pair for pair in pairs if pair["difference"] is not None and pair["simultaneous_low"] is not None]
    assert {pair["design"] for pair in shown} == {"census"}
    assert len(table) == len(shown) > 0
    assert {line[2] for line in table} == {f"{pair['difference']:+.3f}" for pair in shown}


def test_what_it_says_in_words_is_counted(page: str) -> None:
    verdicts = section(page, "Verdicts")
    for line in re.findall(r"- `sae` against `(\w+)`, of (\d+) scores", page):
        assert int(line[1]) == sum(row[0] == f"`{line[0]}`" for row in verdicts)
    assert "- On a model that learned nothing the labels of `sae` still score" in page
    assert "100%" in page, "both stores are the same here"


def test_its_head_says_what_was_studied_and_how(page: str, built: tuple[Path, object]) -> None:
    [subject] = rows(built[0], "SELECT subject, n_layers, d_model FROM subjects")
    kinds = rows(built[0], "SELECT dictionary, kind, matched_to FROM dictionaries WHERE natural_of IS NULL")
    head = page.partition("## ")[0].replace("\n", " ")
    assert f"({subject['n_layers']} layers of width {subject['d_model']:,})" in head
    assert f"`{COMMAND}`" in head
    assert "a.toml and b.toml." in head
    labels_of, _, to_beat = head.partition("to beat:")
    for row in kinds:
        assert f"`{row['dictionary']}`" in (labels_of if row["kind"] in STUDIED else to_beat)
    assert {row["matched_to"] for row in kinds} == {None, "sae"}
    assert "of `sae` that each is paired with" in head


def test_a_store_without_comparisons_says_so(built: tuple[Path, object], monkeypatch: pytest.MonkeyPatch) -> None:
    with open_reader(built[0]) as reader:
        nothing = replace(read_study(reader), pairs=[], strata=[])
        monkeypatch.setattr(study, "read_study", lambda _store: nothing)
        page = study.study_page(reader, reader, COMMAND, ["a.toml", "b.toml"])
    assert nothing.n_tokens > 0
    assert "The store has no comparisons." in page
    assert "The store has no strata." in page


@pytest.mark.parametrize("names", [command.RUNS, ("study-smollm2", "study-smollm2-rerandomised")])
def test_the_run_files_hold_what_is_promised(tmp_path: Path, names: tuple[str, str]) -> None:
    learned, redrawn = (run.config for run in command.study_runs(*names, tmp_path, 50_000))
    kinds = {entry.kind for entry in learned.dictionary}
    assert kinds >= {
        "neurons", "pca", "ica", "random_isotropic", "random_covariance", "activation_difference", "random_init_sae",
    }  # fmt: skip
    assert redrawn.subject.rerandomise is True
    assert {entry.name for entry in redrawn.dictionary} <= {entry.name for entry in learned.dictionary}
    assert learned.tokens.n_tokens == redrawn.tokens.n_tokens == 50_000
    assert [Path(str(config.store)) for config in (learned, redrawn)] == [tmp_path / f"{name}.duckdb" for name in names]


def test_a_missing_store_is_a_line(tmp_path: Path) -> None:
    ran = CliRunner().invoke(command.main, [str(tmp_path / "S.md"), "--folder", str(tmp_path), "--page-only"])
    assert ran.exit_code == 2
    assert 'there is no store "' in ran.output
    assert not (tmp_path / "S.md").exists()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("rerandomise = true", "", "needs `rerandomise = true` in [subject]"),
        ('name = "study-rerandomised"', 'name = "study"', 'are both called "study"'),
        ("context_length = 128", "context_length = 64", "differ in subject.model, [tokens] or seed"),
        ('name = "neurons"', 'name = "others"', 'holds "others", which'),
    ],
)
def test_two_run_files_that_are_no_study_are_refused_in_a_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    text = run_path(command.RUNS[1]).read_text(encoding="utf-8")
    assert text.count(old) == 1
    other = tmp_path / "other.toml"
    other.write_text(text.replace(old, new), encoding="utf-8")
    ran = CliRunner().invoke(command.main, [str(tmp_path / "S.md"), "--folder", str(tmp_path), "--redrawn", str(other)])
    assert ran.exit_code == 2
    assert line in ran.output.replace("\n", " ")
    assert sorted(tmp_path.iterdir()) == [other]


def test_the_command_on_a_page_makes_it() -> None:
    page = Path("docs/STUDY.md")
    assert command.command_of(page, *command.RUNS, None) == COMMAND
    assert (
        command.command_of(page, "a.toml", "b.toml", 20_000)
        == f"{COMMAND} --run a.toml --redrawn b.toml --tokens 20000"
    )


def test_a_page_links_the_run_files_beside_it(tmp_path: Path) -> None:
    learned, _ = command.study_runs(*command.RUNS, tmp_path, None)
    assert learned.shown(run_path("study").parents[1] / "docs" / "STUDY.md") == "[runs/study.toml](../runs/study.toml)"
    assert learned.shown(tmp_path / "S.md") == "`study.toml`"
