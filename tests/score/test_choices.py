"""Questions where one of five windows is to be chosen: made so that nothing but their content tells which.

The world has tells (`helpers/item_world.py`). Rules that do not read are right in one question of five all the same;
judges that read are not, and the controls, in which no window belongs more than another, bring them back to it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from item_world import SEED, TRAITS, L, V, World
from scoring import scores_of

from autointerp.explain.marking import MARKS, unmark
from autointerp.explain.triggers import any_of
from autointerp.llm.asks import Answer, InvalidReply
from autointerp.records import Windows
from autointerp.score.chosen import choice_accuracy
from autointerp.score.predictions import LEAST_QUESTIONS, N_OPTIONS, STRENGTHS, Choices, Chosen
from autointerp.score.sampled import Candidates
from autointerp.score.scorers.choices import OTHER, choice_asks, question_rows, read_chosen
from autointerp.score.scorers.discrimination import Discrimination, discrimination_choices
from autointerp.score.scorers.intruder import AlikeWindows, internal_choices, intruder_choices
from autointerp.score.scorers.protocol import OtherFeature, Panel
from autointerp.score.scorers.silent_windows import shown_length

N = 120
ANY_FEATURE: Any = None
VOCAB = [f" v{i}" for i in range(V)]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def features(world: World) -> list[Candidates]:
    return [world.feature(number, reservoir=256) for number in range(N)]


@pytest.fixture(scope="module")
def panel(features: list[Candidates]) -> Panel:
    chosen = [(of, np.flatnonzero(of.u < np.median(of.u))[:12]) for of in features[::3]]
    return Panel(
        np.concatenate([np.full(len(rows), of.feature) for of, rows in chosen]),
        Windows(**{k: np.concatenate([getattr(of.kept, k)[rows] for of, rows in chosen])
                   for k in Windows.__dataclass_fields__}),
        np.concatenate([of.truth[rows] != 0 for of, rows in chosen]),
    )  # fmt: skip


def neighbours(features: list[Candidates], number: int) -> list[OtherFeature]:
    others = [features[(number + step) % N] for step in (1, 2, 3, 4, 5, 6)]
    return [OtherFeature(of.feature, np.flatnonzero(~of.silent)) for of in others]


def discriminated(world: World, features: list[Candidates], number: int) -> Choices:
    near = neighbours(features, number)
    return discrimination_choices(features[number], near, world.silent, TRAITS, SEED)


@pytest.fixture(scope="module")
def asked(world: World, features: list[Candidates], panel: Panel) -> dict[str, list[Choices]]:
    return {
        "discrimination": [discriminated(world, features, number) for number in range(N)],
        "intruder": [intruder_choices(of, panel, TRAITS, SEED) for of in features],
        "intruder_internal": [internal_choices(of, panel, TRAITS, SEED) for of in features],
    }


KINDS = ("discrimination", "intruder", "intruder_internal")


def by_question(choices: Choices, values: np.ndarray) -> np.ndarray:
    return np.asarray(values.reshape(choices.n_questions, N_OPTIONS).astype(float))


def accuracy(asked: list[Choices], rule: Callable[[Choices], np.ndarray]) -> tuple[float, float]:
    """Mean over questions, and its standard error."""
    found = [
        choice_accuracy(Chosen(one, rule(one).astype(float), ("ok",) * len(one))).value for one in asked if len(one)
    ]
    n = sum(one.n_questions for one in asked)
    values = np.array([value for value in found if value is not None])
    return float(values.mean()), float(values.std() / np.sqrt(len(values)) if len(values) else n)


def deviation(choices: Choices, values: np.ndarray) -> np.ndarray:
    """How far each option is from the middle of its question."""
    of = by_question(choices, values)
    return np.asarray(np.abs(of - of.mean(axis=1, keepdims=True)).ravel())


def characters(choices: Choices) -> np.ndarray:
    return shown_length(choices.windows, TRAITS)


BLIND: dict[str, Callable[[Choices], np.ndarray]] = {
    "first": lambda one: np.arange(len(one)) % N_OPTIONS == 0,
    "last": lambda one: np.arange(len(one)) % N_OPTIONS,
    "longest": characters,
    "shortest": lambda one: -characters(one),
    "farthest from the mean length": lambda one: deviation(one, characters(one)),
    "nearest to the mean length": lambda one: -deviation(one, characters(one)),
    "tokens": lambda one: one.windows.scored.sum(axis=1),
    "marks": lambda one: one.marks.sum(axis=1),
    "document": lambda one: one.windows.block,
}


@pytest.mark.parametrize("rule", BLIND)
@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_that_does_not_read_is_right_in_one_of_five(
    kind: str, rule: str, asked: dict[str, list[Choices]]
) -> None:
    assert sum(len(one) > 0 for one in asked[kind]) > 0.6 * N
    mean, error = accuracy(asked[kind], BLIND[rule])
    assert abs(mean - 1 / N_OPTIONS) < max(3.5 * error, 0.01), f"{mean:.3f} ({error:.3f})"
    assert error < 0.03


LENGTH_RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "longest": lambda of: of,
    "shortest": lambda of: -of,
    "above the middle": lambda of: of > np.median(of),
    "farthest from the middle": lambda of: np.abs(of - np.median(of)),
}


@pytest.mark.parametrize("make", [intruder_choices, internal_choices])
def test_length_tells_no_intruder_whichever_gives_its_place(
    make: Callable[..., Choices], features: list[Candidates], panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the draws that were made, which err by .02, but of every pair of a question that might have been drawn."""
    questions: list[tuple[np.ndarray, np.ndarray]] = []
    drawn = AlikeWindows.pairs

    def recorded(alike: AlikeWindows, part: int, partners: Callable[..., int | None]) -> list[tuple[int, int]]:
        pairs = drawn(alike, part, partners)
        if pairs:
            of_others = alike.panel_length if make is intruder_choices else alike.length
            questions.append((alike.length[[own for own, _ in pairs]], of_others[[other for _, other in pairs]]))
        return pairs

    monkeypatch.setattr(AlikeWindows, "pairs", recorded)
    for one in features:
        make(one, panel, TRAITS, SEED)
    assert len(questions) > 2 * N
    for name, rule in LENGTH_RULES.items():
        found = []
        for own, others in questions:
            for place in range(N_OPTIONS):
                value = rule(np.where(np.arange(N_OPTIONS) == place, others, own))
                found.append((value[place] == value.max()) / (value == value.max()).sum())
        assert abs(np.mean(found) - 1 / N_OPTIONS) < 0.005, name


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_has_five_windows_alike_and_one_of_them_is_right(
    kind: str, asked: dict[str, list[Choices]], features: list[Candidates]
) -> None:
    for one, of in zip(asked[kind], features, strict=True):
        assert one.n_questions == 0 or LEAST_QUESTIONS <= one.n_questions <= 6
        assert len(set(one.windows.window.tolist())) == len(one)
        assert (by_question(one, one.right).sum(axis=1) == 1).all()
        assert np.array_equal(one.question, np.repeat(np.arange(one.n_questions), N_OPTIONS))
        for values in (one.windows.scored.sum(axis=1), one.marks.sum(axis=1)):
            assert (np.ptp(by_question(one, values), axis=1) == 0).all()
        own = {int(window): row for row, window in enumerate(of.kept.window)}
        for row in range(len(one)):
            mine = one.source[row] == of.feature
            assert mine == (one.stratum[row] != OTHER)
            if mine:
                fires = of.truth[own[int(one.windows.window[row])]] != 0
                assert fires.any()
                assert np.array_equal(one.marks[row], fires if kind != "discrimination" else np.zeros(L, bool))


