"""Windows a call follow the context: what is asked fits with its longest reply, in no more calls than that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import autointerp
from autointerp.config.judging import Judge
from autointerp.llm.asks import Ask
from autointerp.llm.lengths import most_tokens, pieces, room_for
from autointerp.score.scorers.fitting import fit_items, fit_windows
from autointerp.score.scorers.prompt_windows import ShownWindow
from autointerp.score.scorers.simulators.choose import GROUPS, simulator_named
from autointerp.score.scorers.simulators.common import chunks

TEXT = (" The", " old", " bridge", " over", " the", " river", " was", " closed", ",", " and", "\n", " people", " went")
WINDOWS = [ShownWindow(tuple(TEXT[(row + k) % len(TEXT)] for k in range(32)), (True,) * 32, TEXT) for row in range(60)]


def judge(**more: object) -> Judge:
    return Judge.model_validate({"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"} | more)


def asks_of(name: str, size: int) -> Sequence[Ask]:
    simulator = simulator_named(name, group=size)
    return [ask for part in chunks(WINDOWS, size) for ask in simulator.asks("names of rivers", part)]


@pytest.mark.parametrize("name", ["sparse", "dense", "digits", "token"])
@pytest.mark.parametrize("context", [2048, 4096, 8192, 32768])
def test_as_many_windows_as_fit_are_asked_about_at_once(name: str, context: int) -> None:
    size = fit_windows(lambda number: asks_of(name, number), GROUPS[name], judge(context_tokens=context))
    assert all(room_for(ask) <= context for ask in asks_of(name, size))
    assert size == GROUPS[name] or any(room_for(ask) > context for ask in asks_of(name, size + 1))
    if context == 8192:
        assert size == {"sparse": 12, "dense": 2, "digits": 27, "token": 1}[name]


def test_without_a_context_nothing_changes_and_one_window_is_the_least() -> None:
    assert fit_windows(lambda number: asks_of("sparse", number), 60, judge()) == 60
    assert fit_windows(lambda number: asks_of("sparse", number), 60, judge(context_tokens=256)) == 1
    assert (fit_items(judge()), fit_items(judge(items_per_call=7))) == (None, 7)
    assert (fit_items(judge(context_tokens=8192)), fit_items(judge(context_tokens=2048))) == (66, 10)
    assert fit_items(judge(context_tokens=2048, items_per_call=4)) == 4
    assert fit_items(judge(context_tokens=256)) == 1


def test_the_bounds_hold_for_a_real_tokenizer() -> None:
    """The bundled subject's vocabulary is small: hardly a server has a model whose tokenizer makes more tokens."""
    tokenizer = Tokenizer.from_file(str(Path(autointerp.__file__).parent / "bundled" / "subject" / "tokenizer.json"))
    texts = [ask.system + ask.prompt for name in ("sparse", "dense") for ask in asks_of(name, 2)[:1]]
    texts += ["def area(width, height):\n    return width * height\n" * 20, "It had rained all day, in 1912 too. " * 40]
    for text in texts:
        tokens = len(tokenizer.encode(text).ids)
        assert 0.9 * pieces(text) < tokens <= most_tokens(text), text[:40]
