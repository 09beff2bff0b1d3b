"""The metrics of many features at once are those of each by itself (`helpers/slow_measures.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from slow_measures import TWINS, WEIGHED_TWINS, slow_weighed
from split_world import LOOKUPS, World

from autointerp.records import Windows
from autointerp.score import base_rate, side_by_side
from autointerp.score.metric import Measured, Metric, measure_all
from autointerp.score.metric_registry import METRICS
from autointerp.score.predictions import CLAIMED, REST, STRENGTHS, Items, Judged, Rated, TokenItems
from autointerp.score.published_measures import OfJudge, of_judged, of_simulated
from autointerp.score.sampled import Answered, answer, draw_windows, look_up, published_windows, simulate

REL = 1e-10
"""Sums run in another order."""


def metrics_like(shape: str, names: Sequence[str]) -> list[Metric]:
    return [one for one in METRICS if one.reads == shape and one.name in names]


def assert_same(expected: Sequence[Measured], made: Sequence[Measured], name: str) -> None:
    for slow, quick in zip(expected, made, strict=True):
        facts = (slow.status, slow.n, slow.n_failed)
        assert (quick.status, quick.n, quick.n_failed) == facts, name
        assert quick.value == (None if slow.value is None else pytest.approx(slow.value, rel=REL, abs=1e-12)), name


def judged(rng: np.random.Generator, feature: int, n: int, lost: float, strata: Sequence[str]) -> Judged:
    none = np.zeros((n, 2), np.int32)
    windows = Windows(np.arange(n), np.arange(n), none[:, 0], none, none, none > 0)
    words = tuple(str(word) for word in rng.choice(strata, n))
    right = np.array([word in STRENGTHS for word in words], dtype=np.bool_)
    weight = np.array([0.0 if word == "wrong" else rng.uniform(1, 9) for word in words])
    probability = np.where(rng.random(n) < lost, np.nan, rng.integers(0, 5, n) / 4)
    items = Items(feature, windows, right, none > 0, (n,), words, weight if feature % 5 else None)
    return Judged(items, probability, ("ok",) * n)


ALL = (*STRENGTHS, "wrong", CLAIMED, REST)


@pytest.mark.parametrize("at_once", [side_by_side.AT_ONCE, 50])
def test_items(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_rate, "parts_at_once", lambda sizes: side_by_side.parts_at_once(sizes, at_once))
    rng = np.random.default_rng(0)
    of = [judged(rng, f, int(rng.integers(0, 40)), float(rng.choice([0, 0, 0.3, 1])), ALL) for f in range(40)]
    of += [judged(rng, 41 + f, 20, 0.0, strata) for f, strata in enumerate((("weak", "strong"), ("wrong",), (REST,)))]
    statuses = set()
    for some in (of, of[:1], [one for one in of if REST not in one.items.strata], []):
        for metric, made in measure_all(metrics_like("judged", [*TWINS, *WEIGHED_TWINS]), some):
            weighed = metric.name in WEIGHED_TWINS
            slow = slow_weighed(metric.name, some) if weighed else [TWINS[metric.name](one) for one in some]
            assert_same(slow, made, metric.name)
            statuses |= {one.status for one in slow}
    assert statuses >= {"ok", "failed", "no_items", "no_weights", "one_sided", "rare", "undefined"}


def test_tokens() -> None:
    rng = np.random.default_rng(1)
    of = []
    for feature in range(40):
        n, share = int(rng.integers(0, 30)), float(rng.choice([0.0, 0.4, 1.0]))
        items = TokenItems(feature, np.arange(n), rng.random(n) < share, np.zeros(0, np.int64))
        rating = rng.integers(0, 4, n).astype(float) - 1
        rating[: int(feature % 7 == 0)] = np.nan
        of.append(Rated(items, rating))
    statuses = set()
    for metric, made in measure_all(metrics_like("rated", list(TWINS)), of):
        slow = [TWINS[metric.name](one) for one in of]
        assert_same(slow, made, metric.name)
        statuses |= {one.status for one in slow}
    assert statuses == {"ok", "rare", "failed", "no_items"}


@pytest.fixture(scope="module")
def answered() -> list[Answered]:
    """Of features with many and with few windows; some failed, some with a density that nobody knows, one silent."""
    made: list[Answered] = []
    for feature in range(6):
        density = float("nan") if feature == 2 else 0.01
        windows = published_windows(World(feature, feature=feature).candidates(), 3.0, density)
        made += [answer(windows, *look_up(lookup, windows.windows)) for lookup in LOOKUPS.values()]
        lost = made[-1].prediction.copy()
        lost[:: feature + 1] = np.nan
        made.append(replace(made[-1], prediction=lost))
    silent = replace(made[0].published, truth=np.zeros_like(made[0].published.truth), maximum=0.0)
    return [*made, replace(made[0], published=silent)]


def test_published_protocols(answered: list[Answered]) -> None:
    statuses = set()
    for metric, made in measure_all(metrics_like("published", list(TWINS)), answered):
        slow = [TWINS[metric.name](one) for one in answered]
        assert_same(slow, made, metric.name)
        statuses |= {one.status for one in slow}
        assert not len(metric.of([])), metric.name
    assert statuses >= {"ok", "fewer", "rare", "no_density", "failed"}


def test_published_protocols_of_a_judge() -> None:
    rng = np.random.default_rng(2)
    of: list[Any] = [OfJudge(0)]
    for feature in range(5):
        drawn = draw_windows(World(feature, feature=feature).candidates(), LOOKUPS["tokens"])
        simulated = simulate(drawn, LOOKUPS["tokens"])
        prediction = simulated.prediction.copy()
        prediction[: 20 * (feature // 2)] = np.nan
        said = judged(rng, feature, 30, 0.2 * feature, ALL)
        of += [
            of_simulated(replace(simulated, prediction=prediction)),
            of_judged(said, np.where(rng.random(30) < 0.5, 0.0, rng.integers(0, 4, 30)) * (feature != 3)),
        ]
    statuses = set()
    for metric, made in measure_all([one for one in METRICS if one.judged_too and one.name in TWINS], of):
        slow = [TWINS[metric.name](one) for one in of]
        assert_same(slow, made, metric.name)
        statuses |= {one.status for one in slow}
    assert statuses >= {"ok", "no_items", "rare"}


def test_parts_are_all_of_them_in_order() -> None:
    sizes = [3, 0, 9, 1, 1, 1, 20, 2]
    for most in (1, 4, 10, 100):
        parts = side_by_side.parts_at_once(sizes, most)
        assert [i for part in parts for i in range(len(sizes))[part]] == list(range(len(sizes)))
        assert all(sum(sizes[part]) <= most or len(sizes[part]) == 1 for part in parts)
    assert side_by_side.parts_at_once([]) == []
