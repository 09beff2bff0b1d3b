"""Dictionaries compared by what their features do: values by hand from the rows, differences by SciPy's t tests."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Group
from scipy import stats
from stored import rows

from autointerp.compare.effect_differences import effect_differences, effect_means
from autointerp.compare.statistics import holm
from autointerp.pipeline.stages.compare_effects import sides_of
from autointerp.show.compare import render_compare
from autointerp.show.compare_data import ScoreChoice, load_compare
from autointerp.show.effect_comparison import render_effects
from autointerp.show.effect_values import EffectComparison, EffectDifference, EffectMean, load_effect_comparison
from autointerp.show.export import page_json
from autointerp.show.report.page import report
from autointerp.store.reader import StoreReader

N = 30


class Planted:
    """A store of two SAEs and random directions matched to the first, with the values that a test gives."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        base = rng.normal(0, 1, N)
        self.values: dict[tuple[str, str], np.ndarray] = {
            ("sae", "feature"): base,
            ("sae", "isotropic"): base + 1 + rng.normal(0, 0.3, N),
            ("sae", "covariance"): base + rng.normal(0, 0.02, N),
            ("other", "feature"): rng.normal(-1.5, 1, N + 7),
            ("random", "feature"): base[5:25] + 0.8 + rng.normal(0, 0.4, 20),
        }
        self.unreached = {("sae", "isotropic"): {3, 4}, ("other", "feature"): {0}}

    def rows(self, sql: str, **_: object) -> list[dict[str, Any]]:
        if "FROM dictionaries" in sql:
            kinds = {"sae": "sae", "other": "sae", "random": "random_covariance"}
            return [
                {"dictionary": name, "kind": kind, "hook": "h", "matched_to": "sae" if name == "random" else None,
                 "natural_of": None}
                for name, kind in kinds.items()
            ]  # fmt: skip
        made = []
        for (name, direction), values in self.values.items():
            for place, value in enumerate(values):
                reached = place not in self.unreached.get((name, direction), set())
                made.append(
                    {"dictionary": name, "direction": direction, "measure": "step_050", "feature": place,
                     "value": value if reached else 2.0, "reached": reached, "unit": place,
                     "matched_feature": 5 + place if name == "random" else None}
                )  # fmt: skip
        return made

    def counted(self, name: str, direction: str) -> np.ndarray:
        values = self.values[name, direction].copy()
        values[list(self.unreached.get((name, direction), ()))] = 2.0
        return values


