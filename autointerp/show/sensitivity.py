"""How far the output moves with the size of a step: read from the store, and its line on a card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rich.text import Text

from autointerp.show.plot import levels
from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable

_CURVES = """
SELECT run, direction, sizes, kl, last_distance, size_025, size_050, size_100, steepest FROM sensitivity
WHERE dictionary = $dictionary AND feature = $feature ORDER BY context, position
"""
LEAST_DISTANCE = 1e-3
"""Share of its norm by which the stream behind the last block moves at least: less is drawn as that."""
ORDER = ("feature", "isotropic", "covariance", "difference", "neuron")


@dataclass(frozen=True)
class SensitivityCurve:
    """One direction, over the tokens at which steps were made along it."""

    direction: str
    """feature; isotropic, covariance or difference: random directions; neuron: the one whose output lies nearest."""
    n: int
    """Tokens."""
    sizes: tuple[float, ...]
    """Norms of the steps, rising."""
    kl: tuple[float, ...]
    """Means, nats."""
    last_distance: tuple[float, ...] | None
    """Means of the distance of the residual stream behind the last block, as a share of its norm; None where it cannot
    be read."""
    size_025: float | None
    """Median size at which KL is 0.25, where all tokens get there."""
    size_050: float | None
    size_100: float | None
    steepest: float
    """Median size at which KL grows fastest."""


def load_sensitivity(store: Queryable, dictionary: str, feature: int) -> tuple[SensitivityCurve, ...]:
    """The feature first; empty where nothing was measured."""
    rows = store.rows(_CURVES, dictionary=dictionary, feature=feature)
    works = current_works(store, "sensitivity") if rows else None
    curves = []
    for direction in ORDER:
        mine = [row for row in rows if row["direction"] == direction and (works is None or row["run"] in works)]
        if not mine:
            continue
        reached = {}
        for name in ("size_025", "size_050", "size_100"):
            sizes = [row[name] for row in mine]
            reached[name] = None if None in sizes else median(sizes)
        curves.append(
            SensitivityCurve(
                direction=direction,
                n=len(mine),
                sizes=tuple(mine[0]["sizes"]),
                kl=tuple(fmean(values) for values in zip(*(row["kl"] for row in mine), strict=True)),
                last_distance=_means([row["last_distance"] for row in mine]),
                steepest=median(row["steepest"] for row in mine),
                **reached,
            )
        )
    return tuple(curves)


def _means(lists: Sequence[Sequence[float] | None]) -> tuple[float, ...] | None:
    """Place by place; None where one of them is not there."""
    known = [values for values in lists if values is not None]
    return tuple(fmean(values) for values in zip(*known, strict=True)) if len(known) == len(lists) else None


def sensitivity_line(curves: Sequence[SensitivityCurve]) -> Text | None:
    """The sizes that reach half a nat; None where nothing was measured."""
    if not curves:
        return None
    line = Text("a step of", style="bold")
    said = [f"{_size(of.size_050)} {'along it' if of.direction == 'feature' else of.direction}" for of in curves]
    line.append(f"  {said[0]} moves the output by KL 0.5", style="not bold")
    tokens = "token" if curves[0].n == 1 else "tokens"
    beside = f"; {', '.join(said[1:])}" if said[1:] else ""
    line.append(f"{beside} (at {curves[0].n} firing {tokens})", style="dim not bold")
    if (distances := distance_line(curves)) is not None:
        line.append("\n            ").append_text(distances)
    return line


def distance_line(curves: Sequence[SensitivityCurve]) -> Text | None:
    """How far the stream behind the last block moves with the size of the step, along the feature and one random
    direction: bars on one logarithmic scale; None where it was not read."""
    known = {of.direction: of.last_distance for of in curves if of.last_distance is not None}
    shown = {name: known[name] for name in ("feature", "covariance", "isotropic") if name in known}
    if not shown:
        return None
    most = max(max(distances) for distances in shown.values())
    sizes = curves[0].sizes
    line = Text(f"the last block's output moves, by steps of {sizes[0]:.2g} to {sizes[-1]:.2g}:", style="dim not bold")
    for name, distances in list(shown.items())[:2]:
        line.append(f" {'along it' if name == 'feature' else name} ", style="dim not bold")
        line.append(levels([_height(distance, most) for distance in distances]), style="cyan not bold")
        line.append(f" {100 * distances[0]:.2g} to {100 * distances[-1]:.3g} %", style="dim not bold")
    return line.append(" of its norm", style="dim not bold")


def _height(distance: float, most: float) -> int:
    """1 to 8, by logarithm; a thousandth of the norm and less is 1."""
    if distance <= LEAST_DISTANCE or most <= LEAST_DISTANCE:
        return 1
    return 1 + round(7 * math.log(distance / LEAST_DISTANCE) / math.log(most / LEAST_DISTANCE))


def _size(size: float | None) -> str:
    return "no size" if size is None else f"{size:.3g}"
