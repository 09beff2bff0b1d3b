"""A metric: the share of the right items that the judge finds."""

from __future__ import annotations

from typing import Literal

from autointerp import Judged


class Recall:
    """A judge that always says yes gets 1."""

    name = "recall"
    reads: Literal["judged"] = "judged"
    sentence = "share of the right items that the judge finds"

    def measure(self, prediction: Judged) -> float | None:
        answered = prediction.answered & prediction.items.right
        return float((prediction.probability[answered] >= 0.5).mean()) if answered.any() else None
