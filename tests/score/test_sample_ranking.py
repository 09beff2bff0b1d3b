"""Precision and recall from sampled windows: every token at its weight, alarms of R at the rate of the dictionary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from split_world import LOOKUPS, World, grams

from autointerp.score import sample_ranking, side_by_side
from autointerp.score.class_names import FIRING, REST
from autointerp.score.measures import (
    simulated_auprc,
    simulated_auprc_thresholded,
    simulated_f1,
    simulated_f1_thresholded,
)
from autointerp.score.metric import InTwoSteps
from autointerp.score.metrics import auprc, f1
from autointerp.score.predictions import Simulated
from autointerp.score.sample_moments import sample_moments
from autointerp.score.sample_ranking import weighted_tokens
from autointerp.score.sampled import draw_windows, simulate

THRESHOLD = 1.0


def simulations(alarms: float, n: int = 6) -> list[Simulated]:
    """Features of one dictionary, each on a scale of its own; some windows of R with an alarm at one token."""
    rng = np.random.default_rng(3)
    made = []
    for feature in range(n):
        world = World(feature, feature=feature)
        drawn = draw_windows(replace(world.candidates(), threshold=THRESHOLD), LOOKUPS["tokens"])
        prediction = simulate(drawn, LOOKUPS["tokens"]).prediction.copy()
        rest = np.flatnonzero((drawn.classes == REST) & (rng.random(len(drawn.classes)) < alarms))
        for row in rest:
            prediction[row, np.flatnonzero(drawn.windows.scored[row])[0]] = 0.5 + rng.random()
        by = 10.0**feature
        drawn = replace(drawn, truth=(drawn.truth * by).astype(np.float32), threshold=by * THRESHOLD)
        made.append(Simulated(drawn, (prediction * by).astype(np.float32)))
    return made


def slow_tokens(of: list[Simulated], index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, prediction and weight, token by token."""

    def scale(one: Simulated) -> float:
        energy = 0.0
        for k in FIRING:
            windows = one.drawn.truth[one.drawn.classes == k].astype(np.float64)
            if len(windows):
                energy += one.drawn.sizes[k] * float(np.mean([(t**2).sum() for t in windows]))
        return float((energy / one.drawn.sizes[list(FIRING)].sum()) ** 0.5)

    one = of[index]
    rows: list[tuple[float, float, float]] = []
    for w, k in enumerate(one.drawn.classes):
        weight = one.drawn.sizes[k] / (one.drawn.classes == k).sum()
        said = np.zeros_like(one.prediction[w]) if k == REST else one.prediction[w]
        rows += [(one.drawn.truth[w, i], said[i], weight) for i in np.flatnonzero(one.drawn.windows.scored[w])]
    n_rest = sum(int((other.drawn.classes == REST).sum()) for other in of)
    for other in of:
        for w in np.flatnonzero(other.drawn.classes == REST).tolist():
            alarms = other.prediction[w][other.prediction[w] > 0] / scale(other) * scale(one)
            rows += [(0.0, value, one.drawn.sizes[REST] / n_rest) for value in alarms]
    truth, prediction, weight = np.array(rows, dtype=np.float64).T
    return truth, prediction, weight


@pytest.mark.parametrize("alarms", [0.0, 0.3])
def test_tokens_equal_the_slow_twin(alarms: float) -> None:
    of = simulations(alarms)
    [tokens] = weighted_tokens(of, sample_moments(of))
    for index in (0, 3, 5):
        truth, prediction, weight = slow_tokens(of, index)
        own = tokens.rows.of == index
        assert tokens.weight[own].sum() == pytest.approx(weight.sum())
        for least in (0.0, tokens.threshold[index]):
            expected = auprc(truth > least, prediction, weight).value
            made = auprc(tokens.truth[own] > least, tokens.prediction[own], tokens.weight[own]).value
            assert made == pytest.approx(expected)
    found = simulated_f1_thresholded(of)
    truth, prediction, weight = slow_tokens(of, 2)
    assert found[2].value == pytest.approx(f1(truth > 100, prediction, weight, 100).value)
    assert [one.n for one in found] == [60] * 6


@pytest.mark.parametrize("measure", [simulated_auprc, simulated_auprc_thresholded, simulated_f1_thresholded])
def test_some_features_after_the_others_are_all_at_once(measure: InTwoSteps, monkeypatch: pytest.MonkeyPatch) -> None:
    of = simulations(0.3)
    whole = measure(of)
    for module in (side_by_side, sample_ranking):
        monkeypatch.setattr(module, "AT_ONCE", 700)
    monkeypatch.setattr(sample_ranking, "parts_at_once", lambda sizes: side_by_side.parts_at_once(sizes, 700))
    assert len(list(weighted_tokens(of, sample_moments(of)))) > 1
    assert measure(of)[:] == whole[:]


def test_a_dictionary_pays_for_alarms_that_one_feature_did_not_show() -> None:
    quiet, loud = simulations(0.0), simulations(0.5)
    shown = [bool((one.prediction[one.drawn.classes == REST] > 0).any()) for one in loud]
    mixed = [a if i == 0 else b for i, (a, b) in enumerate(zip(quiet, loud, strict=True))]
    assert any(shown[1:])
    for measure in (simulated_auprc, simulated_f1):
        free, charged = measure(quiet)[0].value, measure(mixed)[0].value
        assert free is not None
        assert charged is not None
        assert charged < free


def test_failed_windows_are_made_up_for_and_lost_features_failed() -> None:
    one, other = simulations(0.0, 2)
    missing = one.prediction.copy()
    missing[::4] = np.nan
    gone = np.full_like(other.prediction, np.nan)
    found = simulated_auprc([replace(one, prediction=missing), replace(other, prediction=gone)])
    assert (found[0].n, found[0].n_failed, found[0].status) == (45, 15, "ok")
    assert (found[1].value, found[1].n_failed, found[1].status) == (None, 60, "failed")


def test_a_feature_that_stays_below_its_threshold_has_no_thresholded_score() -> None:
    world = World(1)
    drawn = draw_windows(replace(world.candidates(), threshold=1e9), (grams((-1, 3)),))
    of = [simulate(drawn, LOOKUPS["tokens"])]
    assert [one.status for one in simulated_auprc_thresholded(of)] == ["rare"]
    assert [one.status for one in simulated_auprc(of)] == ["ok"]
