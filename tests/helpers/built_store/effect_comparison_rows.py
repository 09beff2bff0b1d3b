"""Effects of the built store's dictionaries beside each other, from its own rows."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.compare.effect_differences import EffectSide, effect_differences, effect_means
from autointerp.store.writer import Transaction


def write_effect_comparisons(t: Transaction, sides: Sequence[EffectSide]) -> int:
    """Appends `effect_means` and `effect_differences` and returns the number of rows."""
    n = 0
    for table, rows in (("effect_means", effect_means(sides)), ("effect_differences", effect_differences(sides))):
        n += t.append(table, {"run": "compare-effects-1"} | {name: [row[name] for row in rows] for name in rows[0]})
    return n
