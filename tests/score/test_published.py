"""The published samples: who is chosen, what is scored, and what short strata and failures do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autointerp.score import published

W, L = 400, 16


@pytest.fixture
def windows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((W, L)) < 0.05, rng.gamma(1.5, 2.0, (W, L)), 0.0)
    truth[200:] = 0.0
    mask = rng.random((W, L)) < 0.95
    truth = np.where(mask, truth, np.nan)
    prediction = np.round(np.nan_to_num(truth) * np.exp(rng.normal(0, 0.5, (W, L))))
    maximum = np.nan_to_num(truth).max(axis=1)
    top = np.zeros(W, bool)
    top[np.argsort(-maximum)[:20]] = True
    random = rng.random(W) < 0.3
    return {
        "truth": truth,
        "prediction": prediction,
        "mask": mask,
        "maximum": maximum,
        "top": top,
        "random": random,
        "u": rng.random(W),
        "out_of_context": (maximum == 0) & (rng.random(W) < 0.3),
        "interval": published.activation_interval(maximum, maximum.max()),
    }


def smallest(members: np.ndarray, u: np.ndarray, n: int) -> list[int]:
    return sorted(np.flatnonzero(members).tolist(), key=lambda i: float(u[i]))[:n]


def test_choosing_takes_the_smallest_u_and_no_window_twice(windows: dict[str, np.ndarray]) -> None:
    u, top = windows["u"], windows["top"]
    chosen = published.choose({"top": (top, 5), "all": (np.ones(W, bool), 30), "few": (top, 100)}, u)
    first = smallest(top, u, 5)
    second = smallest(~np.isin(np.arange(W), first), u, 30)
    third = smallest(top & ~np.isin(np.arange(W), [*first, *second]), u, 100)
    np.testing.assert_array_equal(chosen.index, [*first, *second, *third])
    assert len(set(chosen.index.tolist())) == chosen.index.size
    assert chosen.missing == {"few": 100 - len(third)}
    assert list(chosen.stratum[:6]) == ["top"] * 5 + ["all"]


def test_intervals_are_equal_widths_of_the_maximum() -> None:
    got = published.activation_interval([0.0, 0.1, 1.0, 5.9, 6.0, 11.99, 12.0], 12.0)
    np.testing.assert_array_equal(got, [-1, 0, 1, 5, 6, 11, 11])


def test_pearson_top_random_pools_all_tokens(windows: dict[str, np.ndarray]) -> None:
    w = windows
    got = published.pearson_top_random(w["truth"], w["prediction"], w["mask"], w["top"], w["random"], w["u"])
    rows = got.chosen.index
    assert (got.n, got.n_failed, got.status) == (10, 0, "ok")
    assert w["top"][rows[:5]].all()
    assert w["random"][rows[5:]].all()
    scored = w["mask"][rows]
    expected = stats.pearsonr(w["truth"][rows][scored], w["prediction"][rows][scored]).statistic
    assert got.value == pytest.approx(expected)


def test_a_window_without_a_prediction_counts_as_failed(windows: dict[str, np.ndarray]) -> None:
    w = windows
    chosen = published.choose_top_random(w["top"], w["random"], w["u"])
    broken = w["prediction"].copy()
    broken[chosen.index[3]] = np.nan
    got = published.pearson_top_random(w["truth"], broken, w["mask"], w["top"], w["random"], w["u"])
    assert (got.n, got.n_failed) == (9, 1)
    np.testing.assert_array_equal(got.chosen.index, chosen.index)  # nobody takes its place
    none = published.pearson_top_random(w["truth"], np.full((W, L), np.nan), w["mask"], w["top"], w["random"], w["u"])
    assert (none.value, none.status, none.n, none.n_failed) == (None, "failed", 0, 10)


def test_spearman_intervals_has_sixty_windows_or_says_what_is_short(windows: dict[str, np.ndarray]) -> None:
    w = windows
    arrays = (w["top"], w["interval"], w["random"], w["out_of_context"], w["u"])
    got = published.spearman_intervals(w["truth"], w["prediction"], w["mask"], *arrays)
    missing = got.chosen.missing
    assert got.n == 60 - sum(missing.values())
    assert missing  # the high intervals hold few windows
    assert got.status == "fewer"
    assert all(name.startswith("interval_") for name in missing)
    rows = got.chosen.index
    scored = w["mask"][rows]
    expected = stats.spearmanr(w["truth"][rows][scored], w["prediction"][rows][scored]).statistic
    assert got.value == pytest.approx(expected)

    enough = dict(w, interval=np.where(w["interval"] >= 0, np.arange(W) % 12, -1))
    whole = published.spearman_intervals(
        w["truth"], w["prediction"], w["mask"], w["top"], enough["interval"], w["random"], w["out_of_context"], w["u"]
    )
    assert (whole.n, whole.status, whole.chosen.missing) == (60, "ok", {})

    flat = published.spearman_intervals(w["truth"], np.ones((W, L)), w["mask"], *arrays)
    assert (flat.value, flat.status) == (0.0, "constant")

    few = w["truth"].copy()
    few[10:] = np.where(np.isnan(few[10:]), np.nan, 0.0)
    interval = np.where(np.arange(W) < 10, w["interval"], -1)
    scarce = published.spearman_intervals(
        few, w["prediction"], w["mask"], w["top"], interval, w["random"], w["out_of_context"], w["u"]
    )
    assert scarce.status == "underpowered"
    assert scarce.value is not None


def test_importance_weights_follow_the_intervals(windows: dict[str, np.ndarray]) -> None:
    w = windows
    probability = np.bincount(w["interval"][w["interval"] >= 0], minlength=12) / (w["interval"] >= 0).sum()
    weights = published.interval_weights(0.01, probability)
    assert weights["random"] == 1.0
    assert weights["interval_0"] == pytest.approx(0.01 * probability[0])
    assert weights["top"] == weights["out_of_context"] == weights["interval_11"]
    arrays = (w["top"], w["interval"], w["random"], w["out_of_context"], w["u"])
    got = published.spearman_intervals(w["truth"], w["prediction"], w["mask"], *arrays, weights)
    plain = published.spearman_intervals(w["truth"], w["prediction"], w["mask"], *arrays)
    assert got.value != plain.value
    np.testing.assert_array_equal(got.chosen.index, plain.chosen.index)

    rows = got.chosen.index
    of_token = np.repeat([weights[str(name)] for name in got.chosen.stratum], w["mask"][rows].sum(axis=1))
    t, p = (w[name][rows][w["mask"][rows]] for name in ("truth", "prediction"))

    def ranks(values: np.ndarray) -> np.ndarray:
        """The weight below each value and half of that beside it."""
        return np.array([of_token[values < v].sum() + of_token[values == v].sum() / 2 for v in values])

    covariance = np.cov(ranks(t), ranks(p), aweights=of_token)
    assert got.value == pytest.approx(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def test_balanced_accuracy_of_detection(windows: dict[str, np.ndarray]) -> None:
    w = windows
    fires = w["maximum"] > 0
    quantile = np.where(fires, np.arange(W) % 10, -1)
    quantile[390:] = 3  # silent windows with a quantile are not firing examples
    arguments = (w["mask"], quantile, w["random"], w["u"])
    perfect = published.balanced_accuracy(w["truth"], fires, *arguments)
    assert (perfect.value, perfect.n, perfect.n_failed, perfect.status) == (1.0, 100, 0, "ok")
    assert fires[perfect.chosen.index[:50]].all()
    assert not fires[perfect.chosen.index[50:]].any()
    assert published.balanced_accuracy(w["truth"], np.ones(W, bool), *arguments).value == 0.5

    answered = np.ones(W, bool)
    answered[perfect.chosen.index[:7]] = False
    partly = published.balanced_accuracy(w["truth"], fires, *arguments, answered=answered)
    assert (partly.value, partly.n, partly.n_failed) == (1.0, 93, 7)
    answered[:] = False
    assert published.balanced_accuracy(w["truth"], fires, *arguments, answered=answered).status == "failed"
    silent = np.where(np.isnan(w["truth"]), np.nan, 0.0)
    assert published.balanced_accuracy(silent, fires, *arguments).status == "rare"


def test_saebench_and_its_floor(windows: dict[str, np.ndarray]) -> None:
    w = windows
    maximum = float(w["maximum"].max())
    truth = w["truth"].copy()
    truth[300, 0], w["mask"][300, 0] = 0.005 * maximum, True  # under 1 % of the maximum: silent
    arguments = (w["mask"], w["top"], w["random"], w["u"], maximum)
    nothing = published.accuracy_saebench(truth, np.zeros(W, bool), *arguments)
    assert nothing.value == pytest.approx(published.SAEBENCH_FLOOR)
    assert nothing.n == 14
    assert list(nothing.chosen.stratum) == ["top"] * 2 + ["importance"] * 2 + ["random"] * 10
    fires = w["maximum"] > 0.01 * maximum
    assert published.accuracy_saebench(truth, fires, *arguments).value == 1.0
    assert not w["top"][nothing.chosen.index[2:4]].any()
    assert published.accuracy_saebench(np.zeros((W, L)), fires, *arguments).status == "rare"
    few = w["random"] & (np.arange(W) >= 395)
    short = published.accuracy_saebench(truth, fires, w["mask"], w["top"], few, w["u"], maximum)
    assert short.status == "fewer"
    assert short.n == 4 + few.sum() < 14


def test_importance_sampling_follows_the_squared_activation() -> None:
    energy = np.array([1.0, 4.0, 16.0, 0.0])
    no = np.zeros(4, bool)
    rng = np.random.default_rng(3)
    first = [
        published.choose_saebench([1.0, 2.0, 4.0, 0.0], energy, no, no, rng.random(4), 4.0).index[0]
        for _ in range(3000)
    ]
    shares = np.bincount(first, minlength=4) / 3000
    np.testing.assert_allclose(shares, energy / energy.sum(), atol=4 * 0.009)
