"""A store that takes long to make is kept in pytest's own folder for as long as nothing that it is made from changes.

Workers of one session wait for the first of them; a session that comes later, as that of the browser does, finds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import autointerp

ROOT = Path(autointerp.__file__).parents[1]
MADE_FROM = ("autointerp", "prompts", "analysis", "runs", "tests/helpers")


def key_of_sources(root: Path = ROOT) -> str:
    """A hash of every file that decides the rows, and of the versions of the libraries that `constraints.txt` names."""
    key = hashlib.sha256(sys.version.encode())
    for pinned in re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE):
        with contextlib.suppress(PackageNotFoundError):
            key.update(f"{pinned}=={version(pinned)}\n".encode())
    for folder in MADE_FROM:
        files = (path for path in (root / folder).rglob("*") if path.is_file() and path.parent.name != "__pycache__")
        for path in sorted(files):
            key.update(f"{path.relative_to(root)}\n{path.stat().st_size}\n".encode())
            key.update(path.read_bytes())
    return key.hexdigest()[:32]


def kept_store(folder: Path, key: str, make: Callable[[Path], object]) -> Path:
    """The store under this key in `folder`; made by `make(path)` where it is not there, in the place of older ones.

    What is kept is never opened: `copy_of` gives one that is.
    """
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / key
        if not (kept / "whole").exists():
            for old in folder.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            kept.mkdir()
            make(kept / "kept.duckdb")
            (kept / "whole").touch()
    return kept / "kept.duckdb"


def copy_of(store: Path, path: Path) -> Path:
    """A copy of a store, with what lies beside it."""
    shutil.copy(store, path)
    shutil.copytree(f"{store}.work", f"{path}.work")
    return path
