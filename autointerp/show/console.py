"""The console that pages are printed on."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

OFF_TERMINAL = 100
"""Columns of a page that goes to a file or a pipe: what fits in an issue, a log, half a screen."""


def page_console(file: TextIO | None = None) -> Console:
    """A terminal's own width; elsewhere OFF_TERMINAL columns; COLUMNS overrides both."""
    stream = file or sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else OFF_TERMINAL
    return Console(file=stream, width=width)


def has_colours(console: Console) -> bool:
    """Whether what is highlighted can be seen by its colour."""
    return console.color_system is not None and not console.no_color
