"""The command `export`: features of a store as files for people and for other tools. No logic here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autointerp.cli_pages import STORE, reading
from autointerp.errors import UserError

FORMS = ("html", "jsonl", "parquet", "neuronpedia", "saebench", "circuit-tracer")
FILES = ("html", "jsonl", "saebench")
"""Of these, the forms that are one file; the others are folders."""
_OF = {
    "graphs": ("--graph", "circuit-tracer"),
    "json_files": ("--json-files", "circuit-tracer"),
    "model_id": ("--model-id", "neuronpedia"),
    "source_set": ("--source-set", "neuronpedia"),
    "creator_id": ("--creator-id", "neuronpedia"),
}
"""Options that belong to one form."""


@click.command(no_args_is_help=True)
@STORE
@click.argument("form", metavar="FORM", type=click.Choice(FORMS))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file or folder to write.")
@click.option(
    "--features", "specs", multiple=True, metavar="DICT/0:100", help="Also DICT or DICT/7,9. Default: all features."
)
@click.option("--explainer", metavar="NAME", help="Whose label, where there is room for one. Default: the first.")
@click.option("--graph", "graphs", multiple=True, type=click.Path(path_type=Path), help="circuit-tracer: label this.")
@click.option("--json-files", is_flag=True, help="circuit-tracer: also a JSON file a feature.")
@click.option("--model-id", metavar="NAME", help="neuronpedia: what it calls the model.")
@click.option("--source-set", metavar="NAME", help="neuronpedia: the source is LAYER-NAME. Default: the dictionary's.")
@click.option("--creator-id", metavar="ID", help="neuronpedia: the user there that owns the rows.")
def export(store: Path, form: str, output: Path, specs: tuple[str, ...], explainer: str | None, **options: Any) -> None:
    """Write features to files, for people or for other tools.

    \b
    FORM:
      html            one file for the browser that needs nothing else
      jsonl           a line a feature, all that its page shows
      parquet         a folder: features, explanations, scores, exemplars, logit effects
      neuronpedia     a folder that a local Neuronpedia imports
      saebench        a dictionary's result file of SAEBench's autointerp
      circuit-tracer  a folder with features of attribution graphs

    A folder must not be there yet. What is written is whole, or not there.

    \b
    Examples:
      autointerp export demo.duckdb html --features mlp-1k/0:100 -o features.html
      autointerp export demo.duckdb parquet -o demo-tables
      autointerp export demo.duckdb circuit-tracer --features mlp-1k --graph dallas.json -o for-graphs
    """
    for name, (option, owner) in _OF.items():
        if options[name] and form != owner:
            raise click.UsageError(f"{option} goes with {owner}")
    if output.is_dir() and form in FILES:
        raise UserError(f'"{output}" is a folder, and {form} is a file; give a file\'s name')
    from autointerp.export.chosen import chosen_features, known_explainer

    with reading(store) as reader:
        chosen = chosen_features(reader, specs)
        known_explainer(reader, explainer)
        if form == "html":
            from autointerp.export.html_file import export_html

            export_html(reader, chosen, output, explainer, click.echo)
        elif form == "jsonl":
            from autointerp.export.tables import export_jsonl

            export_jsonl(reader, chosen, output, click.echo)
        elif form == "parquet":
            from autointerp.export.tables import export_parquet

            export_parquet(reader, chosen, output, click.echo)
        elif form == "neuronpedia":
            from autointerp.export.neuronpedia import USER, export_neuronpedia

            export_neuronpedia(
                reader, chosen, output, explainer, click.echo,
                model=options["model_id"], source_set=options["source_set"], creator=options["creator_id"] or USER,
            )  # fmt: skip
        elif form == "saebench":
            from autointerp.export.saebench import export_saebench

            export_saebench(reader, chosen, output, explainer, click.echo)
        else:
            from autointerp.export.circuit_tracer import export_circuit_tracer

            export_circuit_tracer(
                reader, chosen, output, explainer, click.echo,
                graphs=options["graphs"], json_files=options["json_files"],
            )  # fmt: skip
    click.echo(f"wrote {output}")
