"""Sources that are files on this machine: text, JSON lines, Parquet, the bundled corpus, Python's own sources.

All are read as a stream: what is held at a time is a line, a file of a folder, or some rows of a row group. Texts and
JSON lines may be compressed, and begin with a byte order mark (`text_files.py`).
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from autointerp.errors import InputError, nearest
from autointerp.near_paths import near_path
from autointerp.resources import BUNDLED
from autointerp.subject.documents import Row, Source, choose_field
from autointerp.subject.file_search import in_folder, matching
from autointerp.text_files import lines, not_utf8, open_text, whole

PIECE_CHARACTERS = 4_000
"""A single text file is cut into documents of about this many characters."""
STDLIB_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "__pycache__", "idle_test", "lib2to3"}
WHOLE_BYTES = 1 << 28
"""A larger file is known by its size, its time of change and SAMPLED_BLOCKS of its blocks."""
ONE_A_LINE = "; a line must be one document, an object: `jq -c '.[]'` makes lines of an array"
SAMPLED_BLOCKS, BLOCK_BYTES = 256, 1 << 16
PARQUET_ROWS = 64


def files_digest(files: Iterable[Path], *tags: bytes) -> str:
    """Hash of tags, and of the files' sizes and bytes (of a very large one: see WHOLE_BYTES)."""
    digest = hashlib.blake2b(b"".join(tags[:1]), digest_size=16)
    for tag in tags[1:]:
        digest.update(tag)
    for file in files:
        facts = file.stat()
        digest.update(str(facts.st_size).encode())
        with file.open("rb") as content:
            if facts.st_size <= WHOLE_BYTES:
                while part := content.read(1 << 20):
                    digest.update(part)
                continue
            digest.update(str(facts.st_mtime_ns).encode())
            for block in range(SAMPLED_BLOCKS):
                content.seek((facts.st_size - BLOCK_BYTES) * block // (SAMPLED_BLOCKS - 1))
                digest.update(content.read(BLOCK_BYTES))
    return digest.hexdigest()


def named_file(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise InputError(f'tokens.source: there is no file "{path}"{near_path(path)}')
    return file


def _name(path: Path) -> str:
    """The path as text; bytes that are not UTF-8 are written \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Text(Source):
    """A folder or a pattern: a file a document. A single file: cut at line ends."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        path = Path(pattern)
        self.is_one_file = path.is_file()
        if self.is_one_file:
            self.files = [path]
        else:
            search = in_folder(path) if path.is_dir() else matching(pattern)
            self.files, self.remarks = search.files, search.remarks
        if not self.files:
            near = "" if path.is_dir() or set(pattern) & set("*?[") else near_path(pattern)
            raise InputError(f'tokens.source: there is no text at "{pattern}" (a file, a folder or a pattern){near}')

    def local_files(self) -> list[Path]:
        return self.files

    def fingerprint(self) -> str:
        return files_digest(self.files, b"text", b"in pieces" if self.is_one_file else b"a file a document")

    def rows(self) -> Iterator[Row]:
        if self.is_one_file:
            yield from _pieces(self.files[0])
            return
        for file in self.files:
            with open_text(file) as content:
                data = whole(content, file)
            try:
                text = data.decode("utf-8").replace("\n\ufeff", "\n")
            except UnicodeDecodeError as error:
                raise not_utf8(file, error) from error
            yield Row(_name(file), text, f'"{file}"')


def _text_lines(path: Path) -> Iterator[str]:
    """Lines with their ends, wherever `str.splitlines` sees one."""
    before = 0
    with open_text(path) as content:
        for line in lines(content, path):
            try:
                yield from line.decode("utf-8").removeprefix("\ufeff").splitlines(keepends=True)
            except UnicodeDecodeError as error:
                raise not_utf8(path, error, before) from error
            before += len(line)


def _pieces(path: Path) -> Iterator[Row]:
    """Whole lines, up to PIECE_CHARACTERS or to the end of a paragraph past half of that."""
    piece: list[str] = []
    n_pieces, n_lines, length = 0, 0, 0

    def row() -> Row:
        return Row(f"{_name(Path(path.name))}#{n_pieces}", "".join(piece), f'"{path}", piece {n_pieces}')

    for line in _text_lines(path):
        full = length + len(line) > PIECE_CHARACTERS
        paragraph_ends = length > PIECE_CHARACTERS // 2 and piece and not piece[-1].strip()
        if piece and (full or paragraph_ends):
            yield row()
            piece, n_pieces, length = [], n_pieces + 1, 0
        piece.append(line)
        length += len(line)
        n_lines += 1
    if n_lines == 1 and length > PIECE_CHARACTERS:
        raise InputError(
            f'"{path}" is one line of {length:,} characters: a text file is cut into documents at line ends; '
            "break it into lines, or give a folder with a file a document"
        )
    if piece:
        yield row()


class Jsonl(Source):
    """A line a document."""

    def __init__(self, rest: str) -> None:
        super().__init__()
        name, _, self.field = rest.rpartition("#") if "#" in rest else (rest, "", "text")
        self.path = named_file(name)

    def local_files(self) -> list[Path]:
        return [self.path]

    def fingerprint(self) -> str:
        return files_digest([self.path], b"jsonl", self.field.encode())

    def rows(self) -> Iterator[Row]:
        for number, marked in enumerate(self._lines(), start=1):
            line = marked.removeprefix(codecs.BOM_UTF8)  # of files with marks, one put behind the other
            if not line.strip():
                continue
            where = f'"{self.path}", line {number}'
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise InputError(f"{where}, is not UTF-8 at byte {error.start} of the line") from error
            except (ValueError, RecursionError) as error:
                hint = ONE_A_LINE if number == 1 and line.strip() in (b"[", b"{", b"[{") else ""
                raise InputError(f"{where}, is not JSON: {getattr(error, 'msg', error)}{hint}") from error
            if isinstance(row, list):
                raise InputError(f"{where}, is a JSON array{ONE_A_LINE}")
            if not isinstance(row, dict) or self.field not in row:
                known = list(row) if isinstance(row, dict) else []
                raise InputError(
                    f'{where}, has no field "{self.field}"{nearest(self.field, known, listed="its fields are")}'
                )
            yield Row(str(row.get("id", number)), row[self.field], where)

    def _lines(self) -> Iterator[bytes]:
        with open_text(self.path) as content:
            yield from lines(content, self.path)


class Bundled(Jsonl):
    """The pinned corpus in the wheel."""

    def __init__(self, name: str) -> None:
        known = {file.name.removesuffix(".jsonl.gz"): file for file in BUNDLED.glob("*.jsonl.gz")}
        if name not in known:
            raise InputError(f'tokens.source: there is no bundled corpus "{name}"{nearest(name, known)}')
        super().__init__(f"{known[name]}#text")

    def fingerprint(self) -> str:
        return files_digest([self.path], b"bundled")


class Parquet(Source):
    """The rows of one file or of all that match a pattern, in the order of the files' names."""

    def __init__(self, rest: str) -> None:
        super().__init__()
        pattern, _, field = rest.rpartition("#") if "#" in rest else (rest, "", "")
        if Path(pattern).is_file():
            self.files = [Path(pattern)]
        else:
            search = matching(pattern)
            self.files, self.remarks = search.files, search.remarks
        if not self.files:
            raise InputError(f'tokens.source: there is no Parquet file at "{pattern}" (a file or a pattern)')
        with _open_parquet(self.files[0]) as first:
            schema = first.schema_arrow
            columns = [(column.name, _holds_documents(column.type)) for column in schema]
        self.field = field or choose_field(columns, f'"{pattern}"')
        for file in self.files:  # footers only: a file that does not go with the others is named before any is read
            self._check(file)

    def _check(self, file: Path) -> None:
        with _open_parquet(file) as content:
            names = content.schema_arrow.names
            if self.field not in names:
                raise InputError(f'"{file}" has no column "{self.field}"; its columns are {", ".join(names)}')
            kind = content.schema_arrow.field(self.field).type
            if not _holds_documents(kind):
                raise InputError(f'"{file}": column "{self.field}" is not text but {" ".join(str(kind).split())}')

    def local_files(self) -> list[Path]:
        return self.files

    def fingerprint(self) -> str:
        return files_digest(self.files, b"parquet", self.field.encode())

    def rows(self) -> Iterator[Row]:
        import pyarrow as pa

        for file in self.files:
            number = 0
            with _open_parquet(file) as content:
                batches = content.iter_batches(batch_size=PARQUET_ROWS, columns=[self.field], use_threads=False)
                try:
                    for batch in batches:
                        for value in batch.column(0):
                            yield Row(f"{_name(Path(file.name))}:{number}", value.as_py(), f'"{file}", row {number}')
                            number += 1
                except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                    raise InputError(f'"{file}", row {number}, cannot be read: {_first_line(error)}') from error


def _open_parquet(file: Path) -> Any:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(file, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f'tokens.source: "{file}" is not a Parquet file: {_first_line(error)}') from error


def _holds_documents(kind: Any) -> bool:
    """Whether a column of this Arrow type holds texts, or lists of messages."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
        return bool(types.is_struct(kind)) and {"role", "content"} <= {
            kind.field(i).name for i in range(kind.num_fields)
        }
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


class PythonStdlib(Source):
    """The sources of the running Python's standard library, a file a document."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(sysconfig.get_path("stdlib"))

    def files(self) -> list[Path]:
        inside = self.root.rglob("*.py")
        return sorted(file for file in inside if not STDLIB_LEFT_OUT & set(file.relative_to(self.root).parts))

    def fingerprint(self) -> str:
        return files_digest(self.files(), b"python-stdlib")

    def rows(self) -> Iterator[Row]:
        for file in self.files():
            try:
                text = file.read_text(encoding="utf-8")
            except UnicodeDecodeError:  # a handful of the library's own files declare another encoding
                continue
            yield Row(file.relative_to(self.root).as_posix(), text, f'"{file}"')
