"""The snapshot: a whole copy of the store that others may read while a run holds the file.

The copy is made by a child process. A POSIX lock is dropped when any descriptor of the file is closed in
the process that holds it: a copy made here would silently let a second writer in (tested: it does).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from autointerp.errors import AutointerpError
from autointerp.store.opening import snapshot_path

_COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"


def copy_to_snapshot(path: Path) -> Path:
    """Copies a checkpointed store; the old snapshot stands until the new one is whole."""
    target = snapshot_path(path)
    part = target.with_name(f"{target.name}.part-{os.getpid()}")
    try:
        arguments = [sys.executable, "-I", "-S", "-c", _COPY, os.fspath(path), os.fspath(part)]
        copy = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and code
        if copy.returncode:
            why = copy.stderr.strip().splitlines() or [f"exit status {copy.returncode}"]
            raise AutointerpError(f'the snapshot "{target}" could not be written: {why[-1]}')
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def remove_snapshot(path: Path) -> None:
    """Removes the snapshot and what killed copies left of one."""
    target = snapshot_path(path)
    for leftover in [target, *target.parent.glob(f"{target.name}.part-*")]:
        leftover.unlink(missing_ok=True)
