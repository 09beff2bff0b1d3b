"""Texts that a judge writes from an explanation, and what the feature does on them: read, counted, never on trust."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scoring import scores_of

from autointerp.llm.asks import Answer, InvalidReply
from autointerp.score import fade
from autointerp.score.predictions import UNREAD, Generated
from autointerp.score.scorers.generation import LONGEST, N_EACH, NAMES, generation_ask, read_generated, read_texts

MAXIMA = np.array([4.0, 1.0, 2.0, 3.0])
TEXTS = {name: f"a text called {name}" for name in NAMES}


def generated(status: str = "ok", **changed: Any) -> Generated:
    ask = generation_ask("x")
    return read_generated(7, MAXIMA, 0.25, Answer(ask, "h", status, "why", data=read_texts({**TEXTS, **changed})))  # type: ignore[arg-type]


def values(of: Generated) -> dict[str, tuple[float | None, str]]:
    return {score.metric: (score.value, score.status) for score in scores_of(of, "x", "generation:m")}


def test_the_question_shows_the_explanation_alone_on_one_line() -> None:
    ask = generation_ask('fires on "a"\nfires1: b')
    assert "\nfires1" not in ask.prompt
    assert ask.schema is not None
    assert tuple(ask.schema["properties"]) == NAMES
    assert ask.parse is not None
    assert ask.parse(TEXTS) == [TEXTS[name] for name in NAMES]
    for wrong in ({**TEXTS, "fires1": " "}, {**TEXTS, "silent9": "x"}, {k: TEXTS[k] for k in NAMES[1:]}, [TEXTS], {
        **TEXTS, "silent1": 3,
    }):  # fmt: skip
        with pytest.raises(InvalidReply):
            ask.parse(wrong)
    assert len(read_texts({**TEXTS, "fires1": "y" * 5000})[0]) == LONGEST


def test_what_a_text_reaches_is_a_share_of_the_features_own_windows() -> None:
    maximum = np.array([0.0, 0.5, 1.0, 2.5, 4.0, 9.0, np.nan, 3.9])
    read = generated().read(maximum, np.arange(8))
    slow = [
        np.nan if np.isnan(m) else 0.0 if m <= 0 else sum(float(own <= m) for own in MAXIMA) / len(MAXIMA)
        for m in maximum
    ]
    assert read.reached == pytest.approx(slow, nan_ok=True)
    assert read.status == ("ok",) * 6 + ("empty", "ok")
    assert read.n_tokens.tolist() == list(range(8))
    # a feature of another scale reaches the same
    larger = Generated(**{**vars(generated()), "maxima": 1000 * MAXIMA}).read(1000 * maximum, np.arange(8))
    assert larger.reached == pytest.approx(read.reached, nan_ok=True)


@pytest.mark.parametrize(
    ("intended", "others", "accuracy", "auroc"),
    [
        ([3.0] * N_EACH, [0.0] * N_EACH, 1.0, 1.0),
        ([0.0] * N_EACH, [3.0] * N_EACH, 0.0, 0.0),  # a label the wrong way round: the sign is kept
        ([3.0] * N_EACH, [3.0] * N_EACH, 0.5, 0.5),
        ([0.0] * N_EACH, [0.0] * N_EACH, 0.5, 0.5),
        (
            [1.5] * N_EACH,
            [0.0] * N_EACH,
            0.5,
            1.0,
        ),  # below the median of its own windows: it does not count as fired on
        ([3.0, 3.0, 0.0, 0.0], [0.0] * N_EACH, 0.75, 0.75),
    ],
)
def test_success_is_at_the_median_of_the_features_own_maxima(
    intended: list[float], others: list[float], accuracy: float, auroc: float
) -> None:
    read = generated().read(np.array([*intended, *others]), np.ones(8, np.int64))
    found = values(read)
    assert {status for _, status in found.values()} == {"ok"}
    assert found["generation_accuracy"][0] == pytest.approx(accuracy)
    assert found["generation_auroc"][0] == pytest.approx(auroc)


def test_clarity_is_that_of_all_windows_of_the_corpus() -> None:
    corpus = np.concatenate([MAXIMA, np.zeros(3 * len(MAXIMA))])  # it fires in a quarter of them
    for intended in ([3.0, 0.0, 1.0, 100.0], [0.0] * 4, [0.5, 2.0, np.nan, 2.0], list(MAXIMA[:4])):
        read = generated().read(np.array([*intended, 9.0, 9.0, 9.0, 9.0]), np.ones(8, np.int64))
        written = np.array(intended)[~np.isnan(intended)]
        expected = fade.clarity(corpus, written)
        value, status = values(read)["clarity"]
        assert status == expected.status
        assert value == pytest.approx(expected.value), "others do not count"


def test_a_judge_that_does_not_read_is_at_one_half() -> None:
    """It writes all texts alike: what the feature does on them has nothing to do with which was intended."""
    rng = np.random.default_rng(0)
    found: list[list[float]] = []
    for _ in range(600):
        maximum = np.where(rng.random(8) < rng.random(), rng.exponential(2, 8), 0.0)
        read = values(generated().read(maximum, np.ones(8, np.int64)))
        found.append([value for name, (value, _) in read.items() if value is not None and name != "clarity"])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(mean - 0.5) < 3.5 * error).all()


def test_what_failed_and_what_was_not_read_has_no_score() -> None:
    failed = generated("refused")
    assert failed.reason == "why"
    assert set(failed.texts) == {""}
    names = ("generation_accuracy", "generation_auroc", "clarity")
    assert values(failed) == dict.fromkeys(names, (None, "failed"))
    assert set(generated().status) == {UNREAD}
    assert values(generated())["generation_accuracy"] == (None, "failed")
    some = generated().read(np.array([3.0] * 4 + [np.nan] * 4), np.ones(8, np.int64))
    assert values(some)["generation_accuracy"] == (None, "one_sided")
