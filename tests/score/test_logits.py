"""Logit effects: unseen tokens, a forced ranking, a baseline and a control."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from scoring import scores_of

from autointerp.llm.asks import Answer, InvalidReply
from autointerp.score.measures import forced_accuracy
from autointerp.score.predictions import Rated, TokenItems
from autointerp.score.scorers.hard_logits import hard_items, without_said
from autointerp.score.scorers.logit_effects import (
    N_SHOWN,
    RANKINGS,
    CentredUnembedding,
    completion,
    logit_ask,
    read_ratings,
    token_items,
)
from autointerp.score.scorers.protocol import Distractors
from autointerp.score.scorers.text_likeness import read_text
from autointerp.score.scorers.vocabulary import Vocabulary, word_family
from autointerp.score.side_by_side import FeatureRows
from autointerp.words import UNEMBEDDING_NORM

V = 400
TEXTS = [f" word{i // 2}" if i % 2 else f"Word{i // 2}" for i in range(V)]  # every token has a variant beside it
VOCABULARY = Vocabulary(TEXTS, np.arange(V) >= 4)


def test_asked_are_ranks_11_to_60_and_random_ones_and_no_variant_of_what_was_shown() -> None:
    promoted = np.arange(100, 160)
    promoted[3], promoted[30] = 300, 301  # rank 4 was shown; rank 31 is a variant of it
    items = token_items(7, promoted, VOCABULARY, 0)
    yes, no = items.token[items.promoted], items.token[~items.promoted]
    assert set(items.shown.tolist()) == set(promoted[:10].tolist())
    expected = [
        t
        for t in promoted[10:].tolist()
        if t != 301 and TEXTS[t].strip().lower() not in {TEXTS[s].strip().lower() for s in promoted[:10]}
    ]
    assert sorted(yes.tolist()) == sorted(expected)
    assert len(no) == len(yes)
    variants = {TEXTS[t].strip().lower() for t in promoted}
    assert not {TEXTS[t].strip().lower() for t in no.tolist()} & variants
    assert no.min() >= 4  # tokens that never stand in the corpus are not asked about
    assert items.promoted.tolist() != sorted(items.promoted.tolist(), reverse=True)
    again = token_items(7, promoted, VOCABULARY, 0)
    assert again.token.tolist() == items.token.tolist()
    assert set(token_items(8, promoted, VOCABULARY, 0).token[:].tolist()) != set(items.token.tolist())


def test_with_all_ranks_there_are_fifty_and_fifty() -> None:
    texts = [f"t{i}" for i in range(V)]
    items = token_items(1, np.arange(60), Vocabulary(texts, np.ones(V, bool)), 0)
    assert (len(items), int(items.promoted.sum())) == (100, 50)
    assert len(token_items(1, np.arange(15), Vocabulary(texts, np.ones(V, bool)), 0)) == 0


def brute_force(promoted: np.ndarray, rating: np.ndarray) -> float:
    """Mean accuracy over many orders of the ties."""
    rng, found = np.random.default_rng(0), []
    for _ in range(3000):
        order = np.lexsort((rng.random(len(rating)), -rating))
        said = np.zeros(len(rating), dtype=bool)
        said[order[: promoted.sum()]] = True
        found.append((said == promoted).mean())
    return float(np.mean(found))


def accuracy(promoted: np.ndarray, rating: np.ndarray) -> float:
    """Of one feature."""
    return float(forced_accuracy(FeatureRows([len(promoted)]), promoted, rating)[0])


@pytest.mark.parametrize("seed", range(4))
def test_ties_count_by_their_share(seed: int) -> None:
    rng = np.random.default_rng(seed)
    promoted, rating = rng.random(30) < 0.4, rng.integers(0, 4, 30).astype(float)
    assert accuracy(promoted, rating) == pytest.approx(brute_force(promoted, rating), abs=0.01)


def test_a_bias_to_say_yes_does_not_matter() -> None:
    promoted = np.arange(100) < 50
    rating = np.where(promoted, 9.0, 8.0)
    assert accuracy(promoted, rating) == 1.0
    assert accuracy(promoted, rating + 1) == 1.0
    assert accuracy(promoted, np.full(100, 10.0)) == 0.5


@pytest.fixture
def items() -> TokenItems:
    return token_items(7, np.arange(100, 160), VOCABULARY, 0)


def test_ratings_are_keyed_and_checked(items: TokenItems) -> None:
    ask = logit_ask('promotes "x"', items, TEXTS)
    assert ask.parse is not None
    names = list((ask.schema or {})["properties"])
    reply = {name: 1 + 8 * int(promoted) for name, promoted in zip(names, items.promoted, strict=True)}
    rated = read_ratings(items, Answer(ask, "h", "ok", text=json.dumps(reply), data=ask.parse(reply)))
    assert [score.value for score in scores_of(rated, "x", "logits:m")] == [1.0, 1.0]
    lines = [line for line in ask.prompt.splitlines() if line.startswith("t")]
    assert lines == [f'{name}: "{TEXTS[token]}"' for name, token in zip(names, items.token, strict=True)]
    for wrong in (
        {**reply, "t1": 10},
        {**reply, "t1": 0},
        {name: reply[name] for name in names[1:]},
        {**reply, "t999": 0},
        [1],
    ):
        with pytest.raises(InvalidReply):
            ask.parse(wrong)


def test_a_failure_is_no_score_and_a_constant_is_chance(items: TokenItems) -> None:
    ask = logit_ask("x", items, TEXTS)
    failed = scores_of(read_ratings(items, Answer(ask, "h", "empty", "nothing")), "x", "logits:m")
    assert {(score.value, score.status, score.n_failed) for score in failed} == {(None, "failed", len(items))}
    constant = scores_of(Rated(items, np.full(len(items), 3.0)), "x", "logits:m")
    assert {(score.value, score.status) for score in constant} == {(0.5, "ok")}
    none = TokenItems(1, np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0, np.int64))
    assert {score.status for score in scores_of(Rated(none, np.zeros(0)), "x", "logits")} == {"no_items"}


def test_the_baseline_ranks_by_likeness_to_what_was_shown(items: TokenItems) -> None:
    rng = np.random.default_rng(0)
    table = rng.standard_normal((V, 16)) + 5.0
    near = np.concatenate([items.shown, items.token[items.promoted]])
    table[near] += 3 * rng.standard_normal(16)
    rated = completion(items, CentredUnembedding(table))
    assert accuracy(items.promoted, rated.rating) == 1.0
    centred = table - table.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    slow = [np.mean([unit[token] @ unit[shown] for shown in items.shown]) for token in items.token]
    assert rated.rating == pytest.approx(slow)


def test_the_permuted_vocabulary_gives_every_token_another_text() -> None:
    texts = VOCABULARY.permuted(0)
    usable = VOCABULARY.usable
    assert sorted(texts[t] for t in usable) == sorted(TEXTS[t] for t in usable)
    assert all(texts[t] != TEXTS[t] for t in usable)
    assert texts[:4] == TEXTS[:4]


def test_the_embedded_judge_reads_what_the_text_quotes() -> None:
    texts = [*(f" item{i}" for i in range(20)), *(f"-{chr(97 + i)}" * 3 for i in range(100))]
    vocabulary = Vocabulary(texts, np.ones(len(texts), bool))
    promoted = np.arange(20)
    items = TokenItems(1, np.arange(N_SHOWN, 30), np.arange(N_SHOWN, 30) < 20, promoted[:N_SHOWN])
    said = 'Fires on "-a-a-a". Promotes " item1" and " item2". Suppresses "-b-b-b".'
    assert accuracy(items.promoted, read_text(said, items, vocabulary.texts).rating) == 1.0
    unquoted = read_text("It promotes item numbers", items, vocabulary.texts)
    assert accuracy(items.promoted, unquoted.rating) == 1.0
    nothing = scores_of(read_text("", items, vocabulary.texts), "x", "logits")
    assert {score.value for score in nothing} == {0.5}


# --- the hard set


def words_of(n: int) -> list[str]:
    """Different words of five letters."""
    letters = "bcdfghjklmnpqrtvwxz"
    return [f" {letters[i % 19]}a{letters[i // 19 % 19]}o{letters[i // 361 % 19]}" for i in range(n)]


KINDS = ("similar", "same_norm", "neighbour")
HARD_TEXTS = words_of(V)
PROMOTED = np.arange(60)
DISTRACTORS = (
    Distractors("similar", np.arange(100, 200), np.tile(np.arange(10, 60), 2)),
    Distractors("same_norm", np.arange(200, 300), np.tile(np.arange(10, 60), 2)),
    Distractors("neighbour", np.arange(300, 380), np.zeros(0, np.int64)),
)


def hard(texts: list[str] = HARD_TEXTS, distractors: tuple[Distractors, ...] = DISTRACTORS) -> TokenItems:
    return hard_items(7, PROMOTED, distractors, Vocabulary(texts, np.ones(V, bool)), 0)


def test_each_promoted_token_stands_beside_a_wrong_one_a_third_of_each_kind() -> None:
    asked = hard()
    assert (len(asked), int(asked.promoted.sum())) == (100, 50)
    assert sorted(asked.token[asked.promoted].tolist()) == list(range(10, 60))
    assert asked.shown.tolist() == list(range(10))
    counts = Counter(asked.kinds)
    assert counts.pop("promoted") == 50
    assert sorted(counts.values()) == [16, 17, 17]
    assert set(counts) == set(KINDS)
    assert asked.pair is not None
    assert Counter(asked.pair.tolist()) == dict.fromkeys(range(50), 2)
    for number in range(50):
        [yes], [no] = (asked.token[(asked.pair == number) & (asked.promoted == side)] for side in (True, False))
        kind = asked.kinds[int(np.flatnonzero(asked.token == no)[0])]
        of = DISTRACTORS[KINDS.index(kind)]
        assert no in of.token
        if len(of.made_like):
            assert of.made_like[of.token == no] == yes
    assert asked.promoted.tolist() != sorted(asked.promoted.tolist())
    assert hard().token.tolist() == asked.token.tolist()


def test_no_variant_of_one_word_and_nothing_that_is_not_whole() -> None:
    texts = list(HARD_TEXTS)
    texts[3], texts[20], texts[21], texts[22] = " kind", "Kinds", " sorted", "sorting,"
    texts[150], texts[151], texts[30] = "KIND", "\\xe2\\x96", " caf\\xc3"
    asked = hard(texts)
    families = [word_family(texts[token]) for token in asked.token.tolist()]
    assert len(set(families)) == len(families)
    assert not set(families) & {word_family(texts[token]) for token in asked.shown.tolist()}
    assert not {20, 30, 150, 151} & set(asked.token.tolist())
    assert len({21, 22} & set(asked.token.tolist())) == 1
    assert asked.promoted.sum() == (~asked.promoted).sum() == 47


@pytest.mark.parametrize(
    ("text", "family"),
    [
        (" kind", "kind"), ("Kind", "kind"), (" kinds,", "kind"), ("types", "typ"), ("type", "typ"), (" typing", "typ"),
        ("class", "cla"), ("classes", "cla"), ("_kind", "kind"), (" the", "the"), ("((", "(("), (" ", " "),
    ],
)  # fmt: skip
def test_families_of_words(text: str, family: str) -> None:
    assert word_family(text) == family


def test_what_the_explanation_names_is_not_asked_about() -> None:
    asked, vocabulary = hard(), Vocabulary(HARD_TEXTS, np.ones(V, bool))
    [wrong] = asked.token[(asked.pair == 3) & ~asked.promoted]
    quoted, said = HARD_TEXTS[12], HARD_TEXTS[13].strip()
    left = without_said(
        asked, f'Fires on "{quoted}s" and `{HARD_TEXTS[wrong].upper()}`.', f"words like {said}", vocabulary
    )
    gone = set(asked.token.tolist()) - set(left.token.tolist())
    assert {12, 13, int(wrong)} <= gone
    assert len(gone) == 6  # each with the one beside it
    assert left.promoted.sum() == (~left.promoted).sum() == 47
    assert len(left.kinds) == len(left) == 94
    assert without_said(asked, "Fires on prose.", "", vocabulary) is asked
    everything = " ".join(f'"{text}"' for text in HARD_TEXTS)
    assert len(without_said(asked, everything, "", vocabulary)) == 0


def test_with_too_few_tokens_nothing_is_asked() -> None:
    assert len(hard(distractors=())) == 0
    assert len(hard(["same"] * V)) == 0
    few = (Distractors("neighbour", np.arange(300, 305), np.zeros(0, np.int64)),)
    assert len(hard(distractors=few)) == 0


def test_rankings_without_an_explanation_are_told_apart_from_labels() -> None:
    rng = np.random.default_rng(1)
    table = rng.standard_normal((V, 16))
    table[PROMOTED] *= 3  # what a ranking by norm finds
    asked = hard()
    rated = RANKINGS[UNEMBEDDING_NORM](asked, CentredUnembedding(table))
    mean = table.mean(axis=0)
    assert rated.rating == pytest.approx([np.linalg.norm(table[token] - mean) for token in asked.token])
    assert accuracy(asked.promoted, rated.rating) > 0.9
    scores = {one.metric for one in scores_of(rated, UNEMBEDDING_NORM, "logits_hard:unembedding")}
    assert scores == {"logit_accuracy_direct_hard", "logit_auprc_direct_hard"}
    assert {one.metric for one in scores_of(rated, UNEMBEDDING_NORM, "logits:unembedding")} == {
        "logit_accuracy_direct", "logit_auprc_direct",
    }  # fmt: skip
