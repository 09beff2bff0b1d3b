"""Planted features are what they say: their rules, densities and labels, and what is counted and kept of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from autointerp.explain.lookup import match
from autointerp.extract.summary.summary import SCORE_POOL
from autointerp.score import metrics
from autointerp.score.metric_registry import METRICS
from autointerp.score.sampled import Answered
from autointerp.score.selftest.line_contexts import LINE_CONTEXTS, states_of
from autointerp.score.selftest.planted import LABELS, TRUTHS, PlantedFeature, Planter, Rule
from autointerp.score.selftest.shown_lines import choose_end
from autointerp.score.selftest.test_material import POOL_WINDOWS, TOP_TOKENS, SelftestMaterial
from autointerp.score.selftest.text import SelftestText

DENSITIES = (1e-2, 1e-3)


@pytest.fixture(scope="module")
def features(small_text: SelftestText) -> list[PlantedFeature]:
    """Nine of each density: three of each kind, a context of each sort."""
    planter, made = Planter(small_text, 3), list[PlantedFeature]()
    for density in DENSITIES:
        made += planter.features(density, 9, 1 + len(made))
    return made


@pytest.fixture(scope="module")
def material(small_text: SelftestText) -> SelftestMaterial:
    return SelftestMaterial(small_text, 3, choose_end(small_text.texts))


def plain_states(name: str, texts: list[str]) -> list[bool]:
    """The slow twin: the line before each token as text."""
    context, line, states = LINE_CONTEXTS[name], "", []
    for text in texts:
        total = sum(line.count(sign) for sign in context.up) - sum(line.count(sign) for sign in context.down)
        states.append(total % 2 == 1 if context.odd else total > 0)
        line = text.rpartition("\n")[2] if "\n" in text else line + text
    return states


@pytest.mark.parametrize("name", LINE_CONTEXTS)
def test_contexts_are_what_stands_before_on_the_line(name: str, small_text: SelftestText) -> None:
    for row in range(0, len(small_text.tokens), 7):
        texts = [small_text.texts[token] for token in small_text.tokens[row].tolist()]
        assert small_text.states[name][row].tolist() == plain_states(name, texts)
    assert 0.02 < small_text.states[name][small_text.scored].mean() < 0.4


def test_a_line_break_begins_anew() -> None:
    texts = ["'", "a", "\n", "('", "\n#'", "("]
    rows = np.array([[0, 1, 2, 1, 3, 1, 4, 1, 5, 1]])
    shown = {name: states_of(context, texts, rows)[0].astype(int).tolist() for name, context in LINE_CONTEXTS.items()}
    assert shown == {
        "quoted": [0, 1, 1, 0, 0, 1, 1, 1, 1, 1],
        "bracketed": [0, 0, 0, 0, 0, 1, 1, 0, 0, 1],
        "commented": [0, 0, 0, 0, 0, 0, 0, 1, 1, 1],
    }


def places_of(rule: Rule, text: SelftestText) -> np.ndarray:
    fires = (rule.strengths(text.tokens, text.previous, text.states) > 0) & text.scored
    return np.flatnonzero(fires)


def test_a_feature_fires_where_its_true_label_says(small_text: SelftestText, features: list[PlantedFeature]) -> None:
    assert Counter(feature.kind for feature in features) == {"token": 6, "pair": 6, "context": 6}
    assert {f.labels["true"].rule.context for f in features if f.kind == "context"} == set(LINE_CONTEXTS)
    n = small_text.scored.sum()
    for feature in features:
        rule = feature.labels["true"].rule
        assert np.array_equal(places_of(rule, small_text), feature.place)
        assert 0.9 * feature.density < len(feature.place) / n < 1.1 * feature.density
        assert (rule.context is not None) == (feature.kind == "context")
        assert set(rule.entries.previous.tolist()) == {-1} or feature.kind == "pair"


def test_wrong_labels_claim_three_times_more_or_miss_half(
    small_text: SelftestText, features: list[PlantedFeature]
) -> None:
    for feature in features:
        extra, missing = (set(places_of(feature.labels[n].rule, small_text).tolist()) for n in ("extra", "missing"))
        mine = set(feature.place.tolist())
        assert mine < extra
        assert 2.4 < len(extra - mine) / len(mine) < 3.3
        assert missing < mine
        assert 0.3 < len(missing) / len(mine) <= 0.5
        for truth in TRUTHS:
            named = {name: set(feature.labels[name].names[truth].tolist()) for name in LABELS}
            assert named["true"] == set(feature.effects[truth].tolist())
            assert named["true"] < named["extra"]
            assert named["missing"] < named["true"]
            assert [len(named[name]) for name in LABELS] == [60, 240, 30]
        for way in ("direct", "measured"):
            up, down = (set(feature.effects[truth].tolist()) for truth in TRUTHS if truth.startswith(way))
            assert not up & down
        both = set(feature.effects["direct"].tolist()) & set(feature.effects["measured"].tolist())
        assert 10 <= len(both) <= 45, "what is measured is not what the weights say"


def test_activations_have_heavy_tails_that_labels_know_in_part(features: list[PlantedFeature]) -> None:
    """A normal distribution's fourth moment is 3 squared variances."""
    values = np.concatenate([feature.value / feature.value.mean() for feature in features])
    centred = values - values.mean()
    assert (centred**4).mean() / (centred**2).mean() ** 2 > 8
    assert values.min() > 0


