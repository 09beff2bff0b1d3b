"""Lists of several explanations: each window in one class, each list with windows of its own, later lists apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_world import LOOKUPS, TOP_TOKENS, World, grams

from autointerp.explain.lookup import EMPTY, Entries
from autointerp.records import Windows
from autointerp.score.class_names import CLASSES, FIRING, LISTS, N_CLASSES, REST, TOKEN
from autointerp.score.listed import leverages, parts_of_lists
from autointerp.score.metrics import moments, pearson
from autointerp.score.pool import Pool
from autointerp.score.predictions import Drawn
from autointerp.score.quotas import LEAST_OF_LIST, QUOTAS_60, half_neyman, shared_out
from autointerp.score.sampled import draw_windows, look_up, take
from autointerp.score.sampling import window_weights

SHORT, LONG, OTHER = grams((-1, 5)), grams(*((-1, t) for t in range(3, 9))), grams((-1, 3), (2, 9))
RARE = grams((-1, 9), (-1, 10))
LISTS_OF_THREE = (LONG, SHORT, OTHER)


def stands_on(windows: Windows, row: int, entries: Entries) -> bool:
    scored = windows.scored[row]
    listed = set(zip(entries.previous.tolist(), entries.token.tolist(), strict=True))
    pairs = zip(windows.previous[row][scored].tolist(), windows.tokens[row][scored].tolist(), strict=True)
    return any((before, token) in listed or (-1, token) in listed for before, token in pairs)


def slow_classes(world: World, rows: np.ndarray, waves: list[list[Entries]]) -> list[str]:
    """The class of silent windows, from the definition: wave after wave, the rarest list first."""
    quiet = [int(row) for row in world.pool_rows if world.maximum[row] == 0]
    part: dict[int, int] = {}
    number = 0
    for wave in waves:
        on = [{row for row in quiet if stands_on(world.windows, row, entries)} for entries in wave]
        for index in sorted(range(len(wave)), key=lambda i: (len(on[i]), i)):
            mine = on[index] - part.keys()
            part |= dict.fromkeys(mine, number)
            number += bool(mine)
    names = ["E", *(f"E{k}" for k in range(2, 9))]

    def of(row: int) -> str:
        if row in part:
            return names[part[row]]
        tokens = world.windows.tokens[row][world.windows.scored[row]]
        return "M" if np.isin(tokens, TOP_TOKENS).any() else "R"

    return [of(int(row)) for row in rows]


@pytest.mark.parametrize("seed", range(3))
def test_each_silent_window_is_of_the_rarest_list_that_it_stands_on(seed: int) -> None:
    world = World(seed)
    drawn = draw_windows(world.candidates(), LISTS_OF_THREE)
    silent = drawn.classes > FIRING[-1]
    rows = world.row_of(drawn.windows)[silent]
    assert [CLASSES[k] for k in drawn.classes[silent]] == slow_classes(world, rows, [list(LISTS_OF_THREE)])
    assert len(np.unique(drawn.windows.window)) == len(drawn.windows) == 60
    assert drawn.sizes.sum() == pytest.approx(900)
    for part in LISTS[:3]:
        assert drawn.n[part] >= min(LEAST_OF_LIST // 2, drawn.available[part])
        assert drawn.available[part] > 0
    everything = slow_classes(world, world.pool_rows[world.maximum[world.pool_rows] == 0], [list(LISTS_OF_THREE)])
    assert [drawn.available[CLASSES.index(k)] for k in ("E", "E2", "E3", "M", "R")] == [
        everything.count(k) for k in ("E", "E2", "E3", "M", "R")
    ]


def test_a_short_list_within_a_long_one_keeps_windows_of_its_own() -> None:
    drawn = draw_windows(World(4).candidates(), (LONG, SHORT))
    own = take(drawn.windows, np.flatnonzero(drawn.classes == LISTS[0]))
    assert len(own) >= LEAST_OF_LIST
    assert all(stands_on(own, row, SHORT) for row in range(len(own)))


def test_the_order_and_repetition_of_lists_change_nothing() -> None:
    feature = World(5).candidates()
    first = draw_windows(feature, LISTS_OF_THREE)
    for lists in ((SHORT, OTHER, LONG), (OTHER, LONG, EMPTY, SHORT, LONG)):
        again = draw_windows(feature, lists)
        assert np.array_equal(first.windows.window, again.windows.window)
        assert np.array_equal(first.classes, again.classes)


def test_a_later_list_adds_windows_and_takes_none_away() -> None:
    world = World(6)
    feature = world.candidates()
    before, after = draw_windows(feature, (SHORT,)), draw_windows(feature, (SHORT,), later=((LONG, SHORT), (RARE,)))
    for k in (*FIRING, LISTS[0]):
        windows = [one.windows.window[one.classes == k] for one in (before, after)]
        assert np.array_equal(*windows), CLASSES[k]
        assert before.sizes[k] == after.sizes[k]
    silent = after.classes > FIRING[-1]
    rows = world.row_of(after.windows)[silent]
    assert [CLASSES[k] for k in after.classes[silent]] == slow_classes(world, rows, [[SHORT], [LONG], [RARE]])
    for k in LISTS[1:3]:
        assert after.n[k] == min(LEAST_OF_LIST, after.available[k]) > 0
    assert len(after.windows) <= len(before.windows) + 2 * LEAST_OF_LIST
    moved = after.sizes[list(LISTS[1:3])].sum()
    assert after.sizes[[TOKEN, REST]].sum() == pytest.approx(before.sizes[[TOKEN, REST]].sum() - moved)
    same = draw_windows(feature, (SHORT,), later=((SHORT,),))
    assert np.array_equal(same.windows.window, before.windows.window), "who lists nothing new is judged on the same"


def test_more_lists_than_parts_share_the_last_one() -> None:
    stands = [np.arange(60) % 12 == k for k in range(12)]
    part, n = parts_of_lists(stands, np.full(60, -1))
    assert n == len(LISTS)
    assert part.tolist() == [min(k % 12, len(LISTS) - 1) for k in range(60)]


def test_the_weighted_sample_hits_the_totals_whatever_the_lists() -> None:
    """Over draws of u the Hajek totals of a prediction are those of the whole split, each class at its own rate."""
    world = World(7, n=900, pool=900, reservoir=900)
    feature = world.candidates()
    prediction = look_up(LONG, world.windows)[0]
    every = moments(world.truth, prediction, world.windows.scored)
    rng = np.random.default_rng(0)
    totals = []
    for _ in range(150):
        drawn = draw_windows(replace(feature, u=rng.random(len(feature.u)), pool_u=rng.random(900)), LISTS_OF_THREE)
        weight = window_weights(drawn.classes, drawn.sizes)
        assert np.all(weight >= 1 - 1e-9)
        totals.append(weight @ every[world.row_of(drawn.windows)])
    error = (np.mean(totals, axis=0) - every.sum(axis=0)) / (np.std(totals, axis=0) / 150**0.5 + 1e-9)
    assert np.all(np.abs(error) < 4)


@pytest.mark.parametrize("name", LOOKUPS)
def test_the_pool_adds_up_what_a_lookup_predicts(name: str) -> None:
    windows, lookup = World(9).windows, LOOKUPS[name]
    pool = Pool(windows)
    pool.predicted(LOOKUPS["everything"])  # what was looked up before leaves nothing behind
    p, squares = pool.predicted(lookup)
    value = look_up(lookup, windows)[0].astype(np.float64)
    np.testing.assert_allclose(p, value.sum(axis=1))
    np.testing.assert_allclose(squares, (value**2).sum(axis=1))


# --- how many of each class -------------------------------------------------------------------------


def test_every_list_has_an_equal_share_and_no_less_than_four() -> None:
    for n_lists, expected in ((0, [18]), (1, [18]), (2, [9, 9]), (3, [6, 6, 6]), (4, [5, 5, 4, 4]), (5, [4] * 5)):
        quotas = shared_out(QUOTAS_60, n_lists, N_CLASSES)
        assert quotas[list(LISTS[: max(n_lists, 1)])].tolist() == expected
        assert quotas.sum() == 60 + max(0, 4 * n_lists - 18)
        assert quotas[[TOKEN, REST]].tolist() == [4, 6]


@given(st.lists(st.floats(0, 10), min_size=16, max_size=16), st.lists(st.integers(0, 40), min_size=16, max_size=16))
@settings(max_examples=100, deadline=None)
def test_half_of_the_windows_go_where_the_cheap_simulator_varies(leverage: list[float], available: list[int]) -> None:
    base, room = shared_out(QUOTAS_60, 3, N_CLASSES), np.array(available)
    got = half_neyman(base, [leverage], room)
    assert got.sum() == base.sum()
    assert got[[TOKEN, REST]].tolist() == base[[TOKEN, REST]].tolist()
    movable = np.array([k not in (TOKEN, REST) for k in range(N_CLASSES)])
    if not np.any(np.array(leverage)[movable] > 0):
        assert np.array_equal(got, base)
        return
    assert np.all(got[movable] >= np.floor(base[movable] / 2))
    share = np.where(movable, leverage, 0.0) / np.array(leverage)[movable].sum()
    wanted = base / 2 + base[movable].sum() / 2 * share
    if np.all(wanted[movable & (share > 0)] <= room[movable & (share > 0)]):
        assert np.all(np.abs(got - np.where(movable, wanted, base)) <= 1)


def test_no_class_is_given_more_than_it_has_while_others_have_room() -> None:
    base, room = np.array(QUOTAS_60), np.array([8, 40, 40, 40, 40, 40, 40, 40, 40])
    got = half_neyman(base, [[9.0, 1, 1, 1, 1, 1, 0, 0, 0]], room)
    assert got[0] == 8
    assert got.sum() == 60
    assert len({int(2 * x) for x in got[1:6] - base[1:6] / 2}) <= 3, "what T cannot hold is shared out alike"


def test_the_leverage_of_a_class_is_its_size_times_the_spread_of_what_a_window_adds() -> None:
    rng = np.random.default_rng(1)
    classes = rng.integers(0, 9, 200)
    values = np.abs(rng.normal(size=(200, 6))) + np.array([32, 0, 0, 1, 1, 0])
    values[:, 5] = np.minimum(values[:, 5], np.sqrt(values[:, 3] * values[:, 4]))
    sizes = np.bincount(classes, minlength=9) * rng.uniform(1, 5, 9)
    [got] = leverages([values], classes, sizes)
    total = sum(sizes[h] * values[classes == h].mean(axis=0) for h in range(9))
    steps = np.diag(1e-5 * np.abs(total))
    slope = np.array([(pearson(total + step) - pearson(total - step)) / (2 * step.sum()) for step in steps])
    expected = [sizes[h] * (values[classes == h] @ slope).std(ddof=1) for h in range(9)]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    silent = values * [1, 1, 0, 1, 0, 0]
    assert not leverages([silent], classes, sizes).any(), "who predicts nothing has no say"


def test_drawn_windows_are_those_of_smallest_u() -> None:
    world = World(8)
    feature = world.candidates()
    drawn: Drawn = draw_windows(feature, LISTS_OF_THREE)
    u = dict(zip(feature.pool.windows.window.tolist(), feature.pool_u.tolist(), strict=True))
    silent = world.pool_rows[world.maximum[world.pool_rows] == 0]
    classes = slow_classes(world, silent, [list(LISTS_OF_THREE)])
    for name in ("E", "E2", "E3", "M", "R"):
        number = CLASSES.index(name)
        members = sorted(u[int(world.windows.window[row])] for row, k in zip(silent, classes, strict=True) if k == name)
        chosen = sorted(u[int(w)] for w in drawn.windows.window[drawn.classes == number])
        assert chosen == members[: drawn.n[number]]
