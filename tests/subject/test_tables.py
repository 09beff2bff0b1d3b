"""Parquet files and data sets of `datasets`: what is read, in which order, and what is said where it cannot be."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from local_server import LocalServer
from pyarrow import parquet

from autointerp.errors import ConfigError, InputError
from autointerp.subject.documents import Document
from autointerp.subject.sources import open_source

MESSAGES = [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}], None]


def write_parquet(path: Path, columns: dict[str, Any], **types: pa.DataType) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})
    parquet.write_table(table, path, row_group_size=7, write_page_checksum=True)
    return path


def read(source: str, **options: str) -> list[Document]:
    return list(open_source(source, **options).documents())


def texts(source: str, **options: str) -> list[str]:
    return [document.text for document in read(source, **options)]


def error_of(source: str, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- Parquet ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_the_rows_of_all_files_in_order(kind: pa.DataType, tmp_path: Path) -> None:
    expected = []
    for name in ("b", "a", "c/d"):
        rows = [f"{name} {i}" for i in range(150)]
        write_parquet(tmp_path / f"{name}.parquet", {"n": list(range(150)), "body": rows}, body=kind)
        expected.append(rows)
    both = expected[1] + expected[0]
    assert texts(f"parquet:{tmp_path}/*.parquet#body") == both
    assert texts(f"parquet:{tmp_path}/*.parquet") == both, "the only text column needs no name"
    assert texts(f"parquet:{tmp_path}/**/*.parquet#body") == both + expected[2]
    assert texts(f"parquet:{tmp_path}/a.parquet#body") == expected[1]
    names = [document.name for document in read(f"parquet:{tmp_path}/*.parquet#body")]
    assert names[:2] + names[149:151] == ["a.parquet:0", "a.parquet:1", "a.parquet:149", "b.parquet:0"]


def test_nulls_and_blanks_are_counted(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"text": ["one", None, " \n", "two", None]})
    source = open_source(f"parquet:{tmp_path}/a.parquet#text")
    for _ in range(2):
        found = [(document.name, document.text) for document in source.documents()]
        assert found == [("a.parquet:0", "one"), ("a.parquet:3", "two")]
        assert source.left_out == {"null": 2, "blank": 1}


def test_conversations_in_a_column(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"n": [1, 2], "messages": MESSAGES})
    [document] = read(f"parquet:{tmp_path}/a.parquet")
    assert [(m.role, m.content) for m in document.messages] == [("user", "hello"), ("assistant", "hi")]


def test_what_a_parquet_file_lacks(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"n": [1], "text": ["x"], "content": ["y"], "tags": [["z"]]})
    write_parquet(tmp_path / "b.parquet", {"n": [1], "other": ["x"]})
    where = f"parquet:{tmp_path}/a.parquet"
    assert error_of(f"{where}#body").endswith('a.parquet" has no column "body"; its columns are n, text, content, tags')
    assert error_of(f"{where}#n").endswith('column "n" is not text but int64')
    assert 'column "tags" is not text but list<' in error_of(f"{where}#tags")
    assert error_of(where).endswith(
        "several columns could be the text (text, content); name one of its columns, #FIELD: n, text, content, tags"
    )
    assert texts(f"{where}#content") == ["y"]
    assert 'b.parquet" has no column "text"; its columns are n, other' in error_of(f"parquet:{tmp_path}/*.parquet#text")
    write_parquet(tmp_path / "n.parquet", {"n": [1], "m": [2]})
    assert "no column is text" in error_of(f"parquet:{tmp_path}/n.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    assert 'bad.parquet" is not a Parquet file' in error_of(f"parquet:{tmp_path}/bad.parquet#text")


def test_a_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": [random.Random(i).randbytes(900).hex() for i in range(40)]})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    assert 'a.parquet", row ' in error_of(f"parquet:{path}#text")


def test_other_rows_are_another_source(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", {"text": ["x"], "content": ["x"]})
    found = {open_source(f"parquet:{tmp_path}/a.parquet#{field}").fingerprint() for field in ("text", "content")}
    write_parquet(tmp_path / "a.parquet", {"text": ["y"], "content": ["x"]})
    found.add(open_source(f"parquet:{tmp_path}/*.parquet#text").fingerprint())
    assert len(found) == 3


# --- data sets ----------------------------------------------------------------------------------------


def test_a_folder_that_datasets_can_read(tmp_path: Path) -> None:
    for number in range(2):
        rows = {"id": [f"{number}-{i}" for i in range(30)], "text": [f"{number} {i}" for i in range(30)]}
        write_parquet(tmp_path / "data" / f"train-{number:05}-of-00002.parquet", rows)
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", {"id": ["t"], "text": ["for testing"]})
    found = read(f"hf:{tmp_path}")
    assert [(d.name, d.text) for d in found] == [(f"{n}-{i}", f"{n} {i}") for n in range(2) for i in range(30)]
    assert texts(f"hf:{tmp_path}#text", hf_split="test") == ["for testing"]
    assert "Available splits: ['train', 'test']" in error_of(f"hf:{tmp_path}", hf_split="trian")
    assert 'has no column "txet"; the nearest is "text"; its columns are id, text' in error_of(f"hf:{tmp_path}#txet")
    with pytest.raises(ConfigError, match="has no revisions"):
        open_source(f"hf:{tmp_path}", revision="main")
    before = open_source(f"hf:{tmp_path}").fingerprint()
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", {"id": ["t"], "text": ["changed"]})
    assert open_source(f"hf:{tmp_path}").fingerprint() != before


def test_a_folder_of_json_lines(tmp_path: Path) -> None:
    rows = [{"n": 1, "messages": MESSAGES[0]}, {"n": 2, "messages": None}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = open_source(f"hf:{tmp_path}")
    [document] = source.documents()
    assert [(m.role, m.content) for m in document.messages] == [("user", "hello"), ("assistant", "hi")]
    assert source.left_out == {"null": 1}


def test_the_library_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert 'needs the package datasets: pip install "datasets>=3.0"' in error_of("hf:owner/texts")


@pytest.mark.parametrize("name", ["hf:a/b/c", "hf:../texts", "hf:/no/such/folder", "hf:a b"])
def test_what_is_no_data_set(name: str) -> None:
    assert "is neither hf:OWNER/NAME nor a folder" in error_of(name)


@pytest.mark.parametrize("option", ["subset", "revision"])
def test_options_of_data_sets_alone(option: str) -> None:
    with pytest.raises(ConfigError, match=f'tokens.{option} is for an "hf:" source'):
        open_source("bundled:corpus", **{option: "x"})


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as streaming takes. `asked` keeps what was asked; `head` is where main is."""

    root: Path
    asked: list[str]
    commits: dict[str, str]

    def log_message(self, *values: Any) -> None:
        pass

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.asked.append(f"{self.command} {path}")
        repository = "/api/datasets/owner/texts"
        wanted = path.removeprefix(repository).removeprefix("/revision/") or "main"
        if path.startswith("/api/datasets/slow/"):
            time.sleep(30)
        elif path.startswith(repository) and (wanted in self.commits or wanted in self.commits.values()):
            commit = self.commits.get(wanted, wanted)
            found = {"id": "owner/texts", "sha": commit, "siblings": [], "private": False, "tags": []}
            self.reply(200, json.dumps(found).encode(), Content_Type="application/json")
        elif path.startswith(f"{repository}/tree/"):
            commit, _, folder = path.removeprefix(f"{repository}/tree/").partition("/")
            here = self.root / commit
            inside = sorted((here / folder).iterdir()) if (here / folder).is_dir() else []
            listing = [
                {
                    "type": "directory" if entry.is_dir() else "file",
                    "path": str(entry.relative_to(here)),
                    "size": entry.stat().st_size,
                    "oid": "0" * 40,
                }
                for entry in inside
            ]
            self.reply(200, json.dumps(listing).encode(), Content_Type="application/json")
        elif "/resolve/" in path and (file := self.root / path.partition("/resolve/")[2]).is_file():
            data = file.read_bytes()
            first, _, last = self.headers.get("Range", f"bytes=0-{len(data) - 1}").removeprefix("bytes=").partition("-")
            part = data[int(first) : int(last) + 1]
            self.reply(
                206 if "Range" in self.headers else 200,
                part,
                ETag='"x"',
                X_Repo_Commit="a" * 40,
                Content_Range=f"bytes {first}-{last}/{len(data)}",
                Accept_Ranges="bytes",
            )
        elif path.startswith(f"{repository}/revision/"):
            self.reply(404, b"{}", X_Error_Code="RevisionNotFound")
        elif path.startswith("/api/datasets/closed/"):
            self.reply(403, b"{}", X_Error_Code="GatedRepo")
        elif "/resolve/" in path:
            self.reply(404, b"", X_Error_Code="EntryNotFound")
        else:
            self.reply(401, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Address, folder and requests of a hub on this machine: a folder a commit."""
    root, asked = tmp_path / "hub", list[str]()
    commits = {"main": "a" * 40, "v1": "b" * 40}
    handler = type("Handler", (Hub,), {"root": root, "asked": asked, "commits": commits})
    server = LocalServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", root, asked
    server.shutdown()
    server.server_close()


def streams(wanted: list[dict[str, Any]], address: str, cache: Path) -> list[list[str]]:
    """Commit and first texts of sources, in a process of its own: the hub's client reads its settings once."""
    check = """
        import itertools, json, sys
        from autointerp.errors import InputError
        from autointerp.subject import hub_datasets
        from autointerp.subject.sources import open_source
        hub_datasets.TIMEOUT_S = 2
        found = []
        for options in json.loads(sys.argv[1]):
            try:
                source = open_source(**options)
                found.append([source.commit, *(d.text for d in itertools.islice(source.documents(), 3))])
            except InputError as error:
                found.append([str(error)])
        print(json.dumps(found))
    """
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(cache),
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(check), json.dumps(wanted)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "nobody else's notices"
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_streaming_from_a_hub(hub: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, root, asked = hub
    for commit in ("a" * 40, "b" * 40):
        for part in range(3):
            rows = {"text": [f"{commit[0]}{part} {i}" for i in range(30)]}
            write_parquet(root / commit / "data" / f"train-{part:05}-of-00003.parquet", rows)
    texts = {"source": "hf:owner/texts"}
    wanted: list[dict[str, Any]] = [
        texts,
        texts | {"revision": "v1"},
        texts | {"revision": "b" * 40},
        texts | {"commit": "b" * 40},
        texts | {"revision": "v9"},
        texts | {"subset": "en"},
        {"source": "hf:owner/none"},
        {"source": "hf:closed/texts"},
        {"source": "hf:owner/texts#body"},
        {"source": "hf:slow/texts"},
    ]
    found = streams(wanted, address, tmp_path / "cache")
    old = ["b" * 40, "b0 0", "b0 1", "b0 2"]
    assert found[:4] == [["a" * 40, "a0 0", "a0 1", "a0 2"], old, old, old]
    assert found[4] == ['tokens.revision: "hf:owner/texts" has no revision "v9"']
    assert "BuilderConfig 'en' not found. Available: ['default']" in found[5][0]
    assert "there is no such data set on the hub, or it is not open to you" in found[6][0]
    assert '"hf:closed/texts" is gated' in found[7][0]
    assert found[8] == ['tokens.source: "hf:owner/texts" has no column "body"; its columns are text']
    fetched = {request for request in asked if ".parquet" in request}
    assert {request.rpartition("/")[2] for request in fetched} == {"train-00000-of-00003.parquet"}, (
        "no more than is read"
    )
    assert '"hf:slow/texts": the hub cannot be reached (' in found[9][0]
    assert found[9][0].endswith("give a local file (text:, jsonl:, parquet:) or folder")
