"""The page of `autointerp selftest`: a line a metric, what each trial asks, and which marks no longer hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.score.selftest.figures import Excess, LossCounts, MetricFigures, to_json
from autointerp.score.selftest.marks import KeptRun
from autointerp.score.selftest.planted import EXTRA
from autointerp.score.selftest.trials import LEAST_LOSS, N_UNRELATED, SelftestPlan
from autointerp.score.selftest.verdicts import EARNED, KEPT, SelftestVerdict, lost_marks, verdict_of
from autointerp.show.layout import Column, sheet
from autointerp.show.text import escape_json, safe


@dataclass(frozen=True)
class SelftestReport:
    """A run of the self-test beside the kept one."""

    plan: SelftestPlan
    rows: Sequence[MetricFigures]
    kept: KeptRun

    @property
    def lost(self) -> dict[tuple[str, str, str], tuple[str, ...]]:
        """By scorer, metric and design: the trials that are marked as passed and were not."""
        lost = {}
        for row in self.rows:
            before = self.kept.of(*row.name)
            if before is not None and (trials := lost_marks(before, row)):
                lost[row.name] = trials
        return lost

    @property
    def missing(self) -> list[tuple[str, str, str]]:
        """What is marked and was not tried at all: a metric that is gone."""
        tried = {row.name for row in self.rows}
        return [row.name for row in self.kept.rows if row.name not in tried]


def selftest_page(report: SelftestReport) -> RenderableType:
    """From the record to the page."""
    rows = report.rows
    verdicts = [verdict_of(row) for row in rows]
    columns = [
        Column("scorer", [row.scorer for row in rows], key=True),
        Column(
            "metric", [f"{row.metric} (census)" if row.design == "census" else row.metric for row in rows], key=True
        ),
        Column("passes", [_passes(row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]),
        Column("extra", [_losses(r.extra, v.passed("extra")) for r, v in zip(rows, verdicts, strict=True)]),
        Column("missing", [_losses(r.missing, v.passed("missing")) for r, v in zip(rows, verdicts, strict=True)]),
        Column("first", [_first(row, verdict) for row, verdict in zip(rows, verdicts, strict=True)], right=True),
        Column("1/rank", [_reciprocal(row) for row in rows], right=True),
        Column("unrelated", [_excess(r.unrelated, v.passed("unrelated")) for r, v in zip(rows, verdicts, strict=True)]),
        Column("blind", [_excess(r.blind, v.passed("blind")) for r, v in zip(rows, verdicts, strict=True)]),
    ]
    title = f"self-test: {report.plan.n_features} planted features at each density, seed {report.plan.seed}"
    return Group(sheet(title, columns), Text(), *[safe(line, "dim") for line in _legend(report)], *_marks(report))


def _passes(row: MetricFigures, verdict: SelftestVerdict) -> Text:
    if verdict.failed:
        return safe(f"no: {', '.join(verdict.failed)}", "red")
    if verdict.passes:
        return safe("yes", "green")
    return safe(f"not tried: {row.reason}" if row.reason else "not tried", "yellow")


def _losses(losses: LossCounts | None, passed: bool | None) -> Text:
    shares = () if losses is None else losses.shares()
    cells = ["  ·" if share is None else f"{100 * share:3.0f}" for share in shares]
    return safe(" ".join(cells) + " %" if cells else "", "red" if passed is False else "")


def _first(row: MetricFigures, verdict: SelftestVerdict) -> Text:
    text = "" if row.ranking is None else f"{100 * row.ranking.first:.0f} %"
    return safe(text, "red" if verdict.first is False else "")


def _reciprocal(row: MetricFigures) -> str:
    return "" if row.ranking is None else f"{row.ranking.reciprocal:.3f}"


def _excess(excess: Excess | None, passed: bool | None) -> Text:
    if excess is None:
        return Text()
    text = f"{excess.mean:+.3f} ± {(excess.high - excess.low) / 2:.3f} {excess.by}".rstrip()
    return safe(text, "red" if passed is False else "")


def _legend(report: SelftestReport) -> list[str]:
    densities = ", ".join(f"{density:g}" for density in report.plan.densities)
    enough, first = f"{100 * EARNED.share:.0f} %", f"{100 * EARNED.first:.0f} %"
    return [
        f"extra: features whose score falls by {LEAST_LOSS:g} or more where the label also fires on {EXTRA:g} times as "
        f"many other tokens, at densities {densities} (of logit effects: at all). missing: where it misses half of the "
        f"firings. Enough: {enough} at each. · : too few scores.",
        "first: features whose true label scores highest among the true labels of all, one that claims nothing and one "
        f"that claims everything. 1/rank: mean of 1 / its rank. Enough: {first} first.",
        f"unrelated: mean score, less chance, of {N_UNRELATED} labels that have nothing to do with a feature that "
        "fires by a Gaussian embedding, and half of its 95 % interval. blind: of the judge that reads nothing and is "
        f"farthest from chance. Enough: within {EARNED.margin:g}, as far as the interval tells. Where chance depends "
        "on the feature: less what a label gets that claims nothing or everything, and not above it.",
    ]


def _marks(report: SelftestReport) -> list[Text]:
    lost, missing = report.lost, report.missing
    lines = [
        safe(f"{scorer} {metric} ({design}) is marked as passing {', '.join(trials)}, and does not", "red")
        for (scorer, metric, design), trials in lost.items()
    ]
    lines += [
        safe(f"{scorer} {metric} ({design}) is marked, and was not tried", "yellow")
        for scorer, metric, design in missing
    ]
    if not lost:
        lines.append(
            safe(
                f"All marks hold: none that was earned has fallen below {100 * KEPT.share:.0f} % of the features, "
                f"or is more than {KEPT.margin:g} from chance."
            )
        )
    return lines


def selftest_json(report: SelftestReport) -> str:
    """The same for a program: figures, verdicts and lost marks."""
    rows = []
    for row in report.rows:
        verdict = verdict_of(row)
        rows.append(
            {
                **to_json(row),
                "passes": verdict.passes,
                "failed": list(verdict.failed),
                "sees_extra": verdict.extra,
                "sees_missing": verdict.missing,
                "lost_marks": list(report.lost.get(row.name, ())),
            }
        )
    bounds = {name: vars(bound) for name, bound in (("earned", EARNED), ("kept", KEPT))}
    head = {
        "seed": report.plan.seed,
        "n_features": report.plan.n_features,
        "densities": list(report.plan.densities),
        "bounds": bounds,
        "rows": rows,
    }
    return escape_json(json.dumps(head, ensure_ascii=False, indent=1))
