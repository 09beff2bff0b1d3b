"""The embedded judge of logit effects: how much a token looks like those that an explanation names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import chain

import numpy as np

from autointerp.explain.marking import unescape
from autointerp.explain.token_text import kind_of
from autointerp.records import Float64, Int64
from autointerp.score.predictions import Rated, TokenItems
from autointerp.score.scorers.vocabulary import plain_text


def read_text(explanation: str, items: TokenItems, texts: Sequence[str], side: str = "") -> Rated:
    """The embedded judge: how much a token looks like those that the text quotes (as promoted, if it says so)
    or, where it quotes none, like its words. `side` "_suppressed": like those that it says are suppressed; a text that
    says nothing of these tells no token from another."""
    named = list(dict.fromkeys(_suppressed(explanation))) if side else named_texts(explanation)
    return Rated(items, likeness([texts[token] for token in items.token.tolist()], named))


def named_texts(explanation: str) -> list[str]:
    """What a text quotes as promoted, else whatever it quotes, else its words; each once."""
    return list(dict.fromkeys(_quoted(explanation)))


_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ANY_QUOTED = re.compile(r"\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]+`|‘[^’]+’|“[^”]+”|(?<!\w)'[^']+'(?!\w)")
_PROMOTED = re.compile(r"\bpromotes?\b:?(.*?)(?:\bsuppresses\b|$)", re.IGNORECASE | re.DOTALL)
_SUPPRESSED = re.compile(r"\bsuppress(?:es)?\b:?(.*?)(?:\bpromotes?\b|$)", re.IGNORECASE | re.DOTALL)
_WORDS = re.compile(r"\w{3,}")
_LIKE_KIND = 0.2
"""Likeness of two tokens of the same kind (numbers, brackets ...)."""


def _quoted(explanation: str) -> list[str]:
    part = _PROMOTED.search(explanation)
    of_promoted = part[1] if part is not None else ""
    quoted = _QUOTED.findall(of_promoted) or _QUOTED.findall(explanation)
    return [unescape(text) for text in quoted] or _WORDS.findall(of_promoted or explanation)


def _suppressed(explanation: str) -> list[str]:
    part = _SUPPRESSED.search(explanation)
    said = "" if part is None else part[1]
    return [unescape(text) for text in _QUOTED.findall(said)] or _WORDS.findall(said)


def quoted_texts(explanation: str) -> list[str]:
    """All that a text quotes, in whatever quotes."""
    return [unescape(text[1:-1]) for text in _ANY_QUOTED.findall(explanation)]


@dataclass(frozen=True)
class _Spelt:
    """Some tokens as the likeness sees them."""

    pairs: Int64  # [all] numbers of their letter pairs, token after token
    sizes: Int64  # [n] pairs of each
    kinds: Int64  # [n] numbers of their kinds; -1 for those of none

    @cached_property
    def by_pair(self) -> tuple[Int64, Int64]:
        """The pairs, rising, and the token that each is of: [all], [all]."""
        order = np.argsort(self.pairs, kind="stable")
        return self.pairs[order], np.repeat(np.arange(len(self.sizes)), self.sizes)[order]


def likeness(tokens: Sequence[str], named: Sequence[str]) -> Float64:
    """How much each token looks like one of those named: the largest share of common letter pairs with one of them, and
    something for being of its kind. [n]"""
    own, theirs = _spelt(tuple(tokens)), _spelt(tuple(named))
    kind = own.kinds[:, None]
    alike = (kind == theirs.kinds) & (kind >= 0)
    in_common = _in_common(own, theirs)
    share = in_common / np.maximum(own.sizes[:, None] + theirs.sizes - in_common, 1) + _LIKE_KIND * alike
    return np.asarray(share.max(axis=1, initial=0.0), dtype=np.float64)


@lru_cache(maxsize=2048)  # all explanations of a feature are asked about the same tokens
def _spelt(texts: tuple[str, ...]) -> _Spelt:
    numbers = [_pairs(text) for text in texts]
    return _Spelt(
        np.array(list(chain.from_iterable(numbers)), dtype=np.int64),
        np.array(list(map(len, numbers)), dtype=np.int64),
        np.array([_kind(text) for text in texts], dtype=np.int64),
    )


def _in_common(own: _Spelt, theirs: _Spelt) -> Int64:
    """Pairs that each of n tokens has in common with each of k others: [n, k]."""
    pairs, token = own.by_pair
    first = np.searchsorted(pairs, theirs.pairs)
    n = np.searchsorted(pairs, theirs.pairs, side="right") - first
    hit = np.arange(n.sum()) + np.repeat(first - (np.cumsum(n) - n), n)
    k = len(theirs.sizes)
    other = np.repeat(np.repeat(np.arange(k), theirs.sizes), n)
    return np.bincount(token[hit] * k + other, minlength=len(own.sizes) * k).reshape(len(own.sizes), k)


class _Numbers(dict[str, int]):
    """A number for each word, given when it is first asked for."""

    def __missing__(self, word: str) -> int:
        self[word] = len(self)
        return self[word]


_pair_numbers, _kind_numbers = _Numbers(), _Numbers()


@cache
def _kind(text: str) -> int:
    kind = kind_of(text)
    return -1 if kind is None else _kind_numbers[kind]


@cache
def _pairs(text: str) -> tuple[int, ...]:
    """The numbers of its letter pairs, each once."""
    plain = f"^{plain_text(text)}$"
    return tuple({_pair_numbers[plain[i : i + 2]] for i in range(len(plain) - 1)})