def test_discrimination_is_among_windows_in_which_the_feature_is_silent(
    asked: dict[str, list[Choices]], features: list[Candidates]
) -> None:
    for number, one in enumerate(asked["discrimination"]):
        silent = set(features[number].pool.windows.window[features[number].silent].tolist())
        fires = {near.feature: set(features[near.feature].pool.windows.window[near.fires].tolist())
                 for near in neighbours(features, number)}  # fmt: skip
        for row in range(len(one)):
            window = int(one.windows.window[row])
            if one.right[row]:
                assert one.source[row] == number
            else:
                assert window in silent
                assert window in fires[int(one.source[row])]
        for question in range(one.n_questions):
            mine = one.question == question
            assert len(set(one.source[mine].tolist())) == N_OPTIONS


def test_intruders_are_another_features_or_of_another_strength(asked: dict[str, list[Choices]]) -> None:
    for one in asked["intruder"]:
        assert {word for word, right in zip(one.stratum, one.right, strict=True) if right} <= {OTHER}
        for question in range(one.n_questions):
            own = [one.stratum[row] for row in np.flatnonzero((one.question == question) & ~one.right)]
            assert len(set(own)) == 1
            assert own[0] in STRENGTHS
    strata: Counter[str] = Counter()
    for one in asked["intruder_internal"]:
        for question in range(one.n_questions):
            mine = one.question == question
            [odd] = [one.stratum[row] for row in np.flatnonzero(mine & one.right)]
            others = {one.stratum[row] for row in np.flatnonzero(mine & ~one.right)}
            assert len(others) == 1
            assert odd not in others
            strata[odd] += 1
    assert set(strata) == set(STRENGTHS)


