"""Features without a score in means and verdicts: at the floor, with complete cases beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from score_worlds import dictionary
from scored_dictionaries import CENSUS, scored

from autointerp.compare.clustered import difference_interval, mean_interval
from autointerp.pipeline.rows.feature_values import feature_values
from autointerp.pipeline.rows.powered_rows import cheap_values
from autointerp.pipeline.rows.stored_scores import About, DictionaryScores, Floors, StoredScores
from autointerp.pipeline.stages.compare import comparisons, pairs_about, powered_rows
from autointerp.pipeline.stages.means import mean_rows


def compared(sides: Sequence[DictionaryScores], floors: Floors) -> list[dict[str, Any]]:
    return comparisons(pairs_about(sides, CENSUS, floors), CENSUS, 0.02)


def control(value: float) -> dict[About, StoredScores]:
    return {CENSUS: StoredScores(np.array([0]), np.array([value]), np.array([False]))}


def test_mean_all_counts_what_has_no_score_at_the_floor_and_has_an_interval_of_its_own() -> None:
    values = np.random.default_rng(0).beta(5, 2, 40)
    [row] = mean_rows("run", scored("sae", values=values, failed=[3, 9]), "lexical", [control(0.1)])
    filled = values.copy()
    filled[[3, 9]] = 0.1
    assert row["mean_all"] == pytest.approx(filled.mean())
    assert row["mean"] == pytest.approx(np.delete(values, [3, 9]).mean())
    expected = mean_interval(filled, np.arange(40))
    assert expected is not None
    assert (row["mean_all_low"], row["mean_all_high"]) == pytest.approx((expected.low, expected.high))
    assert row["interval_over"] == "features"


def test_without_a_floor_there_is_no_mean_of_all() -> None:
    [row] = mean_rows("run", scored("sae", values=np.linspace(0.1, 0.9, 9), failed=[3]), "lexical", [])
    assert (row["mean_all"], row["mean_all_low"]) == (None, None)
    assert row["mean"] is not None
    assert row["ci_low"] is not None


def test_a_feature_without_a_score_moves_with_no_document() -> None:
    blocks = dictionary(np.random.default_rng(1), 12)
    values = feature_values(scored("sae", blocks, failed=[4]), CENSUS, 0.2)
    assert values.influence is not None
    assert (values.influence[4] == 0).all()
    assert (values.influence[3] != 0).all()
    assert (values.values[4], values.n_unscored) == (0.2, 1)
    assert list(values.complete().features) == [i for i in range(12) if i != 4]


def test_the_verdict_is_over_all_features_and_complete_cases_stand_beside_it() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(0.6, 0.1, 50)
    b = a - rng.normal(0.02, 0.02, 50)
    hard = np.argsort(a)[:5]
    sides = [scored("sae", values=a, failed=hard), scored("neurons", values=b, matched_to="sae", failed=[7])]
    floors = {"sae": {CENSUS: 0.05}, "neurons": {CENSUS: 0.1}}
    [row] = compared(sides, floors)
    filled_a, filled_b = a.copy(), b.copy()
    filled_a[hard] = 0.05
    filled_b[7] = 0.1
    assert row["difference"] == pytest.approx(filled_a.mean() - filled_b.mean())
    expected = difference_interval(filled_a, filled_b, np.arange(50), np.arange(50), paired=True)
    assert expected is not None
    assert (row["ci_low"], row["ci_high"], row["se"]) == pytest.approx((expected.low, expected.high, expected.se))
    assert (row["over"], row["n_a"], row["n_unscored_a"], row["n_unscored_b"]) == ("all", 50, 5, 1)
    both = np.setdiff1d(np.arange(50), [*hard, 7])
    assert row["scored_difference"] == pytest.approx((a - b)[both].mean())
    assert (row["scored_n_a"], row["scored_n_b"]) == (len(both), len(both))
    assert (row["verdict"], row["scored_verdict"]) == ("undecided", "A")


def test_without_a_floor_the_verdict_is_over_complete_cases_and_says_so() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.6, 0.1, 50), rng.normal(0.3, 0.1, 50)
    sides = [scored("sae", values=a, failed=[0]), scored("other", values=b)]
    [row] = compared(sides, {"other": {CENSUS: 0.1}})
    assert (row["over"], row["n_a"], row["n_b"], row["n_unscored_a"]) == ("scored", 49, 50, 1)
    assert row["difference"] == row["scored_difference"] == pytest.approx(a[1:].mean() - b.mean())
    assert row["verdict"] == row["scored_verdict"] == "A"


def test_a_winner_wins_too_with_its_failures_at_the_lowest_score() -> None:
    """Floor .5, where the failed features would have scored .1: at the floor A leads by the interval alone."""
    rng = np.random.default_rng(5)
    a = np.clip(rng.normal(0.7, 0.05, 100), 0, 1)
    a[:10] = 0.1
    b = a.copy()
    b[:10] = rng.uniform(0.1, 0.15, 10)
    sides = [scored("sae", values=a, failed=range(10)), scored("neurons", values=b, matched_to="sae")]
    floors = {name: {CENSUS: 0.5} for name in ("sae", "neurons")}
    [row] = compared(sides, floors)
    assert row["simultaneous_low"] > 0
    assert (row["verdict"], row["hangs_on_failures"]) == ("undecided", True)
    own = sides[0].scores[CENSUS]
    rare = replace(own, absent=~own.known)
    [row] = compared([replace(sides[0], scores={CENSUS: rare}), sides[1]], floors)
    assert (row["verdict"], row["hangs_on_failures"]) == ("A", False)
    clear = scored("neurons", values=b - 0.3, matched_to="sae")
    [row] = compared([sides[0], clear], floors)
    assert (row["verdict"], row["hangs_on_failures"]) == ("A", False)


def test_dictionaries_are_not_equivalent_because_both_failed() -> None:
    rng = np.random.default_rng(6)
    a = rng.normal(0.6, 0.02, 100)
    floors = {name: {CENSUS: 0.0} for name in ("sae", "neurons")}

    def verdict(b: Any, failed_a: Sequence[int], failed_b: Sequence[int]) -> tuple[str, bool]:
        side = scored("neurons", values=b, matched_to="sae", failed=failed_b)
        [row] = compared([scored("sae", values=a, failed=failed_a), side], floors)
        return row["verdict"], row["hangs_on_failures"]

    close = a + rng.normal(0.0, 0.01, 100)
    assert verdict(close, [], []) == ("equivalent", False)
    assert verdict(close, [4], [4]) == ("equivalent", False)  # too few to matter
    nearly_all = range(97)
    assert verdict(a - 0.3, nearly_all, nearly_all) == ("undecided", True)  # at the floor they differ by .009
    assert verdict(a - 0.3, range(100), range(100)) == ("undecided", True)
    a[99] = close[99] = -0.5  # features that failed may be as bad as this one
    assert verdict(close, [4], [4]) == ("equivalent", False)
    assert verdict(close, [0, 10, 20, 30], [0, 10, 20, 30]) == ("undecided", True)


def test_a_sharpened_difference_hangs_on_failures_as_a_plain_one_does() -> None:
    rng = np.random.default_rng(7)
    a = np.clip(rng.normal(0.7, 0.05, 100), 0, 1)
    a[:10] = 0.1
    b = a.copy()
    b[:10] = rng.uniform(0.1, 0.15, 10)
    known = np.concatenate([a, rng.normal(0.7, 0.05, 200)])
    cheap = {"sae": scored("sae", values=known), "neurons": scored("neurons", values=known - 0.1)}
    floors = {name: {CENSUS: 0.5} for name in cheap}

    def verdict(failed: Sequence[int]) -> str:
        side = replace(scored("neurons", values=b, matched_to="sae"), partner={i: i for i in range(300)})
        family = pairs_about([scored("sae", values=a, failed=failed), side], CENSUS, floors)
        beside = {name: cheap_values(one) for name, one in cheap.items()}
        [row] = powered_rows(family, beside, CENSUS, 0.02)
        assert (row["simultaneous_low"] > 0) == bool(failed)
        return str(row["verdict"])

    assert verdict(range(10)) == "undecided"
    assert verdict([]) == "B"


def test_a_pair_of_which_a_side_has_no_scores_is_in_no_family() -> None:
    values = np.linspace(0.1, 0.9, 9)
    other = scored("third", values=values, about=("detection", "auroc_matched", "sample"))
    sides = [scored("sae", values=values), scored("other", values=values), other]
    assert [(row["a"], row["b"]) for row in compared(sides, {})] == [("sae", "other")]


@pytest.mark.parametrize("paired", [True, False])
def test_a_dictionary_does_not_beat_itself_by_failing_on_its_hardest_features(paired: bool) -> None:
    """100 draws over features alone; `tests/slow/test_unscored_size.py` has more, with documents."""
    rng = np.random.default_rng(4)
    wins, of_complete = [], []
    for _ in range(100):
        a = rng.beta(5, 2, 200)
        b = np.clip(a + rng.normal(0, 0.05, 200), 0, 1) if paired else rng.beta(5, 2, 200)
        hard = np.argsort(a)[:10]
        sides = [scored("sae", values=a, failed=hard), scored("b", values=b, matched_to="sae" if paired else None)]
        [row] = compared(sides, {"sae": {CENSUS: 0.0}, "b": {CENSUS: 0.0}})
        wins.append(row["verdict"] == "A")
        of_complete.append(row["scored_difference"] - row["difference"])
    assert np.mean(wins) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 100)
    assert min(of_complete) > 0
