"""Tables made some features at a time are those made of all features at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from gram_corpus import random_corpus, table

from autointerp.explain import portions
from autointerp.explain.context_lookup import context_lookup, token_lookup
from autointerp.explain.lexical import label_lookup
from autointerp.explain.portions import made_in_portions
from autointerp.records import GramTable, LookupTable

MADE: dict[str, Callable[[GramTable, GramTable], LookupTable]] = {
    "label": label_lookup,
    "context": context_lookup,
    "token": lambda tokens, _: token_lookup(tokens),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("at_once", [1, 60, 400])
def test_portions_equal_the_whole(monkeypatch: pytest.MonkeyPatch, name: str, at_once: int) -> None:
    tokens, pairs = random_corpus(5, n_features=9).tables()
    pairs = replace(pairs, share=np.linspace(0.3, 1.0, 9))
    whole = MADE[name](tokens, pairs)
    asked: list[int] = []

    def make(some_tokens: GramTable, some_pairs: GramTable) -> LookupTable:
        asked.append(len(some_tokens.start) - 1)
        return MADE[name](some_tokens, some_pairs)

    monkeypatch.setattr(portions, "ENTRIES_AT_ONCE", at_once)
    parts = made_in_portions(make, tokens, pairs)
    for column in ("start", "previous", "token", "value", "probability"):
        mine, expected = getattr(parts, column), getattr(whole, column)
        assert mine.dtype == expected.dtype
        np.testing.assert_array_equal(mine, expected)
    assert sum(asked) == 9
    assert len(asked) == 9 if at_once == 1 else 1 < len(asked) < 9


def test_features_without_entries_and_no_features() -> None:
    none = table([[], []])
    assert made_in_portions(context_lookup, none, none).start.tolist() == [0, 0, 0]
    nobody = table([])
    assert made_in_portions(context_lookup, nobody, nobody).start.tolist() == [0]
