"""What the page of a feature shows: its card, the floors beside its scores, and the features before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autointerp.browse.panels_data import FeaturePanels, load_panels
from autointerp.show.card_data import FeatureCard, load_card
from autointerp.store.evidence import current_works, dictionary_row
from autointerp.store.query import Queryable
from autointerp.store.reader import StoreReader

TOP = 12
"""Top exemplars shown."""
EACH = 3
"""Exemplars of every other stratum."""


@dataclass(frozen=True)
class ScoreFloor:
    """What a worthless label gets on average over the dictionary."""

    explainer: str
    scorer: str
    metric: str
    design: str
    floor: float


@dataclass(frozen=True)
class FeaturePage:
    """All of a feature's page."""

    notice: str | None
    card: FeatureCard
    floors: tuple[ScoreFloor, ...]
    previous: int | None
    """The extracted feature before this one; None: it is the first."""
    next: int | None
    extracted_neighbours: tuple[int, ...]
    """The features beside this one that have a page: where a run extracts some features only, not all do."""
    panels: FeaturePanels | None = None
    """None: they were not asked for."""


def load_feature(store: StoreReader, dictionary: str, feature: int) -> FeaturePage:
    """Reads a feature's page without its panels. Raises StoreError where there is no such dictionary or feature."""
    card = load_card(store, dictionary, feature, top=TOP, each=EACH, quantiles=True)
    brief = store.brief()
    near = [neighbour.feature for neighbour in card.neighbours]
    near += [atom for placed in card.geometry for atom in placed.atoms]
    [beside] = brief.rows(_BESIDE, dictionary=dictionary, feature=feature, near=near)
    extracted = tuple(beside["near"] or ())
    return FeaturePage(
        store.notice, card, load_floors(brief, dictionary), beside["previous"], beside["next"], extracted
    )


def load_neighbours(store: Queryable, dictionary: str, feature: int) -> tuple[int, ...]:
    """The extracted features after and before one."""
    [beside] = store.rows(_BESIDE, dictionary=dictionary, feature=feature, near=[])
    return tuple(number for number in (beside["next"], beside["previous"]) if number is not None)


def load_floors(store: Queryable, dictionary: str) -> tuple[ScoreFloor, ...]:
    """The floors of a dictionary's scores."""
    works, floors = current_works(store, "means"), []
    for row in store.rows(_FLOORS, dictionary=dictionary):
        run = row.pop("run")
        if works is None or run in works:
            floors.append(ScoreFloor(**row))
    return tuple(floors)


def load_whole_feature(store: StoreReader, dictionary: str, feature: int, explainer: str = "") -> FeaturePage:
    """Reads a feature's page with its panels; `explainer`: whose label they are about. Raises StoreError where there is
    no such dictionary or feature, UserError where that label was not tried."""
    page = load_feature(store, dictionary, feature)
    return replace(page, panels=load_panels(store.brief(), dictionary, feature, explainer))


def floors_by_score(floors: Sequence[ScoreFloor]) -> dict[tuple[str, str, str, str], float]:
    """By explainer, scorer, metric and design."""
    return {(row.explainer, row.scorer, row.metric, row.design): row.floor for row in floors}


def random_feature(store: StoreReader, dictionary: str) -> int | None:
    """One of the extracted features, those that fire preferred. Raises StoreError where there is no such dictionary."""
    dictionary_row(store, dictionary)
    rows = store.rows(_RANDOM, dictionary=dictionary)
    return int(rows[0]["feature"]) if rows else None


_BESIDE = """
SELECT max(feature) FILTER (feature < $feature) AS previous, min(feature) FILTER (feature > $feature) AS next,
       list(feature ORDER BY feature) FILTER (list_contains($near::INTEGER[], feature)) AS near
FROM features WHERE dictionary = $dictionary
"""

_FLOORS = """
SELECT run, explainer, scorer, metric, design, floor FROM dictionary_scores
WHERE dictionary = $dictionary AND floor IS NOT NULL ORDER BY explainer, scorer, metric, design
"""

_RANDOM = """
SELECT feature FROM features WHERE dictionary = $dictionary ORDER BY status = 'dead', random() LIMIT 1
"""
