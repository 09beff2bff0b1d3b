"""The commands that only read a store: show, status, compare, investigate, sql, verify.

No logic here: open, ask, print. A store is opened for one question and let go. `autointerp.cli` adds
these commands to its group and turns an AutointerpError into one line and an exit status.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autointerp.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from autointerp.store.reader import StoreReader

STORE = click.argument("store", type=click.Path(path_type=Path))

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
    with _reader(store) as reader:
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

    with _reader(store) as reader:
        _print(status_page(reader, store))


@click.command(no_args_is_help=True)
@click.argument("stores", nargs=-1, required=True, metavar="STORE...", type=click.Path(path_type=Path))
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="This metric (may be given again). Default: the first one of each scorer and design.",
)
@click.option(
    "--explainer",
    "explainers",
    multiple=True,
    metavar="NAME",
    help="This explainer (may be given again). Default: all but the controls.",
)
@click.option("--design", "designs", multiple=True, type=click.Choice(["census", "sample"]), help="This design only.")
@click.option("--all", "everything", is_flag=True, help="All metrics and the controls, where not named.")
@click.option(
    "--wide",
    is_flag=True,
    help="More columns: excess over floors, median, dead, rare, kind; what was paired, complete cases.",
)
@click.option("--match", nargs=2, metavar="A B", help="Match the features of two dictionaries; runs the subject.")
@click.option(
    "--split",
    type=click.Choice(["explain", "select", "score"]),
    default="score",
    show_default=True,
    help="With --match: the text.",
)
@click.option("--json", "as_json", is_flag=True, help="With --match: all of it, as JSON.")
def compare(
    stores: tuple[Path, ...],
    metrics: tuple[str, ...],
    explainers: tuple[str, ...],
    designs: tuple[str, ...],
    everything: bool,
    wide: bool,
    match: tuple[str, str] | None,
    split: str,
    as_json: bool,
) -> None:
    """Scores of dictionaries beside each other, with intervals, and what can be said of their differences.

    Several stores are shown in the same tables, with a column that says which is which.

    --match names two dictionaries of one store, or one of each of two stores over the same text. The subject reads one
    split again, and features are matched by the correlation of their activations: one to one, best match, split, merged
    and missing. Nothing is written.

    \b
    Examples:
      autointerp compare demo.duckdb
      autointerp compare demo.duckdb --design census --explainer lexical --wide
      autointerp compare layer-4.duckdb layer-8.duckdb
      autointerp compare demo.duckdb --match mlp-1k mlp-2k
      autointerp compare old.duckdb new.duckdb --match sae sae --json > match.json
    """
    if match is not None:
        _match(stores, match, split, as_json)
        return
    if as_json:
        raise click.UsageError("--json goes with --match")
    from autointerp.show.compare import compare_page
    from autointerp.show.compare_data import ScoreChoice

    choice = ScoreChoice(metrics, explainers, designs, everything)
    with contextlib.ExitStack() as stack:
        names = [path.stem for path in stores]
        shown = names if len(set(names)) == len(names) else [str(path) for path in stores]
        readers = [stack.enter_context(_reader(path)) for path in stores]
        _print(compare_page(list(zip(shown, readers, strict=True)), choice, wide=wide))


def _match(stores: tuple[Path, ...], names: tuple[str, str], split: str, as_json: bool) -> None:
    from autointerp.pipeline.match import match_dictionaries
    from autointerp.progress import stderr_reporter
    from autointerp.records import SPLITS
    from autointerp.show.match import match_json, match_page

    if len(stores) > 2:
        raise click.UsageError("--match takes one store, or two: A is of the first and B of the second")
    [chosen] = [one for one in SPLITS if one == split]
    report = match_dictionaries(stores, names, stderr_reporter(), chosen)
    if as_json:
        click.echo(match_json(report))
    else:
        _print(match_page(report))


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
        _print(investigation_page(investigated))


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


COMMANDS: tuple[click.Command, ...] = (show, status, compare, investigate, sql, verify)
"""What `autointerp.cli` adds to its group."""


@contextlib.contextmanager
def _reader(path: Path) -> Iterator[StoreReader]:
    from autointerp.store.reader import open_reader

    with open_reader(path) as reader:
        if reader.notice:
            click.echo(reader.notice, err=True)
        yield reader


def parse_feature(text: str) -> tuple[str, int]:
    """`DICT/FEATURE`. Raises UserError."""
    dictionary, _, number = text.rpartition("/")
    if not dictionary or not number.isascii() or not number.isdigit():
        raise UserError(f'"{text}" is not DICT/FEATURE; give a dictionary and a number, such as sae/12')
    return dictionary, int(number)


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


def _print(page: RenderableType) -> None:
    from autointerp.show.console import page_console

    page_console().print(page)
