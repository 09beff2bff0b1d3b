"""Reading a safetensors file without mapping it.

A mapped file that is cut short while it is open, or that a full disk left with holes, ends the process with SIGBUS, at
whatever later moment a weight is first looked at. Here the bytes are read, so that it is an error with a line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from autointerp.errors import InputError
from autointerp.pointers import pointer_line

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
BLOCK_BYTES = 1 << 26


class SafetensorsFile:
    """The tensors of a file, by name. Raises InputError with one line where the file is missing, damaged or cut."""

    def __init__(self, file: Path, path: str) -> None:
        self.file, self.path = file, path
        self.header, self.start = self._read_header()

    @property
    def names(self) -> list[str]:
        return sorted(self.header)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.header[name]["shape"])

    def read(self, name: str) -> Tensor:
        """A whole tensor, in the file's own type."""
        shape = self.shape(name)
        [whole] = self._blocks(name, max(1, shape[0]) if shape else 1)
        return whole

    def blocks(self, name: str) -> Iterator[Tensor]:
        """A tensor by ranges of its first dimension, of about BLOCK_BYTES each."""
        shape = self.shape(name)
        row = math.prod(shape[1:]) * self._dtype(name).itemsize
        return self._blocks(name, max(1, BLOCK_BYTES // max(1, row)))

    def _blocks(self, name: str, rows: int) -> Iterator[Tensor]:
        shape, dtype = self.shape(name), self._dtype(name)
        first, last = self.header[name]["data_offsets"]
        if last == first:
            yield torch.empty(shape, dtype=dtype)
            return
        row = (last - first) // shape[0] if shape else last - first
        with self._opened() as content:
            content.seek(self.start + first)
            for begin in range(first, last, rows * row):
                held = bytearray(min(rows * row, last - begin))
                if content.readinto(held) != len(held):  # type: ignore[attr-defined]
                    raise InputError(f'"{self.path}": {self.file.name} was cut short while it was read')
                flat = torch.frombuffer(held, dtype=dtype)
                yield flat.reshape(-1, *shape[1:]) if shape else flat.reshape(())

    def _dtype(self, name: str) -> torch.dtype:
        written = self.header[name]["dtype"]
        if written not in DTYPES:
            raise InputError(f'"{self.path}": "{name}" holds {written}, not plain floating-point weights')
        return DTYPES[written]

    def _opened(self) -> BinaryIO:
        try:
            return self.file.open("rb")
        except OSError as error:
            raise InputError(f'"{self.path}": {self.file.name} cannot be read: {error.strerror or error}') from error

    def _read_header(self) -> tuple[dict[str, Any], int]:
        """What the library accepts as a header, against the size that the file really has."""
        from safetensors import SafetensorError, safe_open

        if not self.file.is_file():
            raise InputError(f'"{self.path}" has no {self.file.name}')
        if why := pointer_line(self.file):
            raise InputError(f'"{self.path}": {self.file.name} {why}')
        with self._opened() as content:
            size = os.fstat(content.fileno()).st_size
            length = int.from_bytes(content.read(8), "little")
            if size < 8 or length > size - 8:
                raise self._damaged(f"it has {size:,} bytes, and its header alone would have more")
            try:
                header = json.loads(content.read(length))
                ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
                missing = 8 + length + max(ends, default=0) - size
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
                raise self._damaged("its header is not one of safetensors") from error
        if missing > 0:
            raise self._damaged(f"it is cut short by {missing:,} bytes")
        try:
            with safe_open(self.file, framework="pt"):
                pass
        except (SafetensorError, OSError, ValueError) as error:
            raise self._damaged(str(error).splitlines()[0]) from error
        return {name: entry for name, entry in header.items() if name != "__metadata__"}, 8 + length

    def _damaged(self, why: str) -> InputError:
        return InputError(f'"{self.path}": {self.file.name} is damaged: {why}')
