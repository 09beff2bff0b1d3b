"""The command line: arguments in, exit status out. No logic lives here.

Exit status 0: done. 1: the work failed. 2: wrong use; nothing was written. 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from autointerp import interruption
from autointerp.cli_choices import with_nearest
from autointerp.cli_read import COMMANDS
from autointerp.cli_take_in import TAKING_IN
from autointerp.errors import AutointerpError, Waiting
from autointerp.streams import failure, prepare_streams
from autointerp.system_errors import is_wrong_use, system_error_line
from autointerp.version import __version__
from autointerp.words import INTERRUPTED, INTERRUPTED_STATUS, STAGES


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="autointerp")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Label every feature of a dictionary of a language model, score each label, keep it all in one DuckDB file.

    Start with:  autointerp demo
    """
    context.obj = {"debug": debug}


@cli.command()
@click.option("--store", default="demo.duckdb", show_default=True, help="Where the store lies.")
def demo(store: str) -> None:
    """The whole pipeline on the bundled model, SAEs and corpus: no key, no network, a few minutes.

    Example:  autointerp demo --store demo.duckdb
    """
    from autointerp.demo import run_demo

    run_demo(Path(store))


@cli.command()
@click.argument("run_file", metavar="RUN.toml")
@click.option("--store", default=None, help="Where the store lies, instead of what the run file says.")
@click.option("--stage", "until", type=click.Choice(STAGES), default=None, help="Stop after this stage.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what is left to do and what it costs, and stop.")
@click.option("--max-usd", type=float, default=None, help="Stop before spending more than this.")
@click.option("--batch", is_flag=True, help="Ask through the providers' batch APIs; the same command again collects.")
@click.option("--batch-out", type=click.Path(path_type=Path), metavar="DIR", help="Write requests as JSONL; no key.")
@click.option("--batch-in", type=click.Path(path_type=Path), metavar="DIR", help="Read replies from JSONL; no key.")
@click.option("--features", multiple=True, metavar="DICT/0:100", help="Explain these again: also DICT/7,9, or failed.")
@click.option("--where", metavar="CONDITION", help="Explain again what this SQL condition holds for.")
@click.option("--refresh", is_flag=True, help="For what is left to do: ask anew, whatever was answered before.")
def run(
    run_file: str,
    store: str | None,
    until: str | None,
    dry_run: bool,
    max_usd: float | None,
    batch: bool,
    batch_out: Path | None,
    batch_in: Path | None,
    features: tuple[str, ...],
    where: str | None,
    refresh: bool,
) -> None:
    """All stages of a run file. Run it again to resume; what is done is not done again.

    Questions to LLMs are sent one by one, as batches (--batch), or as files that you have answered (--batch-out, then
    --batch-in). Explanations are asked for before judgements of them: each command goes as far as there are replies,
    says what it waits for and exits with status 0.

    `--stage score` makes scores again from what the store holds, and `--stage compare` also means and comparisons: no
    LLM is asked, no key is needed, and the weights of the subject are not read.

    With --features or --where the LLM and Python explainers of the run explain these features again, and they are
    judged again; all else stays as it is, and what was said before stays in the store. The condition is over the
    columns of view explained_features. The same command goes on with a request that was cut off, and makes a new one
    when it was finished. `--features failed` asks again only about what failed.

    \b
    Examples:
      autointerp run runs/demo.toml --store demo.duckdb
      autointerp run mine.toml --batch-out questions/
      autointerp run mine.toml --features sae/0:100
      autointerp run mine.toml --where "detection < 0.6 and density > 0.001"
      autointerp run mine.toml --features failed
    """
    from autointerp.config.loading import load_run
    from autointerp.pipeline.asking.delivery import Delivery
    from autointerp.pipeline.plan.reask import Wish
    from autointerp.resources import run_path

    wish = Wish(features, where)
    delivery = Delivery(batch, batch_out, batch_in, refresh)
    config = load_run(run_path(run_file), store=store)
    if max_usd is not None:
        config = config.model_copy(update={"budget": config.budget.model_copy(update={"max_usd": max_usd})})
    if dry_run:
        delivery.check(config)
        from autointerp.pipeline.dry_run.report import plan_of, render_plan

        click.echo(render_plan(plan_of(config, wish, delivery)))
        return
    from autointerp.demo import next_steps
    from autointerp.pipeline import run as run_pipeline

    path = run_pipeline(config, until=until, delivery=delivery, wish=wish)
    click.echo(next_steps(path))


