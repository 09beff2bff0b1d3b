"""What a feature does to the output, measured: read from the store, and its lines on a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable

# as view feature_effects, of one feature: the view looks for current work among all rows
_MEASURED = """
SELECT run, split, direction, count(*) AS n, avg(kl) AS kl, sum(kl) / nullif(sum(entropy), 0) AS kl_of_entropy,
       avg(kl_after) AS kl_after, avg(loss_change) AS loss_change,
       stddev_samp(loss_change) / sqrt(count(loss_change)) AS loss_change_se, avg(loss_estimate) AS loss_estimate,
       avg(direct_share) AS direct_share
FROM causal_effects WHERE dictionary = $dictionary AND feature = $feature GROUP BY run, split, direction
ORDER BY split = 'explain', direction <> 'feature', direction
"""


@dataclass(frozen=True)
class MeasuredEffect:
    """Means over the firing tokens at which something was taken away."""

    split: str
    direction: str
    """feature, or isotropic or covariance: random directions of the same norm at the same tokens."""
    n: int
    """Firing tokens."""
    kl: float
    """Nats, at the token."""
    kl_of_entropy: float | None
    """KL over the entropy of the model as it is."""
    kl_after: float | None
    """Nats, a token, at those behind it."""
    loss_change: float | None
    """Nats, of the next token."""
    loss_change_se: float | None
    loss_estimate: float | None
    """Nats: what gradient times activation says of loss_change."""
    direct_share: float | None
    """Correlation with the direct logit effects."""


def load_measured_effects(store: Queryable, dictionary: str, feature: int) -> tuple[MeasuredEffect, ...]:
    """The split score first, in it the feature first; empty where nothing was measured."""
    rows = store.rows(_MEASURED, dictionary=dictionary, feature=feature)
    works = current_works(store, "ablate") if rows else None
    runs = [row.pop("run") for row in rows]
    return tuple(MeasuredEffect(**row) for run, row in zip(runs, rows, strict=True) if works is None or run in works)


def measured_lines(effects: Sequence[MeasuredEffect]) -> Text | None:
    """What happens without the feature, for the first split that is there; None where nothing was measured."""
    first = next((effect for effect in effects if effect.direction == "feature"), None)
    if first is None:
        return None
    beside = {effect.direction: effect for effect in effects if effect.split == first.split}
    line = Text("without it", style="bold")
    line.append(f"  KL {first.kl:.2g} nats", style="not bold")
    if first.kl_of_entropy is not None:
        line.append(f", {100 * first.kl_of_entropy:.2g} % of the entropy", style="not bold")
    if first.loss_change is not None:
        line.append(f"; loss {first.loss_change:+.2g}", style="not bold")
        if first.loss_change_se is not None:
            line.append(f" ± {1.96 * first.loss_change_se:.1g}", style="not bold")
        if first.loss_estimate is not None:
            line.append(f" (estimated {first.loss_estimate:+.2g})", style="not bold")
    if first.direct_share is not None:
        line.append(f"; direct share {first.direct_share:.2f}", style="not bold")
    random = [f"{name} {beside[name].kl:.2g}" for name in ("isotropic", "covariance") if name in beside]
    tokens = "token" if first.n == 1 else "tokens"
    line.append(
        f"\n            at {first.n} firing {tokens} of the {first.split} split; "
        f"KL of other directions of its norm: {', '.join(random)}",
        style="dim not bold",
    )
    return line
