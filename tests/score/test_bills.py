"""Bills et al.: the calibrations against scikit-learn and NumPy, the scores against the formulas written plainly."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from autointerp.records import Windows
from autointerp.score import calibration, metrics
from autointerp.score import published_measures as measures
from autointerp.score.bills import BillsTokens, bills_of_simulated, bills_tokens
from autointerp.score.metric_registry import judged_published, metrics_for
from autointerp.score.predictions import Drawn, Simulated
from autointerp.score.sampling import CLASSES, TOP

L = 8


def activations(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sparse truth, and a simulator's digits 0 to 10."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(n) < 0.3, rng.gamma(2.0, 1.5, n), 0.0)
    digits = np.clip(np.round(truth * 1.3 + rng.normal(0, 1.5, n) * (rng.random(n) < 0.4)), 0, 10)
    return truth, digits


def test_the_linear_calibration_is_least_squares() -> None:
    (t, p), (_, new) = activations(0, 320), activations(1, 320)
    expected = LinearRegression().fit(p[:, None], t).predict(new[:, None])
    np.testing.assert_allclose(calibration.linear(t, p)(new), expected, rtol=1e-12)
    flat = calibration.linear(t, np.full(320, 3.0))(new)
    np.testing.assert_allclose(
        flat, LinearRegression().fit(np.full((320, 1), 3.0), t).predict(new[:, None]), rtol=1e-12
    )
    np.testing.assert_allclose(flat, t.mean())


def test_percentile_matching_is_interpolation_between_sorted_values() -> None:
    (t, p), (_, new) = activations(2, 160), activations(3, 160)
    values = np.concatenate([new, [-1.0, 0.5, 99.0]])
    ordered_p, ordered_t = sorted(p.tolist()), sorted(t.tolist())

    def slow(value: float) -> float:
        below = [i for i, x in enumerate(ordered_p) if x <= value]
        if not below:
            return float(ordered_t[0])
        i = below[-1]  # the last of equal predictions
        if i == len(ordered_p) - 1:
            return float(ordered_t[i])
        share = (value - ordered_p[i]) / (ordered_p[i + 1] - ordered_p[i])
        return float(ordered_t[i] + share * (ordered_t[i + 1] - ordered_t[i]))

    got = calibration.percentile(t, p)(values)
    np.testing.assert_allclose(got, [slow(float(value)) for value in values], rtol=1e-12)
    np.testing.assert_allclose(np.sort(calibration.percentile(t, np.sqrt(t))(np.sqrt(t))), np.sort(t), atol=1e-12)


def windows_of(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (t, p), rng = activations(seed, n * L), np.random.default_rng(seed)
    scored = rng.random((n, L)) < 0.9
    return np.where(scored, t.reshape(n, L), 0.0), p.reshape(n, L), scored


@pytest.fixture
def tokens() -> tuple[BillsTokens, dict[str, np.ndarray], np.ndarray]:
    """What is computed; the predictions by calibration, and the truth, computed plainly."""
    t, p, scored = windows_of(4, 40)
    p[30, :] = np.nan  # nobody takes its place
    chosen, fitted = np.array([3, 7, 12, 30]), np.array([20, 21, 22, 5])
    rows = [3, 7, 12]
    truth, raw = t[rows][scored[rows]], p[rows][scored[rows]]
    fit_t, fit_p = t[fitted][scored[fitted]], p[fitted][scored[fitted]]
    plain = {
        "none": raw,
        "linear": LinearRegression().fit(fit_p[:, None], fit_t).predict(raw[:, None]),
        "percentile": np.interp(raw, np.sort(fit_p), np.sort(fit_t)),
    }
    return bills_tokens(t, p, scored, chosen, fitted), plain, truth


@pytest.mark.parametrize("how", ["none", "linear", "percentile"])
def test_scores_are_their_formulas(tokens: tuple[BillsTokens, dict[str, np.ndarray], np.ndarray], how: str) -> None:
    of, plain, t = tokens
    p = plain[how]
    assert (of.windows.tolist(), of.n_failed, of.fitted.tolist()) == ([3, 7, 12], 1, [20, 21, 22, 5])
    suffix = "" if how == "none" else f"_{how}"
    found = {m.name: m.measure([measures.OfJudge(0, bills=of)])[0] for m in judged_published("simulation")}
    assert found["rsquared" + suffix].value == pytest.approx(1 - np.mean((t - p) ** 2) / np.mean(t**2))
    assert found["r2_mean_baseline" + suffix].value == pytest.approx(r2_score(t, p))
    assert found["absolute_dev_explained" + suffix].value == pytest.approx(1 - np.mean(abs(t - p)) / np.mean(abs(t)))
    if how != "linear":
        assert found["pearson_top_random" + suffix].value == pytest.approx(np.corrcoef(t, p)[0, 1])
    short = how != "none"  # four windows to calibrate on are not ten
    assert found["rsquared" + suffix].status == ("fewer" if short else "ok")
    assert (found["rsquared" + suffix].n, found["rsquared" + suffix].n_failed) == (3, 1)


def test_fitted_on_what_is_scored_a_wrong_way_round_prediction_would_do_well() -> None:
    """Why calibrations have windows of their own: -p on other windows gives no credit where p changes its mind."""
    t, _, scored = windows_of(5, 40)
    half = np.arange(20)
    wrong = np.where(np.arange(40)[:, None] < 20, 10.0 - t, t)  # turned round where it is scored
    same = bills_tokens(t, wrong, scored, half, half)
    other = bills_tokens(t, wrong, scored, half, half + 20)
    assert metrics.r2_mean_baseline(same.truth, same.predicted["linear"]).value == pytest.approx(1.0)
    r2 = metrics.r2_mean_baseline(other.truth, other.predicted["linear"]).value
    assert r2 is not None
    assert r2 < -1


def test_nothing_to_score_and_nothing_to_calibrate_on_are_reasons() -> None:
    t, p, scored = windows_of(6, 12)
    none = np.zeros(0, np.int64)

    def status(of: BillsTokens | None, how: str) -> str:
        metric = next(m for m in judged_published("simulation") if m.name == f"rsquared{how}")
        return metric.measure([measures.OfJudge(0, bills=of)])[0].status

    assert status(bills_tokens(t, p, scored, np.arange(5), none), "_linear") == "no_calibration"
    assert status(bills_tokens(t, p, scored, np.arange(5), none), "") == "ok"
    assert status(bills_tokens(t, p, scored, np.arange(5), none, n_missing=5), "") == "fewer"
    assert status(bills_tokens(t, p * np.nan, scored, np.arange(5), none), "") == "failed"
    assert status(bills_tokens(t, p, scored, none, none), "") == "no_items"
    assert status(None, "") == "no_items"


# --- of an LLM judge --------------------------------------------------------------------------------


def simulated(seed: int, n_class: tuple[int, ...], sizes: tuple[float, ...], blocks: int = 32) -> Simulated:
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(9), n_class)
    s = len(classes)
    t, p, scored = windows_of(seed, s)
    t[classes >= 6] = 0.0
    number = np.arange(s)
    ids = np.zeros((s, L), np.int32)
    windows = Windows(number, number, rng.integers(0, blocks, s).astype(np.int32), ids, ids, scored)
    n = np.asarray(n_class)
    drawn = Drawn(seed, windows, t.astype(np.float32), classes, n, np.asarray(sizes, dtype=np.float64), n)
    return Simulated(drawn, p.astype(np.float32))


USUAL = (6, 3, 4, 5, 6, 8, 18, 4, 6)


def test_random_windows_of_a_judge_are_drawn_as_classes_weigh() -> None:
    """Over many features the share of each class among the random windows is its share of the split."""
    sizes = (20.0, 40.0, 30.0, 20.0, 20.0, 10.0, 300.0, 160.0, 400.0)
    counted, short = np.zeros(9), 0
    for seed in range(200):
        of = simulated(seed, USUAL, sizes)
        bills = bills_of_simulated(of)
        assert bills.windows[:5].tolist() == [0, 1, 2, 3, 4], "the top windows of smallest u, as they were drawn"
        assert len(set(bills.windows.tolist())) == bills.n
        counted += np.bincount(of.drawn.classes[bills.windows[5:]], minlength=9)
        short += bills.n_missing
    n = int(counted.sum())
    assert short == 1000 - n
    assert short <= 10
    np.testing.assert_allclose(counted / n, np.asarray(sizes) / sum(sizes), atol=4 * 0.5 / np.sqrt(n))


def test_a_judges_calibrations_are_fitted_on_all_its_windows_of_other_blocks() -> None:
    of = simulated(3, USUAL, (20.0,) * 9)
    bills, block = bills_of_simulated(of), of.drawn.windows.block
    mine = set(block[bills.windows].tolist())
    assert bills.fitted.tolist() == [i for i in range(60) if int(block[i]) not in mine]
    scored = of.drawn.windows.scored
    fit_t, fit_p = (x[bills.fitted][scored[bills.fitted]] for x in (of.drawn.truth, of.prediction))
    expected = LinearRegression().fit(fit_p[:, None].astype(float), fit_t.astype(float))
    np.testing.assert_allclose(bills.predicted["linear"], expected.predict(bills.predicted["none"][:, None]), rtol=1e-9)


def test_a_class_without_windows_left_is_missing() -> None:
    of = bills_of_simulated(simulated(1, (6, 0, 0, 0, 0, 0, 0, 0, 2), (20.0, 0, 0, 0, 0, 0, 0, 0, 1e5)))
    assert (of.n, of.n_missing) == (7, 3)
    assert bills_of_simulated(simulated(1, (0,) * 9, (0.0,) * 9)).n_missing == 10


def test_of_a_judge_only_what_it_was_asked_is_computed() -> None:
    assert {m.name for m in judged_published("simulation")} < {m.name for m in metrics_for("published", "simulation")}
    assert not {m.name for m in judged_published("simulation")} & {"spearman_intervals", "spearman_intervals_weighted"}
    assert {m.name for m in judged_published("detection")} == {"clarity", "responsiveness", "purity", "faithfulness"}
    assert judged_published("fuzzing") == judged_published("logits") == []
    assert CLASSES[TOP] == "T"
