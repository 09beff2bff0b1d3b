"""Requests and replies as JSONL, in the providers' own batch formats: for batch APIs, and to be answered elsewhere.

    OpenAI     {"custom_id": ..., "method": "POST", "url": "/v1/chat/completions", "body": {...}}
               {"custom_id": ..., "response": {"status_code": 200, "body": {...}}, "error": null}
    Anthropic  {"custom_id": ..., "params": {...}}
               {"custom_id": ..., "result": {"type": "succeeded", "message": {...}}}
    either     {"custom_id": ..., "text": "what was answered"}

A custom id is REQUEST-SAMPLE-N: the N-th time that this draw of the request is filed. So a reply is read once, whatever
order replies come in, however often their file is read, and one that was no answer can be filed again.

Files may be compressed, and begin with a byte order mark: what they are is told by their content (`text_files.py`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autointerp.errors import InputError
from autointerp.llm.session.attempt import Errand
from autointerp.llm.wire.connection import Sent
from autointerp.llm.wire.faults import Fault, fault_of
from autointerp.llm.wire.render import canonical
from autointerp.reply_log import CallKey
from autointerp.text_files import is_plain, lines, open_text

LIMITS = {"anthropic": (100_000, 256_000_000), "openai": (50_000, 200_000_000)}
"""Requests and bytes in one batch; files keep a tenth below."""


def custom_id(key: CallKey, n: int) -> str:
    """At most 64 characters of [a-z0-9-]."""
    return f"{key[0]}-{key[1]}-{n}"


def request_line(errand: Errand) -> str:
    """One request in its provider's format."""
    named = {"custom_id": custom_id(errand.key, errand.filed + 1)}
    if errand.request.provider == "anthropic":
        return canonical(named | {"params": errand.request.body})
    return canonical(named | {"method": "POST", "url": f"/v1{errand.request.path}", "body": errand.request.body})


class RequestFiles:
    """Writes requests, one model and endpoint a file, under the provider's limits. A file is whole or absent."""

    def __init__(self, folder: Path, *, limits: dict[str, tuple[int, int]] | None = None) -> None:
        self.folder = folder
        self.n_written = 0
        self._limits = limits or LIMITS
        self._open: dict[str, tuple[Any, Path, list[int]]] = {}
        self.closed: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._there = {line["custom_id"] for line, _, _ in _lines(folder) if _is_request(line)}

    def add(self, errand: Errand) -> None:
        """Writes one, unless it stands in the folder already."""
        named = custom_id(errand.key, errand.filed + 1)
        if named in self._there:
            return
        self._there.add(named)
        name = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in errand.request.body["model"])
        name = f"{errand.request.provider}-{name}{errand.request.path.replace('/', '-')}"
        line = request_line(errand).encode() + b"\n"
        if name in self._open:
            n, size = self._open[name][2]
            most, most_bytes = self._limits[errand.request.provider]
            if n >= most or size + len(line) > 0.9 * most_bytes:
                self._close(name)
        if name not in self._open:
            number = 1
            while (path := self.folder / f"requests-{name}-{number:04d}.jsonl").exists():
                number += 1
            part = path.with_name(f".{path.name}.part")
            self._open[name] = (part.open("wb"), path, [0, 0])
        file, _, sums = self._open[name]
        file.write(line)
        sums[0] += 1
        sums[1] += len(line)
        self.n_written += 1

    def close(self) -> list[Path]:
        """Gives the files their names; returns those of this time."""
        for name in list(self._open):
            self._close(name)
        return self.closed

    def _close(self, name: str) -> None:
        file, path, _ = self._open.pop(name)
        file.flush()
        os.fsync(file.fileno())
        file.close()
        path.with_name(f".{path.name}.part").rename(path)
        self.closed.append(path)


