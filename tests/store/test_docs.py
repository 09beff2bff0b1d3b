"""The README's schema section is the database's own account of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp.store import docs


def test_every_table_column_and_view_is_documented() -> None:
    text = docs.schema_markdown()
    assert text.index("### `meta`") < text.index("### `scores`") < text.index("### View `score_table`")
    for line in text.splitlines():
        if line.startswith("| `"):
            name, kind, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
            assert name
            assert kind
            assert meaning, f"{name} has no comment"
    assert "None" not in text


def test_the_section_is_replaced_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- schema -->\nout of date\n<!-- /schema -->\nafter\n", encoding="utf-8")
    assert docs.main([str(readme), "--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert docs.main([str(readme)]) == 0
    assert docs.main([str(readme), "--check"]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- schema -->")
    assert text.endswith("<!-- /schema -->\nafter\n")
    assert "out of date" not in text
    assert "### `exemplars`" in text


def test_a_readme_without_the_marks_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here", encoding="utf-8")
    assert docs.main([str(readme)]) == 2
    assert "<!-- schema -->" in capsys.readouterr().err
    assert docs.main([]) == 2
