"""The embedded simulator's samples: classes, sizes, draws and predictions against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from split_world import LIMITS, LOOKUPS, SEED, TOP_TOKENS, L, World

from autointerp.explain.lookup import entries_of, from_lists, predict, triggers
from autointerp.records import ANY_TOKEN, FeatureWindows, GramTable, Windows
from autointerp.score import published
from autointerp.score.pool import Pool
from autointerp.score.published_strata import quantiles
from autointerp.score.sampled import (
    PublishedWindows,
    all_strata,
    candidates,
    draw_windows,
    judge,
    look_up,
    published_windows,
    simulate,
    take,
    top_tokens,
)
from autointerp.score.sampling import CLASSES, EXPLANATION, FIRST_BIN, NOT_SAMPLED, TOKEN, TOP


@pytest.mark.parametrize("name", LOOKUPS)
@pytest.mark.parametrize("seed", range(3))
def test_each_window_is_in_the_class_that_its_definition_gives(seed: int, name: str) -> None:
    world = World(seed)
    drawn = draw_windows(world.candidates(), LOOKUPS[name])
    rows = world.row_of(drawn.windows)
    assert len(np.unique(rows)) == len(rows) == 60
    assert [CLASSES[k] for k in drawn.classes] == [world.slow_class(row, LOOKUPS[name]) for row in rows]
    for field in fields(Windows):
        assert np.array_equal(getattr(drawn.windows, field.name), getattr(world.windows, field.name)[rows])
    assert np.array_equal(drawn.truth, world.truth[rows])


@pytest.mark.parametrize("name", LOOKUPS)
def test_of_each_class_come_the_windows_of_smallest_u_and_the_sizes_are_shares(name: str) -> None:
    world, lookup = World(5), LOOKUPS[name]
    drawn = draw_windows(world.candidates(), lookup)
    quiet = world.pool_rows[world.maximum[world.pool_rows] == 0]
    frame = np.concatenate([world.kept_rows, quiet])
    classes = np.asarray([world.slow_class(row, lookup) for row in frame])
    n_firing = int((world.maximum > 0).sum())
    n_top, n_reservoir = int((classes == "T").sum()), int(np.char.startswith(classes, "F").sum())
    for k, of in enumerate(CLASSES):
        members = frame[classes == of]
        assert drawn.available[k] == len(members)
        smallest = members[np.argsort(world.u[members])][: drawn.n[k]]
        assert set(world.row_of(drawn.windows)[drawn.classes == k]) == set(smallest)
        size = (
            n_top
            if of == "T"
            else (n_firing - n_top) * len(members) / n_reservoir
            if of.startswith("F")
            else (900 - n_firing) * len(members) / len(quiet)
        )
        assert drawn.sizes[k] == pytest.approx(size)
    assert drawn.sizes.sum() == pytest.approx(900)
    assert np.array_equal(drawn.n_class, drawn.n[drawn.classes])
    assert np.array_equal(drawn.size_class, drawn.sizes[drawn.classes])


def test_a_window_in_both_strata_counts_once_as_a_top_one() -> None:
    world = World(7)
    n = len(world.kept_rows)
    twice = np.concatenate([np.arange(n), [0]])
    doubled = FeatureWindows(
        7,
        900,
        world.firing.n_firing_windows,
        world.firing.window[twice],
        np.append(world.firing.stratum, "F"),
        world.firing.maximum[twice],
        world.firing.u[twice],
        world.firing.truth[twice],
    )
    plain = world.candidates()
    feature = candidates(
        doubled, take(plain.kept, twice), plain.pool, np.flatnonzero(~plain.silent), LIMITS, TOP_TOKENS, SEED
    )
    assert np.array_equal(feature.kept.window, plain.kept.window)
    assert (feature.classes == TOP).sum() == 20


def test_windows_of_another_feature_are_refused() -> None:
    world = World(8)
    with pytest.raises(ValueError, match="feature 7"):
        candidates(
            world.firing, take(world.windows, world.kept_rows[::-1]), Pool(world.windows), [], LIMITS, TOP_TOKENS, SEED
        )


@pytest.mark.parametrize("name", LOOKUPS)
def test_the_pool_knows_where_a_lookup_fires(name: str) -> None:
    windows, lookup = World(9).windows, LOOKUPS[name]
    fires = triggers(from_lists([lookup]), 0, windows.tokens, windows.previous) & windows.scored
    assert np.array_equal(Pool(windows).holding(lookup.previous, lookup.token), fires.any(axis=1))


def test_predictions_are_those_of_the_lookup_and_0_where_not_scored() -> None:
    table = from_lists(list(LOOKUPS.values()))
    drawn = draw_windows(World(10).candidates(), LOOKUPS["pairs"])
    simulated = simulate(drawn, entries_of(table, 1))
    value, probability = predict(table, 1, drawn.windows.tokens, drawn.windows.previous)
    assert np.array_equal(simulated.prediction, np.where(drawn.windows.scored, value, 0))
    looked_up = look_up(entries_of(table, 1), drawn.windows)[1]
    assert np.array_equal(looked_up, np.where(drawn.windows.scored, probability, 0))
    assert (simulated.prediction[drawn.classes >= TOKEN] == 0).all()
    assert (simulated.prediction[drawn.classes == EXPLANATION] != 0).any(axis=1).all()


def test_a_window_is_judged_by_its_chance_of_firing_anywhere() -> None:
    windows = World(11).windows
    lookup = LOOKUPS["pairs"]
    fires, probability = judge(lookup, windows)
    _, q = predict(from_lists([lookup]), 0, windows.tokens, windows.previous)
    for w in range(50):
        silent = 1.0
        for i in range(L):
            silent *= 1 - (float(q[w, i]) if windows.scored[w, i] else 0.0)
        assert probability[w] == pytest.approx(1 - silent)
        assert fires[w] == (1 - silent >= 0.5)


def test_a_feature_that_never_fires_on_the_split_has_silent_windows_only() -> None:
    feature = World(12, density=0.0).candidates()
    drawn = draw_windows(feature, LOOKUPS["tokens"])
    assert (drawn.classes >= EXPLANATION).all()
    assert drawn.sizes.sum() == pytest.approx(900)
    assert len(published_windows(feature, 1.0)) >= 50


def test_top_tokens_are_the_heaviest() -> None:
    token = np.arange(50, dtype=np.int32)[::-1].copy()
    count = np.ones(50, np.int64)
    mass = np.arange(50, 0, -1, dtype=np.float64)
    table = GramTable(np.asarray([0, 20, 50]), token * 0 - 1, token, mass, count, count, np.zeros(2))
    assert top_tokens(table, 1).tolist() == token[20:40].tolist()
    assert ANY_TOKEN not in top_tokens(table, 1)


# --- published --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("density", "n"), [(0.03, 900), (0.2, 900), (0.002, 900), (0.03, 40)])
def test_the_published_windows_are_those_that_the_protocols_choose(density: float, n: int) -> None:
    """Choosing again among the windows handed on gives the same windows as choosing among all."""
    feature = World(13, n=n, density=density).candidates()
    wide, narrow = all_strata(feature, 5.0), published_windows(feature, 5.0)
    ways: tuple[Callable[[PublishedWindows], published.ChosenWindows], ...] = (
        lambda w: published.choose_top_random(w.top, w.random_5, w.u),
        lambda w: published.choose_intervals(w.top, w.interval, w.random_10, w.out_of_context, w.u),
        lambda w: published.choose_quantiles(w.quantile, w.silent, w.u),
        lambda w: published.choose_saebench(
            w.truth.max(axis=1), (w.truth.astype(np.float64) ** 2).sum(axis=1), w.top, w.silent, w.u, 5.0
        ),
    )
    for choose in ways:
        before, after = choose(wide), choose(narrow)
        assert np.array_equal(wide.windows.window[before.index], narrow.windows.window[after.index])
        assert np.array_equal(before.stratum, after.stratum)
        assert before.missing == after.missing


def test_published_strata_are_measured() -> None:
    world = World(14, density=0.05)
    windows = published_windows(world.candidates(), float(world.maximum.max()))
    rows = world.row_of(windows.windows)
    assert len(np.unique(rows)) == len(rows) == len(windows)
    assert np.array_equal(windows.truth, world.truth[rows])
    assert np.array_equal(windows.u, world.u[rows])
    assert np.array_equal(windows.silent, world.maximum[rows] == 0)
    assert np.array_equal(windows.interval >= 0, world.maximum[rows] > 0)
    assert windows.random_5.sum() == 5
    assert windows.random_10.sum() == 10
    assert windows.out_of_context.sum() == 20
    assert not (windows.random_10 & windows.out_of_context).any()
    held = np.isin(windows.windows.tokens, TOP_TOKENS) & windows.windows.scored
    assert held[windows.out_of_context].any(axis=1).all()
    heights = [world.maximum[rows][windows.quantile == k] for k in range(10)]
    assert min(map(len, heights)) >= 5
    assert all(high.min() >= low.max() for high, low in pairwise(heights))


@pytest.mark.parametrize("blocks", [5, 32])
def test_calibrations_have_windows_of_their_own_of_other_documents(blocks: int) -> None:
    world = World(16, density=0.05, blocks=blocks)
    windows = published_windows(world.candidates(), float(world.maximum.max()))
    chosen = published.choose_top_random(windows.top, windows.random_5, windows.u).index
    mine = np.flatnonzero(windows.calibration)
    block = windows.windows.block
    assert not set(block[mine]) & set(block[chosen])
    assert not (windows.calibration & (windows.random_10 | windows.out_of_context)).any()
    if blocks == 5:  # the ten are of every block
        assert len(mine) == 0
        return
    top = windows.top[mine]
    assert (top.sum(), (~top).sum()) == (5, 5)
    rest = [i for i in np.flatnonzero(windows.top) if block[i] not in block[chosen]]
    assert sorted(windows.u[mine[top]]) == sorted(windows.u[rest])[:5], "the next of smallest u"


def test_firings_are_shared_out_over_intervals_as_in_the_split() -> None:
    """Over many features: the reservoir stands for the firing windows that are not kept."""
    found, expected = np.zeros(12), np.zeros(12)
    pool = None
    for feature in range(30):
        world = World(17, density=0.1, feature=feature, reservoir=80)
        pool = pool or Pool(take(world.windows, world.pool_rows))
        maximum = float(world.maximum.max())
        share = published_windows(world.candidates(pool), maximum).interval_share
        assert share.sum() == pytest.approx(1)
        found += share / 30
        height = world.truth[world.truth > 0] / maximum
        expected += np.bincount(np.minimum((height * 12).astype(int), 11), minlength=12) / len(height) / 30
    np.testing.assert_allclose(found, expected, atol=0.015)


@pytest.mark.parametrize("n", [83, 20, 9])
def test_quantiles_are_of_one_size_as_delphi_cuts_them(n: int) -> None:
    world = World(18, density=0.05)
    feature = world.candidates()
    feature = replace(
        feature,
        kept=take(feature.kept, np.arange(n) % len(feature.kept)),
        maximum=np.random.default_rng(0).permutation(n).astype(np.float32) + 1,
        classes=np.full(n, FIRST_BIN),
        u=np.linspace(0, 1, n, endpoint=False),
    )
    got = quantiles(feature)
    falling = np.argsort(-feature.maximum).tolist()
    size = n // 10
    for k in range(10):
        assert sorted(np.flatnonzero(got == k)) == sorted(falling[k * size : (k + 1) * size])
    assert (got == -1).sum() == n - 10 * size


def test_random_windows_fire_as_often_as_windows_do() -> None:
    """Firing windows of the pool are replaced by kept ones: their share over many features is the split's."""
    shares, expected = [], []
    pool = None
    for feature in range(120):
        world = World(15, density=0.1, feature=feature, pool=400)
        pool = pool or Pool(take(world.windows, world.pool_rows))
        windows = published_windows(world.candidates(pool), 5.0)
        shares.append((windows.random_10 & ~windows.silent).sum() / 10)
        expected.append((world.maximum > 0).mean())
    assert np.mean(shares) == pytest.approx(np.mean(expected), abs=0.05)


def test_classes_are_numbered_as_in_the_estimator() -> None:
    assert CLASSES[TOP] == "T"
    assert CLASSES[EXPLANATION] == "E"
    assert CLASSES[TOKEN] == "M"
    assert NOT_SAMPLED == -1
