"""What the commands that read a store share: opening it for one question, and printing a page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from autointerp.store.reader import StoreReader

STORE = click.argument("store", type=click.Path(path_type=Path))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[StoreReader]:
    """The store, open; what is to be said of it (a snapshot) goes to standard error. Raises StoreError."""
    from autointerp.store.reader import open_reader

    with open_reader(path) as reader:
        if reader.notice:
            click.echo(reader.notice, err=True)
        yield reader


def print_page(page: RenderableType) -> None:
    """On standard output, as wide as the terminal."""
    from autointerp.show.console import page_console

    page_console().print(page)
