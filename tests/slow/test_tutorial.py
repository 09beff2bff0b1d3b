"""The tutorial, word for word: its commands print today what stands below them."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

import autointerp
from autointerp.tutorial import tutorial_page

TUTORIAL = Path(autointerp.__file__).parents[1] / "docs" / "TUTORIAL.md"


@pytest.mark.slow
def test_the_tutorial_shows_what_its_commands_print_today() -> None:
    """`make tutorial` writes it anew."""
    written = TUTORIAL.read_text(encoding="utf-8")
    differences = difflib.unified_diff(written.splitlines(), tutorial_page(written).splitlines(), lineterm="", n=0)
    assert not list(differences)
