"""The commands that only read a store: show, status, investigate, sql, verify, and those of `cli_browse.py`,
`cli_compare.py`, `cli_export.py`, `cli_prompt.py`, `cli_steer.py` and `cli_whole.py`.

No logic here: open, ask, print. A store is opened for one question and let go. `autointerp.cli` adds
these commands to its group and turns an AutointerpError into one line and an exit status.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import click

from autointerp.cli_browse import browse
from autointerp.cli_compare import compare
from autointerp.cli_export import export
from autointerp.cli_pages import STORE, parse_feature, print_page, reading
from autointerp.cli_prompt import prompt
from autointerp.cli_steer import steer
from autointerp.cli_whole import whole
from autointerp.errors import UserError

# What only runs may import: `autointerp --help` loads no database.


@click.command(no_args_is_help=True)
@STORE
@click.argument("feature", metavar="DICT/FEATURE")
@click.option("--top", default=8, show_default=True, type=click.IntRange(0), help="Top exemplars shown.")
@click.option("--each", default=1, show_default=True, type=click.IntRange(0), help="Exemplars of every other stratum.")
@click.option("--all", "everything", is_flag=True, help="Controls, all metrics, exemplars by quantile too.")
def show(store: Path, feature: str, top: int, each: int, everything: bool) -> None:
    """One feature's card: what it is, what is said about it, how well that predicts it, when it fires.

    In the exemplars, ⏎ is a line break and ␣₇ seven blanks. Active tokens are shaded, or stand in «» without colours.

    \b
    Example:
      autointerp show demo.duckdb mlp-1k/162
    """
    from autointerp.show.card import feature_card
    from autointerp.show.console import has_colours, page_console

    dictionary, number = parse_feature(feature)
    console = page_console()
    with reading(store) as reader:
        marks = not has_colours(console)
        card = feature_card(reader, dictionary, number, top=top, each=each, everything=everything, marks=marks)
        console.print(card)


@click.command(no_args_is_help=True)
@STORE
def status(store: Path) -> None:
    """What is done, left and failed; rows, time and size; what it cost.

    \b
    Example:
      autointerp status demo.duckdb
    """
    from autointerp.show.status import status_page

    with reading(store) as reader:
        print_page(status_page(reader, store))


@click.command(no_args_is_help=True)
@STORE
@click.argument("feature", metavar="DICT/FEATURE")
@click.option("--proxy", required=True, help='regex:PATTERN, tokens:["a", "b"] or python:module:function.')
@click.option("--threshold", type=float, default=0.0, show_default=True, help="Of a Python function: above it is yes.")
@click.option("--beside", multiple=True, metavar="DICT/FEATURE", help="Another feature, looked at likewise.")
@click.option("--match", metavar="DICT", help="Its best match in this dictionary, looked at likewise; with --exact.")
@click.option("--exact", is_flag=True, help="Every token, and the nearest neuron: the subject reads a split again.")
@click.option(
    "--split",
    type=click.Choice(["explain", "select", "score"]),
    default="score",
    show_default=True,
    help="With --exact: the text.",
)
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def investigate(
    store: Path,
    feature: str,
    proxy: str,
    threshold: float,
    beside: tuple[str, ...],
    match: str | None,
    exact: bool,
    split: str,
    as_json: bool,
) -> None:
    """One feature against a proxy: does it fire where you think that it does, and nowhere else?

    The proxy marks tokens by text alone: those that a regular expression touches, a set of tokens, or those to which a
    function of yours gives a number above the threshold (it gets the texts of a context's tokens). Shown are the
    specificity by level of activation, the expected value, and the sensitivity: the correlation of activation and
    proxy over all tokens. From the store's windows, weighted by what they stand for; with --exact, from every token.

    \b
    Examples:
      autointerp investigate demo.duckdb mlp-1k/162 --proxy 'regex:self|cls'
      autointerp investigate demo.duckdb mlp-1k/162 --proxy 'tokens:[" self", "self"]' --exact --match mlp-2k
      autointerp investigate demo.duckdb mlp-1k/162 --proxy python:my_proxies:is_base64 --json
    """
    from autointerp.pipeline.investigate import investigate_exactly, investigate_from_store
    from autointerp.progress import stderr_reporter
    from autointerp.records import SPLITS
    from autointerp.show.investigate import investigation_json, investigation_page

    unit, others = parse_feature(feature), [parse_feature(other) for other in beside]
    if match is not None and not exact:
        raise click.UsageError("--match compares activations on every token: give --exact too, or name it by --beside")
    if exact:
        [chosen] = [one for one in SPLITS if one == split]
        investigated = investigate_exactly(store, unit, proxy, threshold, others, match, chosen, stderr_reporter())
    else:
        investigated = investigate_from_store(store, unit, proxy, threshold, others)
    if as_json:
        click.echo(investigation_json(investigated))
    else:
        print_page(investigation_page(investigated))


class SqlCommand(click.Command):
    """A query may begin with a comment: `-- best first`, a line break, `select ...` is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = any(arg.startswith("--") and len(arg.split()) > 1 for arg in args)
        return super().parse_args(ctx, args)


@click.command(cls=SqlCommand, no_args_is_help=True)
@STORE
@click.argument("query", required=False)
@click.option("--file", "file", metavar="NAME", help="A file of SQL, or one of ours: analysis/NAME.sql.")
@click.option(
    "--param", "-p", "parameters", type=(str, str), multiple=True, metavar="NAME VALUE", help="A value for $NAME."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="How the rows are written.",
)
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

    The tables and their columns: docs/SCHEMA.md in the repository, or `select * from duckdb_columns()`.

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
    with reading(store) as reader:
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

    with reading(store) as reader:
        checks = run_checks(reader)
    print_page(render_checks(checks))
    if not all(check.ok for check in checks):
        context.exit(1)


COMMANDS: tuple[click.Command, ...] = (
    show, browse, prompt, steer, status, compare, whole, investigate, sql, export, verify,
)  # fmt: skip
"""What `autointerp.cli` adds to its group."""


def _sql_file(name: str) -> str:
    from autointerp.resources import analysis_path
    from autointerp.text_files import read_text

    path = analysis_path(name)
    try:
        return read_text(path)
    except OSError as error:
        raise UserError(f'"{path}" cannot be read as SQL text: {error}') from error


def _value(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
