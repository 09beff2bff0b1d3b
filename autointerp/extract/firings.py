"""Which of a feature's firings are looked at: a sample in which each of its firing tokens is as likely as any other.

The windows that were kept are no such sample: strong ones are among them always. So each token that fires in them
stands for as many as the inverse of the chance with which its window, or itself, was kept, and tokens are drawn without
replacement in proportion to that (Efraimidis & Spirakis 2006): those of smallest -log(u) / weight, where u is a hash of
the token.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from autointerp.hashing import hash01, stream_key
from autointerp.records import Float32, Float64, Int32, Int64, Split


@dataclass(frozen=True)
class Firings:
    """Tokens of one split at which features fire."""

    split: Split
    feature: Int64  # [n] number in the dictionary
    context: Int64  # [n] index in the token file
    position: Int32  # [n] position in the context
    activation: Float32  # [n]

    def __len__(self) -> int:
        return len(self.feature)

    def take(self, rows: Int64) -> Firings:
        """These rows."""
        taken = {item.name: getattr(self, item.name)[rows] for item in fields(self) if item.name != "split"}
        return Firings(split=self.split, **taken)


def draw_firings(candidates: Firings, weight: Float64, n: int, seed: int, name: str) -> Firings:
    """At most `n` of each feature's candidates, by feature, context and position. `weight` [len(candidates)]."""
    u = hash01(
        stream_key(seed, "ablate", name, candidates.split),
        candidates.feature,
        candidates.context,
        candidates.position,
    )
    key = -np.log1p(-u) / weight
    order = np.lexsort((key, candidates.feature))
    feature = candidates.feature[order]
    first = np.searchsorted(feature, feature, side="left")
    chosen = order[np.arange(len(order)) - first < n]
    rows = candidates.take(chosen)
    return rows.take(np.lexsort((rows.position, rows.context, rows.feature)))
