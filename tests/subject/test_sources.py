"""Documents from every kind of source, and what is said where a source cannot be read."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from autointerp.errors import ConfigError, InputError
from autointerp.resources import BUNDLED
from autointerp.subject.files import PIECE_CHARACTERS
from autointerp.subject.sources import Npy, open_source, parse_source


def read(source: str) -> list[tuple[str, str]]:
    return [(document.name, document.text) for document in open_source(source).documents()]


def error_of(source: str) -> str:
    """The one line that reading a source to its end comes to."""
    with pytest.raises(InputError) as caught:
        read(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_bundled_corpus_is_the_file() -> None:
    found = read("bundled:corpus")
    with gzip.open(BUNDLED / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert found == [(str(row["id"]), row["text"]) for row in rows]
    assert len(found) > 100
    assert 'the nearest is "corpus"' in error_of("bundled:corpse")


def test_standard_library_in_order_without_its_tests() -> None:
    root = Path(sysconfig.get_path("stdlib"))
    found = read("python-stdlib:")
    names = [name for name, _ in found]
    assert names == sorted(names)
    assert {"json/decoder.py", "os.py"} <= set(names)
    assert dict(found)["json/decoder.py"] == (root / "json" / "decoder.py").read_text(encoding="utf-8")
    assert not [name for name in names if {"test", "tests", "site-packages", "idle_test"} & set(name.split("/"))]
    assert all(text.strip() for _, text in found)


def test_a_text_file_is_cut_at_line_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["x" * int(n) + "\n" for n in rng.integers(0, 300, size=400)]
    lines[200] = "y" * (PIECE_CHARACTERS + 50) + "\n"  # longer than a piece: one of its own
    file = tmp_path / "book.txt"
    file.write_text("".join(lines))
    found = read(f"text:{file}")
    assert "".join(text for _, text in found) == "".join(lines)
    assert len(found) > 10
    assert len({name for name, _ in found}) == len(found)
    for _, text in found:
        assert text.endswith("\n")
        assert len(text) <= PIECE_CHARACTERS or text.count("\n") == 1
    assert max(len(text) for _, text in found[:-1]) > PIECE_CHARACTERS // 2


def test_a_short_text_file_is_one_document(tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("one line without an end")
    assert [text for _, text in read(f"text:{file}")] == ["one line without an end"]


def test_a_folder_and_a_pattern_give_a_document_a_file(tmp_path: Path) -> None:
    texts = {"b.txt": "bee", "a.txt": "ay", "deep/er/c.md": "sea\n", "empty.txt": " \n", ".hidden": "no", ".git/x": ""}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    expected = [(str(tmp_path / name), texts[name]) for name in ("a.txt", "b.txt", "deep/er/c.md")]
    assert read(f"text:{tmp_path}") == expected
    assert read(f"text:{tmp_path}/*.txt") == expected[:2]
    assert read(f"text:{tmp_path}/**/*.md") == expected[2:]


def test_one_file_in_a_folder_stays_one_document(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("a line\n" * 3000)
    assert len(read(f"text:{tmp_path}")) == 1


def test_a_file_name_that_is_no_utf8_is_written_out(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("text")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    [(name, _)] = read(f"text:{tmp_path}")
    assert name == f"{tmp_path}/\\xff.txt"


def test_jsonl_by_field_plain_and_compressed(tmp_path: Path) -> None:
    rows = [{"text": "one", "body": "ein"}, {"id": "b7", "text": "two", "body": "zwei"}, {"text": " ", "body": "\n"}]
    plain = write_lines(tmp_path / "rows.jsonl", rows[0], "", rows[1], rows[2])
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(f"jsonl:{plain}") == [("1", "one"), ("b7", "two")]
    for path in (plain, packed):
        assert read(f"jsonl:{path}#text") == [("1", "one"), ("b7", "two")]
        assert read(f"jsonl:{path}#body") == [("1", "ein"), ("b7", "zwei")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2, is not JSON"),
        ('{"text": ' + "9" * 5000 + "}", "line 2, is not JSON"),
        ("[" * 100_000, "line 2, is not JSON"),
        ('"words"', 'line 2, has no field "text"'),
        ('{"txet": "a"}', 'has no field "text"; the nearest is "txet"'),
        ('{"text": 3}', 'line 2: field "text" is not text but int'),
        ('{"text": ["a"]}', 'field "text" is not text but list'),
        ('{"text": "\\ud800"}', "line 2, holds half of a surrogate pair"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", {"text": "fine"}, line)
    assert message in error_of(f"jsonl:{file}")


def test_what_is_no_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes("naïve".encode("latin-1"))
    assert "is not UTF-8: byte 2 is 0xef" in error_of(f"text:{file}")
    lines = tmp_path / "latin.jsonl"
    lines.write_bytes(b'{"text": "fine"}\n{"text": "na\xefve"}\n')
    assert "line 2, is not UTF-8 at byte 12" in error_of(f"jsonl:{lines}")


def test_one_long_line_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "minified.js"
    file.write_text("x" * (PIECE_CHARACTERS + 1))
    assert "is one line of 4,001 characters" in error_of(f"text:{file}")


def test_texts_and_lines_as_other_tools_save_them(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    lines = mark + b'{"text": "one"}\r\n' + mark + b'{"text": "two"}\r\n'  # two files, one put behind the other
    saved = {"plain": lines, "utf-16": lines.decode("utf-8-sig").encode("utf-16"), "xz": lzma.compress(lines)}
    for name, data in saved.items():
        (tmp_path / name).write_bytes(data)
        assert read(f"jsonl:{tmp_path / name}") == [("1", "one"), ("2", "two")]
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_bytes(mark + b"a\r\n")
    (folder / "b").write_bytes(gzip.compress(mark + b"b"))
    (folder / "c.txt").write_bytes("c".encode("utf-16"))
    assert [text for _, text in read(f"text:{folder}")] == ["a\r\n", "b", "c"]
    assert [text for _, text in read(f"text:{folder / 'b'}")] == ["b"]


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % i for i in range(3000)))
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(whole[: len(whole) // 2])
    assert f'"{file}" is not a whole gzip file' in error_of(f"jsonl:{file}")
    file.write_bytes(b'{"text": "a"}\n')  # the content counts, not the name
    assert read(f"jsonl:{file}") == [("1", "a")]


@pytest.mark.parametrize(
    "source", ["text:{}/no.txt", "text:{}/no/*.txt", "jsonl:{}/no.jsonl", "npy:{}/no.npy", "parquet:{}/*.parquet"]
)
def test_what_is_not_there_is_named(source: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        open_source(source.format(tmp_path))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("jsonnl:a", 'the nearest is "jsonl"'),
        ("corpus.txt", "is none of bundled"),
        ("text:", 'lacks what comes after "text:"'),
        ("parquet:#text", 'lacks what comes after "parquet:"'),
    ],
)
def test_what_is_no_source_is_named(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"^tokens\.source") as caught:
        parse_source(source)
    assert message in str(caught.value)


def test_npy(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for kind in (np.int32, np.int64, np.uint16):
        array = np.arange(12, dtype=kind).reshape(3, 4)
        np.save(path, array)
        np.testing.assert_array_equal(Npy(str(path)).array, array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros(4, int),
        np.zeros((2, 3, 4), int),
        np.zeros((0, 4), int),
        np.zeros((4, 1), int),
        np.zeros((3, 4), bool),
        np.array([[1, None], [2, 3]]),
        np.array([["a", "b"]]),
    ],
    ids=["floats", "1-D", "3-D", "no rows", "one column", "bools", "pickled", "text"],
)
def test_an_array_that_holds_no_contexts_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy"):
        Npy(str(path))


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04broken", b"\x93NUMPY\x01\x00\x10\x00{}"])
def test_a_file_that_is_no_array_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npy"):
        Npy(str(path))


def test_a_cut_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((100, 100), int))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="is not a NumPy array"):
        Npy(str(path))
    np.savez(tmp_path / "several.npz", a=np.zeros((2, 2), int))
    with pytest.raises(InputError, match="several arrays"):
        Npy(str(tmp_path / "several.npz"))


def test_fingerprint_sees_a_changed_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")

    def fingerprint(source: str) -> str:
        return open_source(source).fingerprint()

    source = f"text:{tmp_path}"
    first = fingerprint(source)
    assert fingerprint(source) == first
    (tmp_path / "a.txt").write_text("three")
    second = fingerprint(source)
    (tmp_path / "b.txt").write_text("more")
    assert len({first, second, fingerprint(source)}) == 3
    assert fingerprint("bundled:corpus") == fingerprint("bundled:corpus")
    assert fingerprint("python-stdlib") != fingerprint("bundled:corpus")