@cli.command(no_args_is_help=True)
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("feature", metavar="DICT/FEATURE")
@click.argument("text")
def label(store: Path, feature: str, text: str) -> None:
    """Keep a person's explanation of a feature, to be judged like any other.

    It is the explainer `human`: name it in the run file (explainers = ["lexical", "human"]) and run again. Put tokens
    in double quotes.

    \b
    Example:
      autointerp label demo.duckdb mlp-1k/162 'Fires on " self" in class bodies.'
    """
    from autointerp.cli_pages import parse_feature
    from autointerp.pipeline.human_labels import add_label

    dictionary, number = parse_feature(feature)
    add_label(store, dictionary, number, text)
    click.echo(f"{dictionary}/{number} is labelled")


@cli.command(no_args_is_help=True)
@click.argument("store", type=click.Path(path_type=Path))
@click.argument("dictionary", metavar="DICT")
@click.option("--number", type=click.IntRange(0), default=None, help="Which line-up; default: the next one.")
@click.option("--answer", metavar="LETTERS", help="The five letters, instead of being asked for them.")
@click.option("--llm", is_flag=True, help="Ask the judge of the store's latest run.")
@click.option("--judge", metavar="TOML", help="Ask this LLM: '{ provider = ..., model = ... }', as in a run file.")
@click.option(
    "--count", type=click.IntRange(1), default=5, show_default=True, help="With an LLM: line-ups to ask about."
)
@click.option("--max-usd", type=float, default=None, help="Stop before spending more than this.")
@click.option("--batch", is_flag=True, help="Ask through the provider's batch API; the same command again collects.")
@click.option("--batch-out", type=click.Path(path_type=Path), metavar="DIR", help="Write requests as JSONL; no key.")
@click.option("--batch-in", type=click.Path(path_type=Path), metavar="DIR", help="Read replies from JSONL; no key.")
def lineup(
    store: Path,
    dictionary: str,
    number: int | None,
    answer: str | None,
    llm: bool,
    judge: str | None,
    count: int,
    max_usd: float | None,
    batch: bool,
    batch_out: Path | None,
    batch_in: Path | None,
) -> None:
    """Five features and five made-up units, blind: can you, or an LLM, tell which are learned?

    The made-up ones are mixtures of other features' directions and differences of activations, set to fire as often.
    The subject runs once for a line-up; it is stored as it is shown, so that all who answer see the same. Answers are
    stored with an exact interval (table lineup_answers).

    \b
    Examples:
      autointerp lineup demo.duckdb mlp-1k
      autointerp lineup demo.duckdb mlp-1k --number 0 --answer ACDFI
      autointerp lineup demo.duckdb mlp-1k --llm --count 10 --max-usd 0.5
      autointerp lineup demo.duckdb mlp-1k --judge '{ provider = "openai", model = "gpt-6-luna" }' --batch-out asked/
    """
    from autointerp.cli_lineup import ask_llm, ask_person
    from autointerp.pipeline.asking.delivery import Delivery

    delivery = Delivery(batch, batch_out, batch_in)
    if not llm and judge is None:
        if delivery != Delivery() or max_usd is not None:
            raise click.UsageError("--batch, --batch-out, --batch-in and --max-usd go with --llm or --judge")
        ask_person(store, dictionary, number, answer)
        return
    if answer is not None:
        raise click.UsageError("--answer is a person's: leave it, or --llm and --judge, away")
    numbers = range(count) if number is None else [number]
    ask_llm(store, dictionary, numbers, judge, max_usd, delivery)


