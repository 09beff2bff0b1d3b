"""The trials tell metrics that see wrong labels from those that do not; figures become verdicts, and verdicts marks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from autointerp.config.own_code import OwnCode
from autointerp.errors import AutointerpError
from autointerp.llm.asks import Ask
from autointerp.pipeline.selftest_tokens import planted_distractors
from autointerp.score.metric import Metric, each
from autointerp.score.metric_registry import METRICS, own_metric
from autointerp.score.predictions import Judged
from autointerp.score.scorers.detection import Detection
from autointerp.score.scorers.protocol import Questions, Scorer
from autointerp.score.scorers.registry import SCORERS, scorers_of
from autointerp.score.selftest.figures import Excess, LossCounts, MetricFigures, Ranking, from_json, to_json
from autointerp.score.selftest.marks import kept_run, mark_of
from autointerp.score.selftest.text import SelftestText
from autointerp.score.selftest.trials import SelftestPlan, excess_of, ranking_of, self_test
from autointerp.score.selftest.verdicts import EARNED, KEPT, MOST, lost_marks, verdict_of

MODULE = "selftest_own"
ADDITIONS = Path(__file__).parents[1] / "additions"
SMALL = SelftestPlan(n_features=4, densities=(1e-2, 1e-3))


class Deaf(Detection):
    """Shows no label."""

    name = "deaf"

    def questions(self, shown: Any, feature: Any, material: Any, judge: Any) -> Questions:
        asked = super().questions(shown, feature, material, judge)
        asks = [replace(ask, prompt=ask.prompt.partition("\n")[2]) for ask in asked.asks]
        return Questions(asks, asked.read)


class Broken(Detection):
    """Fails in the middle of it."""

    name = "broken"

    def questions(self, *_: Any) -> Questions:
        raise KeyError("no\nsuch thing")


class Talkative:
    """A metric that says a word."""

    name = "talkative"
    reads = "judged"

    def measure(self, _prediction: Any) -> Any:
        return "much"


class Always:
    """A metric that likes everything."""

    name = "always"
    reads = "judged"
    chance = 1.0
    sentence = "1"

    def measure(self, _prediction: Judged) -> float:
        return 1.0


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    own = ModuleType(MODULE)
    for made in (Deaf, Broken, Talkative, Always):
        setattr(own, made.__name__, made)
    sys.modules[MODULE] = own
    sys.path.insert(0, str(ADDITIONS))
    yield
    sys.path.remove(str(ADDITIONS))
    for name in (MODULE, "example_scorer", "example_metric"):
        sys.modules.pop(name, None)


def scorers(*own: str, built_in: Sequence[str] = ()) -> dict[str, Scorer]:
    return {name: SCORERS[name] for name in built_in} | scorers_of(OwnCode(python=one) for one in own)


@pytest.fixture(scope="module")
def tried(small_text: SelftestText) -> dict[tuple[str, str, str], MetricFigures]:
    """A small run with a scorer of each shape but simulations, and metrics and a scorer of the user's own."""
    plan = replace(
        SMALL,
        scorers=scorers("example_scorer:Strongest", f"{MODULE}:Deaf", built_in=("detection", "logits", "logits_hard")),
        own=[own_metric("example_metric:Recall"), own_metric(f"{MODULE}:Always")],
    )
    told: list[int] = []
    rows = self_test(small_text, plan, partial(planted_distractors, small_text, plan.seed), told.append)
    made = plan.n_predictions - sum(told)
    assert 0 < made < 0.2 * plan.n_predictions, "all but those of the scorer that cannot be tried"
    return {row.name: row for row in rows}


def test_every_metric_of_every_scorer_and_design_is_tried(tried: dict[tuple[str, str, str], MetricFigures]) -> None:
    expected = {("simulation", metric.name, "census") for metric in METRICS if metric.reads == "counted"}
    expected |= {("detection", m.name, "sample") for m in METRICS if m.reads == "published" and m.is_of("detection")}
    for name in ("detection", "strongest", "deaf"):
        expected |= {
            (name, metric.name, "sample") for metric in METRICS if metric.reads == "judged" and metric.is_of(name)
        }
        expected |= {(name, own, "sample") for own in ("recall", "always")}
    expected |= {
        (name, metric.name, "sample")
        for name in ("logits", "logits_hard")
        for metric in METRICS
        if metric.reads == "rated" and metric.is_of(name)
    }
    assert set(tried) == expected


