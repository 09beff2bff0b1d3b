"""Text as other people's tools save it: compressed, marked, in UTF-16, cut short."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import autointerp.text_files
from autointerp.errors import InputError
from autointerp.subject.sources import open_source
from autointerp.text_files import lines, open_text, read_text

TEXT = "naïve ◆\r\nof U+2028 \u2028 no line ends\x85\n" * 4000
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}
MARKED = {
    "utf-8": TEXT.encode(),
    "utf-8 with a mark": codecs.BOM_UTF8 + TEXT.encode(),
    "utf-16 little": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "utf-16 big": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-32": codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("kind", PACKED)
def test_whatever_the_archive_and_the_mark(kind: str, encoding: str, tmp_path: Path) -> None:
    file = written(tmp_path / "named.gz", PACKED[kind](MARKED[encoding]))
    with open_text(file) as content:
        assert content.read() == TEXT.encode()
    with open_text(file) as content:
        assert list(lines(content, file)) == TEXT.encode().splitlines(keepends=True)
    assert read_text(file) == TEXT.replace("\r\n", "\n")


@pytest.mark.parametrize("kind", [kind for kind in PACKED if kind != "plain"])
def test_members_behind_each_other_and_archives_cut_short(kind: str, tmp_path: Path) -> None:
    pack = PACKED[kind]
    file = written(tmp_path / "a.jsonl", pack(b"one\n") + pack(b"") + pack(b"two\n"))
    assert read_text(file) == "one\ntwo\n"
    whole = pack(b"one\n") + pack(bytes(range(1, 127)) * 50)
    for cut in (1, 5, len(whole) // 3):
        written(file, whole[:-cut])
        with pytest.raises(InputError, match=f'^"{file}" is not a whole {kind} file: .') as caught:
            read_text(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["gzip", "xz", "bzip2"])
@pytest.mark.parametrize("zeros", [4, 512, 200_000])
def test_padding_between_and_behind_archives(kind: str, zeros: int, tmp_path: Path) -> None:
    """Of tapes, block devices and `xz`'s own --block-size: no end, and no damage."""
    one, two, pad = PACKED[kind](TEXT.encode()), PACKED[kind](b"two\n"), bytes(zeros)
    for data in (one + pad, one + pad + two, one + pad + two + pad + two, one + two + pad):
        expected = TEXT.replace("\r\n", "\n") + "two\n" * data.count(two)
        assert read_text(written(tmp_path / "a.jsonl", data)) == expected


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz", "bzip2"])
@pytest.mark.parametrize("behind", [b"and text", b"\0\0\0\0and text", b"\xfd7zXZ\0", b"BZh9"])
def test_what_lies_behind_an_archive_is_never_left_out_in_silence(kind: str, behind: bytes, tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", PACKED[kind](b"one\n") + behind)
    with pytest.raises(InputError, match=f'^"{file}" is not a whole {kind} file: .'):
        read_text(file)
    if kind == "xz":
        written(file, PACKED[kind](b"one\n") + bytes(3))
        with pytest.raises(InputError, match="3 zero bytes between or behind its parts are no multiple of 4"):
            read_text(file)


@pytest.mark.parametrize("outer", [kind for kind in PACKED if kind != "plain"])
def test_what_is_packed_twice(outer: str, tmp_path: Path) -> None:
    for pack in PACKED.values():
        file = written(tmp_path / "a.jsonl.gz.gz", PACKED[outer](pack(MARKED["utf-8 with a mark"])))
        assert read_text(file) == TEXT.replace("\r\n", "\n")


def test_marks_of_files_put_behind_each_other(tmp_path: Path) -> None:
    marked = codecs.BOM_UTF8 + b"text\n"
    assert read_text(written(tmp_path / "a.toml", codecs.BOM_UTF8 + marked)) == "text\n"
    for source in (tmp_path / "a", tmp_path / "a" / "b.txt"):  # a folder, a file
        (tmp_path / "a").mkdir(exist_ok=True)
        written(tmp_path / "a" / "b.txt", codecs.BOM_UTF8 + marked + marked)
        assert "".join(document.text for document in open_source(f"text:{source}").documents()) == "text\ntext\n"


def test_a_frame_of_zstd_that_is_to_be_skipped(tmp_path: Path) -> None:
    skipped = bytes([0x5A, 0x2A, 0x4D, 0x18]) + (4).to_bytes(4, "little") + b"size"
    assert read_text(written(tmp_path / "a", skipped + PACKED["zstd"](b"text"))) == "text"


@pytest.mark.parametrize("data", [b"", b"\n", b"BZh9 is how an archive begins", b"\x1f", b"ab", b"PAR1 and %PDF-"])
def test_short_texts_and_those_that_begin_like_an_archive(data: bytes, tmp_path: Path) -> None:
    assert read_text(written(tmp_path / "a.bz2", data)).encode() == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9", "is not UTF-8: byte 3 is 0xe9"),
        ("no mark".encode("utf-16-le"), "is no text: many of its bytes are zero"),
        (gzip.compress(b"a.txt".ljust(512, b"\0") + b"text"), "is no text: many of its bytes are zero"),
        (b"PK\x03\x04" + b"\xff" * 40, "is no text but a zip archive; unpack it"),
        (gzip.compress(b"PAR1\xff"), "is no text but a Parquet file; give a text"),
        (codecs.BOM_UTF16_LE + b"a\0b", "is not a whole UTF-16 file"),
        (codecs.BOM_UTF16_BE + b"\xdc\x00\0a", "is not a whole UTF-16 file"),
    ],
    ids=["latin-1", "UTF-16 without a mark", "tar", "zip", "packed Parquet", "half a character", "half a pair"],
)
def test_what_is_no_text_is_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", data)
    with pytest.raises(InputError) as caught:
        read_text(file)
    assert str(caught.value).startswith(f'"{file}" {message}')
    assert "\n" not in str(caught.value)


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autointerp.text_files, "LONGEST", 1000)
    file = written(tmp_path / "a", gzip.compress(b"x" * 1001))
    with pytest.raises(InputError, match="is longer than 1,000 bytes"):
        read_text(file)
    with open_text(file) as content, pytest.raises(InputError, match="has a line of more than 1,000 bytes"):
        list(lines(content, file))
    assert len(read_text(written(file, gzip.compress(b"x" * 1000)))) == 1000


@pytest.mark.parametrize(
    ("text", "said"), [('[{"text": "a"}]', "is a JSON array"), ('[\n{"text": "a"}\n]', "is not JSON")]
)
def test_an_array_where_lines_are_expected(text: str, said: str, tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", text.encode())
    with pytest.raises(
        InputError, match=rf'a\.json", line 1, {said}.*; a line must be one document, an object: `jq -c'
    ):
        list(open_source(f"jsonl:{file}#text").documents())
