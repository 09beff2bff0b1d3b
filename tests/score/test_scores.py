"""Score rows: one a feature and metric, with the value of the definition or the reason why there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scoring import (
    CENSUS_METRICS,
    PUBLISHED_METRICS,
    SAMPLE_METRICS,
    census_scores,
    published_scores,
    sample_scores,
)

from autointerp.explain.lookup import EMPTY, Entries, from_lists, predict
from autointerp.records import Explanation, FeatureWindows, Score, Windows
from autointerp.score import published
from autointerp.score.activation_bins import N_BINS, activation_bin
from autointerp.score.census import census_pearson_interval
from autointerp.score.census_sums import CensusSums, CensusTruth, moments, probability_bin
from autointerp.score.metric_registry import METRICS
from autointerp.score.metrics import auprc, f1
from autointerp.score.pool import Pool
from autointerp.score.sample_moments import sample_moments
from autointerp.score.sampled import (
    Answered,
    PublishedWindows,
    answer,
    candidates,
    draw_windows,
    look_up,
    published_windows,
    simulate,
    take,
)
from autointerp.score.scores import subjects

B, L = 8, 8
THRESHOLD, SHARE = 0.5, 0.1
EVERYTHING = (1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)


def explanation(feature: int, status: str = "ok") -> Explanation:
    return Explanation(feature, "lexical", "text" if status == "ok" else "", status)


ALL_OK = subjects([explanation(0)], {0: "alive"})


# --- census -----------------------------------------------------------------------------------------


class Tokens:
    """Five features on tokens in blocks: a good lookup, none, dead, silent on the split, rare."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.n = 4000
        self.token, self.block = rng.integers(0, 30, self.n), rng.integers(0, B, self.n)
        on = (self.token == 3) | (rng.random(self.n) < 0.02)
        self.t = np.zeros((5, self.n))
        self.t[[0, 1, 4]] = np.where(on, rng.exponential(1, self.n), 0)
        self.p, self.q = np.zeros((5, self.n)), np.zeros((5, self.n))
        for token, value, share in ((3, 1.0, 0.9), (4, 0.2, 0.3), (5, 0.1, 0.55)):
            self.p[[0, 3, 4]] += value * (self.token == token)
            self.q[[0, 3, 4]] += share * (self.token == token)

    def sums(self) -> tuple[CensusTruth, CensusSums]:
        def by_block(x: np.ndarray) -> np.ndarray:
            return np.stack([np.bincount(self.block, row, minlength=B) for row in x])

        above = self.t > THRESHOLD
        counts = [
            np.stack([np.bincount(b[f], minlength=N_BINS) for b, f in zip(bins, fires, strict=True)])
            for bins, fires in (
                (probability_bin(self.q), self.t > 0),
                (probability_bin(self.q), self.t == 0),
                (activation_bin(self.p, THRESHOLD, SHARE), above),
                (activation_bin(self.p, THRESHOLD, SHARE), ~above),
            )
        ]
        t, t2, n_above = (by_block(values) for values in (self.t, self.t**2, above))
        n = np.bincount(self.block, minlength=B)
        truth = CensusTruth(n, t, t2, np.full(5, THRESHOLD), n_above.astype(np.int64))
        p, p2, tp = by_block(self.p), by_block(self.p**2), by_block(self.t * self.p)
        return truth, CensusSums(p, p2, tp, *counts)


def answered_by(windows: PublishedWindows, lookup: Entries) -> Answered:
    return answer(windows, *look_up(lookup, windows.windows))


def by_metric(scores: list[Score], feature: int) -> dict[str, Score]:
    return {score.metric: score for score in scores if score.feature == feature}


def test_census_scores_are_those_of_all_tokens() -> None:
    tokens = Tokens()
    truth, sums = tokens.sums()
    of = subjects([explanation(0)], {0: "alive"})
    found = by_metric(census_scores(of, truth, sums), 0)
    t, p, q = tokens.t[0], tokens.p[0], tokens.q[0]
    assert found["pearson"].value == pytest.approx(np.corrcoef(t, p)[0, 1], rel=1e-9)
    interval = census_pearson_interval(moments(truth, sums)[0])
    assert (found["pearson"].ci_low, found["pearson"].ci_high) == (float(interval.ci_low), float(interval.ci_high))
    hits, alarms, misses = ((q > 0.5) & (t > 0)).sum(), ((q > 0.5) & (t == 0)).sum(), ((q <= 0.5) & (t > 0)).sum()
    assert found["f1"].value == pytest.approx(2 * hits / (2 * hits + alarms + misses))
    for metric, least, by, values in (("auprc", 0.0, q, (0.9, 0.55, 0.3, 0.0)),
                                      ("auprc_thresholded", THRESHOLD, p, (1.0, 0.2, 0.1, 0.0))):  # fmt: skip
        precision, recall, area = 0.0, 0.0, 0.0
        for value in values:
            said = by >= value
            precision, before = (t[said] > least).mean(), recall
            recall = (t[said] > least).sum() / (t > least).sum()
            area += (recall - before) * precision
        assert found[metric].value == pytest.approx(area)
    hits, said = ((p > THRESHOLD) & (t > THRESHOLD)).sum(), (p > THRESHOLD).sum()
    assert found["f1_thresholded"].value == pytest.approx(2 * hits / (said + (t > THRESHOLD).sum()))
    for score in found.values():
        assert (score.scorer, score.design, score.n, score.n_failed) == ("simulation", "census", 4000, 0)
        assert score.status == "ok"