@cli.command()
@click.argument("what", metavar="DICTIONARY")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: its name and .toml.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(what: str, output: Path | None, force: bool) -> None:
    """Write a run file for a dictionary, with all that its files say.

    DICTIONARY is a folder, a file, sae-lens:RELEASE/ID, hf:OWNER/REPOSITORY/PATH or bundled:NAME. Says what it read,
    what it guessed and what is left for you to fill in, and prints the next command.

    \b
    Examples:
      autointerp init bundled:resid-1k
      autointerp init sae-lens:gemma-scope-2b-pt-res-canonical/layer_12/width_16k/canonical -o gemma.toml
    """
    from autointerp.pipeline.init_run import write_run_file

    written = write_run_file(what, output, force=force)
    click.echo(f"wrote {written.file}")
    for word, lines in (("read", written.read), ("guessed", written.guessed), ("fill in", written.missing)):
        for line in lines:
            click.echo(f"  {word}: {line}")
    click.echo(f"next: {written.next_command}")


@cli.command()
@click.argument("run_file", metavar="RUN.toml")
@click.pass_context
def check(context: click.Context, run_file: str) -> None:
    """Is each dictionary loaded right? L0, variance explained and loss on some thousand tokens, before any cost.

    Also says where each hook point is in Hugging Face's model, shows a context with token ids, compares special tokens,
    and names what could not be checked. Refuses, with the named cause and exit status 1, a dictionary that is read
    wrongly or does not belong to the subject or the hook. Writes nothing.

    Example:  autointerp check runs/demo.toml
    """
    from autointerp.config.loading import load_run
    from autointerp.pipeline.check import check_run
    from autointerp.progress import stderr_reporter
    from autointerp.resources import run_path
    from autointerp.show.checked import checked_page
    from autointerp.show.console import page_console

    config = load_run(run_path(run_file))
    checked = check_run(config, stderr_reporter())
    page_console().print(checked_page(checked))
    if config.subject.rerandomise_seed is not None:
        click.echo("the subject is re-randomised: poor figures are expected of it, and refuse nothing")
    for report in checked.reports:
        if report.cause is not None:
            click.echo(f"error: {report.dictionary}: {report.cause}", err=True)
    context.exit(0 if checked.ok else 1)


