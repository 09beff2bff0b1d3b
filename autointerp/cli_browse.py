"""The command `browse`: a store as pages on this machine. No logic here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from autointerp.cli_pages import STORE, reading
from autointerp.errors import UserError

NEEDED = {
    "starlette": 'pip install "starlette>=0.40,<2"',
    "uvicorn": 'pip install "uvicorn>=0.30,<1"',
    "jinja2": 'pip install "jinja2>=3.1,<4"',
}
"""What the extra `browse` brings, and how to get each alone."""


@click.command(no_args_is_help=True)
@STORE
@click.option("--port", default=8377, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser, too.")
def browse(store: Path, port: int, open_browser: bool) -> None:
    """The store as pages in a browser: overview, features of a dictionary, one feature.

    Served to this machine alone, read-only; a run may write meanwhile. Behind each address, .json has the same data.

    \b
    Example:
      autointerp browse demo.duckdb --open
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        install = " ".join(["pip install", *(NEEDED[name].removeprefix("pip install ") for name in missing)])
        raise UserError(f"browse needs {', '.join(missing)}, which this Python lacks; {install}")
    with reading(store):
        pass  # a wrong path is said now, not in the browser
    from autointerp.browse.server import serve

    serve(store, port, open_browser, click.echo)
