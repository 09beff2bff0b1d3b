"""Simulators: an explanation and windows to questions, replies to predicted activations of 0 to 10.

    sparse      one JSON object; the tokens that fire, with window and number  the default
    dense       one JSON object; a key a token                                every token has a probability
    digits      one JSON object; a digit a token in a string a window         short, easily miscounted
    echo        the prompt's own log probabilities at "unknown" (Bills et al. 2023)   servers with prompt logprobs
    decisions   a typed question a token                                      models with the Decisions API
    token       a call a token                                                for comparison

A window whose prediction is missing, of a wrong length or out of range is a failure with a status, never zeros. The
values are on the explainer's scale; `calibrate` brings them to the dictionary's.

Output is what costs: of 60 windows of 32 tokens `dense` writes 1,920 keys, `sparse` one entry for each token that
fires, and its schema says all that a reply may hold. What it does not list is 0, so that a model that lost interest
half-way looks like one that predicts silence; `dense`, which must name every token, is there to tell.

Letters in shapes: L tokens of a window.
"""

from __future__ import annotations

from collections.abc import Callable

from autointerp.score.scorers.simulators.common import (
    Simulator,
)
from autointerp.score.scorers.simulators.decisions import Decisions
from autointerp.score.scorers.simulators.echo import ECHO_ALTERNATIVES, Echo
from autointerp.score.scorers.simulators.json_object import Dense, Digits, Sparse
from autointerp.score.scorers.simulators.token_by_token import TokenByToken

GROUPS = {"sparse": 80, "dense": 2, "digits": 80, "echo": 4, "decisions": 12, "token": 1}
"""Windows in one call at most, by simulator; a feature has 60, and some more where many explainers are compared."""
PROMPTS = {
    "sparse": "simulate", "dense": "simulate_dense", "digits": "simulate_digits", "echo": "simulate_echo",
    "decisions": "simulate_decisions", "token": "simulate_token",
}  # fmt: skip
"""The prompt of each, in `prompts/score`."""
SIMULATORS = tuple(GROUPS)


def simulator_named(name: str, logprobs: int = 0, group: int | None = None) -> Simulator:
    """One of SIMULATORS; `logprobs` alternatives where the model gives them; `group` windows in a call."""
    made: dict[str, Callable[[int], Simulator]] = {
        "sparse": lambda size: Sparse(logprobs, size),
        "dense": lambda size: Dense(logprobs, size),
        "digits": lambda size: Digits(logprobs, size),
        "echo": lambda size: Echo(logprobs or ECHO_ALTERNATIVES, size),
        "decisions": Decisions,
        "token": lambda size: TokenByToken(logprobs, size),
    }
    return made[name](GROUPS[name] if group is None else group)
