"""The pages for users: short where it matters, and every link leads somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from autointerp.config.loading import parse_run

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_is_for_a_user() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250
    assert "docs/RUN_FILE.md" in "".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, _ = link.partition("#")
        assert link.startswith("https://") or (page.parent / path).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_of_sql_that_pages_name_are_there(page: Path) -> None:
    for name in re.findall(r"--file ([a-z_]+)", page.read_text(encoding="utf-8")):
        assert (ROOT / "analysis" / f"{name}.sql").exists(), f"{page.name}: --file {name}"


def test_the_run_file_of_the_readme_is_one() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    run = parse_run(tomllib.loads("\n".join(blocks)))
    assert [dictionary.name for dictionary in run.dictionary] == ["sae", "neurons"]
    assert run.score.judge is not None


def test_the_metric_table_has_its_place() -> None:
    page = (ROOT / "docs" / "SCORES.md").read_text(encoding="utf-8")
    assert page.index("<!-- metrics:begin -->") < page.index("<!-- metrics:end -->")
