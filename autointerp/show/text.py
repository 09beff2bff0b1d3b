"""Hostile text made safe to show: what a terminal would obey is written out instead.

A corpus holds whatever people have put on the web: escape sequences that clear the screen or rename the
window, marks that turn the writing direction round, characters without width. They are all shown by name.
"""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len
from rich.text import Text

from autointerp.words import is_ceiling

_SHOWN = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
_OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: controls, formats (bidirectional marks, zero width), surrogates, unassigned, separators."""


def visible(text: str) -> str:
    """The text with line breaks as ⏎, tabs as ⇥, and every other control character as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_SHOWN.get(character) or _escape(character) for character in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _OBEYED:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_LONG_BLANK = re.compile(r" {4,}")
_BLANK_AT_END = re.compile(r"^ +| +$")


def running(text: str) -> str:
    """`visible`, with blanks of four and more as ␣ and their number: an indentation of 12 is ␣₁₂."""
    return _LONG_BLANK.sub(_counted, visible(text))


def token_text(text: str) -> str:
    """A token on its own: `running`, with the blanks at its ends shown, ␣ for one."""
    return _BLANK_AT_END.sub(_counted, running(text))


def _counted(blanks: re.Match[str]) -> str:
    return "␣" if len(blanks[0]) == 1 else "␣" + str(len(blanks[0])).translate(_SUBSCRIPTS)


def explainer_name(explainer: str) -> str:
    """An explainer as pages name it: of a table it is said that it is no label."""
    return f"{explainer} (ceiling, no label)" if is_ceiling(explainer) else explainer


_UNBROKEN = re.compile(r'"(?:[^"\\]|\\.){0,60}"\S*|\(?<?\d+ %\S*|\S+')
"""A quoted token with what clings to it, a percentage, a word."""


def wrapped(text: str, width: int) -> str:
    """The text in lines of at most `width` cells, broken between words, and within none that fits a line.

    The blanks of a quoted token are part of it: `" import"` stays on one line.
    """
    lines, room = [""], width
    for unbroken in _UNBROKEN.finditer(text):
        word = unbroken[0]
        size = cell_len(word)
        if lines[-1] and size >= room:  # the blank before it counts
            lines.append("")
            room = width
        lines[-1] += f" {word}" if lines[-1] else word
        room = width - cell_len(lines[-1])
    return "\n".join(lines)


def safe(text: object, style: str = "") -> Text:
    """A table cell or line from any value: never read as rich markup, `visible` throughout."""
    return Text(visible("" if text is None else str(text)), style=style)


_CONTROLS = re.compile(r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def escape_json(text: str) -> str:
    """JSON with the control characters escaped that `json.dumps(ensure_ascii=False)` leaves as they are."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
