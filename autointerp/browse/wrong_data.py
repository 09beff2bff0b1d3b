"""Panel of a feature: the windows that each judge got wrong about a label.

The rows are those of the view `wrong_windows`, with the feature's true activations where the store keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autointerp.browse.judging_calls import ITEMISED, CallKey, JudgingCall, judging_calls, key_of, why_none
from autointerp.browse.window_texts import Place, window_texts
from autointerp.store.evidence import window_length
from autointerp.store.query import Queryable

SHOWN = 3
"""Windows of each kind of mistake that are shown for each judge: those that fire strongest, or where the judge was
surest."""


@dataclass(frozen=True)
class JudgedToken:
    """A token of a judged window."""

    text: str
    activation: float
    marked: bool
    """fuzzing: it was shown between marks."""


@dataclass(frozen=True)
class WrongWindow:
    """A window that a judge got wrong."""

    wrong: str
    """miss: it fires, and the judge said no; false alarm: the other way round. Of fuzzing: whether the marked tokens
    are those that fire."""
    stratum: str
    probability: float | None
    context: int
    window_start: int
    tokens: tuple[JudgedToken, ...]
    request: str | None
    """The call that said so, among the panel's `calls`."""
    sample: int | None
    asked_as: str | None
    """What the window is called in the prompt; None: its scorer gives windows no names, or there is no call."""
    no_call: str
    """Why there is no call to be shown; empty where there is one."""


@dataclass(frozen=True)
class WrongPanel:
    """What one judge got wrong about one label."""

    scorer: str
    kind: str
    """The scorer without its judge: detection, fuzzing ..."""
    n_judged: int
    n_misses: int
    n_false_alarms: int
    n_failed: int
    windows: tuple[WrongWindow, ...]
    """SHOWN misses, then SHOWN false alarms; the view `wrong_windows` has all."""
    calls: tuple[JudgingCall, ...]
    """The calls that these windows were judged in."""


def load_wrong(store: Queryable, dictionary: str, feature: int, explainer: str) -> tuple[WrongPanel, ...]:
    """One panel for each judge of this label."""
    rows = store.rows(_JUDGED, dictionary=dictionary, feature=feature, explainer=explainer)
    if not rows:
        return ()
    true = {
        (row["context"], row["window_start"]): dict(zip(row["positions"], row["activations"], strict=True))
        for row in store.rows(_TRUE, dictionary=dictionary, feature=feature)
    }
    by_scorer: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_scorer.setdefault(row["scorer"], []).append(row)
    shown = {scorer: _shown(judged, true) for scorer, judged in by_scorer.items()}
    n_tokens = window_length(store)
    places = {(row["context"], row["window_start"]): n_tokens for chosen in shown.values() for row in chosen}
    texts = window_texts(store, places)
    keys = dict.fromkeys(key for chosen in shown.values() for row in chosen if (key := key_of(row)) is not None)
    calls = judging_calls(store, list(keys))
    return tuple(_panel(scorer, judged, shown[scorer], texts, true, calls) for scorer, judged in by_scorer.items())


def _shown(rows: Sequence[dict[str, Any]], true: Mapping[Place, dict[int, float]]) -> list[dict[str, Any]]:
    wrong = [row for row in rows if row["status"] == "ok" and row["judged"] != row["fires"]]

    def how_wrong(row: dict[str, Any]) -> float:
        if row["probability"] is not None:
            return abs(float(row["probability"]) - float(row["fires"]))
        return max(true.get((row["context"], row["window_start"]), {}).values(), default=0.0)

    worst = sorted(wrong, key=how_wrong, reverse=True)
    return [*[row for row in worst if row["fires"]][:SHOWN], *[row for row in worst if not row["fires"]][:SHOWN]]


def _panel(
    scorer: str,
    rows: Sequence[dict[str, Any]],
    shown: Sequence[dict[str, Any]],
    texts: Mapping[Place, Sequence[str]],
    true: Mapping[Place, dict[int, float]],
    calls: Mapping[CallKey, JudgingCall],
) -> WrongPanel:
    answered = [row for row in rows if row["status"] == "ok"]
    wrong = [row["fires"] for row in answered if row["judged"] != row["fires"]]
    kind = scorer.partition(":")[0]
    windows = []
    for row in shown:
        place = row["context"], row["window_start"]
        marks, activation = set(row["marks"] or ()), true.get(place, {})
        tokens = tuple(JudgedToken(text, activation.get(i, 0.0), i in marks) for i, text in enumerate(texts[place]))
        how = "miss" if row["fires"] else "false alarm"
        none = why_none(row, calls)
        asked_as = f"e{row['number']}" if kind in ITEMISED and not none else None
        windows.append(
            WrongWindow(
                how, row["stratum"], row["probability"], *place, tokens, row["request"], row["sample"], asked_as, none
            )
        )
    return WrongPanel(
        scorer,
        kind,
        len(answered),
        sum(wrong),
        len(wrong) - sum(wrong),
        len(rows) - len(answered),
        tuple(windows),
        tuple(call for key, call in calls.items() if key in {key_of(row) for row in shown}),
    )


_JUDGED = """
SELECT scorer, stratum, fires, judged, probability, marks, context, window_start, status, run, request, sample,
       row_number() OVER (PARTITION BY run, scorer, request, sample ORDER BY rowid) AS number
FROM judgements
WHERE dictionary = $dictionary AND feature = $feature AND explainer = $explainer
      AND (run IS NULL OR run IN (SELECT work FROM current_works WHERE stage = 'judge'))
ORDER BY scorer, context, window_start
"""

_TRUE = """
SELECT context, window_start, positions, activations FROM exemplars
WHERE dictionary = $dictionary AND feature = $feature AND split = 'score'
"""
