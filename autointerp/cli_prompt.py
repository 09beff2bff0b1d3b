"""The command `prompt`: which features fire on a text. No logic here."""

from __future__ import annotations

from pathlib import Path

import click

from autointerp.cli_pages import STORE, print_page, reading
from autointerp.errors import UserError


@click.command(no_args_is_help=True)
@STORE
@click.argument("text", required=False)
@click.option("--ids", metavar='"0 17 4"', help="Token ids in place of a text, read as they are given.")
@click.option("--dictionary", "names", multiple=True, metavar="DICT", help="Default: every SAE and transcoder.")
@click.option(
    "--sort", type=click.Choice(["activation", "tokens", "density"]), default="activation", show_default=True,
    help="Share of what it reaches in the corpus, tokens hit, or rarest first.",
)  # fmt: skip
@click.option("--density-to", type=click.FloatRange(0, 1), help="Only features that fire on at most this share.")
@click.option("--bos", is_flag=True, help="Firings on the BOS count too.")
@click.option("--top", default=20, show_default=True, type=click.IntRange(1), help="Features shown.")
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def prompt(
    store: Path,
    text: str | None,
    ids: str | None,
    names: tuple[str, ...],
    sort: str,
    density_to: float | None,
    bos: bool,
    top: int,
    as_json: bool,
) -> None:
    """Which features fire on a text, of several dictionaries at once, with labels and scores.

    Loads the subject and the dictionaries; the store is only read.

    \b
    Examples:
      autointerp prompt demo.duckdb "def f(self):"
      autointerp prompt demo.duckdb --ids "0 17 4" --dictionary mlp-1k --sort density
    """
    from autointerp.show.prompt_data import PromptChoice, load_prompt, read_dictionaries

    if (text is None) == (ids is None):
        raise click.UsageError("give a text or --ids, one of the two")
    numbers = None if ids is None else parse_ids(ids)
    with reading(store) as reader:
        chosen = read_dictionaries(reader, names)
    from autointerp.pipeline.prompt_reading import open_prompt_reader
    from autointerp.progress import stderr_reporter

    opened = open_prompt_reader(store, chosen, stderr_reporter())
    read = opened.read_ids(numbers) if numbers is not None else opened.read_text(text or "")
    with reading(store) as reader:
        page = load_prompt(reader, read, PromptChoice(sort, density_to, bos, top))
    from autointerp.show.prompt import prompt_json, prompt_page

    if as_json:
        click.echo(prompt_json(page))
    else:
        print_page(prompt_page(page))


def parse_ids(text: str) -> list[int]:
    """Ids with blanks or commas between them. Raises UserError."""
    words = text.replace(",", " ").split()
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) < 10):
            raise UserError(f'--ids: "{word}" is no token id')
    if not words:
        raise UserError("--ids: there is none")
    return [int(word) for word in words]
