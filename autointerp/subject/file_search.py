"""The files of a folder or a pattern, each once, in a fixed order.

Links are followed, to folders and to files. A file that is reached by several ways (a link, a hard link, a link to a
folder above) counts once, under the name that takes no link, or else the first in the order of names. A link that
leads nowhere is named, and so is how many were followed.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autointerp.errors import InputError

Identity = tuple[int, int]
"""Device and number on it: the same for all names of a file."""
NAMED = 3
"""Links that lead nowhere are named up to this many."""


@dataclass(frozen=True)
class Search:
    """What a search came to."""

    files: list[Path]
    links: int
    """Links that were followed to a file or folder of the search."""
    again: int
    """Names of files that are there under another name."""
    nowhere: list[Path]
    """Links to what is not there."""

    @property
    def remarks(self) -> list[str]:
        """What a user should be told; nothing where there are no links."""
        said = []
        if self.links:
            said.append(f"{self.links:,} {'link' if self.links == 1 else 'links'} followed")
        if self.again:
            said.append(f"{self.again:,} {'name' if self.again == 1 else 'names'} of the same files left out")
        if self.nowhere:
            named = ", ".join(f'"{path}"' for path in self.nowhere[:NAMED])
            more = f" and {len(self.nowhere) - NAMED:,} more" if len(self.nowhere) > NAMED else ""
            n = len(self.nowhere)
            said.append(f"{n:,} {'link leads' if n == 1 else 'links lead'} nowhere and left out: {named}{more}")
        return said


def in_folder(folder: Path) -> Search:
    """All files of a folder and the folders in it, hidden ones (a name that begins with a dot) left out."""
    return _search(path for inside in _folders(folder) for path in _entries(inside) if not _is_hidden(path))


def matching(pattern: str) -> Search:
    """All files that match a pattern: `*`, `?` and `[...]` within a name, `**` for any folders between."""
    path = Path(pattern)
    first = Path(path.anchor) if path.anchor else Path()
    return _search(_expanded(first, path.parts[1:] if path.anchor else path.parts))


def _search(paths: Iterable[Path]) -> Search:
    by_file: dict[Identity, list[tuple[int, Path]]] = {}
    nowhere, names = set(), set()
    followed: set[Path] = set()
    known: dict[Path, list[Path]] = {}
    for path in paths:
        if path in names:
            continue  # `**` twice in a pattern
        names.add(path)
        facts = _facts(path)
        if facts is None:
            if path.is_symlink():
                nowhere.add(path)
            continue
        if not stat.S_ISREG(facts.st_mode):
            continue
        links = [*_links_above(path.parent, known), *([path] if path.is_symlink() else [])]
        followed.update(links)
        by_file.setdefault((facts.st_dev, facts.st_ino), []).append((len(links), path))
    files = sorted(min(ways)[1] for ways in by_file.values())
    again = sum(len(ways) - 1 for ways in by_file.values())
    return Search(files, len(followed), again, sorted(nowhere))


def _expanded(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    name, rest = parts[0], parts[1:]
    if name == "**":
        for inside in _folders(folder):
            yield from _expanded(inside, rest or ("*",))
    elif glob.has_magic(name):
        for entry in _entries(folder):
            if fnmatch.fnmatch(entry.name, name) and (name.startswith(".") or not _is_hidden(entry)):
                yield from _expanded(entry, rest)
    elif rest or os.path.lexists(folder / name):
        yield from _expanded(folder / name, rest)


def _folders(folder: Path) -> Iterator[Path]:
    """The folder and all in it, each once: first those that take no link, then what the links lead to."""
    waiting: list[Path] = [folder]
    linked: list[Path] = []
    seen: set[Identity] = set()
    while waiting or linked:
        here = waiting.pop() if waiting else linked.pop(0)
        facts = _facts(here)
        if facts is None or (facts.st_dev, facts.st_ino) in seen or not stat.S_ISDIR(facts.st_mode):
            continue
        seen.add((facts.st_dev, facts.st_ino))
        yield here
        for entry in _entries(here):
            if not _is_hidden(entry):
                (linked if entry.is_symlink() else waiting).append(entry)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder / name for name in os.listdir(folder))
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENOENT, errno.ELOOP):
            return []
        raise InputError(f'tokens.source: the folder "{folder}" cannot be read: {error.strerror}') from error


def _facts(path: Path) -> os.stat_result | None:
    """None where nothing is there: a link that leads nowhere, or round in a circle."""
    try:
        return path.stat()
    except OSError:
        return None


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _links_above(folder: Path, known: dict[Path, list[Path]]) -> list[Path]:
    """The folders on the way to this one that are links."""
    if folder not in known:
        above = [] if folder.parent == folder else _links_above(folder.parent, known)
        known[folder] = [*above, folder] if folder.is_symlink() else above
    return known[folder]
