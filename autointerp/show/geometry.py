"""Where a feature's direction lies among the others: read from the store, and its line on a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from autointerp.store.evidence import current_works
from autointerp.store.query import Queryable

_PLACED = """
SELECT run, direction, status, nearest, cosine, atoms, explained, neuron, neuron_cosine FROM feature_geometry
WHERE dictionary = $dictionary AND feature = $feature
ORDER BY list_position(['feature', 'isotropic', 'covariance'], direction)
"""
COMBINED = 4
"""Rows whose combination a card tells of."""


@dataclass(frozen=True)
class PlacedDirection:
    """A feature's direction, or a random one held against the same rows."""

    direction: str
    """feature, isotropic or covariance."""
    status: str
    nearest: int | None
    cosine: float | None
    """With the nearest."""
    atoms: tuple[int, ...]
    """The features that pursuit combines, in order."""
    explained: tuple[float, ...]
    """Share of the squared norm that so many of them span."""
    neuron: int | None
    neuron_cosine: float | None


def load_geometry(store: Queryable, dictionary: str, feature: int) -> tuple[PlacedDirection, ...]:
    """The feature first; empty where it was not chosen."""
    rows = store.rows(_PLACED, dictionary=dictionary, feature=feature)
    works = current_works(store, "geometry") if rows else None
    mine = [row for row in rows if works is None or row["run"] in works]
    return tuple(
        PlacedDirection(
            **{key: row[key] for key in ("direction", "status", "nearest", "cosine", "neuron", "neuron_cosine")},
            atoms=tuple(row["atoms"] or ()),
            explained=tuple(row["explained"] or ()),
        )
        for row in mine
    )


def geometry_line(placed: Sequence[PlacedDirection]) -> Text | None:
    """The nearest, what few others make up of it, and the neuron, beside random directions; None where not measured."""
    if not placed:
        return None
    own, beside = placed[0], [one for one in placed[1:] if one.status == "ok"]
    line = Text("direction", style="bold")
    if own.status != "ok":
        return line.append(f"   not placed: {own.status}", style="dim not bold")
    line.append(f"   nearest {own.nearest}, cosine {own.cosine:.2f}", style="not bold")
    line.append(_random([(one.direction, f"{one.cosine:.2f}") for one in beside]), style="dim not bold")
    used = own.atoms[:COMBINED]
    if used:
        share = own.explained[COMBINED - 1]
        names = ", ".join(str(atom) for atom in used)
        line.append(f"; {names} make up {100 * share:.0f} %", style="bold" if share >= 0.9 else "not bold")
        line.append(
            _random([(one.direction, f"{100 * one.explained[COMBINED - 1]:.0f} %") for one in beside]),
            style="dim not bold",
        )
    if own.neuron is not None:
        line.append(f"; neuron {own.neuron}'s output, cosine {own.neuron_cosine:.2f}", style="not bold")
        line.append(
            _random([(one.direction, f"{abs(one.neuron_cosine or 0):.2f}") for one in beside]), style="dim not bold"
        )
    return line


def _random(values: Sequence[tuple[str, str]]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in values)})" if values else ""
