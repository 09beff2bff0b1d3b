"""The baseline kinds. A new one is a module with a row of its own, a line here, and its facts in
`config/baseline_kinds.py`."""

from __future__ import annotations

from autointerp.config.own_code import OwnCode
from autointerp.subject.baselines import components, coordinates, fresh_sae, random_directions
from autointerp.subject.baselines.kind import KindRow
from autointerp.subject.baselines.own import own_kind

ROWS: tuple[KindRow, ...] = (
    coordinates.NEURONS,
    coordinates.RESIDUAL_BASIS,
    components.PCA,
    components.ICA,
    random_directions.RANDOM_ISOTROPIC,
    random_directions.RANDOM_COVARIANCE,
    random_directions.ACTIVATION_DIFFERENCE,
    fresh_sae.RANDOM_INIT_SAE,
)
BY_NAME: dict[str, KindRow] = {row.name: row for row in ROWS}


def kind_of(kind: str | OwnCode) -> KindRow:
    """The kind that a run file names, built in or the user's own. Raises UserError where the user's cannot be made."""
    return own_kind(kind) if isinstance(kind, OwnCode) else BY_NAME[kind]
