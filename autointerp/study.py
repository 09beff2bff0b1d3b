"""`make study`: the dictionaries of `runs/study.toml` and every baseline beside them, on one page.

python -m autointerp.study docs/STUDY.md                      runs both run files, then writes the page
python -m autointerp.study docs/STUDY.md --tokens 100000      on so much text
python -m autointerp.study docs/STUDY.md --page-only          the page again, from the stores that are there

The stores are `study.duckdb` and `study-rerandomised.duckdb` in the working directory, or in `--folder`. Killed at any
moment, the same command goes on. Every number of the page is read from them.
"""

from __future__ import annotations

from pathlib import Path

import click

from autointerp.errors import UserError

RUNS = ("study", "study-rerandomised")


def run_study(folder: Path, n_tokens: int | None) -> None:
    """Both runs, one after the other; `n_tokens`: of the corpus, None for all."""
    from autointerp.config.loading import load_run
    from autointerp.pipeline import run
    from autointerp.resources import run_path

    for name in RUNS:
        config = load_run(run_path(name), store=store_of(folder, name))
        if n_tokens is not None:
            config = config.model_copy(update={"tokens": config.tokens.model_copy(update={"n_tokens": n_tokens})})
        run(config)


def store_of(folder: Path, name: str) -> Path:
    """Where the store of a run lies."""
    return folder / f"{name}.duckdb"


def write_page(folder: Path, page: Path) -> None:
    """The page, from the stores. Raises UserError where one is missing."""
    from autointerp.show.study import study_page
    from autointerp.store.reader import open_reader

    with open_reader(store_of(folder, RUNS[0])) as learned, open_reader(store_of(folder, RUNS[1])) as redrawn:
        text = study_page(learned, redrawn)
    if not page.parent.is_dir():
        raise UserError(f'there is no folder "{page.parent}" for the page')
    page.write_text(text, encoding="utf-8")


@click.command()
@click.argument("page", type=click.Path(path_type=Path))
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where stores lie.")
@click.option("--tokens", type=click.IntRange(min=10_000), help="Tokens of the corpus; default: all.")
@click.option("--page-only", is_flag=True, help="Run nothing: write the page from the stores that are there.")
def main(page: Path, folder: Path, tokens: int | None, page_only: bool) -> None:
    """Runs the study and writes its page."""
    try:
        if not page_only:
            run_study(folder, tokens)
        write_page(folder, page)
    except UserError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
