"""Whether the metrics agree, in words, and nothing that the verdicts do not say."""

from __future__ import annotations

import itertools

import pytest

from autointerp.show.agreement import agreement, is_output, metric_names, what_metrics_say
from autointerp.show.compare_data import ComparisonRow, ScoreChoice
from autointerp.show.score_kind import ScoreKind
from autointerp.words import LOGIT_SCORERS


def row(metric: str, b: str, verdict: str, **changed: object) -> ComparisonRow:
    values: dict[str, object] = {
        "store": "demo", "a": "sae", "b": b, "baseline": b != "other", "explainer": "lexical", "scorer": "simulation",
        "metric": metric, "design": "census", "paired": True, "n_a": 9, "n_b": 9, "difference": 0.1, "low": 0.0,
        "high": 0.2, "p_holm": 0.01, "detectable": 0.1, "margin": 0.02, "verdict": verdict, "scored_difference": 0.1,
        "scored_verdict": verdict, "n_unscored_a": 0, "n_unscored_b": 0,
    }  # fmt: skip
    return ComparisonRow(**(values | changed))  # type: ignore[arg-type]


def rows_of(**said: dict[str, str]) -> list[ComparisonRow]:
    """Dictionary b -> metric -> verdict."""
    return [row(metric, b, verdict) for b, metrics in said.items() for metric, verdict in metrics.items()]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            {"neurons": {"pearson": "A", "auprc": "B", "f1": "undecided"}},
            "The metrics disagree: pearson says sae, auprc says neurons, f1 cannot tell.",
        ),
        (
            {"neurons": {"pearson": "A", "auprc": "A", "f1": "equivalent"}},
            "pearson and auprc say sae, f1 finds them equivalent: no two metrics contradict each other.",
        ),
        (
            {"neurons": {"pearson": "A", "auprc": "B"}, "random": {"pearson": "A", "auprc": "A"}},
            "The metrics disagree on 1 of 2 pairs: of sae and neurons pearson says sae, auprc says neurons.",
        ),
        (
            {"x": {"pearson": "A", "auprc": "A"}, "y": {"pearson": "B", "auprc": "A"}, "z": {"f1": "A", "auprc": "B"}},
            "The metrics disagree on 2 of 3 pairs: of sae and y auprc says sae, pearson says y.",
        ),
        (
            {"x": {"pearson": "A", "auprc": "A"}, "y": {"pearson": "B", "auprc": "B"}},
            "All metrics say the same of each of 2 pairs; of sae and x pearson and auprc say sae.",
        ),
        (
            {"x": {"pearson": "A", "auprc": "undecided"}, "y": {"pearson": "B"}},
            "No two metrics contradict each other on any of 2 pairs; of sae and x pearson says sae, auprc cannot tell.",
        ),
        ({"x": {"pearson": "undecided", "f1": "equivalent"}}, "No metric can tell apart the two."),
        (
            {"x": {"pearson": "undecided", "f1": "undecided"}, "y": {"pearson": "undecided"}},
            "No metric can tell apart any of the 2 pairs.",
        ),
        ({"x": {"pearson": "A"}}, "One metric has verdicts, pearson: there is none to agree or disagree with it."),
    ],
)
def test_the_first_sentence(said: dict[str, dict[str, str]], sentence: str) -> None:
    assert agreement(rows_of(**said))[0] == sentence


def test_pairs_of_which_the_metrics_say_the_same_stand_in_one_line() -> None:
    split = {"pearson": "A", "auprc": "B"}
    rows = rows_of(x=split, y=split, z={"pearson": "A", "auprc": "undecided"}, w={"pearson": "A", "auprc": "A"})
    assert agreement(rows)[1:] == [
        "sae against each of x and y: pearson says sae, auprc says the other.",
        "sae and z: pearson says sae, auprc cannot tell.",
        "all say the same of the other pair.",
    ]
    assert agreement([]) == []


def test_what_a_feature_writes_is_not_held_against_what_it_reads() -> None:
    rows = [row("pearson", "x", "A"), row("logit_accuracy_direct", "x", "B", scorer="logits:text", design="sample")]
    assert not any(said.disagree for said in what_metrics_say(rows))
    rows.append(row("auprc", "x", "B"))
    assert agreement(rows)[0] == (
        "The metrics disagree on 1 of 2 pairs (activations and logit effects counted apart): "
        "of sae and x pearson says sae, auprc says x."
    )


