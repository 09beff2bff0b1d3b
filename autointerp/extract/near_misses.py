"""Near misses: windows of the shared pool that hold one of a feature's usual tokens and in which it is silent.

1. A feature's usual tokens are its TOKENS heaviest by activation, as far as each holds LEAST_SHARE of what the listed
   ones hold; the first three always.
2. A window of the pool is a candidate for the heaviest of them that stands in it, if the feature is silent in all that
   is shown around that token.
3. They are shared out by turns: every token that has a candidate gets one, the heaviest first, before any gets a
   second; then each goes to the token of largest mass / (1 + what it has).
4. A token's are those of smallest hash (feature, window): of c candidates m are taken, each with probability m / c.
"""

from __future__ import annotations

import numpy as np

from autointerp.records import Bool, Float64, GramTable, Int64

TOKENS = 20
LEAST_SHARE = 0.01
ALWAYS = 3
NEVER = (1 << 63) - 1


def cumulated_mass(heavy: GramTable) -> Float64:
    """The listed mass of all entries before each one, and of all. [entries + 1]"""
    return np.concatenate([[0.0], np.cumsum(np.abs(heavy.mass))])


def usual_tokens(heavy: GramTable, feature: Int64, cumulated: Float64) -> tuple[Int64, Float64]:
    """The usual tokens of each feature, heaviest first, -1 behind the last, and the mass of each. [n, TOKENS] each

    `cumulated`: of all of `heavy` (`cumulated_mass`).
    """
    entry = heavy.start[feature][:, None] + np.arange(TOKENS)
    there = entry < heavy.start[feature + 1][:, None]
    entry = np.where(there, entry, 0)
    mass = np.where(there, np.abs(heavy.mass[entry]) if len(heavy.mass) else 0.0, 0.0)
    listed = cumulated[heavy.start[feature + 1]] - cumulated[heavy.start[feature]]
    usual = there & ((mass >= LEAST_SHARE * listed[:, None]) | (np.arange(TOKENS) < ALWAYS))
    token = heavy.token[entry].astype(np.int64) if len(heavy.token) else np.zeros_like(entry)
    return np.where(usual, token, -1), np.where(usual, mass, 0.0)


def share_out(mass: Float64, n_candidates: Int64, n: int) -> Int64:
    """Which token each of up to `n` near misses is of, in the order in which they are given; -1: there are no more.

    `mass`, `n_candidates`: [features, tokens], heaviest first. -> [features, n]
    """
    given = np.zeros_like(n_candidates)
    order = np.full((len(mass), n), -1, dtype=np.int64)
    rows = np.arange(len(mass))
    for step in range(n):
        left = given < n_candidates
        wish = np.where(given == 0, np.inf, mass / (1.0 + given))
        best = np.where(left, wish, -1.0).argmax(axis=1)  # of equals the heaviest: the first
        some = left[rows, best]
        if not some.any():
            break
        order[some, step] = best[some]
        given[rows[some], best[some]] += 1
    return order


def choose(of_token: Int64, mass: Float64, u: np.ndarray, n: int) -> tuple[Int64, Float64]:
    """The windows chosen as near misses, -1 behind the last, and the share of its token's candidates that each stands
    among. [features, n] each.

    `of_token` [features, windows]: the number of the usual token that a window is a candidate for; -1: of none. `mass`
    [features, tokens] of each; `u` [features, windows]: the smaller, the sooner.
    """
    n_tokens = mass.shape[1]
    row, column = (of_token >= 0).nonzero()
    tag = row * n_tokens + of_token[row, column]
    n_candidates = np.bincount(tag, minlength=mass.size).reshape(mass.shape)
    order = share_out(mass, n_candidates, n)
    given = np.zeros_like(n_candidates)
    np.add.at(given, ((order >= 0).nonzero()[0], order[order >= 0]), 1)
    chosen = np.full(order.shape, -1, dtype=np.int64)
    left: Bool = of_token >= 0
    rows = np.arange(len(mass))
    for step in range(n):
        token = order[:, step]
        if (token < 0).all():
            break
        mine = left & (of_token == token[:, None]) & (token >= 0)[:, None]
        best = np.where(mine, u, np.uint64(NEVER)).argmin(axis=1)
        some = token >= 0
        chosen[some, step] = best[some]
        left[rows[some], best[some]] = False
    token = np.maximum(order, 0)
    share = np.take_along_axis(given, token, 1) / np.maximum(np.take_along_axis(n_candidates, token, 1), 1)
    return chosen, np.where(order >= 0, share, 0.0)
