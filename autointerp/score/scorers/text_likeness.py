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
    named = _quoted(explanation)
    rating = np.array([_likeness(texts[token], named) for token in items.token.tolist()], dtype=np.float64)
    return Rated(items, rating)


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PROMOTED = re.compile(r"\bpromotes?\b:?(.*?)(?:\bsuppresses\b|$)", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"\w{3,}")
_LIKE_KIND = 0.2
"""Likeness of two tokens of the same kind (numbers, brackets ...)."""


def _quoted(explanation: str) -> list[str]:
    part = _PROMOTED.search(explanation)
    of_promoted = part[1] if part is not None else ""
    quoted = _QUOTED.findall(of_promoted) or _QUOTED.findall(explanation)
    return [unescape(text) for text in quoted] or _WORDS.findall(of_promoted or explanation)


_kind = cache(kind_of)


def _likeness(token: str, named: Sequence[str]) -> float:
    """The largest share of common letter pairs with a named token, and something for being of its kind."""
    best = 0.0
    kind, own = _kind(token), _pairs(token)
    for other in named:
        theirs = _pairs(other)
        common = len(own & theirs) / len(own | theirs) if own | theirs else 0.0
        best = max(best, common + _LIKE_KIND * (kind is not None and kind == _kind(other)))
    return best


@cache
def _pairs(text: str) -> frozenset[str]:
    plain = f"^{plain_text(text)}$"
    return frozenset(plain[i : i + 2] for i in range(len(plain) - 1))
