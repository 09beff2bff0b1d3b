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
    "--sort", type=click.Choice(["activation", "tokens", "density", "effect", "measured"]), default=None,
    help="Share of what it reaches in the corpus (the default), tokens hit, rarest first, effect on the next token, or "
    "that effect measured: the features of largest effect are taken away in turn.",
)  # fmt: skip
@click.option(
    "--next", "next_token", metavar="TOKEN",
    help="Estimate what each feature adds to this token's log-probability; \"\": the likeliest one's. Sorts by it.",
)  # fmt: skip
@click.option(
    "--at", type=click.IntRange(0), metavar="PLACE", help="With --next: behind this token; default: the last."
)
@click.option("--density-to", type=click.FloatRange(0, 1), help="Only features that fire on at most this share.")
@click.option("--bos", is_flag=True, help="Firings on the BOS count too.")
@click.option("--top", default=20, show_default=True, type=click.IntRange(1), help="Features shown.")
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def prompt(
    store: Path,
    text: str | None,
    ids: str | None,
    names: tuple[str, ...],
    sort: str | None,
    next_token: str | None,
    at: int | None,
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
      autointerp prompt demo.duckdb "return self" --next "."
    """
    from autointerp.show.prompt_data import PromptChoice, load_prompt, read_dictionaries

    if (text is None) == (ids is None):
        raise click.UsageError("give a text or --ids, one of the two")
    if next_token is None and at is not None:
        raise click.UsageError("--at says behind which token --next stands: give both")
    numbers = None if ids is None else parse_ids(ids)
    sort = sort or ("activation" if next_token is None else "effect")
    next_token = "" if sort in ("effect", "measured") and next_token is None else next_token
    with reading(store) as reader:
        chosen = read_dictionaries(reader, names)
    from autointerp.pipeline.prompt_reading import WantedToken, open_prompt_reader
    from autointerp.progress import stderr_reporter

    opened = open_prompt_reader(store, chosen, stderr_reporter())
    wanted = None if next_token is None else WantedToken(next_token, at, sort == "measured")
    read = opened.read_text(text or "", wanted) if numbers is None else opened.read_ids(numbers, wanted)
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
