"""The page of the study: its numbers are the store's, and its two run files hold what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from stored import rows

from autointerp import study as command
from autointerp.config.loading import load_run
from autointerp.resources import run_path
from autointerp.show import study
from autointerp.show.study_data import read_study
from autointerp.store.reader import open_reader


@pytest.fixture
def page(built: tuple[Path, object], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(study, "STUDIED", "sae")
    with open_reader(built[0]) as reader:
        return study.study_page(reader, reader)


def section(page: str, title: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    body = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")
    ][2:]


def test_its_first_table_is_the_store_s(page: str, built: tuple[Path, object]) -> None:
    table = section(page, "Inputs and outputs")
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
        assert line[5] == f"{row['floor']:.3f}"


def test_its_verdicts_are_the_store_s(page: str, built: tuple[Path, object]) -> None:
    table = section(page, "Verdicts")
    pairs = rows(built[0], "SELECT * FROM comparison_table WHERE explainer = 'lexical' AND a = 'sae'")
    shown = [pair for pair in pairs if pair["difference"] is not None and pair["simultaneous_low"] is not None]
    assert len(table) == len(shown) > 0
    assert {line[2] for line in table} == {f"{pair['difference']:+.3f}" for pair in shown}


def test_what_it_says_in_words_is_counted(page: str) -> None:
    verdicts = section(page, "Verdicts")
    for line in re.findall(r"- `sae` against `(\w+)`, of (\d+) metrics", page):
        assert int(line[1]) == sum(row[0] == f"`{line[0]}`" for row in verdicts)
    assert "- On a model that learned nothing the labels of `sae` still score" in page
    assert "100%" in page, "both stores are the same here"


def test_a_store_without_comparisons_says_so(built: tuple[Path, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "STUDIED", "nobody")
    with open_reader(built[0]) as reader:
        page = study.study_page(reader, reader)
        assert read_study(reader).n_tokens > 0
    assert "The store has no comparisons." in page
    assert "The store has no strata." in page


def test_the_run_files_hold_what_is_promised() -> None:
    learned, redrawn = (load_run(run_path(name)) for name in command.RUNS)
    kinds = {entry.kind for entry in learned.dictionary}
    assert kinds >= {
        "neurons", "pca", "ica", "random_isotropic", "random_covariance", "activation_difference", "random_init_sae",
    }  # fmt: skip
    assert redrawn.subject.rerandomise is True
    assert {entry.name for entry in redrawn.dictionary} <= {entry.name for entry in learned.dictionary}
    assert redrawn.tokens == learned.tokens
    assert redrawn.seed == learned.seed


def test_a_missing_store_is_a_line(tmp_path: Path) -> None:
    ran = CliRunner().invoke(command.main, [str(tmp_path / "S.md"), "--folder", str(tmp_path), "--page-only"])
    assert ran.exit_code == 2
    assert 'there is no store "' in ran.output
    assert not (tmp_path / "S.md").exists()
