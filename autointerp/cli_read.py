"""The commands that only read a store: show, status, compare, sql, verify.

No logic here: open, ask, print. A store is opened for one question and let go. `autointerp.cli` adds
these commands to its group and turns an AutointerpError into one line and an exit status.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, RenderableType

from autointerp.errors import UserError

if TYPE_CHECKING:
    from autointerp.store.reader import StoreReader

STORE = click.argument("store", type=click.Path(path_type=Path))

# What only runs may import: `autointerp --help` loads no database.


@click.command(no_args_is_help=True)
@STORE
@click.argument("feature", metavar="DICT/FEATURE")
@click.option("--top", default=8, show_default=True, type=click.IntRange(0), help="Top exemplars shown.")
@click.option("--each", default=1, show_default=True, type=click.IntRange(0), help="Exemplars of every other stratum.")
def show(store: Path, feature: str, top: int, each: int) -> None:
    """One feature's card: what it is, when it fires, what is said about it, how well that predicts it.

    \b
    Example:
      autointerp show demo.duckdb sae/12
    """
    from autointerp.show.card import feature_card

    dictionary, number = _parse_feature(feature)
    with _reader(store) as reader:
        _print(feature_card(reader, dictionary, number, top=top, each=each, marks=not _colours()))


@click.command(no_args_is_help=True)
@STORE
def status(store: Path) -> None:
    """What is done, left and failed; rows, time and size; what it cost.

    \b
    Example:
      autointerp status demo.duckdb
    """
    from autointerp.show.tables import status_page

    with _reader(store) as reader:
        _print(status_page(reader, store))


@click.command(no_args_is_help=True)
@click.argument("stores", nargs=-1, required=True, metavar="STORE...", type=click.Path(path_type=Path))
def compare(stores: tuple[Path, ...]) -> None:
    """Scores of dictionaries beside each other, with intervals, and what can be said of their differences.

    Several stores are shown in the same tables, with a column that says which is which.

    \b
    Examples:
      autointerp compare demo.duckdb
      autointerp compare layer-4.duckdb layer-8.duckdb
    """
    from autointerp.show.tables import compare_page

    with contextlib.ExitStack() as stack:
        names = [path.stem for path in stores]
        shown = names if len(set(names)) == len(names) else [str(path) for path in stores]
        readers = [stack.enter_context(_reader(path)) for path in stores]
        _print(compare_page(list(zip(shown, readers, strict=True))))


@click.command(no_args_is_help=True)
@STORE
@click.argument("query", required=False)
@click.option("--file", "file", metavar="NAME", help="A file of SQL, or one of ours: analysis/NAME.sql.")
@click.option(
    "--param", "-p", "parameters", type=(str, str), multiple=True, metavar="NAME VALUE", help="A value for $NAME."
)
@click.option("--format", "format_", type=click.Choice(["table", "csv", "json", "parquet"]), default="table",
              show_default=True, help="How the rows are written.")  # fmt: skip
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def sql(
    store: Path,
    query: str | None,
    file: str | None,
    parameters: tuple[tuple[str, str], ...],
    format_: str,
    output: Path | None,
) -> None:
    """Asks the store with SQL (DuckDB's dialect, read-only). csv, json and parquet hold all rows, whole.

    The tables and their columns: README.md, "The store", or `select * from duckdb_columns()`.

    \b
    Examples:
      autointerp sql demo.duckdb "select * from dictionary_summary"
      autointerp sql demo.duckdb --file best_explained
      autointerp sql demo.duckdb "from features where feature = $f" -p f 12 --format csv
    """
    from autointerp.show.rows import write_rows

    if (query is None) == (file is None):
        raise click.UsageError("give a query or --file, one of the two")
    text = query if query is not None else _sql_file(str(file))
    with _reader(store) as reader:
        rows = reader.query(text, **{name: _value(value) for name, value in parameters})
    note = write_rows(rows, format_, output)
    if note:
        click.echo(note, err=True)


@click.command(no_args_is_help=True)
@STORE
@click.pass_context
def verify(context: click.Context, store: Path) -> None:
    """Checks that what the store says is true: splits, truths, counts, scores. Exit status 1 if anything is not.

    \b
    Example:
      autointerp verify demo.duckdb
    """
    from autointerp.show.checks import render_checks
    from autointerp.store.verify import verify as run_checks

    with _reader(store) as reader:
        checks = run_checks(reader)
    _print(render_checks(checks))
    if not all(check.ok for check in checks):
        context.exit(1)


COMMANDS: tuple[click.Command, ...] = (show, status, compare, sql, verify)
"""What `autointerp.cli` adds to its group."""


@contextlib.contextmanager
def _reader(path: Path) -> Iterator[StoreReader]:
    from autointerp.store.reader import open_reader

    with open_reader(path) as reader:
        if reader.notice:
            click.echo(reader.notice, err=True)
        yield reader


def _parse_feature(text: str) -> tuple[str, int]:
    dictionary, _, number = text.rpartition("/")
    if not dictionary or not number.isascii() or not number.isdigit():
        raise UserError(f'"{text}" is not DICT/FEATURE; give a dictionary and a number, such as sae/12')
    return dictionary, int(number)


def _sql_file(name: str) -> str:
    from autointerp.resources import analysis_path

    path = analysis_path(name)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'"{path}" cannot be read as SQL text: {error}') from error


def _value(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _console() -> Console:
    """Off a terminal there is no width: nothing is folded for a window that is not there."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 200))


def _colours() -> bool:
    console = _console()
    return console.color_system is not None and not console.no_color


def _print(page: RenderableType) -> None:
    _console().print(page)
