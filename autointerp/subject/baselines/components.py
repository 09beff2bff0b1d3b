"""Principal and independent components of the activations as units; `subject/components.py` computes them.

Where fewer are wanted than there are, they are the first: of largest variance, or least normal.
"""

from __future__ import annotations

from autointerp.config.baseline_kinds import FACTS
from autointerp.subject.baselines.kind import KindRow, Lines, LinesWanted
from autointerp.subject.components import independent_components, principal_components


def _principal(wanted: LinesWanted) -> Lines:
    axes = principal_components(wanted.x, wanted.n)
    return Lines(len(axes.reads), axes.reads, facts=axes.facts)


def _independent(wanted: LinesWanted) -> Lines:
    sources = independent_components(wanted.x, wanted.n, wanted.seed, wanted.name)
    return Lines(len(sources.reads), sources.reads, sources.writes, sources.facts)


PCA = KindRow(FACTS["pca"], _principal)
ICA = KindRow(FACTS["ica"], _independent)