class ReplyFiles:
    """The replies in a folder, found by custom id. Holds where each line stands, not what it says."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f'there is no folder "{folder}" with replies')
        self.folder = folder
        self.unreadable = 0
        """Lines that are no JSON: a file that was cut."""
        self._at: dict[str, tuple[Path, int]] = {}
        self._unpacked = TemporaryDirectory(prefix="autointerp-replies-")
        """Holds as plain text what is compressed, or has a byte order mark: a line is found by where it stands."""
        for line, path, offset in _lines(folder, Path(self._unpacked.name)):
            if line is None:
                self.unreadable += 1
            elif not _is_request(line):
                name = line.get("custom_id")
                if isinstance(name, str) and (name not in self._at or not _is_error(line)):
                    self._at[name] = (path, offset)

    def __len__(self) -> int:
        return len(self._at)

    def get(self, key: CallKey, n: int, provider: str) -> Sent | None:
        """The reply to the n-th filing of a request, as if it had come over the wire."""
        where = self._at.get(custom_id(key, n))
        if where is None:
            return None
        with where[0].open("rb") as file:
            file.seek(where[1])
            return sent_of(json.loads(file.readline()), provider)


def sent_of(line: dict[str, Any], provider: str) -> Sent:
    """One line of replies as the body of a 200, or a fault."""
    if isinstance(line.get("text"), dict):  # what is asked for is JSON: somebody wrote it as such
        line = line | {"text": canonical(line["text"])}
    if isinstance(line.get("text"), str):
        return Sent(_plain_body(line, provider))
    result, response = line.get("result"), line.get("response")
    if isinstance(result, dict):
        kind = result.get("type")
        if kind == "succeeded":
            return Sent(canonical(result.get("message")))
        error = (result.get("error") or {}).get("error") or result.get("error") or {}
        if kind == "errored" and error.get("type") == "invalid_request_error":
            return Sent("", Fault("stop", "api_error", f"batch: {error.get('message')}"))
        return Sent("", Fault("again", "server_error", f"batch: {kind} {error.get('message') or ''}".strip()))
    if isinstance(response, dict):
        status, body = response.get("status_code", 200), response.get("body")
        if status == 200:
            return Sent(canonical(body))
        return Sent("", fault_of(int(status), {}, canonical(body)))
    error = line.get("error") or {}
    said = f"{error.get('code') or ''} {error.get('message') or ''}" if isinstance(error, dict) else str(error)
    return Sent("", Fault("again", "server_error", f"batch: {said.strip() or 'a line without a reply'}"))


def _plain_body(line: dict[str, Any], provider: str) -> str:
    model = str(line.get("model") or "")
    if provider == "anthropic":
        return canonical(
            {"model": model, "content": [{"type": "text", "text": line["text"]}], "stop_reason": "end_turn"}
        )
    message = {"content": line["text"], "refusal": None}
    return canonical({"model": model, "choices": [{"message": message, "finish_reason": "stop"}]})


def _is_jsonl(path: Path) -> bool:
    """Whether a file's name says that it holds lines of JSON, whatever else stands behind."""
    return re.fullmatch(r"[^.].*\.jsonl(\.\w+)?", path.name) is not None and path.is_file()


def _is_request(line: Any) -> bool:
    return isinstance(line, dict) and ("params" in line or "method" in line)


def _is_error(line: dict[str, Any]) -> bool:
    return sent_of(line, "openai").fault is not None


def _lines(folder: Path, unpacked: Path | None = None) -> Iterator[tuple[Any, Path, int]]:
    """(parsed line or None, file, offset) of every .jsonl in the folder, compressed or not.

    Where a folder `unpacked` is given, the file is one in which a line stands at its offset. Raises InputError where an
    archive is damaged.
    """
    for number, path in enumerate(sorted(found for found in folder.iterdir() if _is_jsonl(found))):
        offset, plain = 0, path
        if not is_plain(path) and unpacked is not None:
            plain = unpacked / f"{number}.jsonl"
            with open_text(path) as packed, plain.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
        with open_text(plain) as file:
            for raw in lines(file, path):
                if raw.strip():
                    try:
                        line = json.loads(raw)
                    except ValueError:
                        line = None
                    yield (line if isinstance(line, dict) else None), plain, offset
                offset += len(raw)
