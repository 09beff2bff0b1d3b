"""Pages that are made from the code: written, compared, and made in one region only."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp.generated import cell, replace_region, write_or_check


def test_a_page_is_written_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "PAGE.md"

    def make(_text: str) -> str:
        return "as the code says\n"

    assert write_or_check([str(page), "--check"], make, "usage") == 1
    assert not page.exists()
    assert "out of date; run `make docs`" in capsys.readouterr().err
    assert write_or_check([str(page)], make, "usage") == 0
    assert page.read_text(encoding="utf-8") == "as the code says\n"
    assert write_or_check([str(page), "--check"], make, "usage") == 0
    page.write_text("edited by hand\n", encoding="utf-8")
    assert write_or_check(["--check", str(page)], make, "usage") == 1


def test_no_page_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_or_check(["--check"], str, "usage: PAGE") == 2
    assert "usage: PAGE" in capsys.readouterr().err


def test_a_region_is_made_and_the_rest_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("before\n<!-- rows:begin -->\nold\n<!-- rows:end -->\nafter\n", encoding="utf-8")

    def make(text: str) -> str:
        return replace_region(text, "rows", "new")

    assert write_or_check([str(page)], make, None) == 0
    assert page.read_text(encoding="utf-8") == "before\n<!-- rows:begin -->\n\nnew\n\n<!-- rows:end -->\nafter\n"
    page.write_text("nothing here\n", encoding="utf-8")
    assert write_or_check([str(page)], make, None) == 2
    assert "needs the marks <!-- rows:begin --> and <!-- rows:end -->" in capsys.readouterr().err


def test_a_cell_stays_a_cell() -> None:
    assert cell("a | b\nc") == "a \\| b c"
