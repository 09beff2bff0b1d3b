"""The figures of an investigation against their definitions, and their intervals against documents drawn again."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.records import N_BLOCKS
from autointerp.score.investigation import N_LEVELS, Investigated, investigate, ratio, sums_of


def tokens(seed: int, n: int = 4000, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activation, proxy and block; documents differ by `effect` in how well the two go together."""
    rng = np.random.default_rng(seed)
    block = rng.integers(0, N_BLOCKS, n)
    own = np.clip(0.8 + rng.normal(0, effect, N_BLOCKS), 0, 1)[block]
    p = rng.random(n) < 0.1
    fires = np.where(p, rng.random(n) < own, rng.random(n) < 0.05)
    t = np.where(fires, rng.gamma(2.0, 1.0 + p, n), 0.0)
    return t, p, block


def test_the_figures_are_their_definitions() -> None:
    t, p, block = tokens(0)
    maximum = float(t.max())
    got = investigate(sums_of(t, p, block, maximum), maximum)
    fires = t > 0
    assert (got.n_tokens, got.n_firing, got.n_read) == (len(t), fires.sum(), len(t))
    assert got.base_rate == pytest.approx(p.mean())
    assert got.specificity.value == pytest.approx(p[fires].mean())
    assert got.expected.value == pytest.approx(t[p].sum() / t.sum())
    assert got.recall.value == pytest.approx(fires[p].mean())
    assert got.sensitivity.value == pytest.approx(np.corrcoef(t, p)[0, 1])
    for k, level in enumerate(got.levels):
        last = k == N_LEVELS - 1
        mine = fires & (t >= k / N_LEVELS * maximum) & ((t < (k + 1) / N_LEVELS * maximum) | last)
        assert level.n == mine.sum()
        assert level.mass == pytest.approx(t[mine].sum() / t.sum())
        if mine.any():
            assert level.specificity.value == pytest.approx(p[mine].mean())
            assert level.expected.value == pytest.approx(t[mine & p].sum() / t[mine].sum())
        else:
            assert level.specificity.value is level.expected.value is None
    assert sum(level.mass for level in got.levels) == pytest.approx(1.0)


def test_weights_are_repetitions() -> None:
    t, p, block = tokens(1, 600)
    weight = np.random.default_rng(1).integers(1, 5, 600)
    long = [np.repeat(x, weight) for x in (t, p, block)]
    a = investigate(sums_of(t, p, block, 12.0, weight), 12.0)
    b = investigate(sums_of(long[0], long[1], long[2], 12.0), 12.0)
    assert a.n_read == 600
    assert (a.n_tokens, a.n_firing) == (b.n_tokens, b.n_firing)
    for name in ("specificity", "expected", "sensitivity", "recall"):
        mine, theirs = getattr(a, name), getattr(b, name)
        assert (mine.value, mine.low, mine.high) == pytest.approx((theirs.value, theirs.low, theirs.high))


@pytest.mark.parametrize(
    ("t", "p", "status"),
    [(np.zeros(50), np.arange(50) < 9, "rare"), (np.arange(50.0), np.zeros(50, bool), "constant")],
)
def test_what_cannot_be_said_has_a_reason(t: np.ndarray, p: np.ndarray, status: str) -> None:
    got = investigate(sums_of(t, p, np.arange(50) % N_BLOCKS, 49.0), 49.0)
    assert (got.sensitivity.value, got.sensitivity_status) == (None, status)
    if status == "rare":
        assert got.specificity.value is got.expected.value is None
        assert got.recall.value == 0.0
    else:
        assert got.recall.value is None
    nothing = investigate(sums_of(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), 0.0), 0.0)
    assert (nothing.n_tokens, nothing.base_rate, nothing.recall.value) == (0, 0.0, None)


def test_blocks_that_all_agree_leave_room_for_others() -> None:
    whole = np.zeros(N_BLOCKS)
    whole[:10] = 5.0
    none, every = ratio(np.zeros(N_BLOCKS), whole), ratio(whole, whole)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025**0.1)
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(0.025**0.1)
    alone = ratio(whole * (np.arange(N_BLOCKS) == 0), whole * (np.arange(N_BLOCKS) == 0))
    assert (alone.value, alone.low) == (1.0, None)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.2])
def test_intervals_hold_the_truth_of_all_documents(effect: float) -> None:
    """The share of intervals that hold what infinitely many documents would give, near .95."""
    t, p, _ = tokens(2, 400_000, 0.0)
    if effect:  # every document its own level: many blocks' worth
        parts = [tokens(1000 + i, 4000, effect) for i in range(100)]
        t, p = np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts])
    fires = t > 0
    truth = {
        "specificity": p[fires].mean(),
        "expected": t[p].sum() / t.sum(),
        "recall": fires[p].mean(),
        "sensitivity": np.corrcoef(t, p)[0, 1],
    }
    found: list[Investigated] = []
    for seed in range(300):
        sample = tokens(seed + 5000, 4000, effect)
        found.append(investigate(sums_of(*sample, 20.0), 20.0))
    for name, value in truth.items():
        held = [getattr(one, name).low <= value <= getattr(one, name).high for one in found]
        assert 0.91 <= np.mean(held) <= 0.985, (name, np.mean(held))
