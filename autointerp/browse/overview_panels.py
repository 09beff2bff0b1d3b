"""Panels of the first page: how scores are distributed, what the features' weights look like, verdicts, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autointerp.show.agreement import agreement
from autointerp.show.compare_data import ComparisonRow, load_comparisons
from autointerp.show.dictionary_geometry import DictionaryGeometry, load_dictionary_geometry
from autointerp.show.report.questions import about, ask
from autointerp.show.score_kind import ScoreKind
from autointerp.store.query import Queryable
from autointerp.words import is_control

WIDTH_OF_BIN = 0.05
MOST_POINTS = 300
"""Features of each dictionary that a plot of weights shows, drawn by hash."""


@dataclass(frozen=True)
class ScoreDistribution:
    """How the scores of a dictionary are distributed."""

    dictionary: str
    bins: tuple[tuple[float, int], ...]
    """Lower edge and features; WIDTH_OF_BIN wide."""


@dataclass(frozen=True)
class WeightPoint:
    """A feature's weights."""

    feature: int
    density: float
    encoder_bias: float | None
    cos_encoder_decoder: float | None


@dataclass(frozen=True)
class WeightCloud:
    """The weights of some features of a dictionary."""

    dictionary: str
    points: tuple[WeightPoint, ...]


@dataclass(frozen=True)
class ExplainerCoverage:
    """How much of a dictionary an explainer has labelled."""

    dictionary: str
    explainer: str
    n_features: int
    """Extracted."""
    n_labels: int
    n_without: int
    """Asked, and there is no label: dead, refused, failed."""


@dataclass(frozen=True)
class OverviewPanels:
    """What stands on the first page beside its tables."""

    kind: str
    """The kind of score that distributions and verdicts are about, as its title; empty: there are none."""
    distributions: tuple[ScoreDistribution, ...]
    verdicts: tuple[ComparisonRow, ...]
    agreement: tuple[str, ...]
    """Whether the metrics agree, in sentences."""
    weights: tuple[WeightCloud, ...]
    """Of dictionaries with an encoder."""
    coverage: tuple[ExplainerCoverage, ...]
    geometry: DictionaryGeometry
    """Directions, description lengths, and what dictionaries share."""


def load_overview_panels(store: Queryable, name: str, kinds: Sequence[ScoreKind]) -> OverviewPanels:
    """Reads the panels of a store of that name; `kinds`: those of the page's means."""
    comparisons = load_comparisons(store, name, lambda kind: kind.weighed or kind.primary)
    compared = {row.about for row in comparisons}
    usual = sorted(sorted(set(kinds), key=ScoreKind.order), key=lambda kind: kind not in compared)
    chosen = next(iter(usual), None)
    weighed = [row for row in comparisons if row.about.weighed and not is_control(row.explainer)]
    return OverviewPanels(
        kind=chosen.title() if chosen else "",
        distributions=_distributions(store, chosen) if chosen else (),
        verdicts=tuple(row for row in comparisons if row.about == chosen),
        agreement=tuple(agreement(weighed)),
        weights=_weights(store),
        geometry=load_dictionary_geometry([(name, store)]),
        coverage=tuple(ExplainerCoverage(**row) for row in store.rows(_COVERAGE)),
    )


def _distributions(store: Queryable, kind: ScoreKind) -> tuple[ScoreDistribution, ...]:
    bins: dict[str, list[tuple[float, int]]] = {}
    for row in ask(store, "distribution", **about(kind), width=WIDTH_OF_BIN).rows:
        bins.setdefault(row["dictionary"], []).append((row["bin"], row["n"]))
    return tuple(ScoreDistribution(name, tuple(of)) for name, of in bins.items())


def _weights(store: Queryable) -> tuple[WeightCloud, ...]:
    points: dict[str, list[WeightPoint]] = {}
    for row in store.rows(_WEIGHTS, most=MOST_POINTS):
        points.setdefault(row.pop("dictionary"), []).append(WeightPoint(**row))
    return tuple(WeightCloud(name, tuple(of)) for name, of in points.items())


_WEIGHTS = """
SELECT dictionary, feature, density, encoder_bias, cos_encoder_decoder FROM features
WHERE density > 0 AND (encoder_bias IS NOT NULL OR cos_encoder_decoder IS NOT NULL)
      AND dictionary IN (SELECT dictionary FROM dictionaries WHERE kind IN ('sae', 'transcoder'))
QUALIFY row_number() OVER (PARTITION BY dictionary ORDER BY hash(feature)) <= $most
ORDER BY dictionary, feature
"""

_COVERAGE = """
SELECT e.dictionary, e.explainer, d.n_selected AS n_features,
       count(DISTINCT feature) FILTER (text IS NOT NULL) AS n_labels,
       count(DISTINCT feature) - n_labels AS n_without
FROM explanations e JOIN dictionaries d USING (dictionary)
WHERE is_label(explainer) GROUP BY ALL ORDER BY e.dictionary, e.explainer
"""
