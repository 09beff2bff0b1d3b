"""Dictionaries beside each other by what their features do to the output: the tables of `compare`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from autointerp.compare.effect_differences import RATIOS, STEPS
from autointerp.show.effect_values import EffectComparison, EffectDifference, EffectMean
from autointerp.show.estimate_agreement import SAYS, render_agreement, shown_agreement
from autointerp.show.layout import Column, sheet
from autointerp.show.text import safe

TITLES = {
    "step_025": "step to KL 0.25", "step_050": "step to KL 0.5", "step_100": "step to KL 1",
    "kl_of_entropy": "KL of entropy", "direct_share": "direct share",
}  # fmt: skip
SHOWN = ("step_050", "kl_of_entropy", "direct_share")
"""Measures whose differences the page shows; the data has all."""
MEANING = (
    "Step to KL: the step along the direction that moves the output so far, in median norms of the activations "
    "(geometric mean over features), at tokens where the feature fires; unreached: features whose output never moves "
    "so far at 4 norms, which count as 4. KL of entropy: KL without the feature's contribution, or a random one of its "
    "norm, over the entropy of the model as it is (geometric mean too). Higher: whose values are higher, by the "
    "interval for all pairs of the measure; of steps, the one that moves the output less. Intervals are over features."
)


def render_effects(of: EffectComparison, *, several: bool = False) -> list[RenderableType]:
    """The tables; nothing where no effects were measured."""
    if not of.means:
        return []
    parts: list[RenderableType] = [_means(of.means, several)]
    for measure in SHOWN:
        if rows := [row for row in of.differences if row.measure == measure]:
            parts += [Text(), _differences(rows, several)]
    parts += [safe(MEANING, "dim"), Text()]
    if estimates := shown_agreement(of.estimates):
        parts += [render_agreement(estimates, several), safe(SAYS, "dim"), Text()]
    return parts


def mean_cells(rows: Sequence[EffectMean]) -> dict[str, str]:
    """Of one dictionary and direction: by measure its mean with the interval, as text."""
    return {row.measure: _with_interval(row.measure, row.mean, row.low, row.high) for row in rows}


def unreached(rows: Sequence[EffectMean]) -> str:
    """Features that never reach KL 0.25, 0.5 and 1, of how many."""
    by = {row.measure: row for row in rows}
    steps = [by[name] for name in STEPS if name in by]
    return "" if not steps else f"{', '.join(f'{row.n_unreached:,}' for row in steps)} of {steps[0].n_features:,}"


def difference_text(row: EffectDifference) -> str:
    """With its interval; of steps and KL a ratio."""
    return "" if row.difference is None else _with_interval(row.measure, row.difference, row.low, row.high, of_two=True)


def higher(row: EffectDifference) -> str:
    """Whose values are higher, or that it cannot be told."""
    return {"A": row.a, "B": other(row)}.get(row.verdict, row.verdict)


def other(row: EffectDifference) -> str:
    """What stands beside A."""
    return row.b if row.direction_b == "feature" else f"{row.direction_b} directions"


def by_direction(means: Sequence[EffectMean]) -> dict[tuple[str, str, str], list[EffectMean]]:
    """By store, dictionary and direction, features first."""
    groups: dict[tuple[str, str, str], list[EffectMean]] = {}
    order = ("feature", "isotropic", "covariance")
    for row in sorted(means, key=lambda row: (row.store, row.dictionary, order.index(row.direction))):
        groups.setdefault((row.store, row.dictionary, row.direction), []).append(row)
    return groups


def _means(means: Sequence[EffectMean], several: bool) -> RenderableType:
    groups = by_direction(means)
    cells = [mean_cells(rows) for rows in groups.values()]
    columns = [Column("store", [store for store, _, _ in groups], key=True)] if several else []
    columns += [
        Column("dictionary", [name if direction == "feature" else "" for _, name, direction in groups], key=True),
        Column("direction", [direction for _, _, direction in groups], key=True),
        *(Column(TITLES[name], [of.get(name, "") for of in cells], right=True) for name in TITLES),
        Column("unreached", [unreached(rows) for rows in groups.values()], right=True),
    ]
    return sheet("What features do to the output", columns)


def _differences(rows: Sequence[EffectDifference], several: bool) -> RenderableType:
    columns = [Column("store", [row.store for row in rows], key=True)] if several else []
    ratio = rows[0].measure in RATIOS
    columns += [
        Column("A", [row.a for row in rows], key=True),
        Column("B", [other(row) for row in rows], key=True),
        Column("A / B" if ratio else "A - B", [difference_text(row) for row in rows], right=True),
        Column("p Holm", [_p(row.p_holm) for row in rows], right=True),
        Column("higher", [higher(row) for row in rows]),
        Column("features", [_features(row) for row in rows], right=True),
    ]
    if rows[0].measure in STEPS:
        columns.append(
            Column("unreached", [f"{row.n_unreached_a:,}, {row.n_unreached_b:,}" for row in rows], right=True)
        )
    return sheet(f"{TITLES[rows[0].measure]}: differences", columns)


def _features(row: EffectDifference) -> str:
    return f"{row.n_a:,} pairs" if row.paired else f"{row.n_a:,} and {row.n_b:,}"


def _with_interval(measure: str, value: float, low: float | None, high: float | None, *, of_two: bool = False) -> str:
    def number(x: float) -> str:
        if measure not in RATIOS:
            return f"{x:+.3f}" if of_two else f"{x:.3f}"
        if measure in STEPS or of_two:
            return f"{2.0**x:.2f}"
        percent = 100 * 2.0**x
        return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"

    ends = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return number(value) + ends


def _p(value: float | None) -> str:
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
