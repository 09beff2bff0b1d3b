"""The command `compare`: its page, its files, and the matching of features.

No logic here: open, ask, print. `autointerp.cli_read` lists it among the commands that read a store.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autointerp.cli_pages import print_page, reading
from autointerp.errors import UserError

if TYPE_CHECKING:
    from autointerp.store.reader import StoreReader

# What only runs may import: `autointerp --help` loads no database.


@dataclass(frozen=True)
class CompareOptions:
    """The options of `compare`."""

    metrics: tuple[str, ...]
    explainers: tuple[str, ...]
    designs: tuple[str, ...]
    everything: bool
    wide: bool
    report: Path | None
    as_json: bool
    parquet: Path | None
    power: float | None
    anyway: bool
    match: tuple[str, str] | None
    split: str


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
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write one HTML file.")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON, unrounded.")
@click.option(
    "--parquet", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="All of it as Parquet."
)
@click.option(
    "--power",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DIFFERENCE",
    help="How many features this difference needs.",
)
@click.option("--anyway", is_flag=True, help="Show stores together that are not comparable.")
@click.option("--match", nargs=2, metavar="A B", help="Match the features of two dictionaries; runs the subject.")
@click.option(
    "--split",
    type=click.Choice(["explain", "select", "score"]),
    default="score",
    show_default=True,
    help="With --match: the text.",
)
def compare(stores: tuple[Path, ...], **options: Any) -> None:
    """Scores of dictionaries beside each other, with intervals, and what can be said of their differences.

    Several stores are shown in the same tables, with a column that says which is which. Stores that are not comparable
    (another subject, text, seed, judge, or version of a metric) are refused, unless --anyway.

    --report writes the comparison as one HTML file with plots, in which each number has its SQL. --json and --parquet
    give all of it as data. --power says how many features would find a difference, by the spread that this store has.

    --match names two dictionaries of one store, or one of each of two stores over the same text. The subject reads one
    split again, and features are matched by the correlation of their activations: one to one, best match, split, merged
    and missing. Nothing is written.

    \b
    Examples:
      autointerp compare demo.duckdb
      autointerp compare demo.duckdb --design census --explainer lexical --wide
      autointerp compare layer-4.duckdb layer-8.duckdb
      autointerp compare demo.duckdb --report demo.html
      autointerp compare demo.duckdb --power 0.05
      autointerp compare demo.duckdb --match mlp-1k mlp-2k
      autointerp compare old.duckdb new.duckdb --match sae sae --json > match.json
    """
    asked = CompareOptions(**options)
    if asked.match is not None:
        if asked.report or asked.parquet or asked.power or asked.anyway:
            raise click.UsageError("--match goes with --split and --json only")
        _match(stores, asked.match, asked.split, asked.as_json)
        return
    with contextlib.ExitStack() as stack:
        names = [path.stem for path in stores]
        shown = names if len(set(names)) == len(names) else [str(path) for path in stores]
        readers = [stack.enter_context(reading(path)) for path in stores]
        _compare(list(zip(shown, readers, strict=True)), asked)


def _compare(stores: list[tuple[str, StoreReader]], asked: CompareOptions) -> None:
    """Writes the files that are asked for, then prints: the data, what a difference needs, or, without any of these,
    the page."""
    from autointerp.show.comparable import differences
    from autointerp.show.compare import render_compare
    from autointerp.show.compare_data import ScoreChoice, load_compare
    from autointerp.show.power import power_page, power_rows

    differing = differences(stores)
    if differing and not asked.anyway:
        raise UserError(f"these stores are not comparable: {'; '.join(differing)}; --anyway shows them together")
    remarks = [f"Not comparable, shown together all the same: {line}." for line in differing]
    choice = ScoreChoice(asked.metrics, asked.explainers, asked.designs, asked.everything)
    page, several = load_compare(stores, choice), len(stores) > 1
    needed = [] if asked.power is None else power_rows(page.comparisons, asked.power)
    written: list[Path] = []
    if asked.report is not None:
        from autointerp.show.report.page import write_report

        write_report(asked.report, stores, choice, wanted=asked.power, remarks=remarks)
        written.append(asked.report)
    if asked.parquet is not None:
        from autointerp.show.export import write_parquet

        written += write_parquet(asked.parquet, page, stores, needed)
    for path in written:
        click.echo(f"written: {path}", err=True)
    if asked.as_json:
        from autointerp.show.export import page_json

        click.echo(page_json(page, needed, remarks))
        return
    for remark in remarks:
        click.echo(remark, err=True)
    if asked.power is not None:
        print_page(power_page(page, asked.power, several=several))
    elif not written:
        print_page(render_compare(page, several=several, wide=asked.wide))


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
        print_page(match_page(report))
