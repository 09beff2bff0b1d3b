"""How many windows fit into one question to a judge whose context is known: prompt and longest reply together.

What fits is found from the questions themselves, so that the same run asks the same questions again. Groups are not
stored, and no metric depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autointerp.config.judging import Judge
from autointerp.llm.asks import Ask
from autointerp.llm.lengths import room_for

ITEM_TOKENS = 110
"""Of a window that is judged yes or no, with its answer, at most; measured on windows of 32 tokens."""
FIXED_TOKENS = 900
"""Instructions, explanation and frame of such a question."""


def fit_windows(asks_of: Callable[[int], Sequence[Ask]], most: int, judge: Judge) -> int:
    """The largest number of windows a call, up to `most`, of which every question has room in the judge's context; at
    least one. `asks_of` renders the questions for a number."""

    context = judge.context_tokens
    if context is None:
        return most
    room: int = context

    def fits(size: int) -> bool:
        return all(room_for(ask, judge.max_tokens) <= room for ask in asks_of(size) if ask.form != "decisions")

    if fits(most):
        return most
    good, bad = 1, most
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def fit_items(judge: Judge) -> int | None:
    """Windows in one yes-or-no question; None: all of a feature."""
    if judge.context_tokens is None:
        return judge.items_per_call
    fitting = max(1, (judge.context_tokens - FIXED_TOKENS) // ITEM_TOKENS)
    return fitting if judge.items_per_call is None else min(fitting, judge.items_per_call)
