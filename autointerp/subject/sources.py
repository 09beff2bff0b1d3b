"""Where the tokens come from, as the run file says it.

    bundled:NAME          the pinned corpus in the wheel
    python-stdlib         the sources of the running Python's standard library, a file a document
    text:PATH             a folder or pattern: a file a document; a single file: cut at line ends
    jsonl:PATH#FIELD      a line a document
    parquet:GLOB#FIELD    a row a document, the files in the order of their names
    hf:OWNER/NAME#FIELD   a row of a data set of the Hugging Face hub a document, streamed
    npy:PATH              an integer array [n, context_length], a row a document

Texts and JSON lines may be compressed. A field holds texts, or conversations. Bad input is an InputError in one line,
before anything is written.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autointerp.errors import ConfigError, InputError, nearest
from autointerp.subject.documents import Row, Source
from autointerp.subject.files import Bundled, Jsonl, Parquet, PythonStdlib, Text, files_digest, named_file
from autointerp.subject.hub_datasets import HubDataset

KINDS = ("bundled", "python-stdlib", "text", "jsonl", "parquet", "hf", "npy")
FILE_KINDS = ("text", "jsonl", "parquet", "npy")
ROWS_KINDS = ("jsonl", "parquet", "hf")
"""Sources whose rows may be conversations."""


def parse_source(source: str) -> tuple[str, str]:
    """`"jsonl:a.jsonl#text"` -> `("jsonl", "a.jsonl#text")`."""
    kind, _, rest = source.partition(":")
    if kind not in KINDS:
        raise ConfigError(f'tokens.source: "{source}" is none of {", ".join(KINDS)}{nearest(kind, KINDS)}')
    if kind != "python-stdlib" and not rest.partition("#")[0]:
        raise ConfigError(f'tokens.source: "{source}" lacks what comes after "{kind}:"')
    return kind, os.path.expanduser(rest) if kind in FILE_KINDS else rest


def open_source(
    source: str,
    *,
    subset: str | None = None,
    hf_split: str = "train",
    revision: str | None = None,
    commit: str | None = None,
) -> Source:
    """The source of this name. `commit`: what `revision` was found to be before, so that nobody is asked again.

    Raises ConfigError and InputError where it is misnamed, not there, or not what it should be.
    """
    kind, rest = parse_source(source)
    if kind == "hf":
        return HubDataset(rest, subset, hf_split, revision, commit)
    if subset is not None or revision is not None:
        key = "subset" if subset is not None else "revision"
        raise ConfigError(f'tokens.{key} is for an "hf:" source; "{source}" has none')
    if kind == "python-stdlib":
        return PythonStdlib()
    made = {"bundled": Bundled, "text": Text, "jsonl": Jsonl, "parquet": Parquet, "npy": Npy}
    return made[kind](rest)


class Npy(Source):
    """Token ids [n, context_length], memory-mapped."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = named_file(path)
        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f'tokens.source: "{path}" is not a NumPy array of numbers ({error})') from error
        if not isinstance(array, np.ndarray) or array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
            shape = getattr(array, "shape", "several arrays")
            kind = getattr(array, "dtype", "")
            raise InputError(f'tokens.source: "{path}" must hold integers [n, context_length]; it holds {kind} {shape}')
        if array.shape[0] == 0 or array.shape[1] < 2:
            raise InputError(f'tokens.source: "{path}" is empty: its shape is {array.shape}')
        self.array = array

    def local_files(self) -> list[Path]:
        return [self.path]

    def fingerprint(self) -> str:
        return files_digest([self.path], b"npy")

    def rows(self) -> Iterator[Row]:
        raise TypeError("an array holds token ids, no text: read `array`")
