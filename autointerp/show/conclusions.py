"""What the verdicts say, in sentences: who scores higher than whom, and what could not be told apart."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.show.compare_data import ComparisonRow

_OUTCOMES = {"A": "higher than", "B": "lower than", "equivalent": "equivalent to", "undecided": "undecided against"}


def conclusions(rows: Sequence[ComparisonRow]) -> list[str]:
    """Sentences about one family of comparisons, in the order in which it names its dictionaries."""
    against = [row for row in rows if row.baseline]
    between = [row for row in rows if not row.baseline]
    names = dict.fromkeys(row.a for row in against)
    sentences = [_against_baselines(a, [row for row in against if row.a == a]) for a in names]
    if between:
        sentences.append(_between(between))
    small = [row for row in rows if row.within_margin]
    if small:
        pairs = ", ".join(f"{row.a} and {row.b}" for row in small)
        sentences.append(f"Real, but smaller than the margin of {small[0].margin:g}: {pairs}.")
    return sentences


def without_baselines(rows: Sequence[ComparisonRow], studied: Sequence[str]) -> str | None:
    """Says which dictionaries under study are compared with no baseline, where that is so."""
    have = {row.a for row in rows if row.baseline}
    without = [name for name in studied if name not in have]
    return f"No baseline is matched to {_list(without)}." if rows and without else None


def _against_baselines(a: str, rows: Sequence[ComparisonRow]) -> str:
    by = {verdict: [row.b for row in rows if row.verdict == verdict] for verdict in _OUTCOMES}
    parts = [f"{words} {_list(by[verdict])}" for verdict, words in _OUTCOMES.items() if by[verdict]]
    if len(by["A"]) == len(rows) > 1:
        return f"{a} scores higher than all its baselines: {_list(by['A'])}."
    if by["A"]:
        return f"{a} scores {'; '.join(parts)}."
    return f"{a} does not score higher than any of its baselines: {'; '.join(parts)}."


def _between(rows: Sequence[ComparisonRow]) -> str:
    higher: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict in ("A", "B"):
            winner, loser = (row.a, row.b) if row.verdict == "A" else (row.b, row.a)
            higher.setdefault(winner, []).append(loser)
    parts = [f"{winner} scores higher than {_list(losers)}" for winner, losers in higher.items()]
    for verdict, words in (("equivalent", "equivalent: "), ("undecided", "undecided between ")):
        pairs = [f"{row.a} and {row.b}" for row in rows if row.verdict == verdict]
        if pairs:
            parts.append(words + ", ".join(pairs))
    return "; ".join(parts) + "."


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
