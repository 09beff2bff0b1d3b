"""The tables of `docs/SCORES.md`, made from the registries of scorers and metrics, and from the kept self-test.

python -m autointerp.score.docs docs/SCORES.md            writes them into the page
python -m autointerp.score.docs docs/SCORES.md --check    exit status 1 where they are out of date
"""

from __future__ import annotations

import sys

from autointerp.generated import cell, replace_region, write_or_check
from autointerp.score.metric import Metric
from autointerp.score.metric_registry import METRICS, metrics_for
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.selftest.figures import Excess, LossCounts, MetricFigures
from autointerp.score.selftest.marks import kept_run
from autointerp.score.selftest.verdicts import Sight, verdict_of

READS = {
    "counted": "every token of the score split",
    "simulated": "activations on sampled windows",
    "judged": "items judged right or wrong",
    "rated": "tokens rated by promotion",
    "chosen": "questions where one of five windows is chosen",
    "generated": "texts that the judge wrote",
    "picked": "texts that the model wrote with a direction added",
    "published": "what a published protocol asks about",
}
SEES: dict[Sight, str] = {
    "yes": "yes",
    "frequent": "not where a feature fires rarely",
    "mostly": "for most features, not for all",
    "no": "hardly anywhere",
    "unknown": "not tried",
}


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
    words = [name, metric.design, READS[metric.reads], metric.sentence, chance, over, _sees_broad(metric)]
    return "| " + " | ".join(map(cell, words)) + " |"


def _sees_broad(metric: Metric) -> str:
    """What the self-test says; by scorer where that differs."""
    run = kept_run()
    rows = [row for row in run.rows if run.of(row.scorer, metric.name, metric.design) is row]
    said = {row.scorer: SEES[verdict_of(row).extra] for row in rows}
    if len(set(said.values())) < 2:
        return next(iter(said.values()), SEES["unknown"])
    return "; ".join(f"`{scorer}`: {words}" for scorer, words in said.items())


def selftest_markdown() -> str:
    """What the kept run of the self-test found: a line a scorer and metric."""
    run = kept_run()
    densities = ", ".join(f"{density:g}" for density in run.densities)
    lines = [
        f"| scorer | metric | claims too much: {densities} | misses half | true label first | unrelated | "
        "reads nothing | passes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_trials_line, run.rows)])


def _trials_line(row: MetricFigures) -> str:
    verdict = verdict_of(row)
    passes = f"no: {', '.join(verdict.failed)}" if verdict.failed else "yes" if verdict.passes else "not tried"
    name = f"`{row.metric}` (census)" if row.design == "census" else f"`{row.metric}`"
    first = "" if row.ranking is None else f"{100 * row.ranking.first:.0f} %"
    cells = [f"`{row.scorer}`", name, _shares(row.extra), _shares(row.missing), first]
    cells += [_distance(row.unrelated), _distance(row.blind), passes]
    if not verdict.failed and not verdict.passes and row.reason:
        cells[-1] = f"not tried: {row.reason}"
    return "| " + " | ".join(map(cell, cells)) + " |"


def _shares(losses: LossCounts | None) -> str:
    shares = () if losses is None else losses.shares()
    return ", ".join("·" if share is None else f"{100 * share:.0f}" for share in shares) + (" %" if shares else "")


def _distance(excess: Excess | None) -> str:
    return "" if excess is None else f"{excess.mean:+.3f} [{excess.low:+.3f}, {excess.high:+.3f}] {excess.by}".rstrip()


def scores_page(text: str) -> str:
    """The page with its tables. Raises ValueError where their marks are missing."""
    made = {"scorers": scorers_markdown(), "metrics": metrics_markdown(), "selftest": selftest_markdown()}
    for name, table in made.items():
        text = replace_region(text, name, table)
    return text


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], scores_page, __doc__))
