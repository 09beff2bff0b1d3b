"""The slow and obvious twin of `score/own_alarms.py`."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats


def slow_alone(counts: Sequence[tuple[int, int]]) -> list[bool]:
    """Of each feature windows with an alarm, and all: are so many too many for those that have a smaller share?"""
    alone = []
    for hits, windows in counts:
        others = [(h, n) for h, n in counts if h * max(windows, 1) < hits * max(n, 1)]
        n_others = sum(n for _, n in others)
        usual = (sum(h for h, _ in others) + 1) / (n_others + 1)
        alone.append(hits >= 2 and n_others > 0 and float(stats.binom.sf(hits - 1, windows, min(usual, 1.0))) < 0.01)
    return alone
