"""Events of the features whose turn has not come yet, in one file a round.

Pass 1 runs the model once. What fires outside the features that are summarised during the pass is written
here, 8 bytes an event (12 where numbers are large), and added to the summaries of later rounds as if it
came from the dictionary. A record is one inner batch of one piece.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from autointerp.errors import AutointerpError
from autointerp.extract.engines.shards import Piece
from autointerp.extract.summary.events import Events
from autointerp.records import SPLITS, Float32, Int64

BUFFER = 1 << 20
"""Bytes of a round that wait before they are written."""
HEAD = 5


@dataclass(frozen=True)
class Record:
    """Events of one piece in one inner batch, sorted by (split, feature, row)."""

    batch: int  # number of the inner batch
    piece: int  # number of the piece in its round
    n_explain: int  # events of the whole dictionary on the explain split
    row: Int64
    feature: Int64  # from the piece's first
    value: Float32
    outliers: Int64  # rows that are outliers at the hook


class Spool:
    """The files of rounds 1, 2, ... in `folder`; `rows`: places of an inner batch."""

    def __init__(self, folder: Path, rounds: Sequence[Sequence[Piece]], rows: int) -> None:
        self.folder = folder
        self._row_type = _smallest(rows)
        self._types = [[_smallest(piece.last - piece.first) for piece in pieces] for pieces in rounds]
        self._waiting = [bytearray() for _ in rounds]
        self._pieces: dict[str, list[tuple[int, int, Piece]]] = {}
        for number, pieces in enumerate(rounds):
            for i, piece in enumerate(pieces):
                if number:
                    self._pieces.setdefault(piece.dictionary, []).append((number, i, piece))

    def path(self, number: int) -> Path:
        return self.folder / f"round-{number}.events"

    def add(self, name: str, batch: int, events: Events) -> None:
        """Takes what belongs to later rounds out of one inner batch of one dictionary."""
        if name not in self._pieces:
            return
        mine = self._pieces[name]  # side by side, up to the last feature
        borders = torch.tensor([mine[0][2].first, *(piece.last for _, _, piece in mine)], device=events.feature.device)
        parts = []
        for split in range(len(SPLITS)):
            first, last = events.event_bounds[split : split + 2]
            parts.append((torch.searchsorted(events.feature[first:last], borders) + first).tolist())
        columns = [column.cpu().numpy() for column in (events.row, events.feature, events.value)]
        outliers = np.flatnonzero(events.rows.outlier.cpu().numpy()).astype(self._row_type)
        for i, (number, index, piece) in enumerate(mine):
            row, feature, value = (
                np.concatenate([column[ends[i] : ends[i + 1]] for ends in parts]) for column in columns
            )
            waiting = self._waiting[number]
            waiting += np.array([batch, index, events.count(0), len(row), len(outliers)], dtype=np.int64).tobytes()
            waiting += row.astype(self._row_type).tobytes()
            waiting += (feature - piece.first).astype(self._types[number][index]).tobytes()
            waiting += value.tobytes()
            waiting += outliers.tobytes()
            if len(waiting) > BUFFER:
                self._write(number)

    def _write(self, number: int) -> None:
        try:
            with self.path(number).open("ab") as file:
                file.write(self._waiting[number])
        except OSError as error:
            raise AutointerpError(
                f'"{self.path(number)}" cannot be written: {error.strerror}; [engine] features_at_once = more needs '
                "less room there and more memory"
            ) from error
        self._waiting[number].clear()

    def flush(self) -> list[int]:
        """Everything taken so far is on disk; the size of each round's file."""
        sizes = [0]
        for number in range(1, len(self._waiting)):
            self._write(number)
            with self.path(number).open("rb") as file:
                os.fsync(file.fileno())
                sizes.append(os.fstat(file.fileno()).st_size)
        return sizes

    def cut_back(self, sizes: list[int]) -> None:
        """Forgets what was added after a `flush` that returned `sizes`. Raises ValueError where less is there."""
        for number, size in enumerate(sizes):
            if number:
                if not self.path(number).is_file() or self.path(number).stat().st_size < size:
                    raise ValueError("a file of events is gone")
                os.truncate(self.path(number), size)

    def read(self, number: int) -> Iterator[Record]:
        """The records of a round, in the order in which they were added. `flush` first."""
        if not self.path(number).stat().st_size:
            return
        data = np.memmap(self.path(number), np.uint8, "r")
        place = 0

        def some(kind: npt.DTypeLike, n: int) -> npt.NDArray[Any]:
            nonlocal place
            begin, place = place, place + n * np.dtype(kind).itemsize
            if place > len(data):
                raise AutointerpError(f'"{self.path(number)}" is cut short; remove "{self.folder}" and run again')
            return np.frombuffer(data[begin:place].tobytes(), kind)

        while place < len(data):
            batch, piece, n_explain, n, n_outliers = some(np.int64, HEAD).tolist()
            row, feature = some(self._row_type, n), some(self._types[number][piece], n)
            value = some(np.float32, n).copy()
            outliers = some(self._row_type, n_outliers).astype(np.int64)
            yield Record(batch, piece, n_explain, row.astype(np.int64), feature.astype(np.int64), value, outliers)

    def remove(self) -> None:
        for number in range(1, len(self._waiting)):
            self.path(number).unlink(missing_ok=True)


def _smallest(n: int) -> type[np.uint16] | type[np.int32]:
    return np.uint16 if n <= 1 << 16 else np.int32
