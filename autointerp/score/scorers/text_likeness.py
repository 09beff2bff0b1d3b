"""The embedded judge of logit effects: how much a token looks like those that an explanation names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from autointerp.explain.marking import unescape
from autointerp.explain.token_text import kind_of
from autointerp.score.predictions import Rated, TokenItems
from autointerp.score.scorers.vocabulary import plain_text


def read_text(explanation: str, items: TokenItems, texts: Sequence[str]) -> Rated:
    """The embedded judge: how much a token looks like those that the text quotes (as promoted, if it says so)
    or, where it quotes none, like its words."""
    named = _Named(list(dict.fromkeys(_quoted(explanation))))
    rating = np.array([_likeness(texts[token], named) for token in items.token.tolist()], dtype=np.float64)
    return Rated(items, rating)


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ANY_QUOTED = re.compile(r"\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]+`|‘[^’]+’|“[^”]+”|(?<!\w)'[^']+'(?!\w)")
_PROMOTED = re.compile(r"\bpromotes?\b:?(.*?)(?:\bsuppresses\b|$)", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"\w{3,}")
_LIKE_KIND = 0.2
"""Likeness of two tokens of the same kind (numbers, brackets ...)."""


def _quoted(explanation: str) -> list[str]:
    part = _PROMOTED.search(explanation)
    of_promoted = part[1] if part is not None else ""
    quoted = _QUOTED.findall(of_promoted) or _QUOTED.findall(explanation)
    return [unescape(text) for text in quoted] or _WORDS.findall(of_promoted or explanation)


def quoted_texts(explanation: str) -> list[str]:
    """All that a text quotes, in whatever quotes."""
    return [unescape(text[1:-1]) for text in _ANY_QUOTED.findall(explanation)]


_kind = cache(kind_of)


class _Named:
    """The tokens that a text names: which of them hold a pair of letters, how many pairs each has, and of what kind."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.kinds = [_kind(text) for text in texts]
        self.sizes = [len(_pairs(text)) for text in texts]
        self.holding: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            for pair in _pairs(text):
                self.holding.setdefault(pair, []).append(number)


def _likeness(token: str, named: _Named) -> float:
    """The largest share of common letter pairs with a named token, and something for being of its kind."""
    kind, own = _kind(token), _pairs(token)
    in_common: dict[int, int] = {}
    for pair in own:
        for number in named.holding.get(pair, ()):
            in_common[number] = in_common.get(number, 0) + 1
    best = _LIKE_KIND if kind is not None and kind in named.kinds else 0.0
    for number, n_common in in_common.items():
        common = n_common / (len(own) + named.sizes[number] - n_common)
        best = max(best, common + _LIKE_KIND * (kind is not None and kind == named.kinds[number]))
    return best


@cache
def _pairs(text: str) -> frozenset[str]:
    plain = f"^{plain_text(text)}$"
    return frozenset(plain[i : i + 2] for i in range(len(plain) - 1))
