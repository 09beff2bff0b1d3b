"""Which of a feature's tokens an explainer is told of, and behind which other tokens they do something else.

1. A token by itself explains n_seen mean^2 of the feature's squared activation: its mean is over all its occurrences.
2. A pair (previous, token) explains n_seen (value - mean)^2 beyond that. Its value is drawn towards the token's mean as
   in the table `context_lookup` (`context_lookup.py`), so that a pair seen twice does not lead.
3. Pairs that explain PAIR_EXPLAINS of what all the tokens do are told, the most explaining first, MOST_PAIRS at most.
4. Of the tokens those are told that explain most with their pairs, MOST_TOKENS at most. By share of the activation many
   would be tokens such as "," that hardly ever fire: they are many, and nothing can be expected on them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from autointerp.explain.context_lookup import PAIR_PRIOR, PAIR_SEEN
from autointerp.records import ANY_TOKEN

MOST_TOKENS = 40
MOST_PAIRS = 20
PAIR_EXPLAINS = 0.003
"""Least that a told pair explains, as a share of what the tokens explain."""


class TokenCounts(NamedTuple):
    """A token's occurrences on the explain split, or those of a token right behind another."""

    mass: float
    """Sum of the activation over them."""
    n_firing: int
    n_seen: int


def told_tokens(
    tokens: Mapping[int, TokenCounts], pairs: Mapping[tuple[int, int], TokenCounts], share: float
) -> Mapping[int, Sequence[int]]:
    """The tokens that are told, the most explaining first, each with the tokens in front that are told of it.

    `pairs` by (previous, token); `share`: of the places, on which pairs were counted and from which they are scaled up.
    """
    mean = {token: counts.mass / counts.n_seen for token, counts in tokens.items() if counts.n_seen}
    explained = {token: tokens[token].n_seen * mean[token] ** 2 for token in mean}
    prior = PAIR_PRIOR / share
    gains = {}
    for (previous, token), counts in pairs.items():
        if previous == ANY_TOKEN or token not in mean or counts.n_seen * share < PAIR_SEEN:
            continue  # of a pair -1 is the start of a context
        value = (counts.mass + prior * mean[token]) / (counts.n_seen + prior)
        gains[previous, token] = counts.n_seen * (value - mean[token]) ** 2
    least = PAIR_EXPLAINS * sum(explained.values())
    behind: dict[int, list[int]] = defaultdict(list)
    for previous, token in sorted(gains, key=lambda pair: -gains[pair])[:MOST_PAIRS]:
        if gains[previous, token] > 0 and gains[previous, token] >= least:
            behind[token].append(previous)
            explained[token] += gains[previous, token]
    leading = sorted(explained, key=lambda token: -explained[token])[:MOST_TOKENS]
    return {token: tuple(behind[token]) for token in leading if explained[token] > 0}