def test_metrics_that_see_wrong_labels_are_told_from_those_that_do_not(
    tried: dict[tuple[str, str, str], MetricFigures],
) -> None:
    for metric in METRICS:
        if metric.reads == "counted":
            row = tried["simulation", metric.name, "census"]
            kinds = {"token": (4, 4), "pair": (2, 2), "context": (2, 2)}
            assert row.extra == LossCounts((4, 4), (4, 4), (4, 4), kinds), metric.name
            assert row.missing is not None
            assert sum(row.missing.lost) >= 7
            assert row.ranking == Ranking(1.0, 1.0, 2, 10)
            assert verdict_of(row).unrelated
            assert row.blind is None
    always = verdict_of(tried["detection", "always", "sample"])
    assert always.failed == ("extra", "missing", "first")
    ranking = tried["detection", "always", "sample"].ranking
    assert ranking is not None
    assert ranking.first == pytest.approx(1 / 10), "all ten labels tie"
    recall = verdict_of(tried["detection", "recall", "sample"])
    assert set(recall.failed) >= {"extra", "first"}, "a label that claims everything gets 1"
    assert recall.missing != "no"
    matched = tried["detection", "balanced_accuracy_matched", "sample"]
    assert matched.missing is not None
    assert matched.missing.lost[0] >= 3
    assert matched.ranking is not None
    assert matched.ranking.reciprocal > 0.8
    logits = verdict_of(tried["logits", "logit_accuracy_direct", "sample"])
    assert logits.passed("missing")
    assert logits.first


def test_a_scorer_that_shows_no_label_is_not_tried_and_says_why(
    tried: dict[tuple[str, str, str], MetricFigures],
) -> None:
    deaf = tried["deaf", "auroc_matched", "sample"]
    assert deaf.reason == "its questions show no label"
    assert (deaf.extra, deaf.ranking, deaf.unrelated, deaf.blind) == (None, None, None, None)
    assert verdict_of(deaf).passes is None


def test_the_same_seed_gives_the_same_figures(small_text: SelftestText) -> None:
    plan = replace(SMALL, n_features=3, densities=(1e-2,), scorers=scorers(built_in=("fuzzing",)))
    one, two, other = (
        self_test(small_text, replace(plan, seed=s), partial(planted_distractors, small_text, s)) for s in (0, 0, 1)
    )
    assert one == two
    assert one != other


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"scorers": f"{MODULE}:Broken"}, 'scorer "broken" failed on planted feature 1: KeyError: '),
        ({"own": f"{MODULE}:Talkative"}, f'metric "{MODULE}:Talkative" failed on feature 1: ValueError: could not'),
    ],
)
def test_what_fails_in_code_of_the_users_is_one_line(
    own: dict[str, str], message: str, small_text: SelftestText
) -> None:
    plan = replace(
        SMALL,
        scorers=scorers(own["scorers"]) if "scorers" in own else scorers(built_in=("detection",)),
        own=[own_metric(own["own"])] if "own" in own else [],
    )
    with pytest.raises(AutointerpError) as caught:
        self_test(small_text, plan, partial(planted_distractors, small_text, plan.seed))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# --- figures ----------------------------------------------------------------------------------------


def test_ranks_share_their_ties() -> None:
    values = np.array([[0.9, 0.5, 0.2, np.nan], [0.1, 0.5, 0.7, 0.3], [0.3, 0.4, np.nan, 0.3]])
    ranking = ranking_of(values, [0, 1, 2, 1])
    assert ranking is not None
    assert (ranking.n_features, ranking.n_labels) == (3, 3), "the third has no score with its own label"
    assert ranking.first == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert ranking.reciprocal == pytest.approx((1 + 0.75 + 0.75) / 3)
    assert ranking_of(np.full((2, 4), np.nan), [0, 1, 0, 1]) is None


def test_the_interval_of_an_excess_covers() -> None:
    """2,000 experiments at a true excess of .03 over chance: 95 % within 3 standard errors (.015)."""
    rng = np.random.default_rng(0)
    metric = Metric("m", "judged", "", each(lambda _: None), chance=0.5)  # type: ignore[arg-type, return-value]
    covered = []
    for _ in range(2000):
        values = 0.53 + 0.2 * rng.standard_normal((1, 30))
        excess = excess_of(metric, values, np.zeros((2, 30)))
        assert excess is not None
        covered.append(excess.low <= 0.03 <= excess.high)
    assert abs(np.mean(covered) - 0.95) < 0.015
    ignorant = np.array([[0.1, 0.1, 0.1, 0.1], [0.6, 0.6, np.nan, 0.6]])
    more = excess_of(replace(metric, chance=None), np.array([[0.7, 0.7, 0.2, 0.7]]), ignorant)
    assert more is not None
    assert (more.mean, more.low, more.high) == pytest.approx((0.1, 0.1, 0.1)), (
        "over the better of the two that know nothing"
    )
    assert (more.n, more.over) == (4, "ignorance")
    assert excess_of(metric, np.array([[0.5, np.nan, np.nan]]), np.zeros((2, 3))) is None, "too few have a score"


