"""What a question shows, read back from its text: which tokens stand on a line, which are numbered, which are marked.

The self-test's vocabulary has a sign of its own behind each token (`choose_end`), so that no line can be cut in two
ways; all else of a question is what a run asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.explain.marking import ANGLES, BARS, MARKS, unescape
from autointerp.hashing import hash64, stream_key
from autointerp.records import Bool, Int64
from autointerp.score.sampled import take
from autointerp.score.scorers.protocol import TestCorpus
from autointerp.score.selftest.line_contexts import LINE_CONTEXTS, running_states

ENDS = "⸱⸳⸰⸴"
"""Signs that may stand behind tokens: none of them is a mark of a prompt."""
NO_TOKEN = -1
_OPEN = "".join(marks.open for marks in (*MARKS, ANGLES))
_CLOSE = "".join(marks.close for marks in (*MARKS, ANGLES))
_BARS = "".join(marks.open for marks in BARS)
_FRONT = re.compile(
    f"(?P<close>[{re.escape(_CLOSE)}]*)(?:(?P<bar>[{re.escape(_BARS)}])(?P<number>[0-9]+)(?P=bar))?"
    f"(?P<open>[{re.escape(_OPEN)}]*)"
)
_LINE = re.compile(r"^([A-Za-z]\w*|\d+): (.*)$|^([A-Za-z]\w*):$", re.MULTILINE)
STOCK = 2000
"""Texts that may be handed over as written."""
MOST_KEPT = 200_000
"""Lines that are remembered at once."""


def choose_end(texts: Iterable[str]) -> str:
    """A sign that stands in no token. Raises ValueError where all of ENDS do."""
    used = set("".join(texts))
    for sign in ENDS:
        if sign not in used:
            return sign
    raise ValueError(f"each of {ENDS} stands in a token: tokens cannot be told apart")


def stock_of(reader: LineReader, corpus: TestCorpus) -> dict[str, ShownLine]:
    """Texts that a judge may hand over as its own, by themselves: windows of the corpus, by hash."""
    windows = corpus.silent.windows
    order = np.argsort(hash64(stream_key(corpus.seed, "stock"), windows.window), kind="stable")
    shown = corpus.show(take(windows, np.sort(order[:STOCK])), 0)
    return {text: reader.line(text) for text in ("".join(one.tokens) for one in shown)}


def question_of(name: str) -> str:
    """The question that a line belongs to; nothing where its lines have names of their own."""
    return name.rpartition(".")[0]


@dataclass(frozen=True)
class ShownLine:
    """The tokens of a line, n of them."""

    tokens: Int64  # [n] NO_TOKEN: a text that is no token
    previous: Int64  # [n] the token in front of it on the line; NO_TOKEN at the first
    number: Int64  # [n] 0: without a number
    marked: Bool  # [n]
    states: Mapping[str, Bool]
    """Which tokens stand in each kind of context, by what the line shows, [n]."""
    n_characters: int


class LineReader:
    """Reads lines of tokens of one vocabulary."""

    def __init__(self, texts: Sequence[str], end: str) -> None:
        self.end = end
        self._tokens = {text: token for token, text in enumerate(texts)}
        self._weights = {
            name: np.array([*(context.weight(text) for text in texts), 0], dtype=np.int64)
            for name, context in LINE_CONTEXTS.items()
        }
        self._breaks = np.array([*("\n" in text for text in texts), False], dtype=np.bool_)
        self._pieces: dict[str, tuple[int, int, bool]] = {}
        self._lines: dict[str, ShownLine] = {}

    def lines(self, prompt: str) -> dict[str, ShownLine]:
        """The lines of a prompt that show tokens, by their name: `e1: ...`; `q1.3` is line `3: ...` below `q1:`."""
        lines, question = {}, ""
        for name, shown, head in _LINE.findall(prompt):
            question = head or question
            if self.end in shown:
                lines[f"{question}.{name}" if name.isdigit() else name] = self.line(shown)
        return lines

    def line(self, shown: str) -> ShownLine:
        """What stands behind a line's name."""
        if shown not in self._lines:
            if len(self._lines) >= MOST_KEPT:
                self._lines.clear()
            self._lines[shown] = self._read(shown)
        return self._lines[shown]

    def _read(self, shown: str) -> ShownLine:
        quote = shown[0]
        if quote in "\"'" and shown.endswith(self.end + quote):
            shown = shown[1:-1]
        pieces = [self._piece(piece) for piece in shown.split(self.end)[:-1]]
        tokens = np.array([token for token, _, _ in pieces], dtype=np.int64)
        breaks = self._breaks[tokens][None]
        return ShownLine(
            tokens,
            np.concatenate([np.full(min(1, len(tokens)), NO_TOKEN), tokens[:-1]]).astype(np.int64),
            np.array([number for _, number, _ in pieces], dtype=np.int64),
            np.array([marked for _, _, marked in pieces], dtype=np.bool_),
            {
                name: running_states(context, self._weights[name][tokens][None], breaks)[0]
                for name, context in LINE_CONTEXTS.items()
            },
            len(shown),
        )

    def _piece(self, piece: str) -> tuple[int, int, bool]:
        """Token, number and whether it is marked."""
        if piece not in self._pieces:
            self._pieces[piece] = self._read_piece(piece)
        return self._pieces[piece]

    def _read_piece(self, piece: str) -> tuple[int, int, bool]:
        token = self._token(piece)
        if token != NO_TOKEN:
            return token, 0, False
        front = _FRONT.match(piece)
        assert front is not None
        return self._token(piece[front.end() :]), int(front["number"] or 0), bool(front["open"])

    def _token(self, written: str) -> int:
        for text in (_plain(written), written):  # a prompt's code for one token is often another's text
            if text in self._tokens:
                return self._tokens[text]
        return NO_TOKEN


def _plain(written: str) -> str:
    """Without the codes of a prompt, or of Python's own way to write a text."""
    try:
        return unescape(written)
    except ValueError:
        return re.sub(r"\\(.)", r"\1", written)
