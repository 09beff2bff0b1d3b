"""What pages say of metrics by the self-test: a mark behind a name, and a sentence for each kind of mark shown."""

from __future__ import annotations

from collections.abc import Iterable

from autointerp.score.metric_registry import METRICS
from autointerp.score.selftest.marks import mark_of
from autointerp.score.selftest.verdicts import Sight
from autointerp.words import scorer_and_judge

MARK = "‡"
"""Behind a metric that does not see everywhere a label that claims too much."""

ScoreName = tuple[str, str, str]
"""Scorer as rows name it, metric, design."""

_SENTENCES: dict[Sight, str] = {
    "frequent": "on features that fire rarely, a label that claims too much loses little",
    "mostly": "of some features, a label that names too many tokens loses nothing: none of them is asked about",
    "no": "a label that claims too much loses little, also on features that fire often",
}


def marked(name: ScoreName, shown: str) -> str:
    """What is shown of a score, with its mark where it has one."""
    return f"{shown} {MARK}" if _sight(name) in _SENTENCES else shown


def mark_sentences(names: Iterable[ScoreName]) -> list[str]:
    """A line for each kind of mark that these scores have."""
    by_sight: dict[Sight, dict[str, None]] = {}
    for name in names:
        scorer, metric, _ = name
        by_sight.setdefault(_sight(name), {})[f"{metric} of {scorer_and_judge(scorer)[0].partition(':')[0]}"] = None
    beside = ", ".join(_seeing())
    read = f"; read {beside} beside" if beside else ""
    return [
        f"{MARK} {', '.join(by_sight[sight])}: {sentence}{read} (`autointerp selftest`)."
        for sight, sentence in _SENTENCES.items()
        if sight in by_sight
    ]


def _seeing() -> list[str]:
    """The first metrics on sampled windows that see it everywhere."""
    firing = [metric for metric in METRICS if metric.primary and metric.reads == "simulated"]
    return [metric.name for metric in firing if _sight(("simulation", metric.name, metric.design)) == "yes"]


def _sight(name: ScoreName) -> Sight:
    mark = mark_of(*name)
    return "unknown" if mark is None else mark.extra