def figures(
    extra: tuple[int, ...] = (20, 20, 20),
    missing: tuple[int, ...] = (20, 20, 20),
    first: float = 1.0,
    unrelated: float = 0.0,
    blind: float | None = 0.0,
    of: tuple[int, ...] = (20, 20, 20),
) -> MetricFigures:
    def excess(mean: float, by: str = "") -> Excess:
        return Excess(mean, round(mean - 0.01, 4), round(mean + 0.01, 4), 60, "chance", by)

    n = (20, 20, 20)
    return MetricFigures(
        "detection", "auroc_matched", "sample", 1, LossCounts(extra, of, n, {"token": (1, 2)}),
        LossCounts(missing, of, n, {}),
        Ranking(first, first, 30, 60), excess(unrelated), None if blind is None else excess(blind, "all"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "extra", "failed", "passes"),
    [
        (figures(), "yes", (), True),
        (figures(blind=None), "yes", (), True),
        (figures(extra=(18, 18, 18)), "yes", (), True),
        (figures(extra=(20, 20, 17)), "frequent", ("extra",), False),
        (figures(extra=(15, 5, 0)), "frequent", ("extra",), False),
        (figures(extra=(14, 5, 0)), "no", ("extra",), False),
        (replace(figures(), extra=LossCounts((17,), (20,), (20,), {})), "mostly", ("extra",), False),
        (replace(figures(), extra=LossCounts((14,), (20,), (20,), {})), "no", ("extra",), False),
        (replace(figures(), extra=LossCounts((18,), (20,), (20,), {})), "yes", (), True),
        (figures(missing=(20, 10, 20)), "yes", ("missing",), False),
        (figures(first=0.89), "yes", ("first",), False),
        (figures(unrelated=0.031), "yes", ("unrelated",), False),
        (figures(unrelated=-0.031), "yes", ("unrelated",), False),
        (figures(unrelated=0.029, blind=-0.029), "yes", (), True),
        (figures(blind=0.2), "yes", ("blind",), False),
        (figures(of=(20, 20, 9)), "unknown", (), None),
        (replace(figures(), extra=None, ranking=None, reason="its questions show no label"), "unknown", (), None),
        (replace(figures(), unrelated=Excess(-0.3, -0.4, -0.2, 60, "ignorance")), "yes", (), True),
    ],
)
def test_verdicts(row: MetricFigures, extra: str, failed: tuple[str, ...], passes: bool | None) -> None:
    verdict = verdict_of(row)
    assert (verdict.extra, verdict.failed, verdict.passes) == (extra, failed, passes)
    assert from_json(to_json(row)) == row


def test_a_mark_is_harder_to_earn_than_to_keep() -> None:
    assert KEPT.share < EARNED.share
    assert KEPT.first < EARNED.first
    assert KEPT.margin > EARNED.margin
    assert EARNED.share > MOST
    kept = figures()
    assert lost_marks(kept, figures(extra=(20, 20, 16), first=0.81, unrelated=0.045)) == ()
    assert lost_marks(kept, figures(extra=(20, 20, 15))) == ("extra",)
    assert lost_marks(kept, figures(first=0.7, blind=0.08)) == ("first", "blind")
    assert lost_marks(kept, figures(of=(20, 20, 3))) == ("extra", "missing"), "no scores any more"
    assert lost_marks(figures(extra=(20, 3, 3)), figures(extra=(0, 0, 0))) == (), "it had none to lose"


# --- marks ------------------------------------------------------------------------------------------


def test_marks_are_those_of_the_kept_run() -> None:
    run = kept_run()
    assert run.rows
    for row in run.rows:
        known = next((m for m in METRICS if (m.name, m.design) == (row.metric, row.design)), None)
        if known is not None and known.version == row.version:
            assert mark_of(f"{row.scorer}:gpt-6", row.metric, row.design) == verdict_of(row)
            assert run.of(*row.name) is row
    assert mark_of("detection", "recall", "sample") is None, "the user's own"
    assert mark_of("strongest:gpt-6", "auroc_matched", "sample") is None


def test_a_metric_that_has_changed_has_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    from autointerp.score.selftest import marks

    raised = [replace(metric, version=metric.version + 1) for metric in METRICS]
    by_name = {(metric.name, metric.design): metric for metric in raised}
    monkeypatch.setattr(marks, "metric_named", lambda name, design: by_name.get((name, design)))
    assert all(mark_of(*row.name) is None for row in kept_run().rows)


def test_asks_are_what_a_run_sends(small_text: SelftestText) -> None:
    """The judge of the self-test is handed the questions of the registry's scorers: prompt, schema and check."""
    from autointerp.score.selftest.judges import RuleJudge

    sent: list[Ask] = []
    answer = RuleJudge.answer

    def spy(self: RuleJudge, ask: Ask) -> Any:
        sent.append(ask)
        return answer(self, ask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RuleJudge, "answer", spy)
        plan = replace(SMALL, densities=(1e-2,), scorers=scorers(built_in=("detection",)))
        self_test(small_text, plan, partial(planted_distractors, small_text, plan.seed))
    assert {ask.kind for ask in sent} == {"detect"}
    assert all("Decide of each excerpt, from the explanation alone" in ask.system for ask in sent)
    assert all(ask.schema is not None and ask.parse is not None for ask in sent)
