"""What the commands that read a store share: opening it for one question, a feature's name, and printing a page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autointerp.errors import UserError

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


def parse_feature(text: str) -> tuple[str, int]:
    """`DICT/FEATURE`. Raises UserError."""
    dictionary, _, number = text.rpartition("/")
    if not dictionary or not number.isascii() or not number.isdigit():
        raise UserError(f'"{text}" is not DICT/FEATURE; give a dictionary and a number, such as sae/12')
    return dictionary, int(number)