def test_the_same_seed_plants_the_same(small_text: SelftestText, features: list[PlantedFeature]) -> None:
    again = Planter(small_text, 3).features(DENSITIES[0], 3, 1)
    other = Planter(small_text, 4).features(DENSITIES[0], 3, 1)
    for one, two, third in zip(features, again, other, strict=False):
        assert np.array_equal(one.place, two.place)
        assert np.array_equal(one.value, two.value)
        assert not np.array_equal(one.place, third.place)


def test_gaussian_features_are_functions_of_the_token_that_no_label_knows(small_text: SelftestText) -> None:
    made = Planter(small_text, 3).gaussian(1e-2, 4, 50)
    for feature in made:
        tokens = small_text.tokens.reshape(-1)[feature.place]
        value = {token: feature.value[tokens == token] for token in np.unique(tokens).tolist()}
        assert all(np.ptp(values) == 0 for values in value.values())
        assert set(value) == set(feature.grams.token.tolist())
        assert 0.005 < len(feature.place) / small_text.scored.sum() < 0.025
        assert feature.labels == {}
        assert feature.value.min() > 0


def test_a_text_that_is_too_short_is_said(small_text: SelftestText) -> None:
    with pytest.raises(ValueError, match="too few tokens for features of"):
        Planter(small_text, 0).features(0.9, 1, 1)


# --- what is kept and counted -----------------------------------------------------------------------


def test_the_pool_is_as_large_as_a_run_keeps_it() -> None:
    assert POOL_WINDOWS == SCORE_POOL


def test_kept_windows_are_those_of_all_activations(
    small_text: SelftestText, material: SelftestMaterial, features: list[PlantedFeature]
) -> None:
    for feature in features[::4]:
        dense = np.zeros(small_text.tokens.size, dtype=np.float32)
        dense[feature.place] = feature.value
        by_window = dense.reshape(-1, small_text.window)  # 128 places are four windows
        firing = np.flatnonzero(by_window.max(axis=1) > 0)
        of = material.feature(feature).candidates
        assert of.n_firing_windows == len(firing)
        assert of.n_windows == len(np.flatnonzero(small_text.scored.reshape(-1, small_text.window).any(axis=1)))
        assert np.array_equal(of.truth, by_window[of.kept.window])
        top = np.sort(by_window[firing].max(axis=1))[::-1][:20]
        assert np.array_equal(np.sort(of.maximum[of.classes == 0])[::-1], top)
        silent = set(of.pool.windows.window[of.silent].tolist())
        assert silent == set(small_text.scored_windows.tolist()) - set(firing.tolist())
        assert len(of.top_tokens) <= TOP_TOKENS
        mass: dict[int, float] = {}
        for token, value in zip(small_text.tokens.reshape(-1)[feature.place].tolist(), feature.value, strict=True):
            mass[token] = mass.get(token, 0.0) + float(value)
        assert int(of.top_tokens[0]) == max(mass, key=lambda token: mass[token])


def test_the_census_counts_contexts_too(
    small_text: SelftestText, material: SelftestMaterial, features: list[PlantedFeature]
) -> None:
    """The slow twin: predictions at every token. Each feature gets its own label and another's."""
    own = [feature.labels["extra"] for feature in features]
    found = material.census(features, {"own": own, "other": own[1:] + own[:1]})
    for name, labels in (("own", own), ("other", own[1:] + own[:1])):
        for feature, label, counted in zip(features, labels, found[name], strict=True):
            truth = np.zeros(small_text.tokens.size)
            truth[feature.place] = feature.value
            said = label.rule.strengths(small_text.tokens, small_text.previous, small_text.states).reshape(-1)
            scored = small_text.scored.reshape(-1)
            sums = counted.moments.sum(axis=0)
            assert sums == pytest.approx(metrics.moments(truth[scored], said[scored]), rel=1e-5)
            assert counted.positives[-1] == ((truth > 0) & (said > 0) & scored).sum()
            assert counted.negatives[-1] == ((truth == 0) & (said > 0) & scored).sum()
            assert counted.n_tokens == scored.sum()


def test_published_protocols_are_told_contexts_too(
    small_text: SelftestText, material: SelftestMaterial, features: list[PlantedFeature]
) -> None:
    feature = next(feature for feature in features if feature.kind == "context")
    windows = material.published(feature, material.feature(feature))
    answered: Answered = material.answered(windows, feature.labels["true"])
    rule = feature.labels["true"].rule
    assert rule.context is not None
    states = {rule.context: small_text.state_in(rule.context, windows.windows)}
    said = rule.strengths(windows.windows.tokens, windows.windows.previous, states) * windows.windows.scored
    assert np.array_equal(answered.prediction, said)
    assert np.array_equal(answered.prediction > 0, windows.truth > 0), "the true label fires where the feature does"
    alone = match(rule.entries, windows.windows.tokens, windows.windows.previous) >= 0
    assert (alone & windows.windows.scored).sum() > (said > 0).sum(), "the tokens stand elsewhere too"
    assert answered.published is windows
    for metric in METRICS:
        if metric.name == "balanced_accuracy":
            [measured] = metric.of([answered])
            assert measured.value == 1.0


def test_rules_on_the_same_grams_say_the_same_of_where_a_feature_fires(features: list[PlantedFeature]) -> None:
    """So the label of a feature on the very same tokens is no other label (`trials.py`)."""
    rule = features[0].labels["true"].rule
    stronger = replace(rule, entries=replace(rule.entries, value=2 * rule.entries.value))
    assert rule.grams == stronger.grams
    assert replace(rule, context="quoted").grams != rule.grams
    assert features[0].labels["extra"].rule.grams != rule.grams
    assert len({feature.rule.grams for feature in features[:6]}) == 6
