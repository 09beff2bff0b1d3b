"""Tokens as text that an LLM reads, with marks that no token can forge.

1. Every token is escaped: what would break a line or cannot be seen is written out, a backslash is doubled. So a
   token never leaves its line, and `unescape` gives it back exactly.
2. The marks around tokens are characters that stand in none of the tokens of the prompt: the first such set of
   MARKS. Where every set is taken, the first one's characters are escaped in the tokens.
3. `unmark` and `unnumber` are the inverses, so a test can ask for any tokens back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

SPACE = "\\s"
"""A space of a token of nothing but spaces, where it must be seen."""
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {code: character for character, code in _SHORT.items()} | {'\\"': '"', SPACE: " "}
_CODE = re.compile(r"\\(?:u[0-9a-f]{4}|U[0-9a-f]{8}|.)", re.DOTALL)


@lru_cache(maxsize=1 << 16)
def escape(text: str, also: str = "") -> str:
    """Text on one line: characters that are not printable, backslashes and those of `also` are written as codes.

    Prompts show the same tokens again and again, so what was written is remembered.
    """
    if text.isprintable() and "\\" not in text and not (also and set(also) & set(text)):  # most tokens
        return text
    return "".join(_visible(character, also) for character in text)


def _visible(character: str, also: str) -> str:
    if character in also and character == '"':
        return '\\"'
    if character in also or not (character.isprintable() or character in _SHORT):
        return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
    return _SHORT.get(character, character)


def spelled(token: str, also: str = "") -> str:
    """A token that is spoken of: as `escape` writes it, but for the spaces of one that is nothing else: `\\s`."""
    return SPACE * len(token) if token and not token.strip(" ") else escape(token, also)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _CODE.sub(lambda found: _plain(found[0]), text)


def _plain(code: str) -> str:
    return _LONG[code] if code in _LONG else chr(int(code[2:], 16))


@dataclass(frozen=True)
class Marks:
    """Characters that stand around a token; a value stands behind the separator: `«token·7»`."""

    open: str
    close: str
    separator: str
    escaped: str = ""  # characters that tokens must not show as they are

    def text(self, token: str) -> str:
        """A token as it is shown."""
        return escape(token, self.escaped)


MARKS = (
    Marks("«", "»", "·"), Marks("⟦", "⟧", "¦"), Marks("⟪", "⟫", "‖"), Marks("【", "】", "〡"), Marks("⟬", "⟭", "⁞"),
)  # fmt: skip
"""Sets to choose from, the most readable first."""
ANGLES = Marks("<<", ">>", "\t")
"""What delphi's prompts show; a tab stands in no escaped token."""
TABS = Marks("\t", "\t", "\t")
"""What stands between a token and its activation where each token has a line of its own."""
BARS = tuple(Marks(bar, bar, bar) for bar in "|~^¦§‖⁞")
"""Marks around a number in front of each token, the cheapest first."""


def choose_marks(tokens: Iterable[str], sets: Sequence[Marks] = MARKS) -> Marks:
    """The first of `sets` none of whose characters stands in any token; else the first, escaped in the tokens."""
    used = set("".join(tokens))
    for marks in sets:
        if not used & set(marks.open + marks.close + marks.separator):
            return marks
    first = sets[0]
    taken = "".join(sorted(set(first.open + first.close + first.separator)))
    return Marks(first.open, first.close, first.separator, escaped=taken)


# --- tokens between marks ---------------------------------------------------------------------------


@dataclass(frozen=True)
class MarkedPiece:
    """A stretch of text: unmarked, or one marked token with its value."""

    text: str
    marked: bool = False
    value: int | None = None


def mark(
    tokens: Sequence[str],
    marked: Sequence[bool],
    marks: Marks,
    values: Sequence[int] | None = None,
    spell: bool = False,
) -> str:
    """One line; each marked token stands alone between the marks, with its value where there are values.

    `spell`: a marked token of nothing but spaces is written so that it is seen.
    """
    parts = []
    for i, token in enumerate(tokens):
        shown = marks.text(token)
        if marked[i]:
            shown = spelled(token, marks.escaped) if spell else shown
            value = "" if values is None else f"{marks.separator}{values[i]}"
            shown = f"{marks.open}{shown}{value}{marks.close}"
        parts.append(shown)
    return "".join(parts)


def unmark(line: str, marks: Marks) -> list[MarkedPiece]:
    """The inverse of `mark`: unmarked stretches joined, every marked token by itself."""
    pieces = []
    for i, part in enumerate(line.split(marks.open)):
        inside, closed, rest = part.partition(marks.close) if i else ("", "", part)
        if closed:
            token, valued, value = inside.partition(marks.separator)
            pieces.append(MarkedPiece(unescape(token), True, int(value) if valued else None))
        if rest:
            pieces.append(MarkedPiece(unescape(rest)))
    return pieces


# --- numbered tokens --------------------------------------------------------------------------------


def number(tokens: Sequence[str], scored: Sequence[bool], marks: Marks) -> str:
    """One line; the k-th scored token stands behind `|k|`, the others without a number."""
    parts, k = [], 0
    for token, counts in zip(tokens, scored, strict=True):
        k += counts
        parts.append(f"{marks.open}{k}{marks.close}" * counts + marks.text(token))
    return "".join(parts)


def unnumber(line: str, marks: Marks) -> tuple[str, list[str]]:
    """The inverse of `number`: the text before the first number, and the text behind each number, in order."""
    start, *rest = line.split(marks.open)
    if [int(k) for k in rest[::2]] != list(range(1, len(rest) // 2 + 1)):
        raise ValueError("the numbers are not 1, 2, 3 ...")
    return unescape(start), [unescape(text) for text in rest[1::2]]