def test_metrics_of_all_tokens_that_say_so_see_a_label_that_claims_too_much() -> None:
    """Density 1e-4: the same label, and firing on three times as many tokens as the feature does."""
    rng = np.random.default_rng(1)
    n = 200_000
    t = np.where(np.arange(n) < 20, rng.gamma(2.0, 1.0, n) + 0.5, 0.0)
    values: dict[str, list[float]] = {}
    for extra in (0, 60):
        p = np.where(np.arange(n) < 20 + extra, 1.0, 0.0)
        tokens = Tokens()
        tokens.block, tokens.t, tokens.p, tokens.q = np.arange(n) % B, *(np.tile(x, (5, 1)) for x in (t, p, 0.9 * p))
        for name, score in by_metric(census_scores(ALL_OK, *tokens.sums()), 0).items():
            assert score.value is not None
            values.setdefault(name, []).append(score.value)
    for metric in METRICS:
        if metric.reads == "counted":
            assert values[metric.name][1] < values[metric.name][0] - 0.3


def test_every_feature_and_metric_has_exactly_one_census_row() -> None:
    truth, sums = Tokens().sums()
    given = [
        explanation(0),
        explanation(1, "no_disjoint_feature"),
        explanation(2, "dead"),
        explanation(3),
        explanation(4),
    ]
    of = subjects(given, {0: "alive", 1: "alive", 2: "dead", 3: "alive", 4: "rare"})
    scores = census_scores(of, truth, sums)
    rows = Counter((score.feature, score.explainer, score.metric) for score in scores)
    assert rows == Counter({(f, "lexical", metric): 1 for f in range(5) for metric in CENSUS_METRICS})
    status = {score.feature: score.status for score in scores if score.metric == "pearson"}
    assert status == {0: "ok", 1: "no_disjoint_feature", 2: "dead", 3: "rare", 4: "rare"}
    assert all((score.value is None) == (score.feature != 0) for score in scores)


def test_a_constant_prediction_scores_0_and_counts() -> None:
    truth, sums = Tokens().sums()
    found = by_metric(census_scores(subjects([explanation(1)], {1: "alive"}), truth, sums), 1)
    assert (found["pearson"].value, found["pearson"].status) == (0.0, "constant")
    assert found["pearson"].ci_low is None
    assert found["f1"].value == 0.0
    assert found["auprc"].value == pytest.approx((Tokens().t[1] > 0).mean())


def test_subjects_are_of_one_explainer() -> None:
    with pytest.raises(ValueError, match="one explainer"):
        subjects([explanation(0), replace(explanation(1), explainer="generic")], {0: "alive", 1: "alive"})


# --- sample -----------------------------------------------------------------------------------------


class Split:
    """All windows of a split, one feature that fires on token 3 and some more; everything is kept."""

    def __init__(self, seed: int = 0, n: int = 400, more: float = 0.02) -> None:
        rng = np.random.default_rng(seed)
        tokens = rng.integers(0, 30, (n, L)).astype(np.int32)
        previous = np.concatenate([np.full((n, 1), -1), tokens[:, :-1]], axis=1).astype(np.int32)
        number = np.arange(n)
        self.windows = Windows(
            number, number // 4, (number % B).astype(np.int32), tokens, previous, rng.random((n, L)) < 0.9
        )
        on = ((tokens == 3) | (rng.random((n, L)) < more)) & self.windows.scored
        self.truth = np.where(on, rng.exponential(1, (n, L)) + 0.05, 0).astype(np.float32)
        maximum = self.truth.max(axis=1)
        firing = np.flatnonzero(maximum > 0)
        order = firing[np.argsort(-maximum[firing])]
        kept = FeatureWindows(
            0,
            n,
            len(firing),
            order,
            np.where(np.arange(len(order)) < 20, "T", "F"),
            maximum[order],
            rng.random(len(order)),
            self.truth[order],
        )
        self.feature = candidates(
            kept,
            take(self.windows, order),
            Pool(self.windows),
            firing,
            np.asarray([0.5, 1, 1.5, 2]),
            np.asarray([3], np.int32),
            0,
        )


