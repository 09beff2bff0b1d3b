"""Stage compare_effects: dictionaries beside each other by what their features do to the output, from stored rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autointerp.compare.effect_differences import EffectSide, EffectValues, effect_differences, effect_means
from autointerp.pipeline.plan.work import Work
from autointerp.pipeline.stages.context import StageContext, columns_of
from autointerp.store.query import Queryable

_VALUES = """
SELECT v.dictionary, v.direction, v.measure, v.feature, v.value, v.reached, coalesce(f.unit, v.feature) AS unit,
       f.matched_feature
FROM effect_values v JOIN features f USING (dictionary, feature)
WHERE list_contains($dictionaries, v.dictionary)
ORDER BY v.dictionary, v.direction, v.measure, v.feature
"""
_DICTIONARIES = "SELECT dictionary, kind, hook, matched_to, natural_of FROM dictionaries ORDER BY dictionary"


def run(context: StageContext, works: Sequence[Work]) -> None:
    """All dictionaries of a run at once."""
    with context.report.stage("comparing effects", len(works), "comparisons") as advance:
        for work in works:
            begun = time.monotonic()
            sides = sides_of(context.store, work.decided_by["compared"])
            with context.store.transaction() as transaction:
                n = 0
                for table, rows in (
                    ("effect_means", effect_means(sides)),
                    ("effect_differences", effect_differences(sides)),
                ):
                    n += transaction.append(table, {"run": work.key, **columns_of(rows)}) if rows else 0
                context.mark_done(transaction, work, n, time.monotonic() - begun)
            advance(1)
    context.publish()


def sides_of(store: Queryable, dictionaries: Sequence[str]) -> list[EffectSide]:
    """Those of `dictionaries` of which any effects were measured, with the values that count."""
    by: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = {}
    for row in store.rows(_VALUES, dictionaries=list(dictionaries)):
        by.setdefault(row["dictionary"], {}).setdefault((row["direction"], row["measure"]), []).append(row)
    facts = [row for row in store.rows(_DICTIONARIES) if row["dictionary"] in by]
    return [EffectSide(**row, values={key: _values(of) for key, of in by[row["dictionary"]].items()}) for row in facts]


def _values(rows: Sequence[Mapping[str, Any]]) -> EffectValues:
    def column(name: str, missing: object = None) -> list[Any]:
        return [missing if row[name] is None else row[name] for row in rows]

    return EffectValues(
        np.array(column("feature"), dtype=np.int64),
        np.array(column("value"), dtype=np.float64),
        np.array(column("reached"), dtype=np.bool_),
        np.array(column("unit"), dtype=np.int64),
        np.array(column("matched_feature", -1), dtype=np.int64),
    )
