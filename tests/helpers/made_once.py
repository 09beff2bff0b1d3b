"""What many tests make again and again in one process, made once: the subject of a run, and the file of a new store.

Both are exactly what the code makes the first time. Tests of loading and of stores themselves have neither: they ask
the code directly, or stand under `tests/store/`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from autointerp.store import opening
from autointerp.subject import opening as subjects
from autointerp.subject.loading import load_subject, resolve_model


def share_subjects(patch: Callable[[Any, str, Any], None]) -> None:
    """`open_subject` loads a folder once, as long as no file of it changes; subjects are not changed by those who read
    with them."""
    kept: dict[Any, Any] = {}

    def load(model: str, *settings: Any, **more: Any) -> Any:
        folder = Path(resolve_model(model))
        if not folder.is_dir() or more.get("offload_folder") or more.get("max_memory"):
            return load_subject(model, *settings, **more)
        files = sorted((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir())
        key = (model, str(files), settings, str(sorted(more.items())))
        if key not in kept:
            kept[key] = load_subject(model, *settings, **more)
        return kept[key]

    patch(subjects, "load_subject", load)


def share_empty_stores(patch: Callable[[Any, str, Any], None], folder: Path) -> None:
    """A new store is a copy of the first one, where nothing else is written into it."""
    made = opening.create_with
    empty = folder / "empty.duckdb"

    def create_with(path: Path, fill: Callable[[duckdb.DuckDBPyConnection], None] | None = None) -> None:
        of_stores = "tests/store/" in os.environ.get("PYTEST_CURRENT_TEST", "")
        if fill is not None or of_stores or not path.parent.is_dir():
            made(path, fill)
            return
        if not empty.exists():
            made(empty)
        building = path.with_name(f".{path.name}.new-{os.getpid()}")
        shutil.copyfile(empty, building)
        with contextlib.suppress(FileExistsError):  # somebody was faster
            os.link(building, path)
        building.unlink()

    patch(opening, "create_with", create_with)
