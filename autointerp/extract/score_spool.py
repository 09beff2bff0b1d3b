"""The events of the score split, kept by pass 1 on disk so that the census runs no model.

    while pass 1 goes on    a file a dictionary in the folder of its checkpoint; what was flushed before a checkpoint is
                            taken up with it
    when its rows are in    the files lie beside the tokens, named by the work that found them
    after the census        they are removed

A record holds the events of one inner batch, sorted by (feature, row), where a row is a place of the batch: 8 bytes an
event (10 past 65,536 features), and a checksum. Keeping events is a saving and nothing else: where there is no room,
where they would be more than MOST_BYTES, and where a file is gone or damaged, the census runs the model again and finds
the same.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autointerp.extract.summary.events import Events
from autointerp.extract.summary.summary import SCORE
from autointerp.records import EventBatch, Int64
from autointerp.subject.activations import INNER, contexts_of_inner
from autointerp.subject.tokens import TokenFile

MOST_BYTES = 1 << 33
"""Of all dictionaries together: 8 GiB."""
BUFFER = 1 << 20
"""Bytes of a dictionary that wait before they are written."""
HEAD = 24
"""Bytes before the events: number of the inner batch, number of events, checksum, 8 bytes each."""
FORMAT = 1
"""Raised when files of this version cannot be read by the one before, or the other way round."""
PREFIX = "score-"

Say = Callable[[str], None]


class UnusableEvents(Exception):
    """A file of events that is not as it was written."""


class ScoreSpool:
    """What is being kept of some dictionaries, [n_features] by name, in `folder`."""

    def __init__(self, folder: Path, widths: Mapping[str, int], context_length: int, say: Say) -> None:
        self._folder, self._say = folder, say
        self._row_type = smallest_type(INNER * context_length)
        self._types = {name: smallest_type(n) for name, n in widths.items()}
        self._waiting = {name: bytearray() for name in widths}
        self._sizes = dict.fromkeys(widths, 0)
        self._numbers = {name: number for number, name in enumerate(widths)}
        self.given_up = False

    def path(self, name: str) -> Path:
        return self._folder / f"score-split-{self._numbers[name]}.events"

    def begin(self) -> None:
        """Forgets what an earlier process kept."""
        self._remove()
        self._sizes = dict.fromkeys(self._sizes, 0)
        self.given_up = False

    def add(self, name: str, batch: int, events: Events) -> None:
        """Takes the events of the score split out of one inner batch of one dictionary."""
        first, last = events.event_bounds[SCORE : SCORE + 2]
        if self.given_up or first == last:
            return
        columns = (
            (events.row, self._row_type),
            (events.feature, self._types[name]),
            (events.value, np.float32),
        )
        data = b"".join(column[first:last].cpu().numpy().astype(kind).tobytes() for column, kind in columns)
        waiting = self._waiting[name]
        head = np.array([batch, last - first], dtype=np.int64).tobytes()
        waiting += head + np.int64(zlib.crc32(data, zlib.crc32(head))).tobytes() + data
        if len(waiting) > BUFFER:
            self._write(name)

    def _write(self, name: str) -> None:
        waiting = self._waiting[name]
        if sum(self._sizes.values()) + len(waiting) > MOST_BYTES:
            self.give_up(f"they are more than {MOST_BYTES / 1e9:.1f} GB")
            return
        try:
            with self.path(name).open("ab") as file:
                file.write(waiting)
        except OSError as error:
            self.give_up(str(error.strerror))
            return
        self._sizes[name] += len(waiting)
        waiting.clear()

    def give_up(self, reason: str) -> None:
        """Keeps nothing from here on, and nothing of what was kept."""
        self.given_up = True
        self._remove()
        self._say(f"pass 1: the score split is not kept for the census, which runs the model again ({reason})")

    def flush(self) -> dict[str, int] | None:
        """Everything taken so far is written; the size of each file. None where nothing is kept."""
        for name in self._sizes:
            if not self.given_up:
                self._write(name)
        return None if self.given_up else dict(self._sizes)

    def cut_back(self, sizes: Mapping[str, int] | None) -> None:
        """Forgets what was added after a `flush` that returned `sizes`; gives up where less is there."""
        self.given_up = sizes is None
        if sizes is None:
            self._remove()
            return
        for name, size in sizes.items():
            path = self.path(name)
            if (path.stat().st_size if path.is_file() else 0) < size:
                self.give_up("a file of them is gone")
                return
            if size:
                os.truncate(path, size)
            else:
                path.unlink(missing_ok=True)
        self._sizes |= sizes

    def keep(self, paths: Mapping[str, Path]) -> None:
        """Pass 1 has ended and its rows are stored: the files of these dictionaries go where they are asked for."""
        if self.flush() is None:
            return
        try:
            for name, path in paths.items():
                self.path(name).touch()  # a dictionary may fire nowhere
                self.path(name).rename(path)
        except OSError as error:
            self.give_up(str(error.strerror))

    def _remove(self) -> None:
        for name, waiting in self._waiting.items():
            waiting.clear()
            self.path(name).unlink(missing_ok=True)


def kept_path(tokens: TokenFile, key: str) -> Path:
    """Where the events are kept that the piece of work `key` of stage extract has found."""
    return tokens.folder / f"{PREFIX}{FORMAT}-{key}.events"


def sweep(tokens: TokenFile, keep: set[Path]) -> None:
    """Removes the kept files that nobody will read."""
    for path in tokens.folder.glob(f"{PREFIX}*.events"):
        if path not in keep:
            path.unlink()


def read_events(
    path: Path, tokens: TokenFile, n_firing: Int64, advance: Callable[[int], None] = lambda _: None
) -> Iterator[EventBatch]:
    """The events of a kept file, one inner batch after the other, as pass 2 would find them.

    `n_firing` [n_features]: how often each feature fires on the score split, by the stored statistics. `advance` is
    told of bytes. Raises UnusableEvents where the file is damaged or holds others, perhaps after some batches.
    """
    rows = INNER * tokens.context_length
    types = (smallest_type(rows), smallest_type(len(n_firing)), np.float32)
    each = sum(np.dtype(kind).itemsize for kind in types)
    left = n_firing.astype(np.int64)
    try:
        with path.open("rb") as file:
            while head := file.read(HEAD):
                if len(head) < HEAD:
                    raise UnusableEvents("it is cut short")
                batch, n, checksum = np.frombuffer(head, np.int64).tolist()
                data = file.read(n * each) if 0 < n <= rows * len(n_firing) else b""
                if len(data) < n * each or zlib.crc32(data, zlib.crc32(head[:-8])) != checksum:
                    raise UnusableEvents("it is damaged")
                row, feature, value = _columns(data, n, types)
                left -= np.bincount(feature, minlength=len(left))
                yield _batch(tokens, batch, row, feature, value)
                advance(len(head) + len(data))
    except OSError as error:
        raise UnusableEvents(str(error.strerror)) from error
    if left.any():
        raise UnusableEvents("it holds other events than the statistics")


def _columns(data: bytes, n: int, types: Sequence[type[np.generic]]) -> list[npt.NDArray[Any]]:
    columns, place = [], 0
    for kind in types:
        columns.append(np.frombuffer(data, kind, n, place))
        place += columns[-1].nbytes
    return columns


def _batch(
    tokens: TokenFile, number: int, row: npt.NDArray[Any], feature: npt.NDArray[Any], value: npt.NDArray[np.float32]
) -> EventBatch:
    contexts = contexts_of_inner(number, tokens)
    place = row.astype(np.int64)
    length = tokens.context_length
    context = contexts[place // length]
    return EventBatch(
        feature=feature.astype(np.int32),
        context=context,
        position=(place % length).astype(np.int32),
        value=value,
        token=tokens.tokens[contexts].reshape(-1)[place],
        previous=tokens.previous(contexts).reshape(-1)[place],
        block=tokens.block[context],
    )


def smallest_type(n: int) -> type[np.uint16] | type[np.int32]:
    """Of numbers below n."""
    return np.uint16 if n <= 1 << 16 else np.int32
