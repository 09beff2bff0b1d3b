"""Whether the metrics agree, in words: which of them say A, which B, which cannot tell, computed from their verdicts.

1. Verdicts of one store, explainer and side are held against each other, pair by pair. A side is what a feature reads
   (its activations are predicted) or what it writes (logit effects): scores of the two mean different things.
2. Metrics disagree on a pair where one says A and another B. One that cannot tell, or finds the two equivalent,
   contradicts nobody.
3. The first sentence says on how many pairs they disagree, and what they say of the first of these. Then follows what
   they say of each pair on which they are not of one mind; pairs of which they say the same stand together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autointerp.show.compare_data import ComparisonRow
from autointerp.show.score_kind import ScoreKind
from autointerp.show.sentences import listed
from autointerp.words import LOGIT_SCORERS, is_ceiling, scorer_and_judge

NAMED = 5
"""Metrics of one opinion that are named; of more the rest is counted."""


@dataclass(frozen=True)
class PairVerdicts:
    """What the metrics say of one pair."""

    store: str
    explainer: str
    output: bool
    a: str
    b: str
    by_verdict: dict[str, tuple[str, ...]]
    """A, B, equivalent, undecided -> the names of the metrics that say so; only those that any says."""

    @property
    def disagree(self) -> bool:
        return "A" in self.by_verdict and "B" in self.by_verdict

    @property
    def decided(self) -> bool:
        return "A" in self.by_verdict or "B" in self.by_verdict

    @property
    def n_metrics(self) -> int:
        return sum(map(len, self.by_verdict.values()))

    @property
    def group(self) -> tuple[str, str, bool]:
        """What is held against each other."""
        return self.store, self.explainer, self.output


_VERDICTS = ("A", "B", "equivalent", "undecided")


def what_metrics_say(rows: Sequence[ComparisonRow]) -> list[PairVerdicts]:
    """Pair by pair, explainers as on the page, pairs with baselines first."""
    rows = sorted(rows, key=lambda row: (row.about.order(), not row.baseline))
    groups: dict[tuple[str, str, bool], list[ComparisonRow]] = {}
    for row in rows:
        groups.setdefault((row.store, row.explainer, is_output(row.scorer)), []).append(row)
    said = []
    for (store, explainer, output), mine in groups.items():
        called = metric_names(row.about for row in mine)
        for a, b in dict.fromkeys((row.a, row.b) for row in mine):
            of_pair = [row for row in mine if (row.a, row.b) == (a, b)]
            by_verdict = {
                verdict: tuple(called[row.about] for row in of_pair if row.verdict == verdict) for verdict in _VERDICTS
            }
            known = {verdict: names for verdict, names in by_verdict.items() if names}
            said.append(PairVerdicts(store, explainer, output, a, b, known))
    return said


def is_output(scorer: str) -> bool:
    """Whether a scorer is about what a feature writes."""
    return scorer_and_judge(scorer)[0] in LOGIT_SCORERS


def metric_names(kinds: Iterable[ScoreKind]) -> dict[ScoreKind, str]:
    """The metric's name, with its design and scorer where several have that name."""
    kinds = list(dict.fromkeys(kinds))
    names = {}
    for kind in kinds:
        same = [other for other in kinds if other.metric == kind.metric]
        parts = [kind.design] if len({other.design for other in same}) > 1 else []
        beside = {other.scorer for other in same if other.design == kind.design}
        if len(beside) > 1:
            short = scorer_and_judge(kind.scorer)[0]
            alone = [scorer_and_judge(name)[0] for name in beside].count(short) == 1
            parts.append(short if alone else kind.scorer)
        names[kind] = f"{kind.metric} ({', '.join(parts)})" if parts else kind.metric
    return names


def agreement(rows: Sequence[ComparisonRow]) -> list[str]:
    """The first sentence of a comparison, and lines with what the metrics say of each pair. Nothing without pairs.

    Of ceilings only where there are no labels: what a table could say is no verdict on what was said.
    """
    said = what_metrics_say([row for row in rows if not is_ceiling(row.explainer)] or rows)
    return [headline(said), *_lines(said)] if said else []


