"""The marks of the metrics: what the kept run of the self-test found of each.

`figures.json` holds the figures of that run; `python -m autointerp.pipeline.selftest FILE` writes it again. A metric
that is not in it, or whose version is another by now, has no mark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autointerp.score.metric_registry import metric_named
from autointerp.score.selftest.figures import MetricFigures, from_json
from autointerp.score.selftest.verdicts import SelftestVerdict, verdict_of
from autointerp.words import scorer_and_judge

FILE = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class KeptRun:
    """The run that the marks are from."""

    seed: int
    n_features: int
    densities: tuple[float, ...]
    rows: tuple[MetricFigures, ...]

    def of(self, scorer: str, metric: str, design: str) -> MetricFigures | None:
        """The figures of a metric, None where there are none of its version."""
        known = metric_named(metric, design)
        if known is None:
            return None
        name = (scorer, metric, design)
        return next((row for row in self.rows if row.name == name and row.version == known.version), None)


@cache
def kept_run() -> KeptRun:
    """What `figures.json` holds."""
    return read_run(FILE.read_text(encoding="utf-8"))


def read_run(text: str) -> KeptRun:
    """A run from its file's text."""
    held = json.loads(text)
    rows = tuple(from_json(row) for row in held["rows"])
    return KeptRun(held["seed"], held["n_features"], tuple(held["densities"]), rows)


def mark_of(scorer: str, metric: str, design: str) -> SelftestVerdict | None:
    """How a metric did; `scorer` as rows name it (`detection:gpt-6`). None: it was not tried."""
    figures = kept_run().of(scorer_and_judge(scorer)[0].partition(":")[0], metric, design)
    return None if figures is None else verdict_of(figures)