def triggers(choices: Choices, of: Candidates) -> np.ndarray:
    return np.asarray((np.isin(choices.windows.tokens, of.top_tokens) & choices.windows.scored).any(axis=1))


def unlike(one: Choices) -> np.ndarray:
    """How rare each option's marked tokens are in the others, in all questions together."""
    marked = [set(row[marks].tolist()) for row, marks in zip(one.windows.tokens, one.marks, strict=True)]
    times = Counter(token for tokens in marked for token in tokens)
    return np.array([-np.mean([times[token] for token in tokens]) for tokens in marked])


def test_a_judge_that_reads_is_right_and_where_nothing_belongs_it_is_not(
    asked: dict[str, list[Choices]], features: list[Candidates], panel: Panel
) -> None:
    of = dict(zip(map(id, asked["discrimination"]), features, strict=True))
    assert accuracy(asked["discrimination"], lambda one: triggers(one, of[id(one)]))[0] > 0.5
    other = dict(zip(map(id, asked["discrimination"]), [*features[7:], *features[:7]], strict=True))
    mean, error = accuracy(asked["discrimination"], lambda one: triggers(one, other[id(one)]))
    assert abs(mean - 1 / N_OPTIONS) < 3.5 * error  # another feature's label
    assert accuracy(asked["intruder"], unlike)[0] > 0.6
    mixed = [intruder_choices(one, panel, TRAITS, SEED, mixed=True) for one in features]
    assert sum(len(one) > 0 for one in mixed) > 0.6 * N
    assert all((one.source != features[number].feature).all() for number, one in enumerate(mixed))
    mean, error = accuracy(mixed, unlike)
    assert abs(mean - 1 / N_OPTIONS) < 3.5 * error
    alike = [internal_choices(one, panel, TRAITS, SEED, mixed=True) for one in features]
    assert all(len(set(one.stratum[5 * q : 5 * q + 5])) == 1 for one in alike for q in range(one.n_questions))
    mean, error = accuracy(alike, unlike)
    assert abs(mean - 1 / N_OPTIONS) < 3.5 * error


def test_with_few_windows_nothing_is_asked(world: World, panel: Panel, features: list[Candidates]) -> None:
    of = features[0]
    assert len(discrimination_choices(of, [], world.silent, TRAITS, SEED)) == 0
    few = [OtherFeature(one.feature, one.fires[:1]) for one in neighbours(features, 0)]
    assert len(discrimination_choices(of, few, world.silent, TRAITS, SEED)) == 0
    nobody = Panel(panel.feature[:0], Windows(**{k: getattr(panel.windows, k)[:0] for k in vars(panel.windows)}),
                   panel.fires[:0])  # fmt: skip
    assert len(intruder_choices(of, nobody, TRAITS, SEED)) == 0
    scores = scores_of(Chosen(intruder_choices(of, nobody, TRAITS, SEED), np.zeros(0), ()), "x", "intruder:m")
    assert {(score.metric, score.status) for score in scores} == {("choice_accuracy", "no_items")}


# --- asking


