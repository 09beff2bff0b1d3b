"""The judge that follows labels reads what scorers ask, exactly, and answers by the label; blind ones by nothing."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

from autointerp.config.judging import Judge
from autointerp.llm.asks import Answer, Ask, InvalidReply
from autointerp.pipeline.selftest_tokens import planted_distractors
from autointerp.records import Explanation
from autointerp.score.predictions import N_TEXTS, Chosen, Judged, Picked, Rated, Simulated
from autointerp.score.scorers.logit_effects import LogitEffects, Truth
from autointerp.score.scorers.protocol import Scorer, ShownExplanation
from autointerp.score.scorers.registry import SCORERS
from autointerp.score.selftest.judges import BLIND_RULES, BlindJudge, OddJudge, RuleJudge
from autointerp.score.selftest.planted import TRUTHS, PlantedFeature, Planter, RuleLabel
from autointerp.score.selftest.planted_others import with_others
from autointerp.score.selftest.planted_texts import size_at, written_texts
from autointerp.score.selftest.replies import CannotAnswer, wants_texts
from autointerp.score.selftest.shown_lines import ENDS, NO_TOKEN, LineReader, choose_end, stock_of
from autointerp.score.selftest.sources import asks_about
from autointerp.score.selftest.test_material import SelftestMaterial
from autointerp.score.selftest.text import SelftestText

JUDGE = Judge(provider="openai", model="rule")
SAID = {
    "simulated": "prediction",
    "judged": "probability",
    "rated": "rating",
    "chosen": "probability",
    "generated": "texts",
    "picked": "probability",
}


class Bench:
    """Features of each kind, and what is needed to ask about them."""

    def __init__(self, text: SelftestText) -> None:
        self.text, self.end = text, choose_end(text.texts)
        self.material = SelftestMaterial(text, 0, self.end)
        self.features = Planter(text, 0).features(1e-2, 9, 1)
        alone = [self.material.feature(feature) for feature in self.features]
        shown = self.material.corpus.vocabulary.texts
        self.written = written_texts(text, self.features, shown, 0)
        self.tests = with_others(self.features, alone, partial(planted_distractors, text, 0), self.written)
        self.reader = LineReader(text.texts, self.end)
        self.stock = stock_of(self.reader, self.material.corpus)
        self.labels = [label for feature in self.features for label in feature.labels.values()]

    def ask(self, scorer: Scorer, row: int, label: RuleLabel, judge: Any, settings: Judge = JUDGE) -> Any:
        """The prediction."""
        feature, test = self.features[row], self.tests[row]
        said = ShownExplanation(Explanation(feature.number, "x", label.text, "ok"), feature.grams)
        questions = scorer.questions(said, test, scorer.material(test, None), settings)
        return questions.read([judge.answer(ask) for ask in questions.asks])

    def rule_judge(self, scorer: Scorer) -> RuleJudge:
        return RuleJudge(self.reader, self.labels, truth=asks_about(scorer))


@pytest.fixture(scope="module")
def bench(small_text: SelftestText) -> Bench:
    return Bench(small_text)


def seen(feature: PlantedFeature, prediction: Simulated, bench: Bench) -> np.ndarray:
    """What the true label says of the simulated windows by all of the text: what stands in front of a window is shown
    in part only."""
    windows = prediction.drawn.windows
    rule = feature.labels["true"].rule
    states = {} if rule.context is None else {rule.context: bench.text.state_in(rule.context, windows)}
    return np.asarray(rule.strengths(windows.tokens, windows.previous, states) * windows.scored)


@pytest.mark.parametrize("simulate", ["sparse", "dense"])
def test_simulation_is_the_rule_at_every_token(bench: Bench, simulate: Any) -> None:
    scorer, settings = SCORERS["simulation"], Judge(provider="openai", model="rule", simulate=simulate)
    for row, feature in enumerate(bench.features[:6] if simulate == "sparse" else bench.features[:2]):
        prediction = bench.ask(scorer, row, feature.labels["true"], bench.rule_judge(scorer), settings)
        assert set(prediction.status) == {"ok"}
        right = seen(feature, prediction, bench)
        scored = prediction.drawn.windows.scored
        if feature.kind != "context":
            assert np.array_equal(prediction.prediction > 0, right > 0)
        agree = ((prediction.prediction > 0) == (right > 0))[scored].mean()
        assert agree > 0.98, "a quote that was opened long before cannot be seen"
        both = (prediction.prediction > 0) & (right > 0)
        assert np.corrcoef(prediction.prediction[both], right[both])[0, 1] > 0.95


def test_detection_and_fuzzing_are_the_rule_on_each_line(bench: Bench) -> None:
    for row, feature in enumerate(bench.features):
        for name in ("detection", "fuzzing"):
            scorer = SCORERS[name]
            judged: Judged = bench.ask(scorer, row, feature.labels["true"], bench.rule_judge(scorer))
            assert set(judged.status) == {"ok"}
            right = (judged.probability >= 0.5) == judged.items.right
            if feature.kind == "token":
                assert right.all()
            assert right.mean() > 0.75


@pytest.mark.parametrize("truth", TRUTHS)
def test_ratings_are_what_the_label_says_of_effects(truth: Truth, bench: Bench) -> None:
    scorer = SCORERS[LogitEffects(truth).name]
    for row, feature in enumerate(bench.features[:3]):
        for name, label in feature.labels.items():
            rated: Rated = bench.ask(scorer, row, label, bench.rule_judge(scorer))
            assert np.array_equal(rated.rating == 9, np.isin(rated.items.token, label.names[truth])), name
            assert set(rated.rating.tolist()) <= {1.0, 9.0}
            if name == "true":
                assert np.array_equal(rated.rating == 9, rated.items.promoted)


def test_the_text_with_most_tokens_that_the_label_names_is_picked(bench: Bench) -> None:
    """The slow twin counts them in the texts as they were written. Of nine features another's label tells less."""
    scorer, right = SCORERS["intervention"], {"true": 0.0, "missing": 0.0, "other": 0.0}
    for row, feature in enumerate(bench.features):
        other = bench.features[(row + 1) % len(bench.features)].labels["true"]
        for name, label in (*feature.labels.items(), ("other", other)):
            picked: Picked = bench.ask(scorer, row, label, bench.rule_judge(scorer))
            named = {bench.material.corpus.vocabulary.texts[token] for token in label.names["measured"].tolist()}
            share = np.array([np.mean([token in named for token in text]) for text in picked.options.texts])
            best = share.reshape(-1, N_TEXTS).argmax(axis=1)
            assert np.array_equal(picked.probability.reshape(-1, N_TEXTS).argmax(axis=1), best)
            if name in right:
                right[name] += float(picked.probability[picked.options.right].mean()) / len(bench.features)
    assert right["true"] > 0.9
    assert right["other"] < 0.6


