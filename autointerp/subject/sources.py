"""Documents, one after the other, from wherever the run file says.

    bundled:NAME        the pinned corpus in the wheel
    python-stdlib       the sources of the running Python's standard library, a file a document
    text:PATH           a folder or pattern: a file a document; a single file: cut at line ends
    jsonl:PATH#FIELD    a line a document
    npy:PATH            an integer array [n, context_length], a row a document (see tokens.py)

Bad input is an InputError in one line, before anything is written. The order of documents is fixed
(sorted by name), so that the same source gives the same contexts.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import os
import sysconfig
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autointerp.errors import ConfigError, InputError, nearest
from autointerp.resources import BUNDLED

KINDS = ("bundled", "python-stdlib", "text", "jsonl", "npy")
LATER = ("hf", "parquet")
PIECE_CHARACTERS = 4_000
"""A single text file is cut into documents of about this many characters."""
STDLIB_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "__pycache__", "idle_test", "lib2to3"}


@dataclass(frozen=True)
class Document:
    """One document of text."""

    name: str
    text: str


def parse_source(source: str) -> tuple[str, str]:
    """`"jsonl:a.jsonl#text"` -> `("jsonl", "a.jsonl#text")`."""
    kind, _, rest = source.partition(":")
    if kind in LATER:
        raise ConfigError(f'tokens.source: "{kind}:" is not in this version; there are {", ".join(KINDS)}')
    if kind not in KINDS:
        raise ConfigError(f'tokens.source: "{source}" is none of {", ".join(KINDS)}{nearest(kind, KINDS)}')
    if kind != "python-stdlib" and not rest:
        raise ConfigError(f'tokens.source: "{source}" lacks what comes after "{kind}:"')
    return kind, rest


def check_source(source: str) -> None:
    """Raises where the files are not there, before anything slow starts."""
    kind, rest = parse_source(source)
    if kind == "bundled":
        _bundled_path(rest)
    elif kind == "text":
        _text_files(rest)
    elif kind == "jsonl":
        _jsonl_path(rest)
    elif kind == "npy":
        load_npy(rest)


def documents(source: str) -> Iterator[Document]:
    """The documents of a text source, in a fixed order; documents without text are left out."""
    kind, rest = parse_source(source)
    if kind == "bundled":
        found = _jsonl(_bundled_path(rest), "text")
    elif kind == "python-stdlib":
        found = _stdlib()
    elif kind == "text":
        found = _text(rest)
    else:
        path, field = _jsonl_path(rest)
        found = _jsonl(path, field)
    return (document for document in found if document.text.strip())


def fingerprint(source: str) -> str:
    """Hash of all that the source holds: other bytes in a file of the same name are another source."""
    kind, rest = parse_source(source)
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    if kind == "bundled":
        files = [_bundled_path(rest)]
    elif kind == "python-stdlib":
        files = _stdlib_files()
    elif kind == "text":
        digest.update(b"in pieces" if Path(rest).is_file() else b"a file a document")
        files = _text_files(rest)
    elif kind == "jsonl":
        path, field = _jsonl_path(rest)
        digest.update(field.encode())
        files = [path]
    else:
        files = [Path(rest)]
    for file in files:
        digest.update(str(file.stat().st_size).encode())
        with file.open("rb") as content:
            while part := content.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def load_npy(path: str) -> np.ndarray:
    """The token array of an `npy:` source, memory-mapped, integers [n, context_length]."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f'tokens.source: there is no file "{path}"')
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f'tokens.source: "{path}" is not a NumPy array of numbers ({error})') from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        shape = getattr(array, "shape", "several arrays")
        kind = getattr(array, "dtype", "")
        raise InputError(f'tokens.source: "{path}" must hold integers [n, context_length]; it holds {kind} {shape}')
    if array.shape[0] == 0 or array.shape[1] < 2:
        raise InputError(f'tokens.source: "{path}" is empty: its shape is {array.shape}')
    return array


def _bundled_path(name: str) -> Path:
    known = {file.name.removesuffix(".jsonl.gz"): file for file in BUNDLED.glob("*.jsonl.gz")}
    if name not in known:
        raise InputError(f'tokens.source: there is no bundled corpus "{name}"{nearest(name, known)}')
    return known[name]


def _text_files(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path))]
    else:
        found = [Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]
    if not found:
        raise InputError(f'tokens.source: there is no text at "{pattern}" (a file, a folder or a pattern)')
    return sorted(found)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _name(path: Path) -> str:
    """The path as text; bytes that are not UTF-8 are written \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_utf8(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f'"{path}" is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}') from error


def _text(pattern: str) -> Iterator[Document]:
    files = _text_files(pattern)
    if len(files) > 1 or not Path(pattern).is_file():
        for file in files:
            yield Document(_name(file), _read_utf8(file))
        return
    text = _read_utf8(files[0])
    lines = text.splitlines(keepends=True)
    if len(lines) == 1 and len(text) > PIECE_CHARACTERS:
        raise InputError(
            f'"{files[0]}" is one line of {len(text):,} characters: a text file is cut into documents at line ends; '
            "break it into lines, or give a folder with a file a document"
        )
    piece: list[str] = []
    n_pieces, length = 0, 0
    for line in lines:
        full = length + len(line) > PIECE_CHARACTERS
        paragraph_ends = length > PIECE_CHARACTERS // 2 and piece and not piece[-1].strip()
        if piece and (full or paragraph_ends):
            yield Document(f"{_name(Path(files[0].name))}#{n_pieces}", "".join(piece))
            piece, n_pieces, length = [], n_pieces + 1, 0
        piece.append(line)
        length += len(line)
    if piece:
        yield Document(f"{_name(Path(files[0].name))}#{n_pieces}", "".join(piece))


def _jsonl_path(rest: str) -> tuple[Path, str]:
    name, _, field = rest.rpartition("#") if "#" in rest else (rest, "", "text")
    path = Path(name)
    if not path.is_file():
        raise InputError(f'tokens.source: there is no file "{name}"')
    return path, field


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            yield from lines
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f'"{path}" is not a whole gzip file: {error}') from error


def _jsonl(path: Path, field: str) -> Iterator[Document]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f'"{path}", line {number}, is not UTF-8 at byte {error.start} of the line') from error
        except (ValueError, RecursionError) as error:
            raise InputError(f'"{path}", line {number}, is not JSON: {getattr(error, "msg", error)}') from error
        if not isinstance(row, dict) or field not in row:
            known = list(row) if isinstance(row, dict) else []
            raise InputError(f'"{path}", line {number}, has no field "{field}"{nearest(field, known)}')
        if not isinstance(row[field], str):
            kind = type(row[field]).__name__
            raise InputError(f'"{path}", line {number}: field "{field}" is not text but {kind}')
        name, text = str(row.get("id", number)), row[field]
        try:
            (name + text).encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f'"{path}", line {number}, holds half of a surrogate pair, no character') from error
        yield Document(name, text)


def _stdlib_files() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    return sorted(file for file in root.rglob("*.py") if not STDLIB_LEFT_OUT & set(file.relative_to(root).parts))


def _stdlib() -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    for file in _stdlib_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a handful of the library's own files declare another encoding
            continue
        yield Document(file.relative_to(root).as_posix(), text)
