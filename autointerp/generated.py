"""Pages of `docs/` that are made from the code: written by one command, and compared by the same with `--check`.

A page is made whole, or one region of it between two marks: `<!-- NAME:begin -->` and `<!-- NAME:end -->`. `make docs`
writes all of them, and `make lint` compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

NOTE = "<!-- Made by `make docs` from {source}: change it there. -->"
"""The first line of a page that is made whole."""


def write_or_check(arguments: Sequence[str], make: Callable[[str], str], usage: str | None) -> int:
    """A page's command line, `PAGE [--check]`; returns the exit status.

    `make` gets the page as it is, empty where there is none, and returns it as it should be. It raises ValueError
    where it cannot.
    """
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    if len(paths) != 1:
        print(usage, file=sys.stderr)
        return 2
    page = paths[0]
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    try:
        made = make(text)
    except ValueError as error:
        print(f"error: {page}: {error}", file=sys.stderr)
        return 2
    if "--check" in arguments:
        if made != text:
            print(f"{page}: out of date; run `make docs`", file=sys.stderr)
        return int(made != text)
    page.write_text(made, encoding="utf-8")
    return 0


def replace_region(text: str, name: str, made: str) -> str:
    """The text with the region between the marks of this name made anew. Raises ValueError where they are missing."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"the page needs the marks {begin} and {end}")
    return f"{before}{begin}\n\n{made}\n\n{end}{after}"


def cell(text: str) -> str:
    """Safe inside a table of a page."""
    return text.replace("|", "\\|").replace("\n", " ")