def test_texts_are_written_at_one_kl(small_text: SelftestText, bench: Bench) -> None:
    """The slow twin: the divergence from a softmax, and the share of tokens that rise in what is written."""
    for feature in bench.features:
        texts = bench.written[feature.number]
        assert len(texts) == 4
        assert {len(text.tokens) for text in texts} == {20}
    shown = bench.material.corpus.vocabulary.texts
    risen = [
        np.mean(
            [token in {shown[t] for t in f.effects["measured"].tolist()} for text in texts for token in text.tokens]
        )
        for f, texts in zip(bench.features, bench.written.values(), strict=True)
    ]
    frequency = small_text.counts / small_text.counts.sum()
    expected = [float(frequency[f.effects["measured"]].sum()) for f in bench.features]
    assert np.mean(risen) > 5 * np.mean(expected)
    rng = np.random.default_rng(0)
    base = rng.dirichlet(np.ones(50))
    effect = rng.standard_normal(50)
    for kl in (0.1, 1.0, 3.0):
        size = size_at(base, effect, kl)
        weight = base * np.exp(size * effect)
        assert float(np.sum(base * np.log(base / (weight / weight.sum())))) == pytest.approx(kl, rel=1e-6)


@pytest.mark.parametrize("name", SCORERS)
def test_every_token_that_is_shown_is_read(name: str, bench: Bench) -> None:
    scorer, test = SCORERS[name], bench.tests[1]
    said = ShownExplanation(Explanation(1, "x", "rule-1-true", "ok"), bench.features[1].grams)
    questions = scorer.questions(said, test, scorer.material(test, None), JUDGE)
    lines = [line for ask in questions.asks for line in bench.reader.lines(ask.prompt).values()]
    if scorer.shape == "generated":
        assert all(wants_texts(ask) for ask in questions.asks)
        lines = list(bench.stock.values())
    assert lines
    assert all(NO_TOKEN not in line.tokens for line in lines)


