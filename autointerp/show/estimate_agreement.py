"""How far a fast estimate (gradient times activation) tells measured changes of the loss and of logits: read from the
store, and as a table of `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from autointerp.show.layout import Column, sheet
from autointerp.store.query import Queryable

TITLE = "Gradient times activation beside the measured change"
OF = {"loss": "loss of the next token", "logits": "logits of the likeliest tokens"}
SAYS = (
    "Correlation over firing tokens of the split score, of logits over the two likeliest tokens at each (the mean "
    "change of all logits taken off); slope: of measured on estimated, 1 where the estimate is right in size, above 1 "
    "where it falls short. Intervals leave out a feature at a time."
)
_AGREEMENT = """
SELECT dictionary, hook, split, direction, change_of, n_features, n, correlation, correlation_low, correlation_high,
       slope, slope_low, slope_high
FROM estimate_agreement
ORDER BY dictionary, split = 'explain', change_of DESC, list_position(['feature', 'isotropic', 'covariance'], direction)
"""


@dataclass(frozen=True)
class EstimateAgreement:
    """A row of `estimate_agreement`."""

    store: str
    dictionary: str
    hook: str
    split: str
    direction: str
    """feature, or isotropic or covariance: random directions of the same norm at the same tokens."""
    change_of: str
    """loss, of the next token; logits, of the tokens that are likeliest next."""
    n_features: int
    n: int
    """Firing tokens; of logits times the tokens at each."""
    correlation: float | None
    correlation_low: float | None
    """None with fewer than three features."""
    correlation_high: float | None
    slope: float | None
    slope_low: float | None
    slope_high: float | None


def load_estimate_agreement(store: Queryable, name: str) -> list[EstimateAgreement]:
    """The split score first, in it features first; `name`: of the store."""
    return [EstimateAgreement(store=name, **row) for row in store.rows(_AGREEMENT)]


def shown_agreement(rows: Sequence[EstimateAgreement]) -> list[EstimateAgreement]:
    """Those that pages have: of features, at tokens of the split score."""
    return [row for row in rows if row.split == "score" and row.direction == "feature"]


def agreement_cells(row: EstimateAgreement) -> tuple[str, str]:
    """Correlation and slope with their intervals, as text."""
    return (
        _with_interval(row.correlation, row.correlation_low, row.correlation_high),
        _with_interval(row.slope, row.slope_low, row.slope_high),
    )


def render_agreement(rows: Sequence[EstimateAgreement], several: bool) -> RenderableType:
    """A row a dictionary."""
    cells = [agreement_cells(row) for row in rows]
    columns = [Column("store", [row.store for row in rows], key=True)] if several else []
    columns += [
        Column("dictionary", [row.dictionary for row in rows], key=True),
        Column("hook", [row.hook for row in rows]),
        Column("of", [OF[row.change_of] for row in rows]),
        Column("correlation", [correlation for correlation, _ in cells], right=True),
        Column("slope", [slope for _, slope in cells], right=True),
        Column("features", [f"{row.n_features:,}" for row in rows], right=True),
        Column("values", [f"{row.n:,}" for row in rows], right=True),
    ]
    return sheet(TITLE, columns)


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")
