"""The line-up: five learned features and five made-up units, blind; whoever looks at them names the five learned ones.

Who cannot tell them apart names five at random: the number of right ones is hypergeometric, 2.5 of 5 on average. Of
several line-ups the numbers add up. Two exact figures:

    p          the chance of naming so many or more at random
    interval   the share of right ones, from Fisher's noncentral hypergeometric distribution: the odds w that a learned
               unit is taken rather than a made-up one, between the w at which so many or more have chance .025 and the
               w at which so many or fewer have; as in the exact interval of a 2 x 2 table with fixed margins, whose
               margins are fixed here by the rules

An answer that does not name exactly five is no answer: it has a status and no score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.optimize import brentq

from autointerp.explain.template import PromptSection, Template, read_template
from autointerp.llm.asks import Ask, InvalidReply
from autointerp.records import Float64
from autointerp.score.scorers.reply_values import integer_schema, read_integers
from autointerp.words import LINEUP

LETTERS = "ABCDEFGHIJ"
N_REAL = 5
CONFIDENCE = 0.95
_WIDEST = 60.0
"""Log odds beyond which nothing changes."""


@dataclass(frozen=True)
class LineupScore:
    """How well the learned ones were told, over one or several line-ups."""

    n_lineups: int
    n_right: int
    """Of N_REAL a line-up."""
    p: float
    """Of so many or more, at random."""
    share: float
    low: float
    high: float


def score_lineups(right: Sequence[int]) -> LineupScore:
    """From the number of learned units among the five named, a line-up each. Raises ValueError without any."""
    if not right or not all(0 <= n <= N_REAL for n in right):
        raise ValueError(f"a line-up has 0 to {N_REAL} right ones, and there must be one: {list(right)}")
    n, total = len(right), int(sum(right))
    most = n * N_REAL
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if total == 0 else _mean(_solve(n, lambda chances: chances[total:].sum() - tail), n) / most
    high = 1.0 if total == most else _mean(_solve(n, lambda chances: tail - chances[: total + 1].sum()), n) / most
    return LineupScore(n, total, float(_chances(0.0, n)[total:].sum()), total / most, low, high)


def _chances(log_odds: float, n_lineups: int) -> Float64:
    """Of 0, 1, ... right ones in all, [5 n + 1]."""
    k = np.arange(N_REAL + 1)
    weight = np.array([comb(N_REAL, int(i)) ** 2 for i in k], dtype=np.float64)
    scaled = np.log(weight) + log_odds * k
    of_each = np.exp(scaled - scaled.max())
    of_each /= of_each.sum()
    chances = np.ones(1)
    for _ in range(n_lineups):
        chances = np.convolve(chances, of_each)
    return np.asarray(chances, dtype=np.float64)


def _solve(n: int, excess: Callable[[Float64], float]) -> float:
    """The log odds at which a chance, which rises with them, reaches its level."""
    return float(brentq(lambda log_odds: excess(_chances(log_odds, n)), -_WIDEST, _WIDEST, xtol=1e-10))


def _mean(log_odds: float, n: int) -> float:
    chances = _chances(log_odds, n)
    return float(np.arange(len(chances)) @ chances)


# --- asking an LLM


def lineup_template() -> Template:
    """The prompt, checked."""
    marks = frozenset(("open", "close", "separator"))
    return read_template(
        "lineup.md", {"system": PromptSection(required=marks), "prompt": PromptSection(required=frozenset(("units",)))}
    )


def lineup_ask(units: str, marks: dict[str, str]) -> Ask:
    """The question about one line-up; `units` are all ten as text, `marks` what stands around a token."""
    words = lineup_template()

    def parse(reply: object) -> list[str]:
        values = read_integers(reply, LETTERS, range(2))
        named = [letter for letter, value in zip(LETTERS, values, strict=True) if value]
        if len(named) != N_REAL:
            raise InvalidReply(f"{len(named)} units are named, not {N_REAL}")
        return named

    return Ask(
        LINEUP,
        words.fill("system", marks),
        words.fill("prompt", {"units": units}),
        max_tokens=200,
        schema=integer_schema(LETTERS, range(2)),
        parse=parse,
    )
