"""Which metrics of detection and fuzzing see a label that claims three times too much, by density; and what rules get
that do not read. Planted features, no LLM (`helpers/planted_items.py`, `tests/score/test_base_rate.py`).

`pytest tests/slow/test_over_broad_items.py -m slow -s` prints the table of docs/SCORES.md.
"""

from __future__ import annotations

import numpy as np
import pytest
from planted_items import BLIND, SCORERS, PlantedFeature, PlantedWorld, judge, values

from autointerp.compare.clustered import mean_interval
from autointerp.score.metric_registry import metrics_for
from autointerp.score.predictions import Judged

pytestmark = pytest.mark.slow
DENSITIES = (1e-2, 1e-3, 1e-4)
N_TRIED, N_BLIND = 24, 100
WEIGHED = ("mcc_weighted", "f1_weighted", "auprc_weighted", "precision_weighted")


@pytest.fixture(scope="module")
def world() -> PlantedWorld:
    return PlantedWorld(40_000)


@pytest.fixture(scope="module", params=DENSITIES)
def features(request: pytest.FixtureRequest, world: PlantedWorld) -> tuple[float, list[PlantedFeature]]:
    return request.param, [world.feature(number, request.param) for number in range(N_BLIND)]


@pytest.mark.parametrize("scorer", SCORERS)
def test_which_metrics_see_it(scorer: str, world: PlantedWorld, features: tuple[float, list[PlantedFeature]]) -> None:
    density, every = features
    tried = every[:N_TRIED]
    dropped: dict[bool, dict[str, tuple[float, float]]] = {}
    for listed in (True, False):
        items = [world.items(of, scorer, listed) for of in tried]
        said = {
            label: [judge(world, scorer, one, of.labels[label]) for one, of in zip(items, tried, strict=True)]
            for label in ("true", "broad", "narrow")
        }
        of_metric: dict[str, tuple[float, float]] = {}
        for row in metrics_for("judged", scorer):
            found = {label: values(judged, row.name, scorer) for label, judged in said.items()}
            broad, narrow = (float(np.mean(found[label] < found["true"] - 1e-9)) for label in ("broad", "narrow"))
            of_metric[row.name] = broad, narrow
            if listed and row.name in WEIGHED:
                assert broad >= 0.95, row.name
            print(
                f"{density:g} {scorer:10} {'listed' if listed else 'not listed':11} {row.name:26}"
                f" broad {broad:.2f} narrow {narrow:.2f}"
                f"   scores {' '.join(f'{np.nanmean(v):.3f}' for v in found.values())}"
            )
        dropped[listed] = of_metric
    for metric in ("mcc_weighted", "f1_weighted", "auprc_weighted"):
        assert dropped[True][metric][1] >= 0.85, metric
    if density < 1e-3:  # why these have a mark
        assert max(dropped[True][name][0] for name in ("balanced_accuracy_matched", "auroc_matched")) < 0.1


MOST_BIAS = {"detection": 0.02, "fuzzing": 0.13}
"""Of fuzzing too good: one or two tokens of a window are marked, and a label may be wrong about another."""


@pytest.mark.parametrize("scorer", SCORERS)
def test_what_is_weighed_back_is_what_all_windows_say(
    scorer: str, world: PlantedWorld, features: tuple[float, list[PlantedFeature]]
) -> None:
    """By label: the estimate against the number over every window, what is told and false alarms too (a firing window),
    and how often the interval of a mean over 20 features covers."""
    density, every = features
    items = [world.items(of, scorer) for of in every]
    rng = np.random.default_rng(0)
    for label in ("true", "broad", "narrow"):
        said = [judge(world, scorer, one, of.labels[label]) for one, of in zip(items, every, strict=True)]
        yes = [world.says(of.labels[label], world.windows).any(axis=1) for of in every]
        truth = np.array([np.corrcoef(of.fires, mine)[0, 1] for of, mine in zip(every, yes, strict=True)])
        found = values(said, "mcc_weighted", scorer)
        error, n_firing = found - truth, np.array([of.fires.sum() for of in every])
        of_class = {}
        for name, right in (("told", True), ("false alarms", False)):
            weight = [
                (i.weights * (j.probability >= 0.5))[i.right == right].sum() for i, j in zip(items, said, strict=True)
            ]
            count = [(mine & (of.fires == right)).sum() for of, mine in zip(every, yes, strict=True)]
            of_class[name] = (np.array(weight) - count) / n_firing
        covered = []
        for _ in range(400):
            some = rng.choice(N_BLIND, 20, replace=False)
            interval = mean_interval(found[some], some)
            assert interval is not None
            covered.append(interval.low <= truth.mean() <= interval.high)
        classes = ", ".join(f"{name} {x.mean():+.3f} ({x.std() / 10:.3f})" for name, x in of_class.items())
        print(
            f"{density:g} {scorer:10} {label:6} truth {truth.mean():.3f} bias {error.mean():+.3f} "
            f"({error.std() / 10:.3f}) rmse {np.sqrt((error**2).mean()):.3f}; {classes}; covered {np.mean(covered):.3f}"
        )
        assert abs(error.mean()) < MOST_BIAS[scorer] + 2 * error.std() / 10
        assert abs(of_class["told"].mean()) < max(4 * of_class["told"].std() / 10, 0.01)
        if scorer == "detection":
            assert abs(of_class["false alarms"].mean()) < max(4 * of_class["false alarms"].std() / 10, 0.02)
            assert np.mean(covered) >= 0.92
        else:
            assert of_class["false alarms"].mean() < 0.01


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_rule_that_does_not_read_is_at_chance(
    scorer: str, world: PlantedWorld, features: tuple[float, list[PlantedFeature]]
) -> None:
    density, every = features
    items = [world.items(of, scorer) for of in every]
    for name, rule in BLIND.items():
        said = [Judged(one, rule(one).astype(np.float64), ("ok",) * len(one)) for one in items]
        found = values(said, "mcc_weighted", scorer)
        error = found.std() / np.sqrt(len(found))
        print(f"{density:g} {scorer:10} {name:12} {found.mean():+.4f} ({error:.4f})")
        assert abs(found.mean()) < max(4 * error, 0.01), name
