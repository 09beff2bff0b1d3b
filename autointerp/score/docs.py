"""The tables of `docs/SCORES.md`, made from the registries of scorers and metrics.

python -m autointerp.score.docs docs/SCORES.md            writes them into the page
python -m autointerp.score.docs docs/SCORES.md --check    exit status 1 where they are out of date
"""

from __future__ import annotations

import sys

from autointerp.generated import cell, replace_region, write_or_check
from autointerp.score.metric import Metric
from autointerp.score.metric_registry import METRICS, metrics_for
from autointerp.score.scorers.registry import SCORERS

READS = {
    "counted": "every token of the score split",
    "simulated": "activations on sampled windows",
    "judged": "items judged right or wrong",
    "rated": "tokens rated by promotion",
    "chosen": "questions where one of five windows is chosen",
    "generated": "texts that the judge wrote",
    "published": "what a published protocol asks about",
}
SEES = {True: "yes", False: "not where a feature fires rarely", None: "not tried"}


def scorers_markdown() -> str:
    """A line a scorer."""
    lines = ["| scorer | what the judge does | where no LLM judges | metrics |", "|---|---|---|---|"]
    for scorer in SCORERS.values():
        metrics = ", ".join(f"`{metric.name}`" for metric in metrics_for(scorer.shape, scorer.name))
        embedded = f"`{scorer.embedded}`" if scorer.embedded else "none"
        lines.append(f"| `{scorer.name}` | {cell(scorer.sentence)} | {embedded} | {metrics} |")
    return "\n".join(lines)


def metrics_markdown() -> str:
    """A line a metric."""
    lines = [
        "| metric | design | computed from | what it says | by chance | interval over | "
        "sees a label that claims too much |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, METRICS)])


def _line(metric: Metric) -> str:
    name = f"**`{metric.name}`**" if metric.primary else f"`{metric.name}`"
    chance = "depends" if metric.chance is None else f"{metric.chance:g}"
    over = "features and documents" if metric.by_document else "features"
    words = [name, metric.design, READS[metric.reads], metric.sentence, chance, over, SEES[metric.sees_broad]]
    return "| " + " | ".join(map(cell, words)) + " |"


def scores_page(text: str) -> str:
    """The page with both tables. Raises ValueError where their marks are missing."""
    return replace_region(replace_region(text, "scorers", scorers_markdown()), "metrics", metrics_markdown())


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], scores_page, __doc__))
