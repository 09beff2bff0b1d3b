"""How many tokens a text has, for a tokenizer that nobody knows: bounds from how all of them cut a text first.

Tokenizers cut at spaces, digits and punctuation, and no token spans two of these pieces but for a mark in front of a
word: a text has about as many tokens as pieces, or more. Upwards there is no such rule; `most_tokens` is what small
vocabularies come to.
"""

from __future__ import annotations

import re

from autointerp.llm.asks import Ask

_PIECE = re.compile(r"[^\w\s]?[^\W\d_]+|\d{1,3}|[^\w\s]+|_+|[\r\n]+")
_RUNS = re.compile(r"([A-Za-z]+)|([0-9!-/:-@\[-`{-~\r\n])|([^\x00-\x7f]+)|( {2,}|\t+)")
LETTERS_A_TOKEN = 3
"""Of a word, at the least: common words are a token whole, rare ones are cut to pieces of this length."""
FRAME = 64
"""Tokens that a chat template puts around a prompt."""


def pieces(text: str) -> int:
    """Pieces that no token spans, nearly."""
    return sum(1 for _ in _PIECE.finditer(text))


def most_tokens(text: str) -> int:
    """Tokens that the text has at most: a digit or mark each, three letters of a word, a byte of other scripts."""
    total = 0
    for word, sign, foreign, _ in _RUNS.findall(text):
        total += -(-len(word) // LETTERS_A_TOKEN) if word else 1 if sign or not foreign else len(foreign.encode())
    return total


def room_for(ask: Ask, max_tokens: int | None = None) -> int:
    """Tokens that an ask and its longest reply need together at most."""
    return most_tokens(ask.system) + most_tokens(ask.prompt) + FRAME + (max_tokens or ask.max_tokens)
