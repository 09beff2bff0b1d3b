"""The schema of a store: `schema.sql` is its only definition, this module says which version it is."""

from __future__ import annotations

from pathlib import Path

from autointerp.words import ASK_KINDS, SCORERS, STAGES

SCHEMA_VERSION = 14
"""Raised with every change of `schema.sql` after which stores of before, or an older autointerp, cannot be read."""

STORAGE_VERSION = "v1.5.0"
"""DuckDB's file format: the oldest that is still supported, so that any current client opens the file."""


def schema_sql() -> str:
    """The text of `schema.sql`, the words of `words.py` in its comments."""
    text = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
    for name, words in (("ask_kinds", ASK_KINDS), ("scorers", SCORERS), ("stages", STAGES)):
        text = text.replace(f"{{{name}}}", ", ".join(words))
    return text
