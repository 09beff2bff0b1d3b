"""How many features a wanted difference needs, from the variance that a store's own comparison has.

1. With k times as many features the variance of a difference is (V - V_documents) / k + V_documents. V_documents is
   what all features share in a document (V_blocks - V_cells of `clustered`): more text takes it away, more features do
   not.
2. A difference is found with `power` where it is (t(1 - level / 2) + t(power)) standard errors large, t with the
   degrees of freedom of then: those of the document blocks, or k times as many where features alone count.
3. k is found by halving.

The same rule as `statistics.detectable_difference`, turned round. By simulation (`tests/slow/test_power.py`): with so
many features the difference is found in .73 to .80 of the draws at power .8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autointerp.compare.statistics import LEVEL, detectable_difference

MOST = 1e6
"""Times as many features beyond which none are enough."""


@dataclass(frozen=True)
class Needed:
    """What a wanted difference needs."""

    factor: float | None
    """Times as many features; below 1: fewer would do. None: no number of features is enough on this text."""
    text: float | None
    """Then: at least so many times as much text, whatever the number of features."""


def needed_features(
    difference: float,
    se: float,
    se_documents: float,
    df: float,
    *,
    documents_count: bool,
    level: float = LEVEL,
    power: float = 0.8,
) -> Needed:
    """What finds a true `difference` with `power` at `level` (0.05 / m for one of m simultaneous intervals).

    `se`, `se_documents` and `df` are those of a comparison that was made; `documents_count`: its interval counts the
    spread of documents, and their blocks decide df. Raises ValueError for a difference that is not above 0.
    """
    if not difference > 0:
        raise ValueError(f"a difference of {difference} cannot be found")
    features, documents = max(se**2 - se_documents**2, 0.0), se_documents**2

    def reach(k: float) -> float:
        at = df if documents_count else df * k
        return detectable_difference(math.sqrt(features / k + documents), at, level, power)

    if reach(MOST) > difference:
        return Needed(None, (detectable_difference(se_documents, df, level, power) / difference) ** 2)
    low, high = 1e-6, MOST
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if reach(middle) <= difference else (middle, high)
    return Needed(high, None)
