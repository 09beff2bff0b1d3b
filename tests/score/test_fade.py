"""FADE's four measures against scikit-learn and the formulas, with the sign kept."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from autointerp.records import Windows
from autointerp.score import fade
from autointerp.score import published_measures as measures
from autointerp.score.fade import NaturalWindows
from autointerp.score.predictions import Items, Judged

RNG = np.random.default_rng(0)
CONCEPT = RNG.random(80) < 0.4
ACTIVATION = np.where(RNG.random(80) < 0.5, 0.0, np.round(RNG.gamma(2.0, 1.0, 80) + CONCEPT, 1))


def test_they_are_those_of_the_published_code_up_to_the_sign() -> None:
    """`gini_ap_metric` of FADE gives |2 AUROC - 1|, and the average precision of the activations turned that way."""
    windows = NaturalWindows(CONCEPT, ACTIVATION)
    gini = 2 * roc_auc_score(CONCEPT, ACTIVATION) - 1
    assert gini > 0
    assert fade.responsiveness(windows).value == pytest.approx(gini)
    assert fade.purity(windows).value == pytest.approx(average_precision_score(CONCEPT, ACTIVATION))
    natural, written = ACTIVATION[~CONCEPT], ACTIVATION[CONCEPT]
    assert fade.clarity(natural, written).value == pytest.approx(gini)


def test_a_feature_that_avoids_its_explanation_is_told() -> None:
    windows = NaturalWindows(~CONCEPT, ACTIVATION)
    value = fade.responsiveness(windows).value
    assert value == pytest.approx(2 * roc_auc_score(~CONCEPT, ACTIVATION) - 1)
    assert value is not None
    assert value < 0
    assert fade.purity(windows).value == pytest.approx(average_precision_score(~CONCEPT, ACTIVATION))
    assert average_precision_score(~CONCEPT, ACTIVATION) < 1 - CONCEPT.mean(), "worse than chance"


@pytest.mark.parametrize("concept", [np.zeros(5, bool), np.ones(5, bool)])
def test_windows_of_one_kind_say_nothing(concept: np.ndarray) -> None:
    windows = NaturalWindows(concept, np.arange(5.0))
    for compute in (fade.responsiveness, fade.purity):
        assert (compute(windows).value, compute(windows).status) == (None, "one_sided")
    assert fade.responsiveness(NaturalWindows(concept[:0], np.zeros(0))).status == "failed"
    assert fade.purity(NaturalWindows(concept[:0], np.zeros(0))).status == "failed"


@pytest.mark.parametrize(
    ("share", "value"),
    [
        ({-10.0: 0.1, 0.0: 0.2, 10.0: 0.5, 50.0: 0.4}, (0.5 - 0.2) / (1 - 0.2)),
        ({-50.0: 0.9, 0.0: 0.2, 50.0: 0.0}, (0.9 - 0.2) / (1 - 0.2)),
        ({-10.0: 0.1, 0.0: 0.3, 10.0: 0.2}, 0.0),
        ({0.0: 0.0, 10.0: 1.0}, 1.0),
    ],
)
def test_faithfulness_is_what_steering_gains_of_what_can_be_gained(share: dict[float, float], value: float) -> None:
    assert fade.faithfulness(share).value == pytest.approx(value)


def test_faithfulness_without_room_or_without_a_start() -> None:
    assert (fade.faithfulness({0.0: 1.0, 1.0: 1.0}).value, fade.faithfulness({0.0: 1.0}).status) == (None, "saturated")
    with pytest.raises(ValueError, match="unsteered"):
        fade.faithfulness({1.0: 0.5})


def test_of_a_judge_only_answered_windows_count() -> None:
    none = np.zeros((4, 3), np.int32)
    windows = Windows(np.arange(4), np.arange(4), none[:, 0], none, none, none > 0)
    items = Items(0, windows, np.array([True, True, False, False]), none > 0, (4,))
    judged = Judged(items, np.array([0.9, np.nan, 0.2, 0.6]), ("ok", "refused", "ok", "ok"))
    of = measures.of_judged(judged, np.array([3.0, 2.0, 0.0, 0.0]))
    [got] = measures.responsiveness([of])
    assert got.value == pytest.approx(2 * 0.75 - 1)
    assert (got.n, got.n_failed) == (3, 1)
    lost = measures.of_judged(Judged(items, np.full(4, np.nan), ("refused",) * 4), np.zeros(4))
    assert measures.purity([lost])[0].status == "failed"
    silent = measures.of_judged(judged, np.zeros(4))
    assert measures.responsiveness([silent])[0].status == measures.purity([silent])[0].status == "rare"
    for measure, status in (
        (measures.clarity, "no_generated_text"),
        (measures.faithfulness, "no_judged_steering"),
    ):
        assert [(one.value, one.status, one.n) for one in measure([of, lost])] == [(None, status, 0)] * 2
        assert list(measure([])) == []
