"""What a scored sample says of whole dictionaries, as a page, as JSON, and as a file of all features."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Group, RenderableType
from rich.text import Text

from autointerp.pipeline.whole import Whole
from autointerp.show.layout import Column, sheet
from autointerp.show.rows import write_rows
from autointerp.show.text import safe

FORMAT = 1
"""Of the JSON."""


def whole_page(sets: Sequence[Whole]) -> RenderableType:
    """All of them, one under the other."""
    parts: list[RenderableType] = []
    for held in sets:
        parts += [*_of(held), Text()]
    return Group(*parts[:-1])


def _of(held: Whole) -> list[RenderableType]:
    how = "drawn by strata" if held.by_strata else "weighed by strata after the draw"
    mean = _interval(held.mean.value, held.mean.low, held.mean.high)
    share = _interval(held.share.value, held.share.low, held.share.high)
    lines = [
        f"{held.n_drawn:,} of {held.n_features:,} features {how}; {held.n_unscorable:,} fire too seldom to be scored, "
        f"{held.n_failed:,} failed: both count at the floor, {held.floor:.3f}.",
        f"Mean over the whole dictionary {mean}; plain mean of those with a score {held.plain_mean:.3f}.",
        f"A label holds from {held.limit:.2f} on: {share} of all.",
        _verdict(held),
    ]
    parts: list[RenderableType] = [
        safe(f"{held.dictionary}, {held.explainer}, {held.scorer}, {held.metric}", "bold"),
        *(safe(line) for line in lines),
    ]
    table = held.fit.calibration.table
    if table:
        columns = [
            Column("features", [f"{row.n:,}" for row in table], right=True),
            Column("P said", [f"{row.predicted:.2f}" for row in table], right=True),
            Column("holds", [f"{row.holds:.2f}" for row in table], right=True),
            Column("95 % interval", [f"[{row.low:.2f}, {row.high:.2f}]" for row in table], right=True),
        ]
        parts.append(sheet("P(label holds) of features that the fit had not seen", columns))
    return parts


def _interval(value: float, low: float, high: float) -> str:
    return "unknown (fewer than two features)" if math.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _verdict(held: Whole) -> str:
    made = held.fit.calibration
    if made.helps == "too few":
        return "P(label holds) of single features: too few scored ones of either kind for a fit: the base rate stands."
    what = {
        "helps": "tells more than the base rate",
        "harms": "tells less than the base rate: use that",
        "cannot be told": "cannot be told from the base rate",
    }[made.helps]
    difference = made.difference
    return (
        f"P(label holds) of single features {what}: Brier {made.brier:.3f}, of the base rate {made.brier_base:.3f}; "
        f"difference {difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]."
    )


def whole_json(sets: Sequence[Whole]) -> str:
    """All of it but the single features."""
    return json.dumps({"format": FORMAT, "sets": [_record(held) for held in sets]}, indent=1, allow_nan=False)


def _record(held: Whole) -> dict[str, Any]:
    made = held.fit.calibration
    return {
        "dictionary": held.dictionary, "explainer": held.explainer, "scorer": held.scorer, "metric": held.metric,
        "drawn_by_strata": held.by_strata, "n_features": held.n_features, "n_drawn": held.n_drawn,
        "n_failed": held.n_failed, "n_unscorable": held.n_unscorable, "floor": held.floor, "limit": held.limit,
        "mean": _numbers(held.mean), "plain_mean": _number(held.plain_mean), "holds": _numbers(held.share),
        "base_rate": _number(held.fit.base), "brier": _number(made.brier), "brier_base_rate": _number(made.brier_base),
        "brier_difference": _numbers(made.difference), "prediction": made.helps,
        "reliability": [
            {"n": row.n, "predicted": row.predicted, "holds": row.holds, "low": row.low, "high": row.high}
            for row in made.table
        ],
    }  # fmt: skip


def _numbers(interval: Any) -> dict[str, float | None]:
    return {name: _number(getattr(interval, name)) for name in ("value", "low", "high", "se")}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def write_features(sets: Sequence[Whole], output: Path) -> int:
    """A row for each feature: stratum, weight and score of the drawn ones, P(label holds) of all. Returns how many.

    By the file's name: .csv, .json or .parquet.
    """
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for held in sets:
        n = held.n_features
        for name in ("dictionary", "explainer", "scorer", "metric"):
            columns[name] += [getattr(held, name)] * n
        columns["feature"] += held.features.tolist()
        columns["stratum"] += [None if stratum < 0 else stratum for stratum in held.stratum.tolist()]
        columns["weight"] += [_number(weight) for weight in held.weight.tolist()]
        columns["score"] += [_number(score) for score in held.score.tolist()]
        low, high = held.interval
        for name, numbers in (("p_holds", held.p), ("p_low", low), ("p_high", high)):
            columns[name] += [_number(p) for p in numbers.tolist()]
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in _COLUMNS.items()})
    write_rows(table, output.suffix.removeprefix("."), output)
    return len(table)


_COLUMNS = {
    "dictionary": pa.string(), "feature": pa.int64(), "explainer": pa.string(), "scorer": pa.string(),
    "metric": pa.string(), "stratum": pa.int64(), "weight": pa.float64(), "score": pa.float64(),
    "p_holds": pa.float64(), "p_low": pa.float64(), "p_high": pa.float64(),
}  # fmt: skip
