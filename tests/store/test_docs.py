"""The page docs/SCHEMA.md is the database's own account of itself."""

from __future__ import annotations

from pathlib import Path

from autointerp.store import docs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "SCHEMA.md"


def test_every_table_column_and_view_is_documented() -> None:
    text = docs.schema_markdown()
    assert text.index("## `meta`") < text.index("## `scores`") < text.index("## View `score_table`")
    for line in text.splitlines():
        if line.startswith("| `"):
            name, kind, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
            assert name
            assert kind
            assert meaning, f"{name} has no comment"
    assert "None" not in text


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == docs.schema_page(), "run `make docs`"
