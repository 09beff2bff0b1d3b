"""The whole self-test: the file of marks agrees with a run, and what passes does so with room, whatever the seed.

Bounds are tighter than the command's: a metric that is marked as seeing a wrong label sees it for 93 % of 36 features
at each density, where a mark is kept at 80 %. Run with -rP to see the figures.
"""

from __future__ import annotations

import time
from functools import partial

import pytest

from autointerp.pipeline.selftest import bundled_text
from autointerp.pipeline.selftest_tokens import planted_distractors
from autointerp.score.metric_registry import METRICS, metrics_for
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.selftest.figures import LossCounts, MetricFigures
from autointerp.score.selftest.marks import kept_run
from autointerp.score.selftest.text import SelftestText
from autointerp.score.selftest.trials import SelftestPlan, self_test
from autointerp.score.selftest.verdicts import TRIALS, verdict_of

pytestmark = pytest.mark.slow
Row = tuple[str, str, str]


@pytest.fixture(scope="module")
def text() -> SelftestText:
    return bundled_text()


@pytest.fixture(scope="module")
def run(text: SelftestText) -> dict[Row, MetricFigures]:
    """With the command's defaults."""
    begun = time.process_time()
    rows = self_test(text, SelftestPlan(), partial(planted_distractors, text, 0))
    print(f"the self-test took {time.process_time() - begun:.0f} CPU s")
    assert time.process_time() - begun < 300
    return {row.name: row for row in rows}


@pytest.fixture(scope="module")
def larger(text: SelftestText) -> dict[Row, MetricFigures]:
    """Other features, and half as many again."""
    plan = SelftestPlan(seed=11, n_features=36)
    return {row.name: row for row in self_test(text, plan, partial(planted_distractors, text, 11))}


def expected_rows() -> set[Row]:
    rows = {("simulation", metric.name, "census") for metric in metrics_for("counted", "simulation")}
    for scorer in SCORERS.values():
        of = [*metrics_for(scorer.shape, scorer.name), *metrics_for("published", scorer.name)]
        rows |= {(scorer.name, metric.name, metric.design) for metric in of}
    return rows


def test_the_file_of_marks_agrees_with_a_run(run: dict[Row, MetricFigures]) -> None:
    """`python -m autointerp.pipeline.selftest autointerp/score/selftest/figures.json` writes it again."""
    kept = {row.name: row for row in kept_run().rows}
    assert set(kept) == set(run) == expected_rows()
    for name, row in run.items():
        was = kept[name]
        assert was.version == row.version, name
        assert verdict_of(was) == verdict_of(row), name
        for mine, theirs in ((row.extra, was.extra), (row.missing, was.missing)):
            assert (mine is None) == (theirs is None), name
            if mine is not None and theirs is not None:
                assert mine.of == theirs.of, name
                assert all(abs(a - b) <= 1 for a, b in zip(mine.lost, theirs.lost, strict=True)), name
        for excess, before in ((row.unrelated, was.unrelated), (row.blind, was.blind)):
            assert (excess is None) == (before is None), name
            if excess is not None and before is not None:
                assert excess.mean == pytest.approx(before.mean, abs=0.002), name


def shares(losses: LossCounts | None) -> list[float]:
    assert losses is not None
    found = losses.shares()
    assert None not in found
    return [share for share in found if share is not None]


def test_what_is_marked_passes_with_room_on_other_features(larger: dict[Row, MetricFigures]) -> None:
    for kept in kept_run().rows:
        row, was = larger[kept.name], verdict_of(kept)
        print(row)
        for trial, losses in (("extra", row.extra), ("missing", row.missing)):
            if was.passed(trial) and kept.scorer != "logits":
                assert min(shares(losses)) >= 0.93, (kept.name, trial)
        if was.first:
            assert row.ranking is not None
            assert row.ranking.first >= 0.9, kept.name
        for excess, passed in ((row.unrelated, was.unrelated), (row.blind, was.blind)):
            if passed:
                assert excess is not None
                assert excess.low <= 0.02, kept.name


def test_the_census_and_the_framed_sample_see_every_wrong_label(larger: dict[Row, MetricFigures]) -> None:
    for metric in METRICS:
        if metric.design == "census":
            row = larger["simulation", metric.name, "census"]
            assert shares(row.extra) == [1.0, 1.0, 1.0], metric.name
            assert min(shares(row.missing)) >= 0.97, metric.name
            assert row.ranking is not None
            assert row.ranking.first == 1.0
    framed = larger["simulation", "pearson_framed", "sample"]
    assert min(shares(framed.extra)) >= 0.95
    assert framed.ranking is not None
    assert framed.ranking.reciprocal >= 0.97


def test_what_is_known_to_be_blind_is_found_to_be(run: dict[Row, MetricFigures]) -> None:
    """The published protocols, on windows drawn without weights."""
    for scorer, metric, most in (
        ("simulation", "spearman_intervals", 0.6),
        ("detection", "balanced_accuracy", 0.6),
        ("detection", "accuracy_saebench", 0.4),
        ("simulation", "pearson_top_random", 0.4),
    ):
        row = run[scorer, metric, "sample"]
        assert shares(row.extra)[-1] <= most, metric
        assert shares(row.extra)[0] >= 0.85, metric
        assert "extra" in verdict_of(row).failed


def test_every_trial_can_be_failed_and_passed(run: dict[Row, MetricFigures]) -> None:
    passed = {trial for row in run.values() for trial in TRIALS if verdict_of(row).passed(trial)}
    assert passed == set(TRIALS)
    failed = {trial for row in run.values() for trial in verdict_of(row).failed}
    assert "extra" in failed
