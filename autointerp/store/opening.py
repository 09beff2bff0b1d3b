"""Opening a store's file, and saying in one line what is in the way.

Three promises:

1. A file is complete or absent. A new store is built under another name and linked to its own when it
   is whole, so that a kill at any moment leaves no half-made store.
2. One process writes. DuckDB's lock shuts all others out; the message names the process that holds it.
   (The lock is a POSIX one: it is lost when *any* descriptor of the file is closed in the process that
   holds it. So nothing in this package opens a store's file by itself: `snapshot.py`.)
3. Nothing that was committed is thrown away. A log that cannot be replayed, or that DuckDB would pass
   over in silence and then overwrite, is renamed to `.wal.damaged-N`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from autointerp.errors import AutointerpError, StoreError, nearest
from autointerp.store.query import one_line
from autointerp.store.schema import SCHEMA_VERSION, STORAGE_VERSION, schema_sql
from autointerp.version import __version__

_GIB = 1 << 30
MOST_SPILLED = "64GiB"
"""What DuckDB may write to temporary files when memory does not suffice."""


class StoreHeld(StoreError):
    """Another process has the file; `pid` where DuckDB says which."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class DamagedLog(StoreError):
    """The write-ahead log beside the file cannot be replayed."""


def open_for_writing(path: Path, say: Callable[[str], None]) -> duckdb.DuckDBPyConnection:
    """Creates the file where there is none, replays what a killed writer left, checks the schema's version."""
    if not path.parent.is_dir():
        raise StoreError(f'the folder "{path.parent}" for the store "{path.name}" does not exist; create it first')
    if not path.exists():
        _create(path, say)
    try:
        connection = _connect_writing(path)
    except DamagedLog as error:
        _set_aside_log(path, str(error), say)
        connection = _connect_writing(path)
    try:
        if _log_bytes(path):
            # A replayed log is gone after a checkpoint. One that still stands was not this file's: DuckDB
            # opens without a word and overwrites it with the next commit.
            connection.execute("CHECKPOINT")
        if _log_bytes(path):
            connection.close()
            _set_aside_log(path, "it was not written for this file", say)
            connection = _connect_writing(path)
        check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    for leftover in path.parent.glob(f".{path.name}.new-*"):  # of writers killed while they made the file
        leftover.unlink(missing_ok=True)
    return connection


