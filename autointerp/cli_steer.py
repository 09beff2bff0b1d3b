"""The command `steer`: a text goes on with a feature's direction added. No logic here."""

from __future__ import annotations

from pathlib import Path

import click

from autointerp.cli_pages import STORE, parse_feature, print_page, reading


@click.command(no_args_is_help=True)
@STORE
@click.argument("feature", metavar="DICT/FEATURE")
@click.argument("text")
@click.option(
    "--kl", default=0.5, show_default=True, type=click.FloatRange(0, min_open=True),
    help="How far the prediction behind the text moves, nats.",
)  # fmt: skip
@click.option("--tokens", default=40, show_default=True, type=click.IntRange(1), help="Written after the text.")
@click.option(
    "--temperature", default=0.0, show_default=True, type=click.FloatRange(0),
    help="0: the likeliest token each time.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of what is drawn: tokens, random directions."
)
@click.option("--against", is_flag=True, help="Take the direction away instead.")
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def steer(
    store: Path,
    feature: str,
    text: str,
    kl: float,
    tokens: int,
    temperature: float,
    seed: int,
    against: bool,
    as_json: bool,
) -> None:
    """What the model writes with a feature's direction added, beside random directions that do as much.

    The direction is added at every token but the BOS, at the size at which the prediction behind the text moves by
    --kl. Each random direction has the size at which it moves it as far. Shown are the text as it is and with each,
    and the log probabilities of what may come next. Loads the subject and the dictionary; the store is only read.

    \b
    Examples:
      autointerp steer demo.duckdb mlp-1k/162 "def f("
      autointerp steer demo.duckdb mlp-1k/162 "class A:" --kl 1 --temperature 0.7 --seed 3 --json
    """
    from autointerp.show.prompt_data import label_of

    dictionary, number = parse_feature(feature)
    with reading(store) as reader:
        label = label_of(reader, dictionary, number)
    from autointerp.pipeline.steer import SteerChoice, Steerer
    from autointerp.progress import stderr_reporter

    choice = SteerChoice(kl, tokens, temperature, seed, against)
    report = Steerer(store, dictionary, stderr_reporter()).steer(number, text, choice)
    from autointerp.show.steer import steer_json, steer_page

    if as_json:
        click.echo(steer_json(report, label))
    else:
        print_page(steer_page(report, label))