Rows = dict[tuple[str, str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def planted() -> tuple[Planted, Rows]:
    store = Planted()
    made = effect_differences(sides_of(store, ["sae", "other", "random"]))  # type: ignore[arg-type]
    return store, {(row["a"], row["b"], row["direction_b"]): row for row in made}


def test_differences_are_those_of_t_tests(planted: tuple[Planted, Rows]) -> None:
    store, got = planted
    own = store.counted("sae", "feature")
    random = store.counted("random", "feature")
    expected = {
        ("sae", "other", "feature"): stats.ttest_ind(own, store.counted("other", "feature"), equal_var=False),
        ("sae", "random", "feature"): stats.ttest_rel(own[5:25], random),
        ("sae", "sae", "isotropic"): stats.ttest_rel(own, store.counted("sae", "isotropic")),
        ("sae", "sae", "covariance"): stats.ttest_rel(own, store.counted("sae", "covariance")),
    }
    assert set(got) == set(expected)
    for key, test in expected.items():
        row = got[key]
        assert row["p"] == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12), key
        for names, confidence in (("ci", 0.95), ("simultaneous", 1 - 0.05 / 4)):
            interval = test.confidence_interval(confidence)
            assert row[f"{names}_low"] == pytest.approx(interval.low)
            assert row[f"{names}_high"] == pytest.approx(interval.high)
    adjusted = dict(zip(got, holm([row["p"] for row in got.values()]), strict=True))
    for key, row in got.items():
        assert row["p_holm"] == pytest.approx(adjusted[key])
    assert [got[key]["verdict"] for key in expected] == ["A", "B", "B", "equivalent"]


def test_features_that_never_get_there_are_counted_and_stand_at_the_largest_step(
    planted: tuple[Planted, Rows],
) -> None:
    store, got = planted
    row = got["sae", "sae", "isotropic"]
    assert [row[name] for name in ("n_a", "n_b", "n_unreached_a", "n_unreached_b")] == [N, N, 0, 2]
    kept = np.delete(np.arange(N), [3, 4])
    alone = store.values["sae", "feature"][kept] - store.values["sae", "isotropic"][kept]
    assert row["reached_difference"] == pytest.approx(alone.mean())
    assert row["n_reached"] == N - 2
    assert got["sae", "other", "feature"]["n_unreached_b"] == 1


def test_values_are_those_of_the_rows(opened: StoreReader) -> None:
    """A second run measured nothing anew: current rows are all there are in the built store."""
    stored = rows(opened.path, "SELECT * FROM effect_values")
    steps = rows(opened.path, "SELECT * FROM sensitivity")
    assert len([row for row in stored if row["measure"] == "step_050"]) == len(steps)  # a token of each
    for row in steps:
        [value] = [one for one in stored if one["measure"] == "step_050" and all(
            one[key] == row[key] for key in ("dictionary", "feature", "direction"))]  # fmt: skip
        assert value["reached"] == (row["size_050"] is not None)
        size = row["sizes"][-1] if row["size_050"] is None else row["size_050"]
        assert value["value"] == pytest.approx(math.log2(size / (row["sizes"][-1] / 4)))
    removed = rows(opened.path, "SELECT * FROM causal_effects WHERE split = 'score'")
    for row in removed:
        named = {one["measure"]: one["value"] for one in stored if all(
            one[key] == row[key] for key in ("dictionary", "feature", "direction"))}  # fmt: skip
        assert named["kl_of_entropy"] == pytest.approx(math.log2(row["kl"] / row["entropy"]))
        assert named.get("direct_share") == row["direct_share"]


def test_the_pages_say_it(opened: StoreReader, printed: Callable[..., str]) -> None:
    page = load_compare([("s", opened)], ScoreChoice())
    text = printed(render_compare(page))
    assert "What features do to the output" in text
    assert "step to KL 0.5: differences" in text
    assert "isotropic directions" in text
    isotropic = [row for row in page.effects.means if row.direction == "isotropic" and row.measure == "step_050"]
    assert [row.n_unreached for row in isotropic] == [row.n_features for row in isotropic]
    said = json.loads(page_json(page))
    assert len(said["effect_differences"]) == len(page.effects.differences) > 4
    assert {row["measure"] for row in said["effect_means"]} >= {"step_025", "kl_of_entropy", "direct_share"}
    html = report([("s", opened)], ScoreChoice())
    assert "What features do to the output" in html
    assert "FROM effect_values" in html


def test_the_pages_read_what_is_stored(opened: StoreReader) -> None:
    """And what is stored is what the values say, each mean computed here anew."""
    compared = load_effect_comparison([("s", opened)])
    stored = rows(opened.path, "SELECT * FROM effect_differences")
    assert len(compared.differences) == len(stored) == len(effect_differences(sides_of(opened, ["sae", "random"]))) > 4
    by = {(row["measure"], row["a"], row["b"], row["direction_b"]): row for row in stored}
    for row in compared.differences:
        of = by[row.measure, row.a, row.b, row.direction_b]
        assert row.difference == of["difference"]
        assert (row.low, row.high) == (of["simultaneous_low"], of["simultaneous_high"])
    values = rows(opened.path, "SELECT * FROM effect_values")
    assert compared.means
    for mean in compared.means:
        about = {name: getattr(mean, name) for name in ("dictionary", "direction", "measure")}
        mine = [one["value"] for one in values if about.items() <= one.items()]
        assert mean.mean == pytest.approx(np.mean(mine))
        assert mean.n_features == len(mine)


def test_a_planted_difference_is_told_as_a_ratio(printed: Callable[..., str]) -> None:
    sides = sides_of(Planted(), ["sae", "other", "random"])  # type: ignore[arg-type]
    names = {field.name for field in dataclasses.fields(EffectDifference)} - {"store", "low", "high"}
    differences = [
        EffectDifference(
            store="s",
            low=row["simultaneous_low"],
            high=row["simultaneous_high"],
            **{name: row[name] for name in names},
        )
        for row in effect_differences(sides)
    ]
    means = [
        EffectMean(store="s", kind="sae", low=row.pop("ci_low"), high=row.pop("ci_high"), **row)
        for row in effect_means(sides)
    ]
    text = printed(Group(*render_effects(EffectComparison(means, differences))))
    assert "0, 2" in text
    [row] = [one for one in differences if (one.b, one.direction_b) == ("sae", "isotropic")]
    assert row.difference is not None
    assert f"{2**row.difference:.2f} [" in text
