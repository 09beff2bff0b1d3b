"""Detection and fuzzing weighed back to the corpus: a label that claims too much pays, and a rule that does not read
gets nothing.

Planted features and judges that follow a rule (`helpers/planted_items.py`); the truth is counted over every window.
tests/slow/test_over_broad_items.py has other densities and more features.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_items import BLIND, SCORERS, PlantedFeature, PlantedWorld, V, judge, lookup, some, values
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, precision_score

from autointerp.explain.lookup import EMPTY
from autointerp.records import Bool, Float64
from autointerp.score.base_rate import Weighed, average_precision, f1, matthews, precision, weigh
from autointerp.score.judged_together import JudgedTogether
from autointerp.score.look_alikes import CAP, PRIOR
from autointerp.score.predictions import CLAIMED, REST, STRENGTHS, Items, Judged
from autointerp.score.scorers.claims import (
    MOST_CELLS,
    NOT_SILENT,
    OF_REST,
    Cells,
    cells_of,
    claimed_places,
    draw_standing,
    shared_out,
)
from autointerp.score.side_by_side import FeatureRows

DENSITY, N_WINDOWS, N_FEATURES = 1e-4, 40_000, 24


@pytest.fixture(scope="module")
def world() -> PlantedWorld:
    return PlantedWorld(N_WINDOWS)


@pytest.fixture(scope="module")
def features(world: PlantedWorld) -> list[PlantedFeature]:
    return [world.feature(number, DENSITY) for number in range(N_FEATURES)]


@pytest.fixture(scope="module")
def items(world: PlantedWorld, features: list[PlantedFeature]) -> dict[str, list[Items]]:
    return {scorer: [world.items(one, scorer) for one in features] for scorer in SCORERS}


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_label_that_claims_three_times_too_much_is_seen_at_one_token_in_10000(
    scorer: str, world: PlantedWorld, features: list[PlantedFeature], items: dict[str, list[Items]]
) -> None:
    said = {
        label: [judge(world, scorer, one, of.labels[label]) for one, of in zip(items[scorer], features, strict=True)]
        for label in ("true", "broad", "narrow")
    }
    for metric in ("mcc_weighted", "f1_weighted", "auprc_weighted", "precision_weighted"):
        true, broad = (values(said[label], metric, scorer) for label in ("true", "broad"))
        assert np.mean(broad < true) == 1.0, metric
    for metric in ("mcc_weighted", "f1_weighted", "auprc_weighted", "balanced_accuracy_matched"):
        true, narrow = (values(said[label], metric, scorer) for label in ("true", "narrow"))
        assert np.mean(narrow < true) >= 0.95, metric
    # what the matched items say of it: nothing
    assert np.mean(values(said["broad"], "balanced_accuracy_matched", scorer)) > 0.98
    for stratum in STRENGTHS:
        assert np.nanmean(values(said["broad"], f"recall_{stratum}", scorer)) == 1.0
        assert np.nanmean(values(said["narrow"], f"recall_{stratum}", scorer)) < 0.7


def test_the_estimate_is_the_number_over_every_window(
    world: PlantedWorld, features: list[PlantedFeature], items: dict[str, list[Items]]
) -> None:
    for label in ("true", "broad", "narrow"):
        judged = [
            judge(world, "detection", one, of.labels[label])
            for one, of in zip(items["detection"], features, strict=True)
        ]
        found = values(judged, "mcc_weighted")
        yes = [world.says(of.labels[label], world.windows).any(axis=1) for of in features]
        error = found - [np.corrcoef(of.fires, said)[0, 1] for of, said in zip(features, yes, strict=True)]
        assert abs(error.mean()) < max(0.05, 2.5 * error.std() / np.sqrt(len(error))), label
        assert error.std() < 0.2, label


@pytest.mark.parametrize("rule", BLIND)
@pytest.mark.parametrize("scorer", SCORERS)
def test_a_rule_that_does_not_read_is_at_chance(scorer: str, rule: str, items: dict[str, list[Items]]) -> None:
    said = [Judged(one, BLIND[rule](one).astype(np.float64), ("ok",) * len(one)) for one in items[scorer]]
    # features err together: the rest of all of them is 84 items. Of 300 features all are below .01 (tests/slow)
    assert abs(values(said, "mcc_weighted", scorer).mean()) < 0.08
    assert np.nanmean([0.0, *values(said, "precision_weighted", scorer)]) < 0.05
    # few items stand for many: a ranking by anything finds a right one on top now and then
    assert values(said, "auprc_weighted", scorer).mean() < 0.05


def test_weights_add_up_to_the_split(features: list[PlantedFeature], items: dict[str, list[Items]]) -> None:
    for scorer in SCORERS:
        for of, one in zip(features, items[scorer], strict=True):
            strata, n = np.array(one.strata), int(of.fires.sum())
            assert one.weights[one.right].sum() == pytest.approx(n)
            assert one.weights.sum() == pytest.approx(N_WINDOWS)
            assert set(strata[one.right]) <= set(STRENGTHS)
            assert set(strata[~one.right]) == {"wrong", CLAIMED, REST}
            assert not one.weights[strata == "wrong"].any()
            assert len(set(one.windows.window.tolist())) == len(one)


def test_strengths_are_thirds_of_the_firing_windows(
    features: list[PlantedFeature], items: dict[str, list[Items]]
) -> None:
    for of, one in zip(features[:8], items["detection"], strict=False):
        maximum = dict(zip(of.candidates.kept.window.tolist(), of.candidates.maximum.tolist(), strict=True))
        by_stratum = {
            stratum: [maximum[w] for w, s in zip(one.windows.window.tolist(), one.strata, strict=True) if s == stratum]
            for stratum in STRENGTHS
        }
        for weaker, stronger in pairwise(STRENGTHS):
            if by_stratum[weaker] and by_stratum[stronger]:
                assert max(by_stratum[weaker]) < min(by_stratum[stronger])


def slow_cell(of: PlantedFeature, row: int, claims: list[np.ndarray], world: PlantedWorld) -> int | None:
    """The rarest claimant with a token in the window, by its definition; None: nothing claims it."""
    counts = [
        int((world.says(tokens, world.pool.windows).any(axis=1) & of.candidates.silent).sum()) for tokens in claims
    ]
    own = [k for k, tokens in enumerate(claims) if set(world.pool.windows.tokens[row].tolist()) & set(tokens.tolist())]
    return min(own, key=lambda k: (counts[k], k)) if own else None


def test_a_silent_window_is_of_the_rarest_claimant(world: PlantedWorld, features: list[PlantedFeature]) -> None:
    of = features[0]
    claims = [of.table, of.labels["true"], of.labels["broad"]]
    cells = cells_of(of.candidates, [lookup(tokens) for tokens in claims])
    assert [len(one) for one in cells.claimants] == [len(claims[k]) for k in (1, 2, 0)]
    order = [1, 2, 0]
    silent = np.flatnonzero(of.candidates.silent)
    for row in [*silent[:60].tolist(), *np.flatnonzero(cells.cell == 0)[:5].tolist()]:
        expected = slow_cell(of, row, claims, world)
        assert cells.cell[row] == (OF_REST if expected is None else order.index(expected))
    assert (cells.cell[~of.candidates.silent] == NOT_SILENT).all()
    sizes = cells.sizes()
    assert sizes.sum() == pytest.approx(N_WINDOWS - of.fires.sum())
    u, likeness = of.candidates.pool_u, np.random.default_rng(0).standard_normal(len(cells.cell))
    drawn = draw_standing(cells, u, likeness, 12, 3)
    for number, size in zip((0, 1, 2, OF_REST), sizes, strict=True):
        mine = np.flatnonzero(cells.cell == number)
        alike = mine[np.argsort(-likeness[mine])][: max(round(0.1 * len(mine)), 1)]
        whole = number == OF_REST or np.isin(drawn.rows, mine).sum() == 1
        parts = [mine] if whole else [alike, np.setdiff1d(mine, alike)]
        counts = []
        for part in parts:
            own = np.isin(drawn.rows, part)
            counts.append(int(own.sum()))
            assert drawn.weight[own] == pytest.approx(size * len(part) / len(mine) / own.sum())
            assert u[drawn.rows[own]].max() < u[np.setdiff1d(part, drawn.rows)].min(initial=1.0)
        assert counts[0] == (sum(counts) if whole else min(round(0.7 * sum(counts)), sum(counts) - 1, len(alike)))
    assert drawn.weight.sum() == pytest.approx(sizes.sum())


def test_of_small_parts_all_are_drawn() -> None:
    """Parts of 0, 1, 2 and 3 windows, and as many asked for: each stands for itself."""
    for n in range(4):
        cell = np.array([0] * n + [OF_REST] * 5)
        cells = Cells(cell, (lookup(np.array([1])),) if n else (), float(len(cell)))
        drawn = draw_standing(cells, np.arange(n + 5) / 10, np.arange(n + 5.0), 4, 1)
        assert sorted(drawn.rows.tolist()) == list(range(n + 1))
        assert drawn.weight.tolist() == [1.0] * n + [5.0]


@given(room=st.lists(st.integers(0, 30), max_size=5), n=st.integers(0, 40))
def test_large_parts_get_more_by_the_root_of_their_size(room: list[int], n: int) -> None:
    taken = shared_out(room, n)
    assert sum(taken) == min(n, sum(room))
    assert all(have <= of for have, of in zip(taken, room, strict=True))
    if n >= len(room):
        assert all(have for have, of in zip(taken, room, strict=True) if of)
    open_parts = [i for i, (have, of) in enumerate(zip(taken, room, strict=True)) if have < of]
    for i, j in product(open_parts, range(len(room))):  # nobody's last window was worth more to another
        if taken[j] > 1:
            assert room[j] ** 0.5 / taken[j] >= room[i] ** 0.5 / (taken[i] + 1) - 1e-12


def test_look_alikes_hold_what_stands_where_the_feature_fires(
    world: PlantedWorld, features: list[PlantedFeature]
) -> None:
    """Its log ratios one token at a time; and the windows that it fires in come before others."""
    of = features[0].candidates
    table = {}
    for token in range(V):
        here = sum(token in row[scored] for row, scored in zip(of.kept.tokens, of.kept.scored, strict=True))
        share = (world.pool.windows.tokens == token).any(axis=1).mean()
        table[token] = min(np.log((here + PRIOR) / (len(of.kept) * share + PRIOR)), CAP)
    windows = some(world.pool.windows, np.arange(40))
    windows = replace(windows, scored=windows.scored & (np.arange(windows.scored.shape[1]) > 2))
    found = of.look_alikes()
    for row in range(40):
        at = [table[t] if s else 0.0 for t, s in zip(windows.tokens[row].tolist(), windows.scored[row], strict=True)]
        assert found.of_windows(windows)[row] == pytest.approx(sum(at))
        assert found.before(windows)[row] == pytest.approx(
            [sum(at[max(place - 4, 0) : place]) for place in range(len(at))], abs=1e-9
        )
    silent = found.of_windows(some(world.pool.windows, np.flatnonzero(of.silent)))
    assert np.median(found.of_windows(of.kept)) > np.quantile(silent, 0.9)


def test_many_claimants_are_few_cells(world: PlantedWorld, features: list[PlantedFeature]) -> None:
    of = features[0]
    lists = [np.arange(100 + 40 * k, 120 + 40 * k) for k in range(12)]
    cells = cells_of(of.candidates, [*map(lookup, lists), EMPTY])
    assert len(cells.claimants) == MOST_CELLS
    everywhere = np.concatenate(lists)
    claimed = world.says(everywhere, world.pool.windows).any(axis=1) & of.candidates.silent
    assert np.array_equal(cells.cell >= 0, claimed)
    for row in np.flatnonzero(cells.cell == MOST_CELLS - 1)[:20].tolist():
        assert claimed_places(cells.claimants[-1], some(world.pool.windows, np.array([row]))).any()


def test_claimed_tokens_are_marked_where_something_claims(
    world: PlantedWorld, features: list[PlantedFeature], items: dict[str, list[Items]]
) -> None:
    for of, one in zip(features, items["fuzzing"], strict=True):
        named = np.concatenate([of.table, *of.labels.values()])
        claimed = np.array([word == CLAIMED for word in one.strata])
        at = world.says(named, one.windows)
        n_marks = one.marks.sum(axis=1)
        assert set(n_marks[~one.right].tolist()) <= set(of.candidates.truth.astype(bool).sum(axis=1).tolist())
        assert (one.marks & at)[claimed].any(axis=1).all()
        assert ((one.marks & ~at).sum(axis=1)[claimed] == np.maximum(n_marks - at.sum(axis=1), 0)[claimed]).all()
        rest = np.array([word == REST for word in one.strata])
        assert not at[rest].any()


# --- the arithmetic


def weighed(rng: np.random.Generator) -> tuple[Weighed, Bool, np.ndarray]:
    """Items with whole weights, and the same items written out."""
    n = 40
    right, probability, weight = rng.random(n) < 0.4, rng.integers(0, 5, n) / 4, rng.integers(1, 9, n)
    return items_of(right, probability, weight.astype(float)), np.repeat(right, weight), np.repeat(probability, weight)


def items_of(right: Bool, probability: Float64, weight: Float64) -> Weighed:
    """Of one feature, nothing of the rest."""
    none = np.zeros(0)
    return Weighed(
        FeatureRows([len(right)]), right, probability, weight, none, none[None], np.zeros(1, np.int64), np.zeros(1),
        np.array(["ok"]),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_weights_count_as_so_many_windows(seed: int) -> None:
    items, right, probability = weighed(np.random.default_rng(seed))
    yes = probability >= 0.5
    assert matthews(items)[0][0] == pytest.approx(matthews_corrcoef(right, yes))
    assert f1(items)[0][0] == pytest.approx(f1_score(right, yes))
    assert precision(items)[0][0] == pytest.approx(precision_score(right, yes))
    assert average_precision(items)[0][0] == pytest.approx(average_precision_score(right, probability))


def test_what_cannot_be_said_has_a_reason() -> None:
    right = np.array([True, False, False])
    one = np.ones(3)
    assert matthews(items_of(right, one, one))[1][0] == "constant"
    assert matthews(items_of(right[:1], one[:1], one[:1]))[1][0] == "one_sided"
    [value], [status] = precision(items_of(right, 0 * one, one))
    assert np.isnan(value)
    assert status == "undefined"
    assert f1(items_of(right, 0 * one, one))[0][0] == 0.0


def test_alarms_in_the_rest_are_charged_to_all_and_failures_are_made_up_for(
    world: PlantedWorld, features: list[PlantedFeature], items: dict[str, list[Items]]
) -> None:
    asked, of = items["detection"][:2], features[:2]
    said = [judge(world, "detection", one, f.labels["true"]) for one, f in zip(asked, of, strict=True)]
    clean = values(said, "precision_weighted")
    rest = np.flatnonzero([word == REST for word in asked[0].strata])
    raised = said[0].probability.copy()
    raised[rest[0]] = 1.0
    alarmed = [Judged(asked[0], raised, said[0].status), said[1]]
    n_rest = sum(one.strata.count(REST) for one in asked)
    for one, before, after in zip(alarmed, clean, values(alarmed, "precision_weighted"), strict=True):
        told = one.items.weights[one.items.right].sum()
        of_rest = one.items.weights[[word == REST for word in one.items.strata]].sum()
        assert after == pytest.approx(told / (told / before + of_rest / n_rest))
    broken = said[0].probability.copy()
    broken[np.flatnonzero([word == CLAIMED for word in asked[0].strata])] = np.nan
    assert weigh(JudgedTogether([Judged(asked[0], broken, said[0].status)])).status == ["failed"]
    some_lost = said[0].probability.copy()
    some_lost[np.flatnonzero(asked[0].right)[0]] = np.nan
    whole = weigh(JudgedTogether([Judged(asked[0], some_lost, said[0].status)]))
    assert whole.weight.sum() + whole.n_rest.sum() == pytest.approx(N_WINDOWS)
    plain = Items(3, asked[0].windows, asked[0].right, asked[0].marks, asked[0].groups)
    assert weigh(JudgedTogether([Judged(plain, said[0].probability, said[0].status)])).status == ["no_weights"]