LOOKUP = Entries(
    np.asarray([-1, -1], np.int32),
    np.asarray([3, 7], np.int32),
    np.asarray([1, 0.3], np.float32),
    np.asarray([0.9, 0.1], np.float32),
)


def test_a_sample_of_everything_gives_the_correlation_over_all_tokens() -> None:
    split = Split()
    drawn = draw_windows(replace(split.feature, threshold=0.5), LOOKUP, EVERYTHING)
    found = by_metric(sample_scores(ALL_OK, {0: simulate(drawn, LOOKUP)}), 0)
    assert found.keys() == set(SAMPLE_METRICS)
    p, _ = predict(from_lists([LOOKUP]), 0, split.windows.tokens, split.windows.previous)
    truth, predicted = split.truth[split.windows.scored], p[split.windows.scored]
    expected = np.corrcoef(truth, predicted)[0, 1]
    for metric in ("pearson", "pearson_framed"):
        score = found[metric]
        assert score.value == pytest.approx(expected, rel=1e-6)
        assert (score.ci_low, score.ci_high) == pytest.approx((expected, expected), rel=1e-6)
    for end, least in (("", 0.0), ("_thresholded", drawn.threshold)):
        assert found[f"auprc{end}"].value == pytest.approx(auprc(truth > least, predicted).value)
        assert found[f"f1{end}"].value == pytest.approx(f1(truth > least, predicted, threshold=least).value)
    assert found["auprc"].value != pytest.approx(found["auprc_thresholded"].value)
    for score in found.values():
        assert (score.design, score.n, score.n_failed, score.status) == ("sample", 400, 0, "ok")


def test_sixty_windows_estimate_it() -> None:
    """Over 60 splits: no bias worth the name, and the interval covers what it should (200 splits: .003, .94)."""
    errors, covered = [], []
    for seed in range(60):
        split = Split(seed, n=1000, more=0.005)
        drawn = draw_windows(split.feature, LOOKUP)
        framed = by_metric(sample_scores(ALL_OK, {0: simulate(drawn, LOOKUP)}), 0)["pearson_framed"]
        assert framed.n == 60
        p, _ = predict(from_lists([LOOKUP]), 0, split.windows.tokens, split.windows.previous)
        truth = np.corrcoef(split.truth[split.windows.scored], p[split.windows.scored])[0, 1]
        errors.append(framed.value - truth)
        covered.append(framed.ci_low < truth < framed.ci_high)
    assert abs(np.mean(errors)) < 0.02
    assert np.mean(covered) > 0.85


def test_windows_without_a_prediction_are_failures_and_no_zeros() -> None:
    split = Split()
    simulated = simulate(draw_windows(split.feature, LOOKUP), LOOKUP)
    missing = simulated.prediction.copy()
    missing[::3] = np.nan
    partly = by_metric(sample_scores(ALL_OK, {0: replace(simulated, prediction=missing)}), 0)["pearson_framed"]
    assert (partly.n, partly.n_failed, partly.status) == (40, 20, "ok")
    missing[:] = np.nan
    lost = by_metric(sample_scores(ALL_OK, {0: replace(simulated, prediction=missing)}), 0)["pearson_framed"]
    assert (lost.value, lost.n_failed, lost.status) == (None, 60, "failed")


def test_statuses_of_the_sample_and_the_published_rows() -> None:
    split = Split()
    given = [explanation(0), explanation(1), explanation(2, "dead"), explanation(3)]
    of = subjects(given, {0: "alive", 1: "alive", 2: "dead", 3: "rare"})
    simulated = {0: simulate(draw_windows(split.feature, LOOKUP), LOOKUP)}
    answered = {0: answered_by(published_windows(split.feature, float(split.truth.max()), 0.05), LOOKUP)}
    scores = [*sample_scores(of, simulated), *published_scores(of, answered)]
    metrics = (*SAMPLE_METRICS, *PUBLISHED_METRICS)
    assert Counter((s.feature, s.metric) for s in scores) == Counter({(f, m): 1 for f in range(4) for m in metrics})
    for feature, status in ((1, "failed"), (2, "dead"), (3, "rare")):
        assert {s.status for s in scores if s.feature == feature} == {status}
        assert {s.value for s in scores if s.feature == feature} == {None}
    others = {
        "spearman_intervals": "fewer",  # two windows of each interval of the activation are not there
        "spearman_intervals_weighted": "fewer",
        "clarity": "no_generated_text",
        "faithfulness": "no_judged_steering",
    }
    statuses = {s.metric: s.status for s in scores if s.feature == 0 and s.metric != "pearson"}
    assert statuses == {m: others.get(m, "ok") for m in metrics if m != "pearson"}
    assert all((s.value is None) == s.status.startswith("no_") for s in scores if s.feature == 0)
    assert all(s.scorer == PUBLISHED_METRICS.get(s.metric, "simulation") for s in scores)


