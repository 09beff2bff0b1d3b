"""How near misses are shared out among a feature's tokens, against slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.extract.near_misses import ALWAYS, LEAST_SHARE, TOKENS, choose, cumulated_mass, share_out, usual_tokens
from autointerp.records import GramTable


def table(*masses: list[float]) -> GramTable:
    """One feature for each list of masses, heaviest first; tokens are numbered on."""
    flat = np.array([mass for some in masses for mass in some], dtype=np.float64)
    ones = np.ones(len(flat), dtype=np.int64)
    start = np.concatenate([[0], np.cumsum([len(some) for some in masses])]).astype(np.int64)
    token = np.arange(len(flat), dtype=np.int32)
    return GramTable(start, np.full(len(flat), -1, np.int32), token, flat, ones, ones, np.zeros(len(masses)))


def test_usual_tokens_hold_a_share_of_the_mass() -> None:
    many = [5.0] * 30
    heavy = table([90, 6, 3, 0.5, 0.5], [], many, [100, 0.1, 0.1, 0.1])
    token, mass = usual_tokens(heavy, np.arange(4), cumulated_mass(heavy))
    assert token.shape == mass.shape == (4, TOKENS)
    assert [(row >= 0).sum() for row in token] == [ALWAYS, 0, TOKENS, ALWAYS]
    assert token[0, :3].tolist() == [0, 1, 2]
    assert mass[0, 0] == 90
    assert LEAST_SHARE > 0.5 / 100


def slow_order(mass: list[float], n_candidates: list[int], n: int) -> list[int]:
    """One near miss after the other."""
    given = [0] * len(mass)
    order: list[int] = []
    while len(order) < n:
        left = [i for i in range(len(mass)) if given[i] < n_candidates[i]]
        if not left:
            break
        none = [i for i in left if not given[i]]
        best = none[0] if none else max(left, key=lambda i: (mass[i] / (1 + given[i]), -i))
        given[best] += 1
        order.append(best)
    return order


@pytest.mark.parametrize("seed", range(5))
def test_each_token_has_one_before_any_has_two(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mass = -np.sort(-rng.exponential(size=(40, 6)))
    n_candidates = rng.integers(0, 5, (40, 6))
    order = share_out(mass, n_candidates, 10)
    for row in range(40):
        wanted = slow_order(mass[row].tolist(), n_candidates[row].tolist(), 10)
        assert [i for i in order[row].tolist() if i >= 0] == wanted
        first = [i for i in range(6) if n_candidates[row, i]]
        assert wanted[: len(first)] == first


def test_the_windows_are_those_of_smallest_hash_and_the_share_is_said() -> None:
    rng = np.random.default_rng(0)
    of_token = rng.integers(-1, 4, (30, 50))
    mass = -np.sort(-rng.exponential(size=(30, 4)))
    u = rng.permutation(30 * 50).reshape(30, 50).astype(np.uint64)
    chosen, share = choose(of_token, mass, u, 8)
    for row in range(30):
        order = slow_order(mass[row].tolist(), [(of_token[row] == i).sum() for i in range(4)], 8)
        queues = {i: iter(sorted(np.flatnonzero(of_token[row] == i), key=lambda w: u[row, w])) for i in range(4)}
        assert chosen[row].tolist() == [next(queues[i]) for i in order] + [-1] * (8 - len(order))
        for window, part in zip(chosen[row], share[row], strict=True):
            if window >= 0:
                token = of_token[row, window]
                assert part == pytest.approx(order.count(token) / (of_token[row] == token).sum())


def test_the_share_is_the_probability() -> None:
    """Over draws of the hashes, every window of a token is taken as often as its share says."""
    of_token = np.array([[0] * 12 + [1] * 5 + [2]])
    mass = np.array([[6.0, 3.0, 1.0]])
    rng = np.random.default_rng(1)
    taken, said = np.zeros(18), np.zeros(18)
    for _ in range(3000):
        chosen, share = choose(of_token, mass, rng.permutation(18)[None].astype(np.uint64), 6)
        taken[chosen[0]] += 1
        said[chosen[0]] = share[0]
    np.testing.assert_allclose(taken / 3000, said, atol=0.04)
    assert said[17] == 1