def test_a_ceiling_is_weighed_only_where_there_is_no_label() -> None:
    rows = [row("pearson", "x", "A"), row("auprc", "x", "A"), row("pearson", "x", "B", explainer="context_lookup")]
    assert agreement(rows) == ["pearson and auprc say sae: no two metrics contradict each other."]
    assert agreement(rows[2:])[0].startswith("One metric has verdicts")


def test_both_logit_scorers_are_about_what_a_feature_writes() -> None:
    assert [is_output(f"{name}:gpt") for name in (*LOGIT_SCORERS, "detection")] == [*[True] * len(LOGIT_SCORERS), False]


def test_explainers_and_stores_are_apart() -> None:
    rows = [row("pearson", "x", "A"), row("auprc", "x", "B", explainer="luna"), row("f1", "x", "A", explainer="luna")]
    assert agreement(rows) == [
        "The metrics disagree on 1 of 2 pairs (each explainer counted): of sae and x (luna) f1 says sae, auprc says x.",
        "luna: sae and x: f1 says sae, auprc says x.",
    ]
    elsewhere = [row("pearson", "x", "A"), row("auprc", "x", "B", store="two")]
    assert agreement(elsewhere)[0].startswith("One metric has verdicts")


def test_metrics_of_one_name_are_told_apart() -> None:
    census = ScoreKind("census", "pearson", "simulation", "lexical")
    sample = ScoreKind("sample", "pearson", "simulation", "lexical")
    detect = ScoreKind("sample", "auroc", "detection:gpt", "lexical")
    fuzz = ScoreKind("sample", "auroc", "fuzzing:gpt", "lexical")
    other = ScoreKind("sample", "auroc", "fuzzing:lookup", "lexical")
    alone = ScoreKind("census", "f1", "simulation", "lexical")
    assert metric_names([census, sample, alone, detect, fuzz]) == {
        census: "pearson (census)", sample: "pearson (sample)", alone: "f1", detect: "auroc (detection)",
        fuzz: "auroc (fuzzing)",
    }  # fmt: skip
    names = metric_names([detect, fuzz, other])
    assert names[fuzz] == "auroc (fuzzing:gpt)"
    assert names[detect] == "auroc (detection)"
    assert len(set(names.values())) == 3


@pytest.mark.parametrize("verdicts", list(itertools.product(("A", "B", "equivalent", "undecided"), repeat=3)))
def test_every_verdict_is_said_once_and_none_is_made_up(verdicts: tuple[str, ...]) -> None:
    metrics = ("pearson", "auprc", "f1")
    [said] = what_metrics_say(rows_of(x=dict(zip(metrics, verdicts, strict=True))))
    assert {(verdict, name) for verdict, names in said.by_verdict.items() for name in names} == {
        (verdict, name) for name, verdict in zip(metrics, verdicts, strict=True)
    }
    first = agreement(rows_of(x=dict(zip(metrics, verdicts, strict=True))))[0]
    assert ("disagree" in first) == ({"A", "B"} <= set(verdicts))


def test_the_first_metrics_and_those_of_the_census_are_weighed_whatever_has_a_table() -> None:
    auprc = ScoreKind("census", "auprc", "simulation", "lexical")
    assert ScoreChoice().weighs(auprc)
    assert not ScoreChoice().takes(auprc)
    assert ScoreChoice(metrics=("pearson",)).weighs(auprc)
    for part_or_form in (
        ScoreKind("sample", "recall_weak", "detection:lookup", "lexical"),
        ScoreKind("sample", "rsquared", "simulation", "lexical"),
        ScoreKind("sample", "pearson_framed", "simulation:lookup@luna", "lexical"),
    ):
        assert not ScoreChoice().weighs(part_or_form)
        assert ScoreChoice(everything=True).weighs(part_or_form)
        assert ScoreChoice(metrics=(part_or_form.metric,)).weighs(part_or_form)
    assert ScoreChoice().weighs(ScoreKind("sample", "my_own", "detection:lookup", "lexical"))
    assert not ScoreChoice().weighs(ScoreKind("census", "auprc", "simulation", "shuffled"))
    assert not ScoreChoice(designs=("sample",)).weighs(auprc)


def test_of_many_metrics_of_one_opinion_some_are_named_and_the_rest_counted() -> None:
    rows = [row(f"m{number}", "x", "undecided") for number in range(7)] + [row("pearson", "x", "A")]
    assert agreement(rows)[0].startswith("pearson says sae, m0, m1, m2, m3 and 3 more cannot tell:")
