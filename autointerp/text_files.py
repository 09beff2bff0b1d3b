"""Reading text that others have written: whatever compresses it, and whatever byte order mark it begins with.

A file is known by its content, not by its name: gzip, zstd, xz and bzip2 are unpacked, members one after the other
and one inside another included; UTF-16 and UTF-32 are read by their marks. What comes out is UTF-8 without a mark. What
is left to refuse (an archive that is cut short, another encoding, an archive of several files) is an InputError in one
line with the file's name.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from autointerp.errors import InputError
from autointerp.pointers import pointer_line

if TYPE_CHECKING:
    from typing_extensions import Buffer

HEAD = 512
"""Bytes that tell what a file is."""
LONGEST = 1 << 30
"""Bytes of one document or line, unpacked: an archive of a megabyte can hold more than any memory."""
MOST_PACKED = 4
"""Times that a file is unpacked: `.gz.gz` of a server that packs what is packed."""
OTHERS = {
    "a zip archive": b"PK\x03\x04", "a 7z archive": b"7z\xbc\xaf\x27\x1c", "an lz4 archive": b"\x04\x22\x4d\x18",
    "an lzma archive": b"\x5d\x00\x00", "a rar archive": b"Rar!\x1a\x07", "a Parquet file": b"PAR1",
    "an Arrow file": b"ARROW1", "an SQLite file": b"SQLite format 3\x00", "a PDF": b"%PDF-", "a PNG": b"\x89PNG\r\n",
}  # fmt: skip
"""What people have where text is expected, and how it begins."""
MARKS = (  # the longer ones first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


@contextmanager
def open_text(path: Path) -> Iterator[io.BufferedReader]:
    """The file's text as UTF-8 bytes: unpacked, without a byte order mark.

    Raises OSError where it cannot be opened; reading raises InputError where it is damaged.
    """
    with path.open("rb") as file:
        unpacked = file
        for _ in range(MOST_PACKED):
            kind = _compression(unpacked.peek(HEAD)[:HEAD])
            if kind is None:
                break
            unpacked = _checked(path, kind, UNPACKERS[kind](unpacked))
        head = unpacked.peek(HEAD)[:HEAD]
        if why := pointer_line(path):
            raise InputError(f'"{path}" {why}')
        if other := _other(head):
            raise InputError(f'"{path}" is no text but {other}; {"unpack it" if "archive" in other else "give a text"}')
        mark, encoding = next(((mark, name) for mark, name in MARKS if head.startswith(mark)), (b"", "utf-8"))
        if encoding != "utf-8":
            yield _checked(path, encoding.upper(), _AsUtf8(unpacked, encoding))
            return
        if head.count(0) > len(head) // 4:
            raise InputError(f'"{path}" is no text: many of its bytes are zero; save it as UTF-8, or unpack it')
        while mark and unpacked.peek(len(mark)).startswith(mark):  # two, where files were put behind each other
            unpacked.read(len(mark))
        yield unpacked


def is_plain(path: Path) -> bool:
    """Whether a file's bytes are what `open_text` gives: not compressed, without a byte order mark."""
    with path.open("rb") as file:
        head = file.peek(HEAD)[:HEAD]
    return _compression(head) is None and not any(head.startswith(mark) for mark, _ in MARKS)


def read_text(path: Path) -> str:
    """The whole text of a file that a person has written, with line ends as "\\n".

    Raises OSError where it cannot be opened, InputError where it is no text.
    """
    with open_text(path) as content:
        data = whole(content, path)
    try:
        return io.IncrementalNewlineDecoder(None, translate=True).decode(data.decode("utf-8"), final=True)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error


def whole(content: IO[bytes], path: Path) -> bytes:
    """All that is left. Raises InputError where that is more than LONGEST."""
    data = content.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise InputError(f'"{path}" is longer than {LONGEST:,} bytes of text; break it into several files')
    return data


def lines(content: IO[bytes], path: Path) -> Iterator[bytes]:
    """Lines with their ends. Raises InputError where one is longer than LONGEST."""
    while line := content.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise InputError(f'"{path}" has a line of more than {LONGEST:,} bytes')
        yield line


def not_utf8(path: Path, error: UnicodeDecodeError, before: int = 0) -> InputError:
    """What is said of a file in another encoding; `before`: bytes before those that were decoded."""
    return InputError(f'"{path}" is not UTF-8: byte {before + error.start} is 0x{error.object[error.start]:02x}')


def _compression(head: bytes) -> str | None:
    """What compresses a file that begins so; a text that only begins like an archive is a text."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5):
        return "zstd"  # the second: a frame to be skipped, with which parallel writers begin
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    # A block, or the end of an archive of nothing.
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return "bzip2"
    return None


def _other(head: bytes) -> str | None:
    """What a file that is no text is; a text may begin with the same letters."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        if 0 not in head:
            return None
    except UnicodeDecodeError:
        pass
    if head[8:12] == b"DUCK":
        return "a DuckDB file, perhaps a store"
    return next((name for name, begins in OTHERS.items() if head.startswith(begins)), None)


def _unpack_zstd(file: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(cast(io.IOBase, file), "r"), "zstd")


class _Members:
    """Archives one behind the other, with zeros between and after them. The library's own readers take what lies behind
    such padding for the end, and give half of a file without a word."""

    def __init__(self, file: IO[bytes], make: Callable[[], Any], padding: int) -> None:
        """Zeros must be a multiple of `padding`."""
        self._file, self._make, self._padding = file, make, padding
        self._member: Any = make()
        self._rest = b""
        self._over = False

    def read(self, n: int) -> bytes:
        while True:
            if self._over or (self._member.eof and not self._next()):
                return b""
            given = b""
            if self._member.needs_input:
                given = self._rest or self._file.read(HEAD << 7)
                self._rest = b""
                if not given:
                    raise EOFError("it ends before its end mark")
            data: bytes = self._member.decompress(given, n)
            if data:
                return data

    def _next(self) -> bool:
        """Goes on to the next member, if there is one."""
        zeros, rest = 0, self._member.unused_data
        while True:
            after = rest.lstrip(b"\0")
            zeros += len(rest) - len(after)
            if after or not (rest := self._file.read(HEAD << 7)):
                break
        if zeros % self._padding:
            raise OSError(f"{zeros} zero bytes between or behind its parts are no multiple of {self._padding}")
        self._over = not after
        if after:
            self._member, self._rest = self._make(), after
        return bool(after)


UNPACKERS: dict[str, Callable[[IO[bytes]], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "zstd": _unpack_zstd,
    "xz": lambda file: _Members(file, lzma.LZMADecompressor, 4),
    "bzip2": lambda file: _Members(file, bz2.BZ2Decompressor, 1),
}


def _checked(path: Path, kind: str, content: Any) -> io.BufferedReader:
    return io.BufferedReader(_Checked(path, kind, content), 1 << 17)


class _Checked(io.RawIOBase):
    """A stream whose faults are said with the file's name."""

    def __init__(self, path: Path, kind: str, content: Any) -> None:
        self._path, self._kind, self._content = path, kind, content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        try:
            data = self._content.read(len(view))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f'"{self._path}" is not a whole {self._kind} file: {reason}') from error
        view[: len(data)] = data
        return len(data)


class _AsUtf8:
    """Text of another encoding as UTF-8 bytes."""

    def __init__(self, content: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(content, encoding=encoding, newline="")
        self._rest = b""

    def read(self, n: int) -> bytes:
        if not self._rest:
            self._rest = self._text.read(n).encode("utf-8", "surrogatepass")
        data, self._rest = self._rest[:n], self._rest[n:]
        return data