def test_lines_are_read_whatever_stands_around_a_token() -> None:
    texts = ["(", '"(', " a", "\n", "7", "\\", "'", "\\\\", "\\n"]
    reader = LineReader(texts, "⸱")

    def tokens(shown: str) -> list[int]:
        return [int(token) for token in reader.line(shown).tokens]

    assert tokens('"(⸱') == [1]
    assert tokens('"\\"(⸱"') == [1], "a token in quotes"
    assert tokens('"(⸱"') == [0]
    assert tokens("|12| a⸱|13|7⸱") == [2, 4]
    assert reader.line("|12| a⸱|13|7⸱").number.tolist() == [12, 13]
    assert tokens("«(⸱» a⸱« a⸱»\\n⸱") == [0, 2, 2, 3]
    assert reader.line("«(⸱» a⸱« a⸱»\\n⸱").marked.tolist() == [True, False, True, False]
    assert tokens(repr("'⸱ a⸱")) == [6, 2], "as Python writes it"
    assert tokens(repr("'⸱\"(⸱\n⸱\\⸱")) == [6, 1, 3, 5]
    assert tokens("\\\\⸱\\\\\\\\⸱\\\\n⸱") == [5, 7, 8], "the code of one token is another's text"
    assert tokens("zebra⸱(⸱") == [NO_TOKEN, 0]
    assert reader.lines("e1: (⸱ a⸱\nw2: none of it\nthe line e3: (⸱").keys() == {"e1"}


def test_an_end_stands_in_no_token() -> None:
    assert choose_end(["a", "b"]) == ENDS[0]
    assert choose_end([ENDS[0], "x" + ENDS[1]]) == ENDS[2]
    with pytest.raises(ValueError, match="cannot be told apart"):
        choose_end(list(ENDS))


# --- forms of questions -----------------------------------------------------------------------------


def question(prompt: str, properties: Any, **more: Any) -> Ask:
    schema = None if properties is None else {"type": "object", "properties": properties}
    return Ask("own", "", prompt, max_tokens=10, schema=schema, **more)


@pytest.fixture(scope="module")
def small() -> tuple[RuleJudge, RuleLabel]:
    """A rule that fires on " a" and promotes it."""
    from autointerp.explain.lookup import Entries
    from autointerp.score.selftest.planted import Rule

    one = np.ones(1, np.float32)
    label = RuleLabel(
        "rule-4-true",
        Rule(Entries(np.array([-1], np.int32), np.array([1], np.int32), one, one)),
        {"direct": np.ones(1, np.int64)},
    )
    return RuleJudge(LineReader(["(", " a"], "⸱"), [label]), label


YES_NO = {"type": "integer", "enum": [0, 1]}
LINES = "rule-4-true\nx1: (⸱(⸱\nx2: (⸱ a⸱\nx3: (⸱"


@pytest.mark.parametrize(
    ("properties", "reply"),
    [
        ({"x1": YES_NO, "x2": YES_NO}, {"x1": 0, "x2": 1}),
        ({"x2": {"type": "integer", "enum": [1, 5, 3]}}, {"x2": 5}),
        ({"x2": {"type": "boolean"}, "x3": {"type": "boolean"}}, {"x2": True, "x3": False}),
        ({"best": {"type": "integer", "enum": [1, 2, 3]}}, {"best": 2}),
        ({"best": {"type": "string", "enum": ["x1", "x2", "x3"]}}, {"best": "x2"}),
    ],
)
def test_forms_that_are_answered(properties: Any, reply: Any, small: tuple[RuleJudge, RuleLabel]) -> None:
    answer: Answer = small[0].answer(question(LINES, properties))
    assert answer.status == "ok"
    assert answer.data == json.loads(answer.text) == reply