def headline(said: Sequence[PairVerdicts]) -> str:
    """Whether the metrics agree, in a sentence."""
    n = f"{len(said)} pairs{_counted_apart(said)}"
    disagree = [one for one in said if one.disagree]
    if disagree:
        first = disagree[0]
        if len(said) == 1:
            return f"The metrics disagree: {_clauses(first, first.b)}."
        of = f" ({first.explainer})" if len({one.explainer for one in said}) > 1 else ""
        pair = f"{first.a} and {first.b}{of}"
        return f"The metrics disagree on {len(disagree)} of {n}: of {pair} {_clauses(first, first.b)}."
    most = max(said, key=lambda one: (one.decided, one.n_metrics))
    if most.n_metrics == 1 and all(one.n_metrics == 1 for one in said):
        return f"One metric has verdicts, {listed(_all_names(said))}: there is none to agree or disagree with it."
    if not most.decided:
        return f"No metric can tell apart {'the two' if len(said) == 1 else f'any of the {n}'}."
    if len(said) == 1:
        return f"{_clauses(most, most.b)}: no two metrics contradict each other."
    words = "No two metrics contradict each other on any of"
    if all(len(one.by_verdict) == 1 for one in said):
        words = "All metrics say the same of each of"
    return f"{words} {n}; of {most.a} and {most.b} {_clauses(most, most.b)}."


def _counted_apart(said: Sequence[PairVerdicts]) -> str:
    """Why a pair may be there more than once."""
    if len({one.explainer for one in said}) > 1:
        return " (each explainer counted)"
    if len({one.store for one in said}) > 1:
        return " (each store counted)"
    return " (activations and logit effects counted apart)" if len({one.output for one in said}) > 1 else ""


def _all_names(said: Sequence[PairVerdicts]) -> list[str]:
    return list(dict.fromkeys(name for one in said for names in one.by_verdict.values() for name in names))


def _lines(said: Sequence[PairVerdicts]) -> list[str]:
    """What the metrics say of the pairs on which they do not all say the same; the same of several pairs in one
    line."""
    lines = []
    for group in dict.fromkeys(one.group for one in said):
        mine = [one for one in said if one.group == group]
        split = [one for one in mine if len(one.by_verdict) > 1]
        same: dict[tuple[object, ...], list[PairVerdicts]] = {}
        for pair in split:
            same.setdefault((pair.a, *pair.by_verdict.items()), []).append(pair)
        for alike in same.values():
            first, others = alike[0], [one.b for one in alike]
            other = first.b if len(alike) == 1 else "the other"
            joined = "and" if len(alike) == 1 else "against each of"
            lines.append(f"{_title(first, said)}{first.a} {joined} {listed(others)}: {_clauses(first, other)}.")
        if split and len(mine) > len(split):
            n = len(mine) - len(split)
            lines.append(f"{_title(split[0], said)}all say the same of the other {f'{n} pairs' if n > 1 else 'pair'}.")
    return lines


def _title(pair: PairVerdicts, said: Sequence[PairVerdicts]) -> str:
    """What tells a line from those of others, where there are others."""
    parts = [pair.store] if len({other.store for other in said}) > 1 else []
    parts += [pair.explainer] if len({other.explainer for other in said}) > 1 else []
    parts += ["logit effects"] if pair.output else []
    return f"{', '.join(parts)}: " if parts else ""


def _clauses(pair: PairVerdicts, other: str) -> str:
    """`pearson says mlp-1k, auprc and f1 say neurons, recall cannot tell`; `other`: what B is called."""
    words = {
        "A": ("says", "say", pair.a),
        "B": ("says", "say", other),
        "equivalent": ("finds", "find", "them equivalent"),
        "undecided": ("cannot tell", "cannot tell", ""),
    }
    clauses = []
    for verdict, names in pair.by_verdict.items():
        singular, plural, what = words[verdict]
        few = names if len(names) <= NAMED else (*names[: NAMED - 1], f"{len(names) - NAMED + 1} more")
        clauses.append(" ".join([listed(few), singular if len(names) == 1 else plural, what]).strip())
    return ", ".join(clauses)
