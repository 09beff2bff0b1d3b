"""The report's part on directions: where they lie among each other, what they cost to tell, what dictionaries share."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.show.dictionary_geometry import DIRECTIONS_MEAN, LENGTHS_MEAN, UNIVERSALITY_MEANS
from autointerp.show.report.html import Child, Markup, joined, table, tag
from autointerp.show.report.questions import ask
from autointerp.show.report.sections import asked
from autointerp.store.query import Queryable


def geometry(store: Queryable) -> Markup | None:
    """None where the stages were not run."""
    directions, lengths, shared = (ask(store, name) for name in ("directions", "lengths", "universality"))
    parts: list[Child] = []
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    if directions.rows:
        heads = ("dictionary", "direction", "features", "nearest", "2 rows", "4 rows", "above covariance", "composite",
                 "neuron, cosine", "neuron, r")  # fmt: skip
        rows = [
            (row["dictionary"], row["direction"], f"{row['n_features']:,}", _number(row["cosine"]),
             _percent(row["explained_2"]), _percent(row["explained_4"]),
             "" if row["direction"] == "covariance" else _percent(row["above_covariance"]), _percent(row["composite"]),
             _number(row["neuron_cosine"]), _number(row["neuron_correlation"]))
            for row in directions.rows
        ]  # fmt: skip
        parts += [tag("p", DIRECTIONS_MEAN, class_="dim"), table(heads, rows, range(2, 10)), asked(directions)]
    if lengths.rows:
        heads = ("dictionary", "bits a token", "coordinates", "active", "variance explained", "hook")
        rows = [
            (row["dictionary"], f"{row['bits']:,.1f}", f"{row['coordinate_bits']:,.1f}", f"{row['n_active']:.1f}",
             _number(row["variance_explained"]), row["hook"])
            for row in lengths.rows
        ]  # fmt: skip
        parts += [tag("p", LENGTHS_MEAN, class_="dim"), table(heads, rows, range(1, 5)), asked(lengths)]
    if shared.rows:
        heads = ("A", "B", "matched", "compared", "best r", "best cosine", "CKA", "RSA")
        rows = [
            (row["a"], row["b"], f"{_percent(row['share_050'])} ± {_percent(row['share_050_half_width'])}",
             f"{row['n_compared']:,}/{row['n_features']:,}", _number(row["correlation"]), _number(row["cosine"]),
             f"{_number(row['cka'])} ({_number(row['cka_permuted'])})",
             f"{_number(row['rsa'])} ({_number(row['rsa_permuted'])})")
            for row in shared.rows
        ]  # fmt: skip
        parts += [tag("p", UNIVERSALITY_MEANS, class_="dim"), table(heads, rows, range(2, 8)), asked(shared)]
    return joined([tag("h2", "Directions, and what dictionaries share"), *parts]) if parts else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"
