"""Proxies mark tokens by text alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.errors import UserError
from autointerp.score.proxy import parse_proxy

VOCABULARY = [" self", "self", "cls", ",", "(", ""]


def slow(pattern: str, tokens: Sequence[str]) -> list[bool]:
    """Character by character."""
    owner = [i for i, token in enumerate(tokens) for _ in token]
    touched = {owner[at] for m in re.finditer(pattern, "".join(tokens)) for at in range(m.start(), m.end())}
    return [i in touched for i in range(len(tokens))]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["a", "ab+", "b?", "(?i)A|c", r"\bab\b", "^a", "a$", "x*"]),
    st.lists(st.text("abcA ", max_size=4), max_size=12),
)
def test_a_regular_expression_marks_what_it_touches(pattern: str, tokens: list[str]) -> None:
    assert parse_proxy(f"regex:{pattern}", VOCABULARY).mark(tokens).tolist() == slow(pattern, tokens)


@pytest.mark.parametrize("said", ['tokens:[" self", "self"]', "tokens: self,self"])
def test_a_set_marks_these_tokens(said: str) -> None:
    assert parse_proxy(said, VOCABULARY).mark([" self", "cls", "self", ""]).tolist() == [True, False, True, False]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("own_proxies")
    module.length = lambda tokens: [len(token) for token in tokens]  # type: ignore[attr-defined]
    module.short = lambda _tokens: [1.0]  # type: ignore[attr-defined]
    module.odd = lambda tokens: [float("nan")] * len(tokens)  # type: ignore[attr-defined]
    module.fails = lambda _tokens: 1 / 0  # type: ignore[attr-defined]
    module.truth = lambda _tokens: True  # type: ignore[attr-defined]
    module.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_proxies", module)
    return module


@pytest.mark.usefixtures("own")
def test_a_function_marks_what_lies_above_the_threshold() -> None:
    proxy = parse_proxy("python:own_proxies:length", VOCABULARY, threshold=2.0)
    assert proxy.mark(["a", "ab", "abc"]).tolist() == [False, False, True]
    assert proxy.threshold == 2.0


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("self", "give regex:PATTERN"),
        ("regex:", "give regex:PATTERN"),
        ("words:a", "give regex:PATTERN"),
        ("regex:(", "not a regular expression"),
        ("tokens:[1]", "give a list of texts"),
        ("tokens:[", "not JSON"),
        ("tokens:clss", 'the nearest is "cls"'),
        ("python:own_proxies:nothing", "cannot be imported"),
        ("python:no_such_module_at_all:f", "cannot be imported"),
        ("python:own_proxies:number", "no function"),
    ],
)
def test_what_is_no_proxy_is_one_line(said: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        parse_proxy(said, VOCABULARY)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("short", "for each of 2"),
        ("odd", "2 of them nan"),
        ("fails", "division by zero"),
        ("truth", "a list with a number for each of them; it gave bool"),
    ],
)
def test_a_function_that_answers_wrongly_is_one_line(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_proxy(f"python:own_proxies:{name}", VOCABULARY).mark(["a", "b"])
    assert isinstance(parse_proxy("python:own_proxies:length", VOCABULARY).mark([]), np.ndarray)
