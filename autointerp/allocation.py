"""Room for files that are mapped into memory.

A page of a mapped file for which the disk has no room ends the process with a bus error, and no line is said. So the
room is taken before the file is mapped, and a file's size is looked at before it is read through a map.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from autointerp.errors import AutointerpError

BLOCK = 1 << 20


def allocate(file: IO[bytes], n_bytes: int) -> None:
    """Makes the file `n_bytes` long, all of them on disk. Raises AutointerpError where there is no room."""
    try:
        if hasattr(os, "posix_fallocate"):
            if n_bytes:
                os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            for first in range(0, n_bytes, BLOCK):
                file.write(bytes(min(BLOCK, n_bytes - first)))
            file.flush()
    except OSError as error:
        raise no_room(Path(file.name).parent, n_bytes, error) from error


def no_room(folder: Path, n_bytes: int | None, error: OSError) -> AutointerpError:
    """What is said where a file cannot be written."""
    wanted = "for what is written there" if n_bytes is None else f"for {n_bytes:,} bytes more"
    return AutointerpError(
        f'"{folder}" has no room {wanted} ({error.strerror}); make room, or put the store on another disk: --store'
    )