@pytest.mark.parametrize(
    ("prompt", "properties", "why"),
    [
        (LINES, None, "no schema"),
        (LINES, {}, "no schema"),
        (LINES.replace("rule-4-true", "no rule"), {"x1": YES_NO}, "show no label"),
        ("rule-4-true\nno lines", {"x1": YES_NO}, "show no tokens"),
        (LINES, {"x1": YES_NO, "x9": YES_NO}, 'ask for "x9"'),
        (LINES, {"x1": {"type": "string", "enum": ["yes", "no"]}}, "no numbers"),
        (LINES, {"best": {"type": "integer", "enum": [1, 7]}}, "stands on no lines"),
        (LINES, {"fires": {"type": "array", "items": {"properties": {"w": {}}}}}, "other things"),
    ],
)
def test_what_cannot_be_answered_is_said(
    prompt: str, properties: Any, why: str, small: tuple[RuleJudge, RuleLabel]
) -> None:
    with pytest.raises(CannotAnswer, match=why):
        small[0].answer(question(prompt, properties))


def test_a_reply_that_a_scorer_refuses_is_a_failure(small: tuple[RuleJudge, RuleLabel]) -> None:
    def refuse(_reply: Any) -> Any:
        raise InvalidReply("never right")

    answer = small[0].answer(question(LINES, {"x1": YES_NO}, parse=refuse))
    assert (answer.status, answer.reason, answer.data) == ("invalid", "never right", None)


def test_the_line_of_each_question_that_fits_is_chosen(small: tuple[RuleJudge, RuleLabel]) -> None:
    choice = {"type": "integer", "enum": [1, 2, 3]}
    shown = "rule-4-true\nq1:\n1: (⸱\n2: (⸱ a⸱\n3: (⸱\n\nq2:\n1: (⸱\n2: (⸱\n3:  a⸱"
    assert small[0].answer(question(shown, {"q1": choice, "q2": choice})).data == {"q1": 2, "q2": 3}
    many = "q1:\n1:  a⸱\n2: (⸱\n3:  a⸱"
    odd = OddJudge(small[0].reader, small[1])
    assert odd.answer(question(many, {"q1": choice})).data == {"q1": 2}, "the one that is unlike the others"
    with pytest.raises(CannotAnswer, match="stands on no lines"):
        small[0].answer(question(shown, {"q1": {"type": "integer", "enum": [1, 2, 7]}, "q2": choice}))


def test_texts_are_handed_over_by_what_the_label_says(small: tuple[RuleJudge, RuleLabel]) -> None:
    reader = small[0].reader
    stock = {text: reader.line(text) for text in ("(⸱(⸱", " a⸱(⸱", "(⸱", "(⸱ a⸱")}
    judge = RuleJudge(reader, [small[1]], stock=stock)
    texts = {name: {"type": "string"} for name in ("fires1", "silent1", "fires2", "silent2")}
    data = judge.answer(question("rule-4-true", texts)).data
    assert {data["fires1"], data["fires2"]} == {" a⸱(⸱", "(⸱ a⸱"}
    assert {data["silent1"], data["silent2"]} == {"(⸱(⸱", "(⸱"}
    with pytest.raises(CannotAnswer, match="5 texts, and there are 4"):
        judge.answer(question("rule-4-true", texts | {"fires3": {"type": "string"}}))


def test_the_right_label_is_told_where_windows_are_chosen(bench: Bench) -> None:
    for name in ("discrimination", "intruder"):
        scorer, right, n = SCORERS[name], 0.0, 0
        for row, feature in enumerate(bench.features):
            label = feature.labels["true"]
            judge = bench.rule_judge(scorer) if scorer.reads_label else OddJudge(bench.reader, label)
            chosen: Chosen = bench.ask(scorer, row, label, judge)
            right += float(chosen.probability[chosen.choices.right].sum())
            n += chosen.choices.n_questions
        assert n >= 20
        assert right / n > 0.8


# --- judges that read nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", BLIND_RULES)
@pytest.mark.parametrize("name", SCORERS)
def test_blind_judges_do_not_know_the_label(name: str, rule: str, bench: Bench) -> None:
    scorer, judge = SCORERS[name], BlindJudge(bench.reader, rule, bench.stock)
    feature = bench.features[0]
    said = [bench.ask(scorer, 0, feature.labels[label], judge) for label in ("true", "missing")]
    one, two = (np.asarray(getattr(p, SAID[scorer.shape])) for p in said)
    assert len(one)
    if rule != "coin":  # a coin is thrown for each question
        assert np.array_equal(one, two)
    if scorer.shape in ("chosen", "generated", "picked"):  # something is always chosen, and written
        return
    spread = {"none": 0, "all": 0}.get(rule, 1)
    assert (np.ptp(one[one > 0] if rule == "all" and scorer.shape == "simulated" else one) > 0) == bool(spread)