@pytest.mark.parametrize(("kind", "name"), [("discriminate", "discrimination"), ("intrude", "intruder")])
@pytest.mark.parametrize("most", [None, 10, 1])
def test_each_question_is_a_key_and_each_option_a_line(
    kind: Any, name: str, most: int | None, asked: dict[str, list[Choices]]
) -> None:
    one = next(each for each in asked[name] if each.n_questions == 6)
    asks = choice_asks(kind, 'cats\n"x"', one, VOCAB, most)
    assert len(asks) == {None: 1, 10: 3, 1: 6}[most]
    parts = [list((ask.schema or {})["properties"]) for ask in asks]
    assert sum(map(len, parts)) == 6
    lines = [
        line[3:] for ask in asks for line in ask.prompt.splitlines() if line[:3] in [f"{i}: " for i in range(1, 6)]
    ]
    assert len(lines) == 30
    for row, line in enumerate(lines):
        pieces = unmark(line, MARKS[0])
        tokens = [VOCAB[token] for token in one.windows.tokens[row][one.windows.scored[row]]]
        assert "".join(piece.text for piece in pieces) == "".join(tokens)
        shown = one.marks[row][one.windows.scored[row]]
        marked = [token for token, is_marked in zip(tokens, shown, strict=True) if is_marked]
        assert "".join(piece.text for piece in pieces if piece.marked) == "".join(marked)
    assert ("cats" in asks[0].prompt) == (kind == "discriminate")
    right = one.right.reshape(-1, N_OPTIONS).argmax(axis=1) + 1
    said = iter(right.tolist())
    answers = []
    for ask, keys in zip(asks, parts, strict=True):
        assert ask.parse is not None
        reply = {key: next(said) for key in keys}
        answers.append(Answer(ask, "h", "ok", text=json.dumps(reply), data=ask.parse(reply)))
        for wrong in ({**reply, "q1": 6}, {**reply, "q1": 0}, {**reply, "q9": 1}, {}, [1]):
            with pytest.raises(InvalidReply):
                ask.parse(wrong)
    chosen = read_chosen(one, answers, most)
    assert np.array_equal(chosen.probability, one.right.astype(float))
    assert choice_accuracy(chosen).value == 1.0


def test_no_prompt_tells_what_is_right(asked: dict[str, list[Choices]]) -> None:
    for name, kind in (("discrimination", "discriminate"), ("intruder", "intrude")):
        one = next(each for each in asked[name] if len(each))
        other = Choices(**{**vars(one), "right": ~one.right, "source": one.source[::-1], "stratum": one.stratum[::-1]})
        asks = [choice_asks(kind, "x", each, VOCAB) for each in (one, other)]  # type: ignore[arg-type]
        for first, second in zip(*asks, strict=True):
            assert (first.system, first.prompt, first.schema) == (second.system, second.prompt, second.schema)


def test_a_failed_answer_is_counted_and_never_scored(asked: dict[str, list[Choices]]) -> None:
    one = next(each for each in asked["discrimination"] if each.n_questions == 6)
    asks = choice_asks("discriminate", "x", one, VOCAB, 10)
    good = [int(by_question(one, one.right)[k].argmax()) + 1 for k in range(6)]
    answers = [Answer(ask, "h", "ok", data=good[2 * k : 2 * k + 2]) for k, ask in enumerate(asks)]
    answers[1] = Answer(asks[1], "h", "refused", "no")
    [score] = scores_of(read_chosen(one, answers, 10), "x", "discrimination:m")
    assert (score.value, score.n, score.n_failed, score.status) == (1.0, 4, 2, "ok")
    nothing = read_chosen(one, [Answer(ask, "h", "refused", "no") for ask in asks], 10)
    [score] = scores_of(nothing, "x", "discrimination:m")
    assert (score.value, score.n, score.n_failed, score.status) == (None, 0, 6, "failed")
    assert nothing.reason == "no"


def test_several_highest_ones_share_the_question(asked: dict[str, list[Choices]]) -> None:
    one = next(each for each in asked["discrimination"] if len(each))
    assert choice_accuracy(Chosen(one, np.ones(len(one)), ("ok",) * len(one))).value == pytest.approx(0.2)
    two = np.where(one.right | np.roll(one.right, 1), 1.0, 0.0)
    assert choice_accuracy(Chosen(one, two, ("ok",) * len(one))).value == pytest.approx(0.5, abs=0.11)


def test_the_lookup_chooses_where_a_token_of_it_stands(
    asked: dict[str, list[Choices]], features: list[Candidates]
) -> None:
    for of, one in zip(features[:20], asked["discrimination"][:20], strict=True):
        said = Discrimination().look_up(ANY_FEATURE, (one, None), "", any_of(of.top_tokens))
        assert np.array_equal(said.probability > 0.5, triggers(one, of))
    assert question_rows(asked["discrimination"][0], None) in ([], [list(range(len(asked["discrimination"][0])))])
