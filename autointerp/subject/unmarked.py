"""A model's folder as transformers can read it: its readers take a byte order mark for content."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autointerp.text_files import MARKS, read_text


@contextmanager
def unmarked(path: str) -> Iterator[str]:
    """The folder itself, or, where a text in it begins with a mark, one of links beside texts written without.

    A name that is no folder is given back as it is.
    """
    texts = [file for kind in ("*.json", "*.jinja", "*.txt") for file in sorted(Path(path).glob(kind))]
    marked = [file for file in texts if file.is_file() and _begins_with_mark(file)]
    if not marked:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="autointerp-model-") as folder:
        for entry in Path(path).iterdir():
            if entry in marked:
                (Path(folder) / entry.name).write_text(read_text(entry), encoding="utf-8")
            else:
                (Path(folder) / entry.name).symlink_to(entry.absolute())
        yield folder


def _begins_with_mark(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(4).startswith(tuple(mark for mark, _ in MARKS))
