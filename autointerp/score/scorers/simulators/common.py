"""What all simulators share: the scale, the form of a question's windows, and how replies come to their places.

The values are on the explainer's scale; `calibrate` brings them to the dictionary's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Protocol

import numpy as np

from autointerp.explain.marking import number
from autointerp.explain.template import Template
from autointerp.llm.asks import Answer, Ask
from autointerp.records import Float32
from autointerp.score.scorers.prompt_windows import ShownWindow, bars_for, template
from autointerp.score.scorers.reply_values import (
    ReplyValues,
)

STEPS = range(0, 11)
"""Values of an activation as it is predicted."""


MARKED = {"open": False, "close": False}


ASKED = {"explanation": True, "windows": True}


class Simulator(Protocol):
    """One way to ask for the activations of some windows."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> int:
        """Windows in one call, at most."""
        ...

    def asks(self, explanation: str, windows: Sequence[ShownWindow]) -> list[Ask]:
        """The questions about `windows`, which are not more than `group`."""
        ...

    def read(self, answers: Sequence[Answer], windows: Sequence[ShownWindow]) -> list[ReplyValues]:
        """Of each window the values of its scored tokens, 0 to 10, from the answers in the order of `asks`."""
        ...


def calibrate(values: Float32, maximum: float) -> Float32:
    """Predicted steps to activations: a tenth of the feature's maximum on the explain split each. Pearson's
    correlation does not mind; `rsquared` and `absolute_dev_explained` do."""
    return np.asarray(values * np.float32(maximum / 10.0), dtype=np.float32)


def spread(reply: ReplyValues, window: ShownWindow) -> Float32:
    """The values of the scored tokens at their places, [L]: 0 where not scored, nan where there is no value."""
    places = np.asarray(window.scored, dtype=np.bool_)
    values = np.zeros(len(places), dtype=np.float32)
    values[places] = np.nan if reply.values is None else np.asarray(reply.values, dtype=np.float32)
    return values


def chunks(windows: Sequence[ShownWindow], size: int) -> Iterator[Sequence[ShownWindow]]:
    """The windows of each call."""
    for first in range(0, len(windows), size):
        yield windows[first : first + size]


def window_names(windows: Sequence[ShownWindow]) -> list[str]:
    return [f"w{i}" for i in range(1, len(windows) + 1)]


def numbered_lines(windows: Sequence[ShownWindow], names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The windows with numbered tokens, a line each, and what fills the placeholders of the marks."""
    bars = bars_for(windows)
    shown = [
        f"{name}: {number(window.all_tokens, window.all_scored, bars)}"
        for name, window in zip(names, windows, strict=True)
    ]
    return "\n".join(shown), {"open": bars.open, "close": bars.close}


def all_failed(answer: Answer, windows: Sequence[ShownWindow]) -> list[ReplyValues]:
    return [ReplyValues(None, answer.status, answer.reason)] * len(windows)


@cache
def simulator_template(name: str) -> Template:
    if name == "simulate_token":
        marked = {**MARKED, "explanation": True, "window": True, "token": True}
        return template(name, system=MARKED, prompt=marked)
    if name == "simulate_echo":
        return template(name, prompt=ASKED, window={"tokens": True})
    if name == "simulate_decisions":
        return template(name, prompt={**MARKED, **ASKED}, question={**MARKED, "token": True, "window": True})
    return template(name, system=MARKED, prompt=ASKED)
