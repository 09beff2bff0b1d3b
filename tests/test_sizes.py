"""A file of the package is short enough to be read at once, or says why it is not."""

from __future__ import annotations

import ast
from pathlib import Path

import autointerp

PACKAGE = Path(autointerp.__file__).parent
MOST_LINES = 400
REASON = "Long because "
"""Begins the sentence of a file's docstring that gives the reason."""


def is_long(text: str) -> bool:
    return len(text.splitlines()) > MOST_LINES


def gives_a_reason(text: str) -> bool:
    return REASON in (ast.get_docstring(ast.parse(text)) or "")


def test_no_file_is_long_without_a_reason() -> None:
    texts = {path.relative_to(PACKAGE): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert not [path.as_posix() for path, text in texts.items() if is_long(text) and not gives_a_reason(text)]


def test_what_is_long_and_what_is_a_reason() -> None:
    assert is_long("x = 1\n" * 401)
    assert not is_long("x = 1\n" * 400)
    assert gives_a_reason('"""One table.\n\nLong because the table has a row a thing."""\n')
    assert not gives_a_reason('"""One table."""\nNOTE = "Long because "\n')
