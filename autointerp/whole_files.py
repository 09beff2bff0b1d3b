"""Files and folders that are whole or not there: built beside their place under another name, then renamed.

A link is followed: what it leads to is written anew, and the link stays. A device or a pipe (`-o /dev/stdout`) is
written into, and never replaced.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from autointerp.errors import UserError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to; it takes its place, and that of an older one, when all is written. Raises UserError where it
    cannot be written."""
    if _is_special(path):
        try:
            with path.open("wb") as stream:
                yield stream
        except BrokenPipeError:  # the reader has seen enough
            return
        except OSError as error:
            raise UserError(f'"{path}" cannot be written: {error.strerror or error}') from error
        return
    named, path = path, Path(os.path.realpath(path))
    try:
        handle, part = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise UserError(f'"{named}" cannot be written: {error.strerror or error}') from error
    try:
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            Path(part).chmod(0o644)
            Path(part).replace(path)
        except OSError as error:
            raise UserError(f'"{named}" cannot be written: {error.strerror or error}') from error
    finally:
        Path(part).unlink(missing_ok=True)


def _is_special(path: Path) -> bool:
    """Whether there is something at the path, or behind its link, that is no file and no folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes its name when all is written. Raises UserError where the name is taken, or where it
    cannot be written."""
    path = path.absolute()
    if path.exists():
        raise UserError(f'"{path}" is there already; give another folder, or remove it')
    try:
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    except OSError as error:
        raise UserError(f'"{path}" cannot be written: {error.strerror or error}') from error
    try:
        try:
            yield part
            part.chmod(0o755)
            part.rename(path)
        except OSError as error:
            raise UserError(f'"{path}" cannot be written: {error.strerror or error}') from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
