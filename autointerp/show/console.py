"""The console that pages are printed on."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

from autointerp.streams import asked_columns

OFF_TERMINAL = 100
"""Columns of a page that goes to a file or a pipe: what fits in an issue, a log, half a screen."""


def page_console(file: TextIO | None = None) -> Console:
    """A terminal's own width; elsewhere OFF_TERMINAL columns; COLUMNS overrides both."""
    stream = file or sys.stdout
    return Console(file=stream, width=asked_columns() or (None if stream.isatty() else OFF_TERMINAL))


def has_colours(console: Console) -> bool:
    """Whether what is highlighted can be seen by its colour."""
    return console.color_system is not None and not console.no_color
