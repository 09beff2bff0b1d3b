"""Which dictionaries are compared with which: the same for scores and for effects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Protocol, TypeVar

from autointerp.words import PLANTED, STUDIED


class ComparedSide(Protocol):
    """What decides it."""

    @property
    def dictionary(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def hook(self) -> str: ...
    @property
    def matched_to(self) -> str | None: ...
    @property
    def natural_of(self) -> str | None: ...


Side = TypeVar("Side", bound=ComparedSide)


def is_baseline(side: ComparedSide) -> bool:
    """Whether it stands beside dictionaries under study."""
    return side.kind not in (*STUDIED, PLANTED)


def pairs_of(sides: Sequence[Side]) -> list[tuple[Side, Side]]:
    """Every two dictionaries under study, and every baseline with the one it is matched to, or, unmatched, with those
    at its hook; where there is none, with all."""
    studied = [side for side in sides if side.kind in STUDIED]
    baselines = [side for side in sides if is_baseline(side) and side.natural_of is None]
    pairs = list(combinations(studied, 2))
    hooks = {side.hook for side in studied}
    for side in studied:
        for baseline in baselines:
            beside = baseline.hook == side.hook or baseline.hook not in hooks
            unmatched_here = baseline.matched_to is None and beside
            if baseline.matched_to == side.dictionary or unmatched_here:
                pairs.append((side, baseline))
    return pairs
