"""Panel of a feature: what a label makes a simulator predict, beside what the feature does, token by token.

The windows are those of the sample design, of the score split. Both sides are shown as shares of their own largest
value, so a label that only says how strong is not blamed for its scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autointerp.browse.window_texts import Place, window_texts
from autointerp.store.query import Queryable

STRONG = 0.25
"""Share of the largest value from which a token counts as one that fires, or is predicted to."""
SILENT = 0.1
"""Share below which it counts as silent."""
MOST_WRONG = 6
STRONGEST = 4
"""Windows shown: those of the largest error, and of the others those of the largest activation."""


@dataclass(frozen=True)
class SimulatedToken:
    """A token with its true and its predicted activation."""

    text: str
    truth: float
    prediction: float
    wrong: str
    """miss, false alarm, or empty."""
    scored: bool


@dataclass(frozen=True)
class SimulatedWindow:
    """A window of the sample."""

    context: int
    window_start: int
    drawn_as: str
    """The class it was drawn from: T, F1 ... fire; E, M, R are silent."""
    error: float
    """Mean squared difference of the two shares over its scored tokens."""
    why: str
    """most wrong, or strongest."""
    tokens: tuple[SimulatedToken, ...]


@dataclass(frozen=True)
class SimulatedPanel:
    """What one simulator predicts from one label."""

    scorer: str
    n_windows: int
    n_failed: int
    largest_truth: float
    largest_prediction: float
    n_misses: int
    """Tokens over all windows."""
    n_false_alarms: int
    windows: tuple[SimulatedWindow, ...]


def load_simulated(store: Queryable, dictionary: str, feature: int, explainer: str) -> tuple[SimulatedPanel, ...]:
    """One panel for each simulator that read this label; those of a lookup on another's windows are left out."""
    by_scorer: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows(_SIMULATED, dictionary=dictionary, feature=feature, explainer=explainer):
        by_scorer.setdefault(row["scorer"], []).append(row)
    return tuple(_panel(store, scorer, rows) for scorer, rows in by_scorer.items())


def wrongness(truth: float, prediction: float) -> str:
    """Of two shares: miss, false alarm, or nothing."""
    if truth >= STRONG and prediction < SILENT:
        return "miss"
    return "false alarm" if prediction >= STRONG and truth < SILENT else ""


def _panel(store: Queryable, scorer: str, rows: Sequence[dict[str, Any]]) -> SimulatedPanel:
    answered = [row for row in rows if row["status"] == "ok"]
    largest = [max((max(row[side], default=0.0) for row in answered), default=0.0) for side in ("truth", "prediction")]
    shares = {}
    for row in answered:
        scored = np.asarray(row["scored"], dtype=np.bool_)
        both = [
            np.asarray(row[side]) / (top or 1.0) for side, top in zip(("truth", "prediction"), largest, strict=True)
        ]
        shares[row["context"], row["window_start"]] = both[0], both[1], scored, row
    wrong = {place: _wrong(*of[:3]) for place, of in shares.items()}
    error = {place: float(np.mean((t - p)[on] ** 2)) if on.any() else 0.0 for place, (t, p, on, _) in shares.items()}
    worst = sorted((place for place in shares if error[place] > 0), key=lambda place: -error[place])[:MOST_WRONG]
    others = [place for place in shares if place not in worst]
    strongest = sorted(others, key=lambda place: -float(shares[place][0].max(initial=0.0)))[:STRONGEST]
    shown = {**dict.fromkeys(worst, "most wrong"), **dict.fromkeys(strongest, "strongest")}
    texts = window_texts(store, {place: len(shares[place][2]) for place in shown})
    every = [word for words in wrong.values() for word in words]
    return SimulatedPanel(
        scorer,
        len(rows),
        len(rows) - len(answered),
        largest[0],
        largest[1],
        every.count("miss"),
        every.count("false alarm"),
        tuple(
            _window(place, shares[place][3], texts[place], wrong[place], error[place], why)
            for place, why in shown.items()
        ),
    )


def _wrong(truth: Any, prediction: Any, scored: Any) -> list[str]:
    return [wrongness(t, p) if on else "" for t, p, on in zip(truth, prediction, scored, strict=True)]


def _window(
    place: Place, row: dict[str, Any], texts: Sequence[str], wrong: Sequence[str], error: float, why: str
) -> SimulatedWindow:
    tokens = zip(texts, row["truth"], row["prediction"], wrong, row["scored"], strict=False)  # a context may end before
    return SimulatedWindow(*place, row["class"], error, why, tuple(SimulatedToken(*token) for token in tokens))


_SIMULATED = """
SELECT scorer, context, window_start, class, truth, prediction, scored, status FROM simulations s
WHERE dictionary = $dictionary AND feature = $feature AND explainer = $explainer AND NOT contains(scorer, '@')
      AND (run IS NULL OR run IN (SELECT work FROM current_works WHERE stage = 'judge'))
ORDER BY scorer, list_max(truth) DESC, context, window_start
"""