def open_for_reading(path: Path, spilled: str = MOST_SPILLED) -> duckdb.DuckDBPyConnection:
    """Read-only and locked down: other files, extensions and settings are out of reach for any SQL."""
    refuse_missing(path)
    config = _reading(spilled) | {"enable_external_access": False, "lock_configuration": True}
    connection = _connect(path, read_only=True, config=config)
    try:
        check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def start_reading(path: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB without a file, locked down like a reader: of all files it can attach this store and its snapshot."""
    connection = duckdb.connect(config=_reading(MOST_SPILLED))
    files = [path, snapshot_path(path)]
    within_reach = [f"{file}{suffix}" for file in map(os.path.abspath, files) for suffix in ("", *_LOGS)]
    connection.execute("SET allowed_paths = $files", {"files": within_reach})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def attach_for_reading(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attaches a store, read-only, under a name of ours. Raises StoreError as `open_for_reading` does."""
    assert name.isidentifier()
    refuse_missing(path)
    try:
        connection.execute(f"ATTACH $path AS {name} (READ_ONLY)", {"path": os.path.abspath(path)})
    except duckdb.Error as error:
        raise store_error(error, path) from error
    cursor = connection.cursor()
    try:
        cursor.execute(f"USE {name}")
        check_version(cursor, path)
    except BaseException:
        cursor.close()
        connection.execute(f"DETACH {name}")
        raise
    cursor.close()


def refuse_missing(path: Path) -> None:
    """Raises StoreError where there is no such file."""
    if not path.exists():
        raise StoreError(f'there is no store "{path}"' + _nearest_store(path))


def _reading(spilled: str) -> dict[str, Any]:
    return _limits() | {
        "max_temp_directory_size": spilled,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        # Away from the store, whose folder may be read-only; a folder of its own, because SQL reaches it.
        "temp_directory": str(Path(tempfile.gettempdir()) / f"autointerp-duckdb-{os.getpid()}"),
    }


def check_version(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raises StoreError unless the file is a store that this version can read."""
    try:
        versions = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall()
    except duckdb.Error as error:
        raise StoreError(f'"{path}" is a DuckDB file, but not an autointerp store: it has no table meta') from error
    if len(versions) != 1 or not versions[0][0].isdigit():
        raise StoreError(f'"{path}" is a DuckDB file, but not an autointerp store: meta has no schema_version')
    version = int(versions[0][0])
    if version > SCHEMA_VERSION:
        raise StoreError(
            f'"{path}" has schema version {version}, and this autointerp ({__version__}) reads up to {SCHEMA_VERSION}; '
            "upgrade autointerp"
        )
    if version < SCHEMA_VERSION:
        raise StoreError(
            f'"{path}" has schema version {version}, of an earlier autointerp, and this one ({__version__}) reads '
            f"{SCHEMA_VERSION}; read it with the version that wrote it, or run again into another --store"
        )


def _create(path: Path, say: Callable[[str], None]) -> None:
    """Builds the file under another name, then gives it its own, unless somebody else was faster."""
    if _log_bytes(path):
        _set_aside_log(path, "its store is gone", say)
    snapshot_path(path).unlink(missing_ok=True)
    create_with(path)


def create_with(path: Path, fill: Callable[[duckdb.DuckDBPyConnection], None] | None = None) -> None:
    """Makes a store, empty or with the rows that `fill` writes. It has its name when all is written; a kill before
    leaves none."""
    if not path.parent.is_dir():
        raise StoreError(f'the folder "{path.parent}" for the store "{path.name}" does not exist; create it first')
    home = Path(os.path.realpath(path))  # a link to a file that is yet to be made stays a link
    if not home.parent.is_dir():
        raise StoreError(f'the store "{path}" is a link to "{home}", and there is no such folder; create it first')
    building = home.with_name(f".{path.name}.new-{os.getpid()}")
    building.unlink(missing_ok=True)
    try:
        config = _limits() | {"storage_compatibility_version": STORAGE_VERSION}
        connection = _connect(building, read_only=False, config=config, store=path)
        try:
            connection.execute("BEGIN TRANSACTION")  # else each of its statements waits for the disk
            connection.execute(schema_sql())
            connection.execute(
                "INSERT INTO meta VALUES ('schema_version', $version), ('created_by', $created_by)",
                {"version": str(SCHEMA_VERSION), "created_by": f"autointerp {__version__}"},
            )
            connection.execute("COMMIT")
            if fill is not None:
                fill(connection)
            connection.execute("CHECKPOINT")  # closing would do it too, and say nothing of a full disk
        except duckdb.Error as error:
            raise AutointerpError(f'the store "{path}" could not be written: {one_line(error)}') from error
        finally:
            connection.close()
        _give_name(building, home)
    finally:
        building.unlink(missing_ok=True)
        Path(f"{building}.wal").unlink(missing_ok=True)


def _give_name(building: Path, path: Path) -> None:
    """A link fails where the name is taken; a rename would put a new file over another process's store."""
    try:
        os.link(building, path)
    except OSError:
        if not path.exists():  # a file system without hard links
            building.rename(path)


def snapshot_path(path: Path) -> Path:
    """Where the writer publishes its snapshot: PATH.snapshot."""
    return path.with_name(f"{path.name}.snapshot")


def _connect_writing(path: Path) -> duckdb.DuckDBPyConnection:
    # With DuckDB's own threshold (16 MB) small commits stall for seconds whenever it is reached. Several threads would
    # collect rows of their own, which are then copied together in order: twice the CPU time of one.
    return _connect(path, read_only=False, config=_limits() | {"wal_autocheckpoint": "1GB", "threads": 1})


def _connect(
    path: Path, *, read_only: bool, config: dict[str, Any], store: Path | None = None
) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.Error as error:
        raise store_error(error, store or path) from error


NO_LOCKS = r"not supported for this file system|No locks available|PID (0|-1)\b"
"""What DuckDB says where nobody on this machine holds a lock: of network disks without a lock service, too."""


def store_error(error: duckdb.Error, path: Path) -> StoreError:
    """DuckDB's message as ours: which file, what, what to do."""
    text = one_line(error)
    if "different configuration" in text or "already attached" in text:
        return StoreHeld(f'the store "{path}" is open in this very process (PID {os.getpid()}) already', os.getpid())
    if "Could not set lock" in text and re.search(NO_LOCKS, text):
        return StoreError(
            f'the store "{path}" cannot be locked: its file system has no locks, or another machine holds it; put the '
            "store on a local disk (--store), or wait for the other machine"
        )
    if "Could not set lock" in text:
        holder = re.search(r"\(PID (\d+)\)", text)
        if holder is None:
            return StoreHeld(f'the store "{path}" is held by another process: {text}', None)
        pid = int(holder[1])
        return StoreHeld(
            f'the store "{path}" is held by another process (PID {pid}); wait until it ends, or stop it (kill {pid})',
            pid,
        )
    if "not a valid DuckDB database file" in text or path.is_dir():
        return StoreError(f'"{path}" is not a DuckDB file, so not a store; give another path')
    if "database file with version number" in text:
        return StoreError(f'"{path}" was written by another DuckDB than this one ({duckdb.__version__}): {text}')
    if "WAL" in text:
        return DamagedLog(f'the log of the store "{path}" cannot be replayed; `autointerp run` sets it aside ({text})')
    return StoreError(f'the store "{path}" cannot be opened: {text}')


_LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")


def _log_bytes(path: Path) -> int:
    logs = [Path(f"{path}{suffix}") for suffix in _LOGS]
    return sum(log.stat().st_size for log in logs if log.exists())


def _set_aside_log(path: Path, reason: str, say: Callable[[str], None]) -> None:
    number = 1
    while any(Path(f"{path}{suffix}.damaged-{number}").exists() for suffix in _LOGS):
        number += 1
    for suffix in _LOGS:
        log = Path(f"{path}{suffix}")
        if log.exists():
            log.rename(f"{log}.damaged-{number}")
    say(
        f'the log of the store "{path}" was set aside as "{path.name}.wal.damaged-{number}": {reason}. '
        "What was committed since the last checkpoint is done again."
    )


def _nearest_store(path: Path) -> str:
    if not path.parent.is_dir():
        return f'; there is no folder "{path.parent}" either'
    here = sorted(other.name for other in path.parent.glob("*.duckdb"))
    whole = f"{path.name}.duckdb"
    near = f'; the nearest is "{whole}"' if whole in here else nearest(path.name, here, listed="there is")
    return near + (" in that folder" if here else "; `autointerp run` makes one")


def _limits() -> dict[str, Any]:
    """Room for DuckDB beside a model: half of the memory, 4 GiB at most; the rest spills, within a limit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 * _GIB
    return {
        "memory_limit": f"{min(4 * _GIB, memory // 2)}B",
        "max_temp_directory_size": MOST_SPILLED,
        "threads": min(4, os.cpu_count() or 1),
    }