@cli.command()
@click.option("--metric", "metrics", multiple=True, metavar="module:Class", help="A metric of your own, too.")
@click.option("--scorer", "scorers", multiple=True, metavar="module:Class", help="A scorer of your own, too.")
@click.option(
    "--features", default=24, show_default=True, type=click.IntRange(6, 500), help="Planted features of each density."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")
@click.pass_context
def selftest(
    context: click.Context, metrics: tuple[str, ...], scorers: tuple[str, ...], features: int, seed: int, as_json: bool
) -> None:
    """Which metrics see a wrong label? All of them, on features whose truth is known. No LLM takes part; a minute.

    Features are planted on the bundled text, and a judge that follows labels to the letter answers every scorer's
    questions. Prints which metrics notice a label that claims too much or misses half, which rank the true label first,
    and which stay at chance where nothing can be known. Exit status 1 if a metric that is marked as passing does not.

    \b
    Examples:
      autointerp selftest
      PYTHONPATH=. autointerp selftest --metric mine:Recall --scorer mine:Strongest
    """
    from autointerp.pipeline.selftest import plan_of, run_selftest
    from autointerp.progress import stderr_reporter
    from autointerp.score.selftest.marks import kept_run
    from autointerp.show.console import page_console
    from autointerp.show.selftest import SelftestReport, selftest_json, selftest_page

    plan = plan_of(metrics, scorers, seed, features)
    report = SelftestReport(plan, run_selftest(plan, stderr_reporter()), kept_run())
    if as_json:
        click.echo(selftest_json(report))
    else:
        page_console().print(selftest_page(report))
    context.exit(1 if report.lost else 0)


for command in (*COMMANDS, *TAKING_IN):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors become one line and an exit status.

    Without `arguments` this is the command of a process, whose signals and streams are made ready first.
    """
    words = [word_as_text(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    if arguments is None:
        interruption.listen()
        prepare_streams()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that wait must not spin: beside other work on the same cores spinning made pass 1 four times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = _answer(words)
    except click.ClickException as error:
        with_nearest(error).show()
        status = error.exit_code
    except BaseException as error:
        if "--debug" in words and not isinstance(error, click.exceptions.Exit | click.exceptions.Abort):
            raise
        line, status = _ending(error)
        if line is not None and "unexpected" in line and (odd := [word for word in words if not _is_unicode(word)]):
            line, status = f'error: the name "{odd[0]}" cannot be read here; set LC_ALL=C.UTF-8, or rename it', 2
        if line is not None:
            print(_harmless(line), file=sys.stderr)
    if arguments is None:
        if status == INTERRUPTED_STATUS:
            interruption.leave()
        interruption.stop_listening()
    if status:
        sys.exit(status)


def word_as_text(word: str) -> str:
    """A word of the command line whose bytes this surrounding cannot read (`LC_ALL=C`): by UTF-8, or, where they are
    not that either, with \\xNN in their place. A name of a file stays as it is: with other letters it is another."""
    if _is_unicode(word):
        return word
    folder, name = os.path.split(word)
    is_name = (
        not set(word) & set(" \n'\"") and os.path.isdir(folder or ".") and ("." in name.strip(".") or bool(folder))
    )
    return word if is_name or os.path.lexists(word) else os.fsencode(word).decode("utf-8", "backslashreplace")


def _is_unicode(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _answer(words: list[str]) -> int:
    """Runs a command to its end, all that it prints included; returns its exit status."""
    try:
        status = cli.main(args=words, prog_name="autointerp", standalone_mode=False)
    except Waiting as waiting:
        click.echo(str(waiting))
        status = waiting.exit_status
    sys.stdout.flush()
    return status if isinstance(status, int) else 0  # a command's `context.exit(status)`


def _ending(error: BaseException) -> tuple[str | None, int]:
    """What is said of the exception that a command ended with, and the exit status."""
    if interruption.asked() or isinstance(error, KeyboardInterrupt | click.exceptions.Abort):
        return INTERRUPTED, INTERRUPTED_STATUS
    if (failed := failure()) is not None:
        if isinstance(failed, BrokenPipeError):  # the reader has seen enough
            return None, 0
        return f"error: standard output cannot be written: {failed.strerror}", 1
    if isinstance(error, click.exceptions.Exit):
        return None, error.exit_code
    if isinstance(error, AutointerpError):
        return f"error: {error}", error.exit_status
    if not isinstance(error, Exception):
        raise error
    return f"error: {error_line(error)}", 2 if is_wrong_use(
        error
    ) else 1  # a full disk, a file that may not be read, a bug of ours


def _harmless(line: str) -> str:
    """A line that may quote a file, with what a terminal would obey written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


_OF_A_DISK = ("IOException", "TransactionException", "OutOfMemoryException", "FatalException")
"""What DuckDB raises where a disk is full, a file is cut short or memory does not suffice: ordinary events."""


def error_line(error: Exception) -> str:
    """What is said of an exception that is none of ours."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        return system_error_line(error)
    if type(error).__name__ in _OF_A_DISK and "duckdb" in type(error).__module__:
        return f"the store could not be read or written: {text}"
    return f"unexpected {type(error).__name__}: {text}; please report it with what `autointerp --debug ...` shows"


if __name__ == "__main__":
    main()
