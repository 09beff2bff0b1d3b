"""Tokens that are hard to tell from the promoted ones, against their definitions, one feature and token at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autointerp.extract.effects import LogitPath, StrongestEffects, strongest_effects
from autointerp.extract.hard_tokens import (
    BEYOND,
    FAR,
    LARGEST_SHARE,
    MOST_ALIKE,
    N_EACH,
    N_NEAR,
    N_SHOWN,
    HardTokens,
    hard_tokens,
)

WIDTH, V, N_FEATURES = 32, 1700, 60


class Made:
    """An unembedding with clusters and uneven norms, features near each other, and all that is made of them."""

    def __init__(self, v: int = V) -> None:
        rng = np.random.default_rng(0)
        self.usable = rng.random(v) < 0.9
        centres = rng.standard_normal((30, WIDTH))
        rows = centres[rng.integers(30, size=v)] + 0.6 * rng.standard_normal((v, WIDTH))
        self.rows = rows * rng.lognormal(0, 0.3, (v, 1)) + 0.5
        self.frequency = np.maximum(rng.zipf(1.3, v), 1).clip(max=100_000) * self.usable
        self.fit = self.usable & (rng.random(v) < 0.95)
        own = rng.standard_normal((N_FEATURES, WIDTH))
        own[1] = own[0] + 0.01 * rng.standard_normal(WIDTH)  # promotes the same
        own[2] = own[0] + 0.9 * rng.standard_normal(WIDTH)
        written = torch.from_numpy(own.astype(np.float32))
        ids = np.flatnonzero(self.usable)
        table = torch.from_numpy(self.rows[ids].T.astype(np.float32))
        self.path = LogitPath(lambda written: written, torch.from_numpy(ids), table, 1.0)
        self.strongest: StrongestEffects = strongest_effects(self.path, written, np.arange(N_FEATURES))
        self.hard: HardTokens = hard_tokens(self.path, written, self.strongest, self.fit, self.frequency)
        effect = self.path.written(written).numpy().astype(np.float64) @ self.rows.T
        self.effect = np.where(self.usable, effect, -np.inf)
        self.rank = np.argsort(np.argsort(-self.effect, axis=1), axis=1) + 1  # [F, V]
        of_usable = effect[:, self.usable] - effect[:, self.usable].mean(axis=1, keepdims=True)
        unit = of_usable / np.linalg.norm(of_usable, axis=1, keepdims=True)
        self.cosine = unit @ unit.T

    def last_rank(self, of: int) -> int:
        return max(60, min(of, int(self.usable.sum()) // LARGEST_SHARE[of]))


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def test_none_is_promoted_special_or_asked_twice(made: Made) -> None:
    for f in range(N_FEATURES):
        for tokens, of in (
            (made.hard.similar[f], FAR),
            (made.hard.same_norm[f], FAR),
            (made.hard.neighbour[f], BEYOND),
        ):
            assert len(set(tokens)) == len(tokens) <= N_EACH
            assert made.fit[tokens].all()
            assert (made.rank[f][tokens] > made.last_rank(of)).all()
        assert len(made.hard.similar[f]) == len(made.hard.same_norm[f]) == N_EACH


def test_each_is_made_like_a_promoted_one_that_is_asked_about(made: Made) -> None:
    for f in range(N_FEATURES):
        asked = set(np.flatnonzero((made.rank[f] > N_SHOWN) & (made.rank[f] <= 60)).tolist())
        for likes in (made.hard.similar_to[f], made.hard.same_norm_as[f]):
            assert set(likes) == asked
            assert all(likes.count(token) == 2 for token in asked)


def likeness(made: Made, f: int) -> np.ndarray:
    """Mean cosine of each token to the ten shown ones, as `completion` has it."""
    rows = made.rows - made.rows[made.usable].mean(axis=0)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shown = np.flatnonzero(made.rank[f] <= N_SHOWN)
    return np.asarray(unit @ unit[shown].mean(axis=0))


def test_similar_ones_are_the_nearest_that_are_free(made: Made) -> None:
    """The slow twin: one promoted token after the other takes the nearest candidate."""
    for f in range(0, N_FEATURES, 9):
        like = likeness(made, f)
        free = set(np.flatnonzero(made.fit & (made.rank[f] > made.last_rank(FAR))).tolist())
        asked = [t for t in np.argsort(-like).tolist() if N_SHOWN < made.rank[f][t] <= 60]
        for token, other in zip(made.hard.similar[f], made.hard.similar_to[f], strict=True):
            expected = min(free, key=lambda t: abs(like[t] - like[other]))
            assert abs(like[token] - like[other]) == pytest.approx(abs(like[expected] - like[other]), abs=1e-5)
            free.discard(token)
        assert made.hard.similar_to[f] == [*asked, *asked]


def test_those_of_the_same_norm_are_the_nearest_that_are_free(made: Made) -> None:
    usable = made.usable
    rows = made.rows - made.rows[usable].mean(axis=0)
    norm, often = np.log(np.linalg.norm(rows, axis=1)), np.log(np.maximum(made.frequency, 1))
    traits = np.stack([(x - x[usable].mean()) / x[usable].std() for x in (norm, often)], axis=1)
    for f in range(0, N_FEATURES, 9):
        free = np.flatnonzero(made.fit & (made.rank[f] > made.last_rank(FAR)))
        for token, other in zip(made.hard.same_norm[f][:20], made.hard.same_norm_as[f][:20], strict=True):
            distance = np.linalg.norm(traits[free] - traits[other], axis=1)
            mine = float(np.linalg.norm(traits[token] - traits[other]))
            assert (distance < mine - 1e-5).sum() <= 2 * N_EACH  # nearer ones are taken, or there are none
            assert mine <= np.sort(np.linalg.norm(traits[made.fit] - traits[other], axis=1))[N_NEAR - 1] + 1e-5
        gap = np.abs(traits[made.hard.same_norm[f]] - traits[made.hard.same_norm_as[f]]).mean(axis=0)
        assert (gap < 0.2).all()  # tokens at random lie 1.1 apart


def test_neighbours_promote_them_and_are_not_the_same(made: Made) -> None:
    assert made.cosine[0, 1] > MOST_ALIKE
    for f in range(N_FEATURES):
        order = [g for g in np.argsort(-made.cosine[f]).tolist() if g != f and made.cosine[f, g] < MOST_ALIKE]
        of = made.hard.of_neighbour[f]
        assert 1 not in made.hard.of_neighbour[0]
        for token, other in zip(made.hard.neighbour[f], of, strict=True):
            assert made.rank[other][token] <= 60
            assert made.cosine[f, other] < MOST_ALIKE
        assert [order.index(g) for g in of] == sorted(order.index(g) for g in of)  # the nearest first
        nearest = [t for t in np.argsort(made.rank[order[0]]).tolist()[:60] if made.rank[f][t] > made.last_rank(BEYOND)]
        assert [t for t, g in zip(made.hard.neighbour[f], of, strict=True) if g == order[0]] == [
            t for t in nearest if made.fit[t]
        ]


def test_a_vocabulary_without_room_has_none() -> None:
    made = Made(60)
    assert not any(map(len, (*made.hard.similar, *made.hard.same_norm, *made.hard.neighbour)))
