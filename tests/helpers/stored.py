"""What a finished store says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autointerp.store.reader import open_reader
from autointerp.store.verify import verify


def rows(path: Path, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    with open_reader(path) as reader:
        return list(reader.rows(sql, **parameters))


def check(path: Path) -> None:
    with open_reader(path) as reader:
        assert not [one for one in verify(reader) if not one.ok]
