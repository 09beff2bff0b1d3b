"""The standard streams of the command, made so that no surrounding can turn an ordinary event into a fault.

- One that is closed (a daemon, `>&-`) is opened on nothing. Else the next file that is opened, perhaps the store,
  would get its number, and whatever is printed would be written into that file.
- What the encoding of a terminal or a pipe cannot hold is replaced: our own symbols by a look-alike, the rest by `?`.
- A reader that has gone and a full disk are remembered (`failure`); what is printed after it goes nowhere.
- Messages and progress on standard error never stop the work, whatever happens to them.
- A width of 0 columns, or one that is no number, is not known.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

NARROWEST = 20
"""Columns of a page, at least: in fewer no word can be read."""
LOOK_ALIKES = str.maketrans(
    "◆●├┤┼┊─│━▾✓✗±≤≥«»…–—⏎⇥␍␣×·▁▂▃▄▅▆▇█₀₁₂₃₄₅₆₇₈₉",
    "*o||+:-|-v+x~<><>.--|>|_x.____==##0123456789",
)
"""Of one column each, so that tables stay tables."""


class OutputStream(io.FileIO):
    """Standard output: what went wrong is raised once and kept in `error`; after that nothing is written."""

    error: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        if self.error is not None:
            return memoryview(data).nbytes
        try:
            while (written := super().write(data)) is None:  # it does not block, and is full: wait for the reader
                select.select([], [self], [])
        except OSError as error:
            self.error = OSError(error.errno, error.strerror)  # without the frames that it went through
            raise
        return written


class MessageStream(io.FileIO):
    """Standard error: what cannot be written is dropped."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data) or memoryview(data).nbytes
        except OSError:
            return memoryview(data).nbytes


def prepare_streams() -> None:
    """Makes the streams of this process as the module says. Called once, before any file is opened."""
    closed = [number for number in (0, 1, 2) if _is_closed(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: that of the closed stream
    codecs.register_error("look-alike", _replaced)
    codecs.register(_plain_ascii)
    sys.stdout = _prepared(sys.stdout, 1, OutputStream)
    sys.stderr = _prepared(sys.stderr, 2, MessageStream)
    for name in ("COLUMNS", "LINES"):
        if name in os.environ and asked_size(name) is None:
            del os.environ[name]  # other people's code reads them too, and takes 0 at its word
    if 1 in closed:
        print("standard output is closed: what this command prints goes nowhere", file=sys.stderr)


def failure() -> OSError | None:
    """Why standard output could not be written, if it could not."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, OutputStream) else None


def asked_size(name: str) -> int | None:
    """The number that COLUMNS or LINES holds; None where it is not set, 0 or no number."""
    text = os.environ.get(name, "")
    return int(text) or None if text.isascii() and text.isdigit() and len(text) < 6 else None


def asked_columns() -> int | None:
    """How wide COLUMNS asks pages to be, NARROWEST at least; None where nothing usable is asked."""
    columns = asked_size("COLUMNS")
    return None if columns is None else max(columns, NARROWEST)


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _prepared(stream: TextIO | None, number: int, kind: type[OutputStream] | type[MessageStream]) -> TextIO:
    """The stream over a descriptor of `kind`; one that is not the process's own (a test's) as it is."""
    if stream is None:
        stream = io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    if not isinstance(stream, io.TextIOWrapper) or type(getattr(buffer, "raw", buffer)) is not io.FileIO:
        return stream
    encoding = "us-ascii-only" if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(kind(number, "w", closefd=False)),
        encoding=encoding,
        errors="look-alike",
        line_buffering=stream.line_buffering or number == 2,
        write_through=stream.write_through,
    )


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = error.object[error.start : error.end].translate(LOOK_ALIKES)
    return "".join(character if character.isascii() else "?" for character in shown), error.end


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    """ASCII by another name: click takes a stream that is ASCII for a mistake, and writes UTF-8 into it."""
    if name.replace("_", "-") != "us-ascii-only":
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode, ascii_.decode, ascii_.streamreader, ascii_.streamwriter,
        ascii_.incrementalencoder, ascii_.incrementaldecoder, name="us-ascii-only",
    )  # fmt: skip
