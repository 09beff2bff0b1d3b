"""`make study`: SAEs and every baseline beside them, on one page.

python -m autointerp.study docs/STUDY.md                      runs both run files, then writes the page
python -m autointerp.study docs/STUDY.md --tokens 100000      on so much text
python -m autointerp.study docs/STUDY.md --page-only          the page again, from the stores that are there
python -m autointerp.study PAGE.md --run mine.toml --redrawn mine-rerandomised.toml      of a model of your own

A study has two run files, paths or names of ours: `runs/study.toml` and `runs/study-rerandomised.toml` where none are
given. `--run` holds SAEs and baselines, `--redrawn` some of the same dictionaries with `subject.rerandomise`. A run
called NAME has the store `NAME.duckdb` in the working directory, or in `--folder`. Killed at any moment, the same
command goes on. Every number of the page is read from the stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autointerp.errors import UserError

if TYPE_CHECKING:
    from autointerp.config.run_file import RunConfig

RUNS = ("study", "study-rerandomised")


@dataclass(frozen=True)
class StudyRun:
    """One of the two run files of a study."""

    config: RunConfig
    """With its store, and with the tokens that were asked for."""
    file: Path

    @property
    def store(self) -> Path:
        """Where its store lies."""
        return Path(str(self.config.store))

    def shown(self, page: Path) -> str:
        """The run file as a page names it: a link where it lies in `runs/` beside the page's folder."""
        beside = page.resolve().parent.parent / "runs" / self.file.name
        name = f"runs/{self.file.name}"
        return f"[{name}](../{name})" if beside.is_file() else f"`{self.file.name}`"


def study_runs(learned: str, redrawn: str, folder: Path, n_tokens: int | None) -> tuple[StudyRun, StudyRun]:
    """Both run files, read; `n_tokens`: of the text, None for what the files say.

    Raises ConfigError where they are no study: the second must redraw the weights of the first's model, read the same
    text, and hold no dictionary that the first has not.
    """
    from autointerp.errors import ConfigError

    first, second = (_study_run(name, folder, n_tokens) for name in (learned, redrawn))
    a, b = first.config, second.config
    if a.name == b.name:
        raise ConfigError(f'{first.file} and {second.file} are both called "{a.name}"; each needs a store of its own')
    if a.subject.rerandomise is not False or b.subject.rerandomise is False:
        raise ConfigError(f"{second.file} needs `rerandomise = true` in [subject], and {first.file} must not have it")
    if (a.subject.model, a.tokens, a.seed) != (b.subject.model, b.tokens, b.seed):
        raise ConfigError(
            f"{first.file} and {second.file} differ in subject.model, [tokens] or seed; give both the same"
        )
    more = {entry.name for entry in b.dictionary} - {entry.name for entry in a.dictionary}
    if more:
        raise ConfigError(f'{second.file} holds "{min(more)}", which {first.file} has not; leave it out there')
    return first, second


def _study_run(name: str, folder: Path, n_tokens: int | None) -> StudyRun:
    from autointerp.config.loading import load_run
    from autointerp.resources import run_path

    file = run_path(name)
    config = load_run(file)
    update: dict[str, object] = {"store": str(folder / f"{config.name}.duckdb")}
    if n_tokens is not None:
        update["tokens"] = config.tokens.model_copy(update={"n_tokens": n_tokens})
    return StudyRun(config.model_copy(update=update), file)


def write_page(runs: tuple[StudyRun, StudyRun], page: Path, command: str) -> None:
    """The page, from the stores. Raises UserError where one is missing."""
    from autointerp.show.study import study_page
    from autointerp.store.reader import open_reader

    with open_reader(runs[0].store) as learned, open_reader(runs[1].store) as redrawn:
        text = study_page(learned, redrawn, command, [run.shown(page) for run in runs])
    if not page.parent.is_dir():
        raise UserError(f'there is no folder "{page.parent}" for the page')
    page.write_text(text, encoding="utf-8")


def command_of(page: Path, learned: str, redrawn: str, n_tokens: int | None) -> str:
    """The command that makes a page, as it is shown on it."""
    words = ["python -m autointerp.study", str(page)]
    words += [f"--run {learned} --redrawn {redrawn}"] * ((learned, redrawn) != RUNS)
    words += [f"--tokens {n_tokens}"] * (n_tokens is not None)
    return " ".join(words)


@click.command()
@click.argument("page", type=click.Path(path_type=Path))
@click.option("--run", "learned", default=RUNS[0], help="Run file of the SAEs and their baselines, or a name of ours.")
@click.option("--redrawn", default=RUNS[1], help="Run file of the same on a model whose weights are drawn again.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where stores lie.")
@click.option("--tokens", type=click.IntRange(min=10_000), help="Tokens of the text; default: what the run files say.")
@click.option("--page-only", is_flag=True, help="Run nothing: write the page from the stores that are there.")
def main(page: Path, learned: str, redrawn: str, folder: Path, tokens: int | None, page_only: bool) -> None:
    """Runs the study and writes its page."""
    try:
        runs = study_runs(learned, redrawn, folder, tokens)
        if not page_only:
            from autointerp.pipeline import run

            for half in runs:
                run(half.config)
        write_page(runs, page, command_of(page, learned, redrawn, tokens))
    except UserError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
