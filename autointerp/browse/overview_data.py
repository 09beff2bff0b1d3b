"""What the first page shows: dictionaries, mean scores, failures and cost of a store."""

from __future__ import annotations

from dataclasses import dataclass

from autointerp.browse.overview_panels import OverviewPanels, load_overview_panels
from autointerp.show.compare_data import SummaryRow, load_summary
from autointerp.show.status_data import CallStatus, load_status
from autointerp.store.reader import StoreReader
from autointerp.words import is_control


@dataclass(frozen=True)
class DictionaryCounts:
    """A dictionary and its extracted features by status."""

    dictionary: str
    kind: str
    hook: str
    n_features: int
    n_alive: int
    n_rare: int
    n_dead: int
    density: float | None
    """Median over the features that fire."""


@dataclass(frozen=True)
class FailureCount:
    """How often something could not be done, of what was not asked again since."""

    stage: str
    dictionary: str | None
    explainer: str | None
    scorer: str | None
    status: str
    n: int
    reason: str
    """Of one of them."""


@dataclass(frozen=True)
class OverviewPage:
    """All of the first page."""

    name: str
    """Of the store's file, without its folder."""
    notice: str | None
    """Where this is the snapshot of a store that a run writes."""
    runs: tuple[str, ...]
    size_bytes: int
    dictionaries: tuple[DictionaryCounts, ...]
    scores: tuple[SummaryRow, ...]
    """The primary metrics of explainers that are no controls."""
    failures: tuple[FailureCount, ...]
    calls: tuple[CallStatus, ...]
    cost_usd: float
    """Of all calls whose cost is known."""
    panels: OverviewPanels


def load_overview(store: StoreReader) -> OverviewPage:
    """Reads the first page."""
    brief = store.brief()
    status = load_status(brief, store.path)
    scores = tuple(load_summary(brief, store.path.name, lambda kind: kind.primary and not is_control(kind.explainer)))
    return OverviewPage(
        name=store.path.name,
        notice=store.notice,
        runs=status.runs,
        size_bytes=status.size_bytes,
        dictionaries=tuple(
            DictionaryCounts(
                row.dictionary,
                row.kind,
                row.hook,
                row.n_features,
                row.n_features - row.n_rare - row.n_dead,
                row.n_rare,
                row.n_dead,
                row.density,
            )
            for row in status.dictionaries
        ),
        scores=scores,
        failures=tuple(FailureCount(**row) for row in brief.rows(_FAILURES)),
        calls=status.calls,
        cost_usd=sum(row.cost_usd for row in status.calls),
        panels=load_overview_panels(brief, store.path.name, [row.about for row in scores]),
    )


_FAILURES = """
SELECT stage, dictionary, explainer, scorer, status, count(*) AS n, min(reason) AS reason
FROM current_failures GROUP BY stage, dictionary, explainer, scorer, status
ORDER BY n DESC, stage, dictionary, explainer, scorer, status
"""
