"""The strength of steering: the least that tells features apart as well as any, dictionaries counting the same."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.score.steering_strength import StrengthAnswers, chosen_strength

STRENGTHS = (0.25, 0.5, 1.0)


def answers(*means: float, n: int = 40, seed: int = 0) -> StrengthAnswers:
    """Of n features, four questions each; the means are met exactly."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, len(means))) * 0.1
    right = np.array(means) + noise - noise.mean(axis=0)
    return StrengthAnswers.of(right, [0] * len(means), [4 * n] * len(means))


def by_hand(of: StrengthAnswers, best: int, k: int) -> tuple[float, float]:
    lost = [float(row[best] - row[k]) for row in of.right]
    mean = sum(lost) / len(lost)
    return mean, (sum((x - mean) ** 2 for x in lost) / (len(lost) - 1) / len(lost)) ** 0.5


def test_the_least_within_a_standard_error_of_the_best_is_chosen() -> None:
    assert chosen_strength(STRENGTHS, {"a": answers(0.4, 0.7, 0.9)}) == 2
    near = answers(0.4, 0.895, 0.9)
    assert by_hand(near, 2, 1)[0] < by_hand(near, 2, 1)[1]
    assert chosen_strength(STRENGTHS, {"a": near}) == 1
    assert chosen_strength(STRENGTHS, {"a": answers(0.9, 0.7, 0.4)}) == 0
    for k in (0, 1):
        mean, error = near.behind(2)
        assert (mean[k], error[k]) == pytest.approx(by_hand(near, 2, k))


def test_a_large_dictionary_counts_as_a_small_one() -> None:
    small, large = answers(0.3, 0.3, 0.9, n=20), answers(0.6, 0.5, 0.4, n=2000)
    assert chosen_strength(STRENGTHS, {"small": small, "large": large}) == 2
    assert chosen_strength(STRENGTHS, {"large": large}) == 0


def test_who_does_not_reach_is_at_chance_and_who_is_never_asked_does_not_count() -> None:
    right = np.array([[1.0, np.nan], [0.5, 1.0], [np.nan, np.nan]])
    of = StrengthAnswers.of(right, [1, 2], [8, 4])
    assert of.means().tolist() == pytest.approx([0.75, (1 / 3 + 1) / 2])
    assert len(of.right) == 3
    none = StrengthAnswers.of(np.full((2, 3), np.nan), [2, 2, 2], [0, 0, 0])
    assert np.isnan(none.means()).all()
    assert np.isnan(none.errors()).all()
    assert chosen_strength(STRENGTHS, {"a": none}) == 0
    assert chosen_strength(STRENGTHS, {}) == 0
    single = StrengthAnswers.of(np.array([[0.5, 1.0, 0.75]]), [0, 0, 0], [4, 4, 4])
    assert chosen_strength(STRENGTHS, {"a": single}) == 1
    assert np.isnan(single.errors()).all()
