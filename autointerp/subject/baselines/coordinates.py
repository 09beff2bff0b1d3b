"""The hook's coordinates as units: neurons, and the basis of the residual stream."""

from __future__ import annotations

from autointerp.config.baseline_kinds import FACTS
from autointerp.subject.baselines.kind import KindRow, Lines, LinesWanted


def coordinates(wanted: LinesWanted) -> Lines:
    """All of them, whatever number is wanted: which are taken is drawn where they are matched."""
    return Lines(int(wanted.x.shape[1]), None)


NEURONS = KindRow(FACTS["neurons"], coordinates)
RESIDUAL_BASIS = KindRow(FACTS["residual_basis"], coordinates)
