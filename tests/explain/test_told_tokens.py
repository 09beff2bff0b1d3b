"""Which tokens an explainer is told of, and behind which others."""

from __future__ import annotations

import numpy as np

from autointerp.explain.context_lookup import PAIR_PRIOR
from autointerp.explain.told_tokens import MOST_PAIRS, MOST_TOKENS, PAIR_EXPLAINS, TokenCounts, told_tokens
from autointerp.records import ANY_TOKEN


def test_a_pair_is_told_where_its_token_does_something_else_behind_the_other() -> None:
    tokens = {1: TokenCounts(50.0, 20, 100), 2: TokenCounts(80.0, 10, 10)}
    pairs = {
        (8, 1): TokenCounts(2.0, 2, 40),  # weak behind 8
        (7, 1): TokenCounts(40.0, 10, 10),  # strong behind 7
        (9, 1): TokenCounts(5.0, 3, 10),  # behind 9 as anywhere
        (7, 2): TokenCounts(64.0, 8, 8),  # strong everywhere
        (6, 1): TokenCounts(4.0, 1, 1),  # seen once
        (ANY_TOKEN, 1): TokenCounts(40.0, 10, 10),  # the start of a context is no token
        (7, 3): TokenCounts(40.0, 10, 10),  # its token is not listed
    }
    assert told_tokens(tokens, pairs, 1.0) == {2: (), 1: (7, 8)}
    assert told_tokens(tokens, pairs, 0.15) == {2: (), 1: (8,)}, "10 occurrences scaled up are 1.5 that were seen"


def test_tokens_on_which_something_can_be_expected_come_before_heavy_ones() -> None:
    comma = {0: TokenCounts(60.0, 60, 6000)}
    telling = {token: TokenCounts(10.0, 2, 2) for token in range(1, MOST_TOKENS + 1)}
    assert list(told_tokens(comma | telling, {}, 1.0)) == list(telling)
    behind = {(9, 0): TokenCounts(59.0, 12, 12)}  # but behind one token it always fires
    assert next(iter(told_tokens(comma | telling, behind, 1.0).items())) == (0, (9,))


def test_the_rule_is_context_lookups_gain_over_the_tokens_own() -> None:
    """Against the formula, for random counts: which tokens and pairs, and in which order."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        seen = rng.integers(1, 60, 60)
        tokens = {t: TokenCounts(float(rng.gamma(1.0) * k), k, k) for t, k in enumerate(seen.tolist())}
        pairs = {
            (p, t): TokenCounts(float(rng.gamma(0.5) * n), n, n)
            for p in range(6)
            for t in range(60)
            if (n := int(rng.integers(2, 9)))
        }
        whole = sum(mass**2 / n for mass, _, n in tokens.values())
        gains = {}
        for (p, t), (mass, _, n) in pairs.items():
            mean = tokens[t].mass / tokens[t].n_seen
            gains[p, t] = n * (mass / (n + PAIR_PRIOR) - mean * n / (n + PAIR_PRIOR)) ** 2
        told = sorted((-g, pair) for pair, g in gains.items() if g >= PAIR_EXPLAINS * whole)[:MOST_PAIRS]
        explains = {t: mass**2 / n - sum(g for g, (_, of) in told if of == t) for t, (mass, _, n) in tokens.items()}
        leading = sorted(explains, key=lambda t: -explains[t])[:MOST_TOKENS]
        wanted = {t: tuple(p for _, (p, of) in told if of == t) for t in leading}
        found = told_tokens(tokens, pairs, 1.0)
        assert found == wanted
        assert list(found) == leading


def test_a_feature_of_silent_tokens_has_none() -> None:
    assert not told_tokens({1: TokenCounts(0.0, 0, 4)}, {(2, 1): TokenCounts(0.0, 0, 4)}, 1.0)
    assert not told_tokens({}, {}, 1.0)
