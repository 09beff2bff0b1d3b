"""The commands that take into a store what was made elsewhere: import, merge. No logic here."""

from __future__ import annotations

from pathlib import Path

import click

from autointerp.cli_pages import STORE

NEURONPEDIA = "neuronpedia"
"""What imported labels are called unless another name is given."""


@click.group("import", no_args_is_help=True)
def import_() -> None:
    """Take in what others have published.

    \b
    Example:
      autointerp import neuronpedia mine.duckdb batch-0.jsonl.gz --dictionary sae
    """


@import_.command("neuronpedia", no_args_is_help=True)
@STORE
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dictionary", required=True, metavar="DICT", help="The dictionary that the labels are about.")
@click.option("--explainer", default=NEURONPEDIA, show_default=True, metavar="NAME", help="What the labels are called.")
@click.option("--model", "writer", metavar="NAME", help="Only labels by this model (explanationModelName).")
def import_neuronpedia(
    store: Path, files: tuple[Path, ...], dictionary: str, explainer: str, writer: str | None
) -> None:
    """Labels from Neuronpedia, to be judged like ours: its batches (JSON lines, also gzipped), its API's JSON, or CSV.

    They are an explainer of their own: name it in the run file (explainers = ["lexical", { imported = "neuronpedia" }])
    and run again. Numbers of features are checked against the width of the dictionary; nothing is written where one
    does not fit.

    \b
    Example:
      autointerp import neuronpedia mine.duckdb explanations/batch-*.jsonl.gz --dictionary sae
    """
    from autointerp.pipeline.imported_labels import import_labels

    counts = import_labels(store, files, dictionary, explainer, writer)
    click.echo(f"{counts.written:,} labels of {dictionary} by {explainer}")
    for reason, n in counts.left_out.items():
        click.echo(f"  left out, {reason}: {n:,}")
    if counts.written:
        click.echo(f'to judge them: explainers = ["lexical", {{ imported = "{explainer}" }}], and run again')


@click.command(no_args_is_help=True)
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path))
def merge(out: Path, stores: tuple[Path, ...]) -> None:
    """Join stores of one subject and text, with different dictionaries, into the new store OUT.

    Refused, with the difference named, where they are not comparable. The stores stay as they are. A run file that
    names all dictionaries finds their work done, and makes the verdicts, which a joined store has none of.

    \b
    Examples:
      autointerp merge both.duckdb old.duckdb new.duckdb
      autointerp run both.toml --store both.duckdb
    """
    from autointerp.pipeline.merge import merge as join

    names = join(out, stores)
    click.echo(f"wrote {out}: {', '.join(names)}")


TAKING_IN: tuple[click.Command, ...] = (import_, merge)
"""What `autointerp.cli` adds to its group."""
