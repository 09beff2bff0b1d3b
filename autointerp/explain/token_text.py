"""How one token is shown to a person, and of what kind it is.

A token is shown in quotes and escaped, so that no token can end its quotes or break the line.
"""

from __future__ import annotations

import re

LONGEST = 40
"""Characters of a token shown."""

KINDS = (
    ("line_break", re.compile(r"\s*[\n\r]\s*")),
    ("space", re.compile(r"\s+")),
    ("number", re.compile(r"\s*\d[\d.,]*")),
    ("underscore", re.compile(r"\s*_\w*")),
    ("bracket", re.compile(r"\s*[()\[\]{}<>]+")),
    ("quote", re.compile(r"\s*[\"'`“”‘’«»]+")),
    ("punctuation", re.compile(r"\s*[^\w\s]+\s*")),
    ("capitals", re.compile(r"\s*[A-Z][A-Z]+")),
    ("capitalised", re.compile(r"\s*[A-Z][a-z]+")),
)
"""The kinds of token that a sentence names; a token is of the first that fits it whole."""


def quote(text: str) -> str:
    """A token in double quotes, on one line, whatever it holds: what is not printable is escaped."""
    shown = "".join(map(_visible, text[:LONGEST]))
    return f'"{shown}"' + ("..." if len(text) > LONGEST else "")


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _visible(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():  # not: control, format, private, unassigned, spaces other than " "
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def kind_of(text: str) -> str | None:
    """The kind of a token, one of those that the template names; none for most words."""
    return next((name for name, pattern in KINDS if pattern.fullmatch(text)), None)


_HALF = re.compile(r"\\x[0-9a-f]{2}|\ufffd")


def is_fragment(text: str) -> bool:
    """Whether a token's text is not whole: bytes of it are no characters by themselves (`\\xNN`)."""
    return _HALF.search(text) is not None
