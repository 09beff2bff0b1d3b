"""The mark of the self-test stands behind metrics that do not see a label that claims too much, with its sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from autointerp.score.selftest.verdicts import SelftestVerdict, Sight
from autointerp.show import marks
from autointerp.show.compare import render_compare
from autointerp.show.compare_data import ComparePage, SummaryRow
from autointerp.show.marks import MARK, mark_sentences, marked
from autointerp.show.score_kind import ScoreKind

SIGHTS: dict[str, Sight] = {"detection": "frequent", "fuzzing": "no", "simulation": "yes"}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts by scorer, of this test."""

    def verdict(scorer: str, _metric: str, _design: str) -> SelftestVerdict | None:
        sight = SIGHTS.get(scorer.partition(":")[0])
        return None if sight is None else SelftestVerdict(sight, "yes", True, True, True)

    monkeypatch.setattr(marks, "mark_of", verdict)


def test_marks_stand_behind_what_earns_one() -> None:
    assert marked(("detection:gpt-6", "auroc_matched", "sample"), "auroc") == f"auroc {MARK}"
    assert marked(("fuzzing:lookup", "auroc_matched", "sample"), "auroc") == f"auroc {MARK}"
    assert marked(("simulation", "pearson", "census"), "pearson") == "pearson"
    assert marked(("mine:gpt-6", "auroc_matched", "sample"), "auroc") == "auroc", "not tried"


def test_each_kind_of_mark_has_one_sentence() -> None:
    names = [
        ("detection:gpt-6", "auroc_matched", "sample"),
        ("detection:lookup", "auroc_matched", "sample"),
        ("fuzzing:lookup", "auroc_matched", "sample"),
        ("simulation", "pearson", "census"),
    ]
    rare, always = mark_sentences(names)
    assert rare.startswith(
        f"{MARK} auroc_matched of detection: on features that fire rarely, a label that claims too much"
    )
    assert always.startswith(f"{MARK} auroc_matched of fuzzing: a label that claims too much loses little, also on")
    assert all("read pearson_framed beside" in line for line in (rare, always))
    assert mark_sentences(names[3:]) == []


def test_of_tokens_the_mark_speaks_of_no_rare_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIGHTS, "logits_hard", "mostly")
    [line] = mark_sentences([("logits_hard:gpt-6", "logit_accuracy_direct_hard", "sample")])
    assert "names too many tokens loses nothing" in line
    assert "rarely" not in line


def test_no_metric_is_recommended_that_does_not_see_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIGHTS, "simulation", "frequent")
    [line, _] = mark_sentences([("detection", "auroc_matched", "sample"), ("fuzzing", "auroc_matched", "sample")])
    assert "beside" not in line


def test_compare_shows_them(printed: Callable[..., str]) -> None:
    def summary(scorer: str, metric: str, design: str) -> SummaryRow:
        return SummaryRow(
            store="s", dictionary="sae", kind="sae", hook="h", explainer="lexical", scorer=scorer, metric=metric,
            design=design, n_features=3, n_scored=3, n_failed=0, n_dead=0, n_rare=0, mean=0.5, mean_all=0.5, ci_low=0.4,
            ci_high=0.6, mean_all_low=0.4, mean_all_high=0.6,
            floor=0.1, excess=0.4, median=0.5, residual_alarm_rate=None, residual_alarm_high=None,
        )  # fmt: skip

    rows = [summary("detection:lookup", "auroc_matched", "sample"), summary("simulation", "pearson", "census")]
    page = printed(render_compare(ComparePage(rows, [])))
    kind = ScoreKind("sample", "auroc_matched", "detection:lookup", "lexical")
    assert f"{kind.title()}: mean over features {MARK}" in page
    assert f"pearson, census, lexical: mean over features {MARK}" not in page
    assert page.count("loses little") == 1
