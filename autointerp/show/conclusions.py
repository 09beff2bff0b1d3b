"""What the verdicts say, in sentences: who scores higher than whom, what could not be told apart, and what changes the
picture: verdicts that hang on features without a score, differences smaller than the margin, what an unlearned unit
gets."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.show.compare_data import ComparisonRow, SummaryRow
from autointerp.show.sentences import listed
from autointerp.words import STUDIED

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
    return [*sentences, *(_changed(row) for row in rows if row.changes and not row.hangs_on_failures), *_hanging(rows)]


def excess_over_random(rows: Sequence[SummaryRow]) -> str | None:
    """What the dictionaries under study score above an unlearned unit that fires as often, in a sentence; None where
    no random directions are matched to any."""
    studied = [row for row in rows if row.kind in STUDIED]
    known = [row for row in studied if row.over_random is not None]
    if not known:
        return None
    parts: dict[str, list[str]] = {}
    for row in known:
        low, high = row.over_random_low, row.over_random_high
        interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
        parts.setdefault(str(row.random), []).append(f"{row.dictionary} {row.over_random:+.3f}{interval}")
    over = "; ".join(f"{', '.join(mine)} over {random}" for random, mine in parts.items())
    without = [row.dictionary for row in studied if row.random is None]
    rest = f"; none are matched to {listed(without)}" if without else ""
    return f"Excess over density-matched random directions: {over}{rest}."


def without_baselines(rows: Sequence[ComparisonRow], studied: Sequence[str]) -> str | None:
    """Says which dictionaries under study are compared with no baseline, where that is so."""
    have = {row.a for row in rows if row.baseline}
    without = [name for name in studied if name not in have]
    return f"No baseline is matched to {listed(without)}." if rows and without else None


def _hanging(rows: Sequence[ComparisonRow]) -> list[str]:
    hanging = [row for row in rows if row.hangs_on_failures]
    won = [row for row in hanging if row.low is not None and row.high is not None and (row.low > 0 or row.high < 0)]
    sentences = []
    if won:
        sentences.append(
            f"Undecided though the interval excludes 0: {_pairs(won)}. The winner failed on features, and does not win "
            "with these at the lowest score instead of at the floor."
        )
    close = [row for row in hanging if row not in won]
    if close:
        sentences.append(
            f"Undecided though the interval lies within the margin: {_pairs(close)}. Features failed, and the two are "
            "not equivalent with these at the lowest score, or left out, instead of at the floor."
        )
    return sentences


def _pairs(rows: Sequence[ComparisonRow]) -> str:
    return listed([f"{row.a} and {row.b}" for row in rows])


def _changed(row: ComparisonRow) -> str:
    """A verdict that hangs on the features without a score."""
    without = [f"{n:,} of {name}" for name, n in ((row.a, row.n_unscored_a), (row.b, row.n_unscored_b)) if n]
    words = {"A": row.a, "B": row.b}
    mine, scored = (words.get(verdict, verdict) for verdict in (row.verdict, row.scored_verdict))
    return (
        f"{row.a} and {row.b}: {mine}, but {scored} if features without a score are left out ({listed(without)}) "
        "and do not stand at the floor."
    )


def _against_baselines(a: str, rows: Sequence[ComparisonRow]) -> str:
    by = {verdict: [row.b for row in rows if row.verdict == verdict] for verdict in _OUTCOMES}
    parts = [f"{words} {listed(by[verdict])}" for verdict, words in _OUTCOMES.items() if by[verdict]]
    if len(by["A"]) == len(rows) > 1:
        return f"{a} scores higher than all its baselines: {listed(by['A'])}."
    if by["A"]:
        return f"{a} scores {'; '.join(parts)}."
    return f"{a} does not score higher than any of its baselines: {'; '.join(parts)}."


def _between(rows: Sequence[ComparisonRow]) -> str:
    higher: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict in ("A", "B"):
            winner, loser = (row.a, row.b) if row.verdict == "A" else (row.b, row.a)
            higher.setdefault(winner, []).append(loser)
    parts = [f"{winner} scores higher than {listed(losers)}" for winner, losers in higher.items()]
    for verdict, words in (("equivalent", "equivalent: "), ("undecided", "undecided between ")):
        pairs = [f"{row.a} and {row.b}" for row in rows if row.verdict == verdict]
        if pairs:
            parts.append(words + ", ".join(pairs))
    return "; ".join(parts) + "."
