"""A label that fires everywhere is charged for it, also among many that do not: who is charged alone, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from planted_items import SCORERS, PlantedFeature, PlantedWorld, judge, values
from slow_alarms import slow_alone
from split_world import LOOKUPS, World

from autointerp.score.class_names import REST as R
from autointerp.score.measures import simulated_auprc, simulated_f1, simulated_framed
from autointerp.score.own_alarms import charged_alone
from autointerp.score.predictions import Judged, Simulated
from autointerp.score.sampled import draw_windows, simulate

RATES = (0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("windows", [(3, 4), (6, 6), (0, 1), (1, 12)])
def test_who_is_charged_alone_equals_the_slow_twin(windows: tuple[int, int], rate: float) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = rng.integers(windows[0], windows[1] + 1, 40)
        hits = rng.binomial(n, rng.choice([rate, 1.0], 40, p=[0.9, 0.1]))
        assert charged_alone(hits, n).tolist() == slow_alone(list(zip(hits.tolist(), n.tolist(), strict=True)))
    assert charged_alone([], []).tolist() == []


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("windows", [4, 6])
def test_of_features_that_are_alike_few_are_taken_apart(windows: int, rate: float) -> None:
    """4,000 dictionaries of 50 features: at most 1 % of the features, and 6 % of the alarms."""
    hits = np.random.default_rng(7).binomial(windows, rate, (4000, 50))
    alone = np.array([charged_alone(of, np.full(50, windows)) for of in hits])
    assert alone.mean() <= 0.01
    assert (hits * alone).sum() <= 0.06 * max(int(hits.sum()), 1)


@pytest.mark.parametrize(("n_broad", "rate"), [(1, 0.0), (1, 0.05), (10, 0.0), (100, 0.0), (100, 0.02)])
def test_labels_that_fire_everywhere_are_taken_apart(n_broad: int, rate: float) -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(3, 5, 200)
    broad = np.arange(200) < n_broad
    alone = charged_alone(np.where(broad, n, rng.binomial(n, rate)), n)
    assert alone[broad].mean() > 0.9
    assert alone[~broad].mean() < 0.02


# --- what it costs


@pytest.fixture(scope="module")
def world() -> PlantedWorld:
    return PlantedWorld(40_000)


@pytest.fixture(scope="module", params=[1e-2, 1e-4])
def features(request: pytest.FixtureRequest, world: PlantedWorld) -> list[PlantedFeature]:
    return [world.feature(number, request.param) for number in range(40)]


@pytest.mark.parametrize("scorer", SCORERS)
def test_one_label_that_says_yes_to_everything_gets_nothing(
    scorer: str, world: PlantedWorld, features: list[PlantedFeature]
) -> None:
    """Among honest ones; and what they get is as before: one may be that misses half."""
    items = [world.items(of, scorer) for of in features]
    honest = [judge(world, scorer, one, of.labels["narrow"]) for one, of in zip(items, features, strict=True)]
    before = {metric: values(honest, metric, scorer) for metric in ("mcc_weighted", "f1_weighted", "auprc_weighted")}
    base = np.array([of.fires.mean() for of in features])
    for at in (0, 17):
        everything = Judged(items[at], np.ones(len(items[at])), ("ok",) * len(items[at]))
        mixed = [everything if i == at else one for i, one in enumerate(honest)]
        after = {metric: values(mixed, metric, scorer) for metric in before}
        assert after["mcc_weighted"][at] == pytest.approx(0.0, abs=1e-9)
        assert after["f1_weighted"][at] == pytest.approx(2 * base[at] / (1 + base[at]), rel=0.05)
        assert after["auprc_weighted"][at] == pytest.approx(base[at], rel=0.05)
        others = np.arange(len(features)) != at
        for metric, was in before.items():
            np.testing.assert_allclose(after[metric][others], was[others], rtol=0.02, atol=1e-3)


def simulated(n: int, everywhere: Sequence[int]) -> list[Simulated]:
    """Features with a label that is right; some with one that fires on every token."""
    made = []
    for feature in range(n):
        world = World(feature, feature=feature)
        one = simulate(draw_windows(world.candidates(), LOOKUPS["tokens"]), LOOKUPS["tokens"])
        if feature in everywhere:
            rest = one.drawn.windows.scored
            one = replace(one, prediction=(rest * float(one.drawn.truth.max())).astype(np.float32))
        made.append(one)
    return made


def test_one_simulation_that_fires_everywhere_gets_what_it_would_among_its_like() -> None:
    n = 12
    honest, mixed, every = simulated(n, ()), simulated(n, (5,)), simulated(n, range(n))
    assert (mixed[5].drawn.classes == R).sum() >= 2
    for measure, most in ((simulated_framed, 0.02), (simulated_f1, 0.0), (simulated_auprc, 0.0)):
        alone, among, before = measure(mixed)[5].value, measure(every)[5].value, measure(honest)[5].value
        assert alone is not None
        assert among is not None
        assert before is not None
        assert alone == pytest.approx(among, abs=0.01 + most)
        assert alone < before
        for other in (0, 11):
            assert measure(mixed)[other].value == pytest.approx(measure(honest)[other].value), (
                "others pay nothing for it"
            )
