"""How `lexical`'s constants are chosen: what takes part, and which point of the grid wins."""

from __future__ import annotations

import numpy as np

from autointerp.explain import lexical
from autointerp.records import ANY_TOKEN, GramTable
from autointerp.score.census_sums import CensusSums, probability_bin
from autointerp.train.lexical_constants import FIRING, GRID, NAMES, NOW, choose, log_loss, most_names, only


def test_the_constants_are_a_point_inside_the_grid() -> None:
    assert NOW in GRID
    assert lexical.NAMED in NAMES
    assert lexical.FIRES_AT in FIRING


def test_names_are_taken_while_their_text_is_worth_it() -> None:
    lengths = {5: 20.0, 10: 30.0, 15: 40.0}
    assert most_names({5: 0.5, 10: 0.53, 15: 0.54}, lengths) == 10
    assert most_names({5: 0.5, 10: 0.52, 15: 0.6}, lengths) == 5, "no step is taken over one that is not worth it"
    assert most_names({5: 0.5, 10: 0.53, 15: 0.56}, lengths) == 15


def test_the_log_loss_is_smallest_where_firing_was_so_drawn() -> None:
    rng = np.random.default_rng(0)
    counts = np.zeros((2, 3, 33), dtype=np.int64)  # firing, silent; the last feature has no place
    for strength in range(1, 11):
        fires = rng.binomial(4000, 1 - np.exp(-strength / 5), 2)
        counts[0, :2, probability_bin(strength / 10)] = fires
        counts[1, :2, probability_bin(strength / 10)] = 4000 - fires
    none = np.zeros((3, 1))
    sums = CensusSums(none, none, none, counts[0], counts[1], counts[0], counts[1])
    losses = {at: log_loss(sums, np.arange(3), at) for at in FIRING}
    assert min(losses, key=lambda at: losses[at]) == 5.0


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
