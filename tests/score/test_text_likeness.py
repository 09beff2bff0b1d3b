"""The embedded judge of logit effects against its slow twin: every token beside every named one."""

from __future__ import annotations

import numpy as np
import pytest

from autointerp.explain.token_text import kind_of
from autointerp.score.predictions import TokenItems
from autointerp.score.scorers.text_likeness import read_text
from autointerp.score.scorers.vocabulary import plain_text

TEXTS = [
    " the",
    " there",
    "ther",
    " 12",
    "7",
    " (",
    ")",
    "é",
    "",
    " x",
    "\n",
    " theory",
    " other",
    "[]",
    "self",
    " Self",
]


def pairs(text: str) -> set[str]:
    plain = f"^{plain_text(text)}$"
    return {plain[i : i + 2] for i in range(len(plain) - 1)}


def likeness(token: str, named: list[str]) -> float:
    best = 0.0
    for other in named:
        own, theirs = pairs(token), pairs(other)
        kind = kind_of(token)
        common = len(own & theirs) / len(own | theirs) if own | theirs else 0.0
        best = max(best, common + 0.2 * (kind is not None and kind == kind_of(other)))
    return best


@pytest.mark.parametrize(
    ("explanation", "named"),
    [
        ('promotes: " the", " 3"', [" the", " 3"]),
        ('Fires on "self" and "(" and "self".', ["self", "(", "self"]),
        ("promotes numbers and brackets", ["numbers", "and", "brackets"]),
        ("", []),
    ],
)
def test_likeness_equals_its_slow_twin(explanation: str, named: list[str]) -> None:
    token = np.arange(len(TEXTS))
    got = read_text(explanation, TokenItems(0, token, token < 3, token[:0]), TEXTS)
    assert got.rating.tolist() == [likeness(text, named) for text in TEXTS]
    assert not named or got.rating.max() > 0
