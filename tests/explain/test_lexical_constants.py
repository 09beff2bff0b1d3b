"""How `lexical`'s constants are chosen: what takes part, and which point of the grid wins."""

from __future__ import annotations

import numpy as np

from autointerp.records import ANY_TOKEN, GramTable
from autointerp.train.lexical_constants import GRID, NOW, choose, only


def test_the_constants_are_a_point_inside_the_grid() -> None:
    assert NOW in GRID


def test_the_fewest_entries_among_those_that_score_alike() -> None:
    a, b, c, d = GRID[:4]
    entries = {a: 400, b: 300, c: 200, d: 100}
    assert choose({a: 0.70001, b: 0.7, c: 0.6998, d: 0.1}, entries) == b
    assert choose({a: 0.7, b: 0.6, c: 0.5, d: 0.1}, entries) == a


def test_lookups_of_the_sample_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    start = np.array([0, 4, 4, 9, 12])
    n = int(start[-1])
    table = GramTable(
        start=start,
        previous=np.full(n, ANY_TOKEN, np.int32),
        token=rng.permutation(20)[:n].astype(np.int32),
        mass=rng.random(n),
        n_firing=np.ones(n, np.int64),
        n_seen=np.full(n, 3),
        mass_error=np.zeros(4),
    )
    few = only(table, np.array([1, 2]))
    assert few.start.tolist() == [0, 0, 0, 5, 5]
    np.testing.assert_array_equal(few.token, table.token[4:9])
    np.testing.assert_array_equal(few.mass, table.mass[4:9])