def test_nothing_simulated_gives_rows_all_the_same() -> None:
    assert [score.status for score in sample_scores(ALL_OK, {})] == ["failed"] * len(SAMPLE_METRICS)


def test_no_features_give_no_rows() -> None:
    nobody = subjects([], {})
    assert [*census_scores(nobody, *Tokens().sums()), *sample_scores(nobody, {}), *published_scores(nobody, {})] == []


def test_a_feature_that_is_silent_on_the_split_is_rare_there() -> None:
    """It fired on the explain split, so there is an explanation; there is nothing to score it on."""
    split = Split(more=0.0)
    silent = FeatureWindows(
        0,
        400,
        0,
        np.zeros(0, np.int64),
        np.zeros(0, "U1"),
        np.zeros(0, np.float32),
        np.zeros(0, np.float64),
        np.zeros((0, L), np.float32),
    )
    feature = candidates(
        silent,
        take(split.windows, np.zeros(0, np.int64)),
        Pool(split.windows),
        [],
        np.zeros(4),
        np.asarray([3], np.int32),
        0,
    )
    simulated = {0: simulate(draw_windows(feature, LOOKUP), LOOKUP)}
    answered = {0: answered_by(published_windows(feature, 5.0, 0.0), LOOKUP)}
    scores = [*sample_scores(ALL_OK, simulated), *published_scores(ALL_OK, answered)]
    assert {score.value for score in scores} == {None}
    assert {score.status for score in scores if score.metric not in ("clarity", "faithfulness")} == {"rare"}


def test_a_silent_explanation_is_constant() -> None:
    split = Split()
    found = sample_scores(ALL_OK, {0: simulate(draw_windows(split.feature, EMPTY), EMPTY)})
    assert {(s.value, s.status) for s in found if s.metric.startswith("pearson")} == {(0.0, "constant")}
    ranked = [score for score in found if not score.metric.startswith("pearson")]
    assert {score.status for score in ranked} == {"ok"}
    assert {score.value for score in ranked if score.metric.startswith("f1")} == {0.0}
    density = (split.truth[split.windows.scored] > 0).mean()
    assert all(s.value is not None and 0 < s.value < 3 * density for s in ranked if s.metric.startswith("auprc"))


def test_block_moments_are_at_hand_for_the_comparison() -> None:
    split = Split()
    drawn = draw_windows(split.feature, LOOKUP)
    sample = sample_moments([simulate(drawn, LOOKUP)])
    assert np.array_equal(sample.blocks[0], drawn.windows.block)
    assert sample.moments[0, :, 0].sum() == drawn.windows.scored.sum()


# --- published --------------------------------------------------------------------------------------


def test_published_metrics_are_those_of_the_chosen_windows() -> None:
    split = Split(more=0.0)
    windows = published_windows(split.feature, float(split.truth.max()))
    found = by_metric(published_scores(ALL_OK, {0: answered_by(windows, LOOKUP)}), 0)
    chosen = published.choose_top_random(windows.top, windows.random_5, windows.u).index
    scored = windows.windows.scored[chosen]
    p, _ = predict(from_lists([LOOKUP]), 0, windows.windows.tokens[chosen], windows.windows.previous[chosen])
    r = np.corrcoef(windows.truth[chosen][scored], p[scored])[0, 1]
    assert found["pearson_top_random"].value == pytest.approx(r, rel=1e-6)
    assert found["pearson_top_random"].n == 10
    assert found["balanced_accuracy"].value == 1.0
    assert found["accuracy_saebench"].value == 1.0
    assert found["accuracy_saebench"].n == 14


def test_nothing_fires_scores_the_floor_of_saebench() -> None:
    split = Split()
    found = by_metric(published_scores(ALL_OK, {0: answered_by(published_windows(split.feature, 0.1), EMPTY)}), 0)
    assert found["accuracy_saebench"].value == pytest.approx(published.SAEBENCH_FLOOR)
    assert found["balanced_accuracy"].value == 0.5
    assert (found["pearson_top_random"].value, found["pearson_top_random"].status) == (0.0, "constant")
