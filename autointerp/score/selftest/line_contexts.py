"""What stands before a token on its line, as a rule that can be said in a sentence and checked on what is shown.

Each kind gives every token of the vocabulary a weight; a token stands in the context where the weights of the tokens
before it on its line add up to an odd number (quotes) or to more than 0 (brackets, comments). A line break begins anew,
so that who sees only a part of the text is right from the first line break on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autointerp.records import Bool


@dataclass(frozen=True)
class LineContext:
    """A kind of context."""

    words: str
    """What a label says of it."""
    up: str
    """Characters that add 1 to the sum."""
    down: str = ""
    """Characters that take 1 away."""
    odd: bool = False
    """Whether the sum must be odd; else it must be above 0."""

    def weight(self, text: str) -> int:
        """Of a token: only what stands behind its last line break."""
        tail = text.rpartition("\n")[2]
        return sum(tail.count(sign) for sign in self.up) - sum(tail.count(sign) for sign in self.down)


LINE_CONTEXTS = {
    "quoted": LineContext("inside quotes", up="\"'", odd=True),
    "bracketed": LineContext("inside brackets", up="([{", down=")]}"),
    "commented": LineContext("behind a hash sign", up="#"),
}
"""By name."""


def states_of(context: LineContext, texts: Sequence[str], tokens: npt.NDArray[np.integer]) -> Bool:
    """Which tokens stand in the context: [n, P] -> [n, P]; the beginning of a row counts as the beginning of a line."""
    weight = np.array([context.weight(text) for text in texts], dtype=np.int64)
    breaks = np.array(["\n" in text for text in texts], dtype=np.bool_)
    return running_states(context, weight[tokens], breaks[tokens])


def running_states(context: LineContext, weight: npt.NDArray[np.int64], breaks: Bool) -> Bool:
    """The same from each token's weight and whether it holds a line break, [n, P] both."""
    total = np.cumsum(weight, axis=1)
    last = np.maximum.accumulate(np.where(breaks, np.arange(weight.shape[1]), -1), axis=1)
    before_line = np.where(last >= 0, np.take_along_axis(total - weight, np.maximum(last, 0), axis=1), 0)
    on_line = total - before_line
    before = np.concatenate([np.zeros((len(weight), 1), np.int64), on_line[:, :-1]], axis=1)
    return np.asarray(before % 2 == 1 if context.odd else before > 0)
