"""What `autointerp lineup` does with its arguments: a person in the terminal, or an LLM. No logic lives here."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from autointerp.errors import UserError

if TYPE_CHECKING:
    from autointerp.config.judging import Judge
    from autointerp.pipeline.asking.delivery import Delivery


def ask_person(path: Path, dictionary: str, number: int | None, answer: str | None) -> None:
    """Shows a line-up; takes the answer from the option, or from the terminal."""
    from autointerp.pipeline.lineup import answer_lineup, next_number, open_lineups
    from autointerp.progress import stderr_reporter
    from autointerp.show.console import page_console
    from autointerp.show.lineup import lineup_page, result_page
    from autointerp.words import PERSON

    asked = next_number(path, dictionary, PERSON) if number is None else number
    [made] = open_lineups(path, dictionary, [asked], stderr_reporter())
    console = page_console()
    if answer is None:
        console.print(lineup_page(made))
        if not sys.stdin.isatty():
            click.echo(f"\nanswer: autointerp lineup {path} {dictionary} --number {made.number} --answer LETTERS")
            return
        answer = click.prompt("\nThe five that are learned, by their letters", type=str)
    console.print(result_page(answer_lineup(path, made, answer)))


def ask_llm(
    path: Path,
    dictionary: str,
    numbers: Iterable[int],
    judge: str | None,
    max_usd: float | None,
    delivery: Delivery,
) -> None:
    """Asks an LLM about line-ups of these numbers."""
    from autointerp.pipeline.lineup import ask_lineups, open_lineups, stored_judge
    from autointerp.progress import stderr_reporter
    from autointerp.show.console import page_console
    from autointerp.show.lineup import results_page

    asked = stored_judge(path) if judge is None else _judge(judge)
    if asked is None:
        raise UserError(f"the latest run of \"{path}\" has no judge; give --judge '{{ provider = ..., model = ... }}'")
    report = stderr_reporter()
    lineups = open_lineups(path, dictionary, list(numbers), report)
    results = ask_lineups(path, lineups, asked, max_usd, delivery, report)
    if results:
        page_console().print(results_page(dictionary, asked.model, results))
    else:
        click.echo(f"{asked.model} has answered these line-ups already: table lineup_answers")


def _judge(text: str) -> Judge:
    """The judge that an inline table of TOML describes."""
    from autointerp.config.judging import Judge

    try:
        return Judge.model_validate(tomllib.loads(f"judge = {text}")["judge"])
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"--judge {text}: give a table as in a run file: {line[:200]}") from error
