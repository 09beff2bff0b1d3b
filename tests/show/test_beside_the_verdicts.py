"""What stands beside the verdicts, on the store that a run made: strata of the metric that is shown, sample and census
of one explainer, features that are read off the token alone, prediction-powered means. Every number computed again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from judged import JUDGE, LUNA, REFINED
from scipy import stats
from stored import rows

from autointerp.show.compare import compare_page
from autointerp.show.compare_data import ScoreChoice, load_compare
from autointerp.show.designs import designs_sentence
from autointerp.show.score_kind import ScoreKind
from autointerp.show.strata import named, render_strata
from autointerp.show.token_likeness import ALONE, token_likeness_sentence
from autointerp.store.reader import StoreReader, open_reader
from autointerp.words import PREDICTORS

Printed = Callable[..., str]
VALUES = """
SELECT s.dictionary, s.feature, s.value, s.status, f.token_entropy, f.matched_feature,
       f.match_status FROM score_table s
JOIN features f USING (dictionary, feature)
WHERE s.metric = $metric AND s.design = $design AND s.scorer = $scorer AND s.explainer = $explainer
"""


@pytest.fixture
def opened(judged_store: Path) -> Iterator[StoreReader]:
    with open_reader(judged_store) as reader:
        yield reader


def test_strata_are_of_the_metric_that_is_shown(judged_store: Path, opened: StoreReader, printed: Printed) -> None:
    choice = ScoreChoice(metrics=("auprc",), explainers=("lexical",))
    page = load_compare([("judged", opened)], choice)
    auprc = ScoreKind("census", "auprc", "simulation", "lexical")
    assert {row.about for row in page.strata} == {auprc}
    found = rows(judged_store, VALUES, metric="auprc", design="census", scorer="simulation", explainer="lexical")
    matched = {row["matched_feature"] for row in found if row["match_status"] == "matched"}
    for stratum in page.strata:

        def of(name: str, nats: int = stratum.nats) -> list[float]:
            return [
                row["value"]
                for row in found
                if row["dictionary"] == name
                and row["value"] is not None
                and row["token_entropy"] is not None
                and min(math.floor(row["token_entropy"]), 4) == nats
                and (name != "mlp-1k" or row["feature"] in matched)
                and (name != "neurons" or row["match_status"] == "matched")
            ]

        assert (stratum.a, stratum.b) == ("mlp-1k", "neurons")
        assert stratum.difference == pytest.approx(np.mean(of("mlp-1k")) - np.mean(of("neurons")))
        assert (stratum.n_a, stratum.n_b) == (len(of("mlp-1k")), len(of("neurons")))
    text = printed(compare_page([("judged", opened)], choice), width=160)
    assert "auprc, census, lexical: A - B by token entropy" in text
    assert "pearson, census, lexical: A - B" not in text
    for stratum in page.strata:
        assert f"{named(stratum.nats)} nats" in text
        assert f"{stratum.difference:+.3f} ({min(stratum.n_a, stratum.n_b)})" in text
    assert render_strata([]) == []


def test_the_share_of_features_that_are_read_off_the_token_alone(judged_store: Path, opened: StoreReader) -> None:
    page = load_compare([("judged", opened)], ScoreChoice())
    found = rows(judged_store, "SELECT dictionary, alone_correlation AS r FROM feature_diagnostics")
    assert {row.dictionary for row in page.likeness} == {row["dictionary"] for row in found}
    for row in page.likeness:
        known = [one["r"] for one in found if one["dictionary"] == row.dictionary and one["r"] is not None]
        assert row.share == pytest.approx(np.mean(np.array(known) >= ALONE))
        assert row.n == len(known)
    sentence = token_likeness_sentence(page.likeness)
    assert sentence is not None
    for row in page.likeness:
        assert f"{row.dictionary} {100 * row.share:.0f} %" in sentence
    assert token_likeness_sentence([]) is None


def test_sample_and_census_of_one_explainer_stand_together_with_a_word(
    judged_store: Path, opened: StoreReader, printed: Printed
) -> None:
    choice = ScoreChoice(explainers=("lexical", LUNA))
    page = load_compare([("judged", opened)], choice)
    order = [(kind.explainer, kind.design) for kind in page.kinds]
    assert sorted({*order}, key=order.index) == [(LUNA, "sample"), ("lexical", "census"), ("lexical", "sample")]
    arguments = {"scorer": "simulation", "explainer": "lexical"}
    census = rows(judged_store, VALUES, metric="pearson", design="census", **arguments)
    framed = rows(judged_store, VALUES, metric="pearson_framed", design="sample", **arguments)
    for row in page.designs:
        if row.explainer != "lexical":
            continue
        both = [
            {
                one["feature"]: one["value"]
                for one in of
                if one["dictionary"] == row.dictionary and one["value"] is not None
            }
            for of in (census, framed)
        ]
        shared = sorted(both[0].keys() & both[1].keys())
        assert row.n == len(shared)
        assert row.census == pytest.approx(np.mean([both[0][feature] for feature in shared]))
        assert row.sample == pytest.approx(np.mean([both[1][feature] for feature in shared]))
    mine = [row for row in page.designs if row.explainer == "lexical"]
    text = " ".join(printed(compare_page([("judged", opened)], choice), width=160).split())
    sentence = designs_sentence(mine)
    assert sentence is not None
    assert text.count(sentence) == 1
    assert text.index("pearson, census, lexical: mean") < text.index(sentence) < text.index("sample, lexical")
    assert designs_sentence([]) is None


@pytest.mark.parametrize("explainer", [LUNA, REFINED])
def test_prediction_powered_means_again_from_plain_rows(
    judged_store: Path, opened: StoreReader, printed: Printed, explainer: str
) -> None:
    scorer, metric = f"detection:{JUDGE}", "balanced_accuracy_matched"
    choice = ScoreChoice(metrics=(metric,), explainers=(explainer,))
    page = load_compare([("judged", opened)], choice)
    means = [row for row in page.powered[0] if row.scorer == scorer]
    assert {row.dictionary for row in means} == {"mlp-1k", "neurons", "neurons@natural", "resid-1k"}
    text = " ".join(printed(compare_page([("judged", opened)], choice), width=160).split())
    floors = {
        row["dictionary"]: row["floor"]
        for row in rows(
            judged_store,
            "SELECT dictionary, floor FROM dictionary_summary WHERE metric = $m AND scorer = $s AND explainer = $e",
            m=metric, s=scorer, e=explainer,
        )
    }  # fmt: skip
    dear = rows(judged_store, VALUES, metric=metric, design="sample", scorer=scorer, explainer=explainer)
    cheap = rows(judged_store, VALUES, metric="pearson", design="census", scorer="simulation", explainer=PREDICTORS[0])
    for row in means:
        x = {one["feature"]: one["value"] or 0.0 for one in cheap if one["dictionary"] == row.dictionary}
        y = {
            one["feature"]: floors[row.dictionary] if one["value"] is None else one["value"]
            for one in dear
            if one["dictionary"] == row.dictionary
        }
        beside = np.array([x[feature] for feature in y])
        fit = stats.linregress(beside, list(y.values()))
        expected = np.mean(list(y.values())) + fit.slope * (np.mean(list(x.values())) - beside.mean())
        assert row.mean == pytest.approx(expected)
        assert row.slope == pytest.approx(fit.slope)
        assert (row.n, row.n_all, row.predictor) == (len(y), len(x), PREDICTORS[0])
        assert f"{row.dictionary} {row.mean:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}], {row.n} of {row.n_all}" in text
        assert f"as good as {row.as_good_as:.0f} (b {row.slope:.2f})" in text
    powered = {row.dictionary: row.mean for row in means}
    for pair in [row for row in page.powered[1] if row.scorer == scorer]:
        if not rows(
            judged_store, "SELECT 1 FROM dictionaries WHERE dictionary = $b AND matched_to = $a", a=pair.a, b=pair.b
        ):
            assert pair.difference == pytest.approx(powered[pair.a] - powered[pair.b])


def test_only_what_was_drawn_is_sharpened(judged_store: Path) -> None:
    found = rows(judged_store, "SELECT DISTINCT explainer FROM powered_mean_table")
    assert {row["explainer"] for row in found} == {LUNA, REFINED, "mine"}, "neither a person's labels nor controls"
