"""What all pages of a feature share, whatever draws them: shades of tokens, exemplars by stratum, scores of a label."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autointerp.score.metric_registry import is_primary, on_card
from autointerp.show.card_data import ScoreLine
from autointerp.show.card_exemplars import CardExemplar

LEVELS = 9
"""Shades of an active token."""


def shade(activation: float, largest: float) -> int:
    """0: silent; 1 to LEVELS: by the share of the feature's largest activation."""
    if activation == 0 or largest <= 0:
        return 0 if activation == 0 else 1
    return min(max(math.ceil(LEVELS * activation / largest), 1), LEVELS)


def stratified(exemplars: Sequence[CardExemplar]) -> list[tuple[str, list[CardExemplar]]]:
    """By stratum, in the order in which they stand."""
    by: dict[str, list[CardExemplar]] = {}
    for exemplar in exemplars:
        by.setdefault(exemplar.stratum, []).append(exemplar)
    return list(by.items())


def on_a_card(scores: Sequence[ScoreLine]) -> list[ScoreLine]:
    """The scores that stand beside a label, the primary ones first; not those of a lookup on another's windows."""
    shown = [score for score in scores if on_card(score.metric, score.design) and "@" not in score.scorer]
    return sorted(shown, key=lambda score: not is_primary(score.metric, score.design, score.scorer))
