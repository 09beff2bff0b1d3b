"""Matching dictionaries: a dictionary against a permuted, scaled, partly split copy of itself, and the assignment."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from autointerp.compare.matching import OVERLAP, PART, SAME, Matching, match, one_to_one
from autointerp.records import Matches

LEAST = 0.1


def matches(a: np.ndarray, b: np.ndarray) -> Matches:
    """From dense activations [N, A] and [N, B]; a feature that never fires cannot be compared."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(a, b, rowvar=False)[: a.shape[1], a.shape[1] :]
    r = np.where(np.isnan(r), -np.inf, r)
    rows, columns = np.nonzero(r >= LEAST)
    known_a, known_b = np.isfinite(r).any(axis=1), np.isfinite(r).any(axis=0)
    return Matches(
        len(a),
        (a > 0).sum(axis=0),
        (b > 0).sum(axis=0),
        rows,
        columns,
        r[rows, columns],
        np.where(known_a, r.argmax(axis=1), -1),
        np.where(known_a, r.max(axis=1), np.nan),
        np.where(known_b, r.argmax(axis=0), -1),
        np.where(known_b, r.max(axis=0), np.nan),
    )


def statuses(matching: Matching, side: str) -> list[str]:
    return [fate.status for fate in getattr(matching, side)]


@pytest.fixture(scope="module")
def activations() -> np.ndarray:
    """[N, 30] sparse and nearly independent."""
    rng = np.random.default_rng(0)
    return np.where(rng.random((20_000, 30)) < 0.02, rng.gamma(2.0, 1.0, (20_000, 30)), 0.0)


def test_a_permuted_and_scaled_copy_is_found_feature_by_feature(activations: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    order = rng.permutation(30)
    copy = (activations * rng.uniform(0.1, 10.0, 30))[:, order]  # feature j of the copy is order[j]
    found = match(matches(activations, copy), range(30), range(30))
    assert statuses(found, "a") == statuses(found, "b") == ["matched"] * 30
    assert [order[fate.partner] for fate in found.a] == list(range(30))
    assert [fate.best for fate in found.a] == [fate.partner for fate in found.a]
    assert [fate.partner for fate in found.b] == order.tolist()
    assert min(fate.partner_r or 0 for fate in found.a) > 0.999
    assert found.splits == found.merges == ()


@pytest.mark.parametrize("n_parts", [2, 3])
def test_what_was_split_merged_left_out_and_added_is_told(activations: np.ndarray, n_parts: int) -> None:
    """0 is split into parts that never fire together, 1 and 2 are merged, 3 is gone, 4 is silent, one is new; the
    others are noisy copies."""
    rng = np.random.default_rng(2)
    part = rng.integers(0, n_parts, len(activations))
    parts = [np.where(part == k, activations[:, 0], 0.0) * (k + 1) for k in range(n_parts)]
    merged = activations[:, 1] + activations[:, 2]
    new = np.where(rng.random(len(activations)) < 0.02, 1.0, 0.0)
    noisy = activations[:, 5:] * rng.lognormal(0, 0.3, (len(activations), 25))
    b = np.column_stack([noisy, *parts, merged, new])
    a = activations.copy()
    a[:, 4] = 0.0
    found = match(matches(a, b), range(30), range(b.shape[1]))
    assert statuses(found, "a") == ["split", "merged", "merged", "missing", "rare", *["matched"] * 25]
    assert statuses(found, "b") == [*["matched"] * 25, *["part"] * n_parts, "merge", "new"]
    [split], [merge] = found.splits, found.merges
    assert (split.whole, set(split.parts)) == (0, set(range(25, 25 + n_parts)))
    assert split.explained == pytest.approx(1.0, abs=0.05)
    assert (merge.whole, set(merge.parts)) == (25 + n_parts, {1, 2})
    assert list(split.correlations) == sorted(split.correlations, reverse=True)
    assert found.counts("a") == {"matched": 25, "split": 1, "merged": 2, "missing": 1, "unclear": 0, "rare": 1}
    assert [fate.partner for fate in found.a[5:]] == list(range(25))
    assert found.a[4].best is found.a[4].best_r is None


def test_two_copies_of_a_feature_are_no_split(activations: np.ndarray) -> None:
    """They overlap: what each explains adds up to more than there is. One is the partner, the other is left over."""
    rng = np.random.default_rng(3)
    noise = [rng.lognormal(0, 0.5, len(activations)) for _ in range(2)]
    b = np.column_stack([activations[:, 0] * noise[0], activations[:, 0] * noise[1], activations[:, 1:]])
    of = matches(activations, b)
    shares = [r * r for a, b, r in zip(of.edge_a, of.edge_b, of.edge_r, strict=True) if a == 0 and b < 2]
    assert len(shares) == 2
    assert sum(shares) > OVERLAP
    found = match(of, range(30), range(31))
    assert found.splits == ()
    assert found.a[0].status == "matched"
    assert sorted(statuses(found, "b")[:2]) == ["matched", "unclear"]


def test_a_half_alike_feature_is_unclear(activations: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    blurred = np.where(rng.random(len(activations)) < 0.18, activations[:, 0], 0.0) + np.where(
        rng.random(len(activations)) < 0.001, 3.0, 0.0
    )
    b = np.column_stack([blurred, activations[:, 1:]])
    found = match(matches(activations, b), range(30), range(30))
    r = found.a[0].best_r
    assert r is not None
    assert PART < r < SAME
    assert found.a[0].status == found.b[0].status == "unclear"


def test_of_a_dictionary_in_part_the_others_are_not_named(activations: np.ndarray) -> None:
    found = match(matches(activations, activations), [3, 7], range(30))
    assert [fate.feature for fate in found.a] == [3, 7]
    assert found.a[0].partner == 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n_a", "n_b"), [(12, 12), (9, 15), (15, 9)])
def test_one_to_one_is_the_assignment_of_largest_total(seed: int, n_a: int, n_b: int) -> None:
    """Against the Hungarian algorithm on the whole matrix, where a pair below the least is worth nothing."""
    rng = np.random.default_rng(seed)
    r = np.clip(rng.beta(1, 3, (n_a, n_b)), 0, 1)
    r[rng.random((n_a, n_b)) < 0.05] = 1.0
    worth = np.where(r >= LEAST, r, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    a, b = np.nonzero(r >= LEAST)
    got = one_to_one(a, b, r[a, b], n_a, n_b)
    assert sum(value for _, value in got.values()) == pytest.approx(worth[rows, columns].sum())
    assert len({b for b, _ in got.values()}) == len(got)
    assert all(value == pytest.approx(r[one, other]) for one, (other, value) in got.items())


def test_without_pairs_there_is_none() -> None:
    none = np.zeros(0, np.int64)
    assert one_to_one(none, none, np.zeros(0), 3, 2) == {}
    nothing = matches(np.zeros((50, 2)), np.zeros((50, 3)))
    found = match(nothing, range(2), range(3))
    assert statuses(found, "a") == ["rare"] * 2
