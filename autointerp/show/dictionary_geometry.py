"""What dictionaries are like as sets of directions, and how much of one is in another: tables of `compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from autointerp.show.layout import Column, sheet
from autointerp.show.text import safe
from autointerp.store.query import Queryable

_GEOMETRY = """
SELECT dictionary, direction, n_features, cosine, explained_2, explained_4, explained_4_se, above_covariance, composite,
       neuron_cosine, neuron_correlation
FROM dictionary_geometry
ORDER BY dictionary, list_position(['feature', 'isotropic', 'covariance'], direction)
"""
_LENGTHS = """
SELECT dictionary, hook, bits, coordinate_bits, n_active, variance_explained, n_tokens
FROM current_description_lengths ORDER BY hook, dictionary
"""
_UNIVERSALITY = """
SELECT a, b, n_features, n_compared, share_050, share_050_half_width, share_070, correlation, cosine, cka, cka_permuted,
       rsa, rsa_permuted
FROM universality ORDER BY a, b
"""


@dataclass(frozen=True)
class GeometryRow:
    """Directions of a dictionary, or random ones held against its rows: a row of `dictionary_geometry`."""

    store: str
    dictionary: str
    direction: str
    n_features: int
    cosine: float
    """Mean cosine with the nearest other row."""
    explained_2: float
    explained_4: float
    explained_4_se: float | None
    above_covariance: float
    composite: float
    """Share of which two others span .9 or more."""
    neuron_cosine: float | None
    neuron_correlation: float | None


@dataclass(frozen=True)
class LengthRow:
    """A row of `current_description_lengths`."""

    store: str
    dictionary: str
    hook: str
    bits: float
    coordinate_bits: float
    n_active: float
    variance_explained: float | None
    n_tokens: int


@dataclass(frozen=True)
class UniversalityRow:
    """A row of `universality`."""

    store: str
    a: str
    b: str
    n_features: int
    n_compared: int
    share_050: float | None
    share_050_half_width: float | None
    share_070: float | None
    correlation: float | None
    cosine: float | None
    cka: float | None
    cka_permuted: float | None
    rsa: float | None
    rsa_permuted: float | None


@dataclass(frozen=True)
class DictionaryGeometry:
    """All of it, of one store or several."""

    directions: Sequence[GeometryRow] = ()
    lengths: Sequence[LengthRow] = ()
    universality: Sequence[UniversalityRow] = ()


def load_dictionary_geometry(stores: Sequence[tuple[str, Queryable]]) -> DictionaryGeometry:
    """Empty where the stage was not run."""
    return DictionaryGeometry(
        [GeometryRow(store=name, **row) for name, store in stores for row in store.rows(_GEOMETRY)],
        [LengthRow(store=name, **row) for name, store in stores for row in store.rows(_LENGTHS)],
        [UniversalityRow(store=name, **row) for name, store in stores for row in store.rows(_UNIVERSALITY)],
    )


def render_dictionary_geometry(of: DictionaryGeometry, *, several: bool = False) -> list[RenderableType]:
    """The tables, each with what its columns mean; nothing where there is nothing."""
    parts: list[RenderableType] = []
    if of.directions:
        parts += [_directions(of.directions, several), safe(DIRECTIONS_MEAN, "dim"), Text()]
    if of.lengths:
        parts += [_lengths(of.lengths, several), safe(LENGTHS_MEAN, "dim"), Text()]
    if of.universality:
        parts += [_universality(of.universality, several), safe(UNIVERSALITY_MEANS, "dim"), Text()]
    return parts


DIRECTIONS_MEAN = (
    "Means over features. nearest: largest cosine with another feature's row. 2, 4 rows: share of the squared norm "
    "that so many other rows span (orthogonal matching pursuit); composite: of which two span 90 % or more. Random "
    "directions are held against the same rows."
)
LENGTHS_MEAN = (
    "bits: to tell the activations of a token, rounded to 1/64 of the median norm, features coded apart; coordinates: "
    "the same of the activations themselves. A short length is worth what it explains: baselines reconstruct nothing."
)
UNIVERSALITY_MEANS = (
    "matched: of the features of A that fire on 20 tokens or more, the share that correlates with some feature of B by "
    ".5; rows of random directions say what an unlearned unit gets. CKA, RSA: how alike what both make of the same "
    "tokens is; in brackets with the tokens of one in another order."
)


def _directions(rows: Sequence[GeometryRow], several: bool) -> RenderableType:
    columns = [
        *_stores(rows, several),
        Column("dictionary", [row.dictionary if row.direction == "feature" else "" for row in rows], key=True),
        Column("direction", [row.direction for row in rows], key=True),
        Column("features", [f"{row.n_features:,}" for row in rows], right=True),
        Column("nearest", [_number(row.cosine) for row in rows], right=True),
        Column("2 rows", [_percent(row.explained_2) for row in rows], right=True),
        Column("4 rows", [_percent(row.explained_4, row.explained_4_se) for row in rows], right=True),
        Column("above covariance", [_above(row) for row in rows], right=True, spare=True),
        Column("composite", [_percent(row.composite) for row in rows], right=True),
    ]
    if any(row.neuron_cosine is not None for row in rows):
        columns.append(Column("neuron, cosine", [_number(row.neuron_cosine) for row in rows], right=True))
    if any(row.neuron_correlation is not None for row in rows):
        columns.append(Column("neuron, r", [_number(row.neuron_correlation) for row in rows], right=True))
    return sheet("Directions among each other", columns)


def _above(row: GeometryRow) -> str:
    return "" if row.direction == "covariance" else _percent(row.above_covariance)


def _lengths(rows: Sequence[LengthRow], several: bool) -> RenderableType:
    columns = [
        *_stores(rows, several),
        Column("dictionary", [row.dictionary for row in rows], key=True),
        Column("bits a token", [f"{row.bits:,.1f}" for row in rows], right=True),
        Column("coordinates", [f"{row.coordinate_bits:,.1f}" for row in rows], right=True),
        Column("active", [f"{row.n_active:.1f}" for row in rows], right=True),
        Column("variance explained", [_number(row.variance_explained) for row in rows], right=True),
        Column("hook", [row.hook for row in rows]),
    ]
    return sheet("Description length", columns)


def _universality(rows: Sequence[UniversalityRow], several: bool) -> RenderableType:
    columns = [
        *_stores(rows, several),
        Column("A", [row.a for row in rows], key=True),
        Column("B", [row.b for row in rows], key=True),
        Column("matched", [_percent_half(row.share_050, row.share_050_half_width) for row in rows], right=True),
        Column("at .7", [_percent(row.share_070) for row in rows], right=True, spare=True),
        Column("compared", [f"{row.n_compared:,}/{row.n_features:,}" for row in rows], right=True),
        Column("best r", [_number(row.correlation) for row in rows], right=True),
        Column("best cosine", [_number(row.cosine) for row in rows], right=True, spare=True),
        Column("CKA", [_beside(row.cka, row.cka_permuted) for row in rows], right=True),
        Column("RSA", [_beside(row.rsa, row.rsa_permuted) for row in rows], right=True),
    ]
    return sheet("How much of A is in B", columns)


def _stores(rows: Sequence[GeometryRow | LengthRow | UniversalityRow], several: bool) -> list[Column]:
    return [Column("store", [row.store for row in rows], key=True)] if several else []


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(value: float | None, se: float | None = None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.0f} %" if se is None else f"{100 * value:.0f} ± {196 * se:.0f} %"


def _percent_half(value: float | None, half: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} ± {100 * (half or 0):.0f} %"


def _beside(value: float | None, chance: float | None) -> str:
    return "" if value is None else f"{value:.2f} ({_number(chance)})"
