"""The command `whole`: what a scored sample says of the whole dictionary. No logic here."""

from __future__ import annotations

from pathlib import Path

import click

from autointerp.cli_pages import STORE, print_page, reading
from autointerp.errors import UserError

ENDINGS = (".csv", ".json", ".parquet")


@click.command(no_args_is_help=True)
@STORE
@click.option("--dictionary", metavar="NAME", help="This dictionary only.")
@click.option("--explainer", metavar="NAME", help="This explainer only.")
@click.option("--scorer", metavar="NAME", help='This scorer and judge only: "detection gpt-6-luna".')
@click.option("--metric", metavar="NAME", help="Default: the first one of each scorer.")
@click.option(
    "--holds",
    type=float,
    metavar="SCORE",
    help="A label holds from this score on. Default: half of the way from chance to the metric's largest value.",
)
@click.option("--features", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="All features.")
@click.option("--json", "as_json", is_flag=True, help="All but the single features as JSON, unrounded.")
def whole(
    store: Path,
    dictionary: str | None,
    explainer: str | None,
    scorer: str | None,
    metric: str | None,
    holds: float | None,
    features: Path | None,
    as_json: bool,
) -> None:
    """What the scores of a sample of features say of the whole dictionary, and of the labels that were not scored.

    The mean score of all features and the share of labels that hold, with intervals, from a sample that was drawn by
    strata (`score.features = { sample = 500, strata = true }`) or is weighed by them. P(label holds) of each feature
    that was not scored, from what costs nothing to know, with its calibration on features that the fit had not seen.
    Nothing is asked and nothing written, but for --features: a row a feature, as .csv, .json or .parquet.

    \b
    Examples:
      autointerp whole mine.duckdb
      autointerp whole mine.duckdb --dictionary sae --metric mcc_weighted --holds 0.4
      autointerp whole mine.duckdb --features labels.parquet
    """
    from autointerp.pipeline.whole import WholeChoice
    from autointerp.pipeline.whole import whole as find
    from autointerp.show.whole import whole_json, whole_page, write_features

    if features is not None and features.suffix not in ENDINGS:
        raise UserError(f'--features "{features}": the name must end in {", ".join(ENDINGS)}')
    with reading(store) as reader:
        sets = find(reader, WholeChoice(dictionary, explainer, scorer, metric, holds))
    if features is not None:
        n = write_features(sets, features)
        click.echo(f"written: {features}, {n:,} rows", err=True)
    if as_json:
        click.echo(whole_json(sets))
    elif features is None:
        print_page(whole_page(sets))
